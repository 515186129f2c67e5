"""What must be true of waits: that they last as long as declared, and that an event ends one wait, once."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from interlock.core import events as e
from interlock.core.waits import Wait

from .commits import commit
from .known import Known, StepAccount
from .progress import end, require_turn, value

# A wait may end so late while its run is driven: a new process reads the journal first, and the disk takes its time.
LATE_US_MAX = 1_000_000
MS_US = 1_000
TIME_CHARS_MAX = 64
_LOOKS = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wait_begun(run: Known, event: e.WaitBegun) -> None:
    """A step begins to wait when it is its turn, for what it declares."""
    one, name = run.step(event.step), event.step
    run.require("once", one.state in {"waiting", "ready"}, f"{name} begins to wait although it is {one.state}")
    require_turn(run, name, "awaited")
    wait = run.rules.waits.get(one.number)
    run.require("waits", wait is not None, f"{name} begins to wait, and is no wait")
    assert wait is not None
    meant = (wait.event, _due_us(run, wait, one, event.at_us))
    if run.takes_over:  # from the run whose place it takes, where it began earlier
        meant = (wait.event, min(meant[1], event.due_us))
    run.require_same("waits", f"what {name} waits for", (event.event, event.due_us), meant)
    one.state, one.due_us, one.first_us = "awaiting", event.due_us, event.at_us
    run.waits.waiting.append(name)
    run.waits.asleep.discard(name)


def is_timeless(run: Known, one: StepAccount) -> bool:
    """Whether a step should wait until a time that stands in the context, where none stands."""
    wait = run.rules.waits.get(one.number)
    return one.state in {"waiting", "ready"} and wait is not None and bool(wait.path) and not _time_at(run, wait, one)


def _due_us(run: Known, wait: Wait, one: StepAccount, at_us: int) -> int:
    if wait.path:
        return _time_at(run, wait, one)
    lasts = wait.deadline_ms + wait.duration_ms
    return at_us + MS_US * lasts if lasts else wait.until_us


def _time_at(run: Known, wait: Wait, one: StepAccount) -> int:
    """The time at the path of a wait, in microseconds; 0 where there is none."""
    found = value(run, wait.path, one.number)
    try:
        is_time = isinstance(found, str) and len(found) <= TIME_CHARS_MAX and _LOOKS.match(found)
        told = datetime.fromisoformat(found) if is_time else None
    except ValueError:
        told = None
    if told is None or told.tzinfo is None:
        return 0
    us = (told - _EPOCH) // timedelta(microseconds=1)
    return us if 0 < us <= e.AT_US_MAX else 0


def event_received(run: Known, event: e.EventReceived) -> None:
    """An event is kept, since nothing waits for it yet, and something may."""
    waits, name = run.waits, event.event
    run.require("waits", waits.take(event.event_id), f"the event {event.event_id} is kept, and has come before")
    told = bytes(event.data) != b"null"
    awaiting = [step for step in _awaiting(run, name, event.at_us) if not _may_refuse(run, step, told=told)]
    run.require("waits", not awaiting, f"{name} is kept although {awaiting[:1]} awaits it")
    states = {"waiting", "ready"}
    coming = [step for step, one in run.steps.items() if one.state in states and _event_of(run, step) == name]
    kept = waits.kept.setdefault(name, [])
    # Of those that were kept before, some may fit nothing any more.
    picky = any(_may_refuse(run, step, told=told) for step in run.steps if _event_of(run, step) == name)
    can_come = len(kept) < len(coming) or (coming and picky)
    run.require("waits", can_come, f"{name} is kept, and nothing will ever wait for it")
    kept.append(event)


def event_refused(run: Known, event: e.EventRefused) -> None:
    """An event is refused; one that was kept is so no more."""
    if not event.step:
        return
    was_kept = _use(run, event.event, event.event_id)
    run.require("waits", was_kept, f"{event.event_id} is refused for {event.step}, and was not kept")
    awaited = run.step(event.step).state == "awaiting"
    run.require("waits", awaited, f"{event.event_id} is refused for {event.step}, which does not wait")


def wait_ended(run: Known, event: e.WaitEnded) -> None:
    """A wait is over: its time has come, or its event, or that has not come in time."""
    one, name = run.step(event.step), event.step
    wait = run.rules.waits.get(one.number)
    run.require("waits", one.state == "awaiting", f"{name} waits no more, and did not wait: it is {one.state}")
    assert wait is not None
    if event.event_id:
        _event_taken(run, event, wait)
    elif event.by:
        run.require(
            "waits", event.then == "skip" and event.reason, f"{event.by} has ended the wait of {name} otherwise"
        )
    else:
        _time_over(run, event, wait, one)
    run.waits.waiting.remove(name)
    if run.status == "parked":
        run.status, run.reason = "running", ""
    one.first_us = -1
    if event.then == "dead":
        one.state, one.given_up, one.buried = "ready", True, True
    elif event.then == "skip":
        end(run, name, "skipped")
    else:
        commit(run, one, event)
        end(run, name, "committed")


def _event_taken(run: Known, event: e.WaitEnded, wait: Wait) -> None:
    name, waits = event.step, run.waits
    run.require("waits", wait.event and not event.then, f"{name} has its event, and awaits none")
    before = waits.kept.get(wait.event, [])[:1]
    was_kept = _use(run, wait.event, event.event_id)
    is_one = was_kept or waits.take(event.event_id)
    run.require("waits", is_one, f"{name} has the event {event.event_id}, which has come before")
    told = bool(event.writes)
    awaiting = _awaiting(run, wait.event, event.at_us)
    others = [step for step in awaiting if step == name or not _may_refuse(run, step, told=told)]
    first = [*others, ""][0] if name in awaiting else ""
    run.require("waits", first == name, f"{name} has an event that is for {first or 'nobody: it comes too late'}")
    if before and before[0].event_id != event.event_id:
        picky = _may_refuse(run, name, told=bytes(before[0].data) != b"null")
        run.require("waits", picky, f"{name} has another event than the one that was kept for it")
    if was_kept:
        data = msgspec.json.decode(was_kept.data)
        brought = {} if data is None else dict.fromkeys(run.declared(run.step(name)).writes or (), data)
        written = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
        run.require_same("waits", f"what the event of {name} has brought", written, brought)
    run.require("waits", told == bool(run.declared(run.step(name)).writes), f"{name} has an event of another kind")


def _time_over(run: Known, event: e.WaitEnded, wait: Wait, one: StepAccount) -> None:
    name, at_us = event.step, event.at_us
    over = one.due_us and (at_us >= one.due_us or not run.clock_is_steady)
    run.require("waits", over, f"the wait of {name} is over before its time")
    late_us = at_us - max(one.due_us, one.first_us, run.driven_since_us)
    in_time = name in run.waits.asleep or late_us <= LATE_US_MAX or not run.clock_is_steady
    run.require("waits", in_time, f"{name} waited {late_us / 1e6:g} s longer than it had to")
    before = [step for step in run.waits.waiting if 0 < run.steps[step].due_us < one.due_us]
    run.require("waits", not before or not run.clock_is_steady, f"{name} waits no more, before {before[:1]}")
    then = wait.then if wait.event else ""
    run.require("waits", event.then == then or (event.then and event.reason), f"{name} ends with {event.then}")
    if event.then != "dead":
        told = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
        run.require_same("waits", f"the default of {name}", told, dict(wait.default))


def _use(run: Known, event: str, event_id: str) -> e.EventReceived | None:
    """An event that was kept, and is so no more; None where it was not."""
    kept = run.waits.kept.get(event, [])
    found = next((one for one in kept if one.event_id == event_id), None)
    if found is not None:
        kept.remove(found)
    return found


def _may_refuse(run: Known, name: str, *, told: bool) -> bool:
    """Whether a step can find something wrong with an event. told: it brings data."""
    step = run.declared(run.steps[name])
    return step.schema is not None or told != bool(step.writes) or bool(run.rules.sharing.reducers)


def _awaiting(run: Known, event: str, at_us: int) -> list[str]:
    """The steps that wait for an event at this time, the first of them first; those whose deadline has passed don't."""
    waiting = (step for step in run.waits.waiting if _event_of(run, step) == event)
    return [step for step in waiting if not 0 < run.steps[step].due_us < at_us]


def _event_of(run: Known, name: str) -> str:
    wait = run.rules.waits.get(run.steps[name].number)
    return wait.event if wait is not None else ""
