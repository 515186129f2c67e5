"""A run replayed, drawn: event by event, or its whole state after one of them."""

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from interlock.core import events as e
from interlock.history import Moment, Record, Story, held_until, sentence, some

from .config import Settings
from .paint import INJECTED, INJECTED_MARK, MARKS, console, marked, next_commands
from .paint_run import indented_json, steps_tree
from .text import count, duration, first_line, line, money, plain, plural, shown_team

EVENTS_SHOWN = 400
TEXT_CHARS_MAX = 300
STEP_COLUMNS_MAX = 26
MARK_COLUMNS = 2
_HOUR_S = 3_600
# What an event says of its own step by being there.
_OBVIOUS = (
    e.AttemptStarted,
    e.AttemptCommitted,
    e.StepSkipped,
    e.StepBuried,
    e.StepExpanded,
    e.QuestionAsked,
    e.StepEscalated,
)
# What is asked may have many lines; `inbox show` has them all.
_ASKING = (e.QuestionAsked, e.StepEscalated)


def show_moments(run: Record, moments: Sequence[Moment], settings: Settings) -> None:
    """Every event on a line of its own; on a terminal the middle of a long run is left out."""
    out = console()
    out.print(_head(run, moments))
    out.print(_verified(moments))
    out.print()
    ends = EVENTS_SHOWN // 2
    cut = len(moments) - EVENTS_SHOWN if out.is_terminal else 0
    shown = moments if cut <= 0 else [*moments[:ends], *_wrong(moments[ends:-ends]), *moments[-ends:]]
    out.print(_table(shown, moments[0].event.at_us))
    if cut > 0:
        out.print(
            Text(f"{plural(len(moments) - len(shown), 'event')} in the middle left out: pipe this to see all", "dim")
        )
    if out.is_terminal:
        out.print(next_commands(map(settings.command, _next(run, moments))))


def _next(run: Record, moments: Sequence[Moment]) -> Iterator[str]:
    """Where to look closer: at what is at odds, else at the last call."""
    wrong = _wrong(moments)
    yield f"replay {run.run_id} --at {wrong[0].seq if wrong else moments[-1].seq // 2}"
    calls = [moment.event for moment in wrong or moments if isinstance(moment.event, e.AttemptStarted)]
    if calls:
        call = calls[0] if wrong else calls[-1]
        yield f"replay {run.run_id}/{call.step}/{call.attempt}"


def show_state(story: Story, moment: Moment) -> None:
    """The whole state after one event: steps, context and cost."""
    out = console()
    facts = [duration((story.last_us - story.started_us) / 1e6), plural(story.cost.calls, "call")]
    if story.cost.tokens or story.cost.usd:
        facts += [f"{count(story.cost.tokens)} tokens", money(story.cost.usd)]
    head = Text.assemble(("run ", "dim"), (story.row.run_id, "bold"), "  ", marked(story.status))
    out.print(head.append(f"  after event {moment.seq} · " + " · ".join(facts), "dim"))
    out.print()
    out.print(_table([moment], story.started_us))
    out.print()
    out.print(steps_tree(story))
    out.print(Text("\ncontext", "bold"))
    out.print(indented_json(story.context, out))


def _head(run: Record, moments: Sequence[Moment]) -> Text:
    took = (moments[-1].event.at_us - moments[0].event.at_us) / 1e6
    facts = [plural(len(moments), "event"), duration(took)]
    if run.row.source:
        facts.append(shown_team(run.row.source))
    head = Text.assemble(("run ", "dim"), (run.run_id, "bold"), "  ", marked(run.row.status))
    return head.append("  " + " · ".join(facts), "dim")


def _verified(moments: Sequence[Moment]) -> Text:
    views = sum(isinstance(moment.event, e.AttemptStarted) for moment in moments)
    wrong = _wrong(moments)
    if wrong:
        mark, style = MARKS["failed"]
        found = f"{plural(len(wrong), 'event')} at odds with the rest of the journal, the first event {wrong[0].seq}"
        return Text(f"{mark} {found}", f"bold {style}")
    mark, style = MARKS["succeeded"]
    return Text(f"{mark} verified: {plural(views, 'view')}, and every event follows from those before it", style)


