"""What must be true of verdicts: a reply waits only for judges who can change something, and what they say counts."""

from interlock.core import events as e

from .judging import DraftAccount
from .known import Known, StepAccount
from .payment import charged


def reply_drafted(run: Known, event: e.ReplyDrafted) -> None:
    """A reply waits for a judge."""
    one = charged(run, event)
    duty = one.duty
    run.require("judges", duty.panel is not None and duty.judges, "{} waits for a judge, and has none", event.step)
    one.draft = DraftAccount(one, duty, event)
    run.require("judges", one.draft.waits_for, "{} waits for a judge who could change nothing", event.step)
    run.drafted.add((event.step, event.attempt))
    one.draft.turn_to(one)


def reply_judged(run: Known, event: e.ReplyJudged) -> None:
    """A judge has given a reply that waits its score."""
    one = charged(run, event)
    run.require("judges", one.draft is not None and one.draft.waits_for, "{} is judged, for nothing", event.step)
    assert one.draft is not None
    one.draft.hear(event.score)
    one.draft.turn_to(one)


def concluded(run: Known, event: e.AttemptCommitted | e.AttemptRefused) -> StepAccount | None:
    """The step of a reply that has waited for a judge, and now has its verdict."""
    one = run.step(event.step)
    draft = one.draft
    if draft is None or draft.event.attempt != event.attempt:
        return None
    run.require("judges", not draft.waits_for and not one.open, "{} has a verdict before its judge", event.step)
    run.require("judges", event.usage is None, "{} is charged twice for one attempt", event.step)
    run.require_same("judges", "the scores of the draft of {}", event.scores, draft.scores, event.step)
    follows = isinstance(event, e.AttemptCommitted) == draft.passes
    run.require("judges", follows, "{} has a verdict that does not follow from {}", event.step, draft.scores)
    if isinstance(event, e.AttemptCommitted):
        same = (event.writes, event.deletes, event.output, event.effects, event.reads)
        drafted = draft.event
        meant = (drafted.writes, drafted.deletes, drafted.output, drafted.effects, drafted.reads)
        run.require_same("judges", "what is committed of the draft of {}", same, meant, event.step)
    else:
        kept = draft.event.effects
        run.require_same("judges", "the effects that are kept of the draft of {}", event.effects, kept, event.step)
    draft.leave(one)
    one.draft = None
    return one


def unjudged(one: StepAccount) -> None:
    """Where nobody is left who could judge a reply, its verdict follows."""
    if one.draft is not None and one.given_up:
        one.draft.give_up()
        one.draft.turn_to(one)
