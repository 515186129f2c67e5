"""What must be true of a job when its agent is handed it: who is called, under which key, and what it is shown."""

from typing import cast

import msgspec

from interlock.core.context import View
from interlock.core.job import Job
from interlock.core.role import Duty
from interlock.core.values import ABSENT

from .known import Known, StepAccount
from .views import Seen, lookalike, wrong_by_name

_json = msgspec.json.encode


def check_call(run: Known, job: Job) -> None:
    """An agent is handed a job. Raises Broken."""
    name = job.step
    one = run.step(name)
    announced = one.open and one.attempt == job.attempt
    run.require("durable", announced, "{} is called before its attempt {} is durable", name, job.attempt)
    run.require("keys", _is_key(run, job), "the idempotency key of {} changed to {}", name, job.idempotency_key)
    run.require("feedback", job.feedback == one.feedback, "{} is told {}, not {}", name, job.feedback, one.feedback)
    step = run.declared(one)
    index = run.plan.sample_index.get(name) if one.item is ABSENT else one.index
    told = (job.run_id, job.agent, job.action, job.instructions, job.index, job.answer)
    asked, answer = (step.action, step.instructions), one.answer
    if one.draft is not None:
        asked, answer = (one.draft.judge.action, one.draft.judge.instructions), ""
        shown = {path: msgspec.json.decode(raw) for path, raw in one.draft.event.writes.items()}
        run.require_same("judges", "the draft that {} judges", (job.draft or {}).get("writes"), shown, job.agent)
    meant = (run.run_id, one.duty.agent, *asked, index, answer)
    run.require("job", told == meant, "{} is handed {}, not {}", name, told, meant)
    if one.item is not ABSENT:
        same = _json(job.item) == _json(one.item)
        run.require("frozen_items", same, f"{name} is handed another item than at its expansion")
    _check_view(run, job, one)


def _is_key(run: Known, job: Job) -> bool:
    """One key for each attempt, the same when it is called again, and no other attempt's."""
    mine = (job.step, job.attempt)
    key = run.keys.setdefault(mine, job.idempotency_key)
    return key == job.idempotency_key and run.key_owners.setdefault(key, mine) == mine


def _check_view(run: Known, job: Job, one: StepAccount) -> None:
    view = cast("View", job.view)
    meant = seen_by(run, one)
    shown = _json(view.unread().to_dict())
    run.require_same("views", "what {} is shown", shown, meant.encoded, job.step)
    if run.written and run.calls % 2:
        path = run.written[run.calls // 4 % len(run.written)]
        wrong = wrong_by_name(view, meant.tree, path if run.calls % 4 == 1 else lookalike(path))
        run.require("views", not wrong, "to {}, {}", job.step, wrong)


def repeats(run: Known, name: str) -> str:
    """The step that an added one repeats; "" where it repeats none."""
    one = run.steps[name]
    if one.item is not ABSENT or not any(name in added for added in run.added.values()):
        return ""
    step = run.declared(one)
    for other in run.tasks.get((one.duty.agent, step.action, step.instructions), ()):
        if run.comes_after(name, [other]) and _looks_same(run, one, other):
            return other
    return ""


def _looks_same(run: Known, one: StepAccount, other: str) -> bool:
    """Whether its agent sees in a step what it saw in the other, where another may have taken over since."""
    mine, theirs = seen_by(run, one), _seen(run, run.steps[other].number, run.rules.duty(other, one.duty.agent))
    return (mine.leaves, mine.origin) == (theirs.leaves, theirs.origin)


def seen_by(run: Known, one: StepAccount) -> Seen:
    """What a step that may start may see: all before it is over, so it is the same for each attempt and item."""
    return _seen(run, one.number, one.duty)


def _seen(run: Known, number: int, duty: Duty) -> Seen:
    key = (number, duty.agent)
    known = run.views.get(key)
    if known is None:
        known = Seen(run.naive, run.ancestors[number], duty.sight, run.run_id)
        run.views[key] = known
    return known