def _wrong(moments: Iterable[Moment]) -> list[Moment]:
    return [moment for moment in moments if moment.mismatches]


def _table(moments: Sequence[Moment], started_us: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    steps = [len(getattr(moment.event, "step", "")) for moment in moments]
    width = MARK_COLUMNS + min(STEP_COLUMNS_MAX, max(len("run"), *steps))
    table.add_column(width=width, no_wrap=True, overflow="ellipsis")
    table.add_column(overflow="fold")
    for moment in moments:
        event = moment.event
        since = _since((event.at_us - started_us) / 1e6)
        mark, style = _mark(event)
        name = Text(f"{mark} {plain(getattr(event, 'step', 'run'))}", style)
        table.add_row(str(moment.seq), since, name, _told(moment, started_us))
        for mismatch in moment.mismatches:
            wrong = Text(f"{MARKS['failed'][0]} {line(mismatch.sentence)}", f"bold {MARKS['failed'][1]}")
            table.add_row("", "", "", wrong)
    return table


def _since(seconds: float) -> str:
    """To the millisecond, where that can matter: what follows at once should be seen to."""
    return f"{seconds:.3f} s" if seconds < _HOUR_S else duration(seconds)


def _told(moment: Moment, started_us: int) -> Text:
    told = first_line if isinstance(moment.event, _ASKING) else line
    text = Text(_short(told(sentence(moment.event))))
    if isinstance(moment.event, e.CallHeld) and (until_us := held_until(moment.event)):
        text.append(f"  until {_since((until_us - started_us) / 1e6)}", "dim")
    own = getattr(moment.event, "step", "")
    after: dict[str, list[str]] = {}
    for move in moment.moves:
        if move.step != own:
            after.setdefault(move.after, []).append(move.step)
        elif not isinstance(moment.event, _OBVIOUS):
            after.setdefault(move.after, [])
    for state, steps in after.items():
        mark, style = MARKS[state]
        text.append(f"  {mark} {state.replace('_', ' ')}", style)
        text.append(f" {named(steps)}" if steps else "", "dim")
    return text


def _short(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "..."


def named(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    return plain(some(names))


def _mark(event: e.AnyEvent) -> tuple[str, str]:
    match event:
        case e.FaultInjected():
            return INJECTED_MARK, INJECTED
        case e.RunFinished():
            return MARKS["succeeded" if event.status == "succeeded" else "failed"]
        case _:
            return MARKS[_MARKED_AS.get(type(event), "waiting")]


_MARKED_AS = {
    e.RunStarted: "running",
    e.AttemptStarted: "running",
    e.CallHeld: "backing_off",
    e.AttemptCommitted: "committed",
    e.AttemptRefused: "failed",
    e.ReplyDrafted: "ready",
    e.ReplyJudged: "ready",
    e.AttemptFailed: "failed",
    e.AttemptInterrupted: "failed",
    e.QuestionAsked: "escalated",
    e.StepEscalated: "escalated",
    e.QuestionAnswered: "ready",
    e.QuestionExpired: "ready",
    e.BudgetRaised: "ready",
    e.AnswerRefused: "failed",
    e.EffectRequested: "ready",
    e.EffectStarted: "running",
    e.EffectDone: "committed",
    e.EffectFailed: "failed",
    e.EffectBecameUnknown: "escalated",
    e.BackoffEnded: "ready",
    e.WaitBegun: "awaiting",
    e.WaitEnded: "committed",
    e.EventReceived: "ready",
    e.EventRefused: "failed",
    e.ConflictsResolved: "committed",
    e.StepExpanded: "running",
    e.StepSkipped: "skipped",
    e.StepBuried: "dead",
    e.RunParked: "parked",
    e.RunCancelled: "cancelled",
}
