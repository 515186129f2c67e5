"""`interlock inbox ...`: what waits for a person, and what people decide about it."""

from collections.abc import Callable
from typing import Annotated

import typer

from .frame import GRACE, GraceOption, JournalOption, JsonOption, commands, guarded

inbox = typer.Typer(
    help="Questions to people: what waits, and what you decide about it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands(inbox, "inbox")


def command(work: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command of the inbox, as `app.command` does for the others."""
    return inbox.command(work.__name__.rstrip("_"))(guarded(work))


def _waiting(incomplete: str) -> list[tuple[str, str]]:
    """What waits, for the shell's completion."""
    from .inbox import completions

    return completions(incomplete)


Which = Annotated[
    str,
    typer.Argument(
        metavar="RUN[/STEP]",
        help="Whose question: the beginning of a run id, or 'last'; with the step where several of it wait.",
        autocompletion=_waiting,
        show_default=False,
    ),
]
ByOption = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who decides. Default: your login name.", show_default=False)
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Write this. VALUE is JSON, or a text where it isn't.", show_default=False
    ),
]
DeleteOption = Annotated[
    list[str] | None, typer.Option("--delete", metavar="PATH", help="Delete this.", show_default=False)
]
WritesOption = Annotated[
    str | None,
    typer.Option(
        "--writes", metavar="FILE", help='Write all this: {"a.path": ...}; - for standard input.', show_default=False
    ),
]
MoreOption = Annotated[
    list[str] | None,
    typer.Option(
        "--more",
        metavar="WHAT=AMOUNT",
        help="Approve so much more of the budget that is spent: usd=0.10, tokens=4000, calls=5.",
        show_default=False,
    ),
]
EffectOption = Annotated[
    str,
    typer.Option("--effect", metavar="KEY", help="Only if the question is about this effect.", show_default=False),
]
AttemptOption = Annotated[
    int,
    typer.Option(
        "--attempt", metavar="N", min=0, help="Only if the question is still that of this attempt.", show_default=False
    ),
]
NoResumeOption = Annotated[
    bool, typer.Option("--no-resume", help="Only record it: a service, or 'interlock resume', goes on with the run.")
]
TeamOption = Annotated[
    str | None, typer.Option("--team", metavar="TEAM", help="The team file, if it has moved.", show_default=False)
]


@command
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="How many at most; 0 for all.")] = 50,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """List what waits for a person, the oldest first."""
    from . import config
    from .inbox import listed

    return listed(config.settings(journal), limit, json=json)


@command
def show(question: Which, *, journal: JournalOption = None, json: JsonOption = False) -> int:
    """Show one question: what its agent saw, what it asks or what was refused, and what you may do."""
    from . import config
    from .inbox import shown

    return shown(config.settings(journal), question, json=json)


@command
def answer(  # noqa: PLR0913 - its options
    question: Which,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="The answer, for its agent to go by.", show_default=False)
    ] = "",
    *,
    set: SetOption = None,  # noqa: A002 - the name of the option
    delete: DeleteOption = None,
    writes: WritesOption = None,
    attempt: AttemptOption = 0,
    by: ByOption = "",
    reason: ReasonOption = "",
    no_resume: NoResumeOption = False,
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Answer an agent's question by a text, or write in its place with --set, --delete or --writes."""
    from .inbox import Answer, Changes, How, decide

    changes = Changes(set or (), delete or (), writes)
    how = How.of(journal, None, grace, json=json)
    given = Answer("write" if changes else "answer", question, text, changes, by, reason, attempt=attempt)
    return decide(given, how, team, no_resume)


@command
def retry(  # noqa: PLR0913 - its options
    question: Which,
    text: Annotated[str, typer.Argument(metavar="[ADVICE]", help="What its agent is told.", show_default=False)] = "",
    *,
    attempt: AttemptOption = 0,
    by: ByOption = "",
    reason: ReasonOption = "",
    no_resume: NoResumeOption = False,
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Have the agent try again, with your advice if you have any."""
    from .inbox import Answer, How, decide

    how = How.of(journal, None, grace, json=json)
    return decide(Answer("retry", question, text, None, by, reason, attempt=attempt), how, team, no_resume)


@command
def approve(  # noqa: PLR0913 - its options
    question: Which,
    *,
    more: MoreOption = None,
    effect: EffectOption = "",
    attempt: AttemptOption = 0,
    by: ByOption = "",
    reason: ReasonOption = "",
    no_resume: NoResumeOption = False,
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Let an effect be performed, take the refused reply (scope, sizes and schema hold), or raise a budget (--more)."""
    from .inbox import Answer, How, decide

    how = How.of(journal, None, grace, json=json)
    return decide(Answer("approve", question, "", None, by, reason, more or (), effect, attempt), how, team, no_resume)


@command
def edit(  # noqa: PLR0913 - its options
    question: Which,
    *,
    set: SetOption = None,  # noqa: A002 - the name of the option
    delete: DeleteOption = None,
    writes: WritesOption = None,
    attempt: AttemptOption = 0,
    by: ByOption = "",
    reason: ReasonOption = "",
    no_resume: NoResumeOption = False,
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Take the refused reply with changes; scope, sizes and schema hold."""
    from .inbox import Answer, Changes, How, decide

    how = How.of(journal, None, grace, json=json)
    changes = Changes(set or (), delete or (), writes)
    return decide(Answer("edit", question, "", changes, by, reason, attempt=attempt), how, team, no_resume)


@command
def reject(  # noqa: PLR0913 - its options
    question: Which,
    *,
    effect: EffectOption = "",
    attempt: AttemptOption = 0,
    by: ByOption = "",
    reason: ReasonOption = "",
    no_resume: NoResumeOption = False,
    team: TeamOption = None,
    grace: GraceOption = GRACE,
    journal: JournalOption = None,
    json: JsonOption = False,
) -> int:
    """Give the step up: it is dead, for the reason you give. One that needs more of a budget goes to its fallback.

    That its run then fails is no failure of this command.
    """
    from .inbox import Answer, How, decide

    how = How.of(journal, None, grace, json=json)
    return decide(Answer("reject", question, "", None, by, reason, (), effect, attempt), how, team, no_resume)
