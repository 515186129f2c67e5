"""The commands that explain a run from the journal: `replay`, `explain`, `diff`."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from interlock import history
from interlock.core import events as e
from interlock.errors import BrokenPromise, InputError, InterlockError
from interlock.history import Handed, Mismatch, Moment, Record
from interlock.team import difference as team_difference

from . import config, exits
from .config import Settings
from .documents import print_json
from .journals import reading, record

COMPLETIONS_MAX = 200
MISMATCHES_SHOWN = 10


def _recorded(settings: Settings, *names: str) -> list[Record]:
    async def look() -> list[Record]:
        async with reading(settings) as journal:
            return [await record(journal, name) for name in names]

    return asyncio.run(look())


# --- replay ---


def replay(settings: Settings, target: str, at: int | None, *, json: bool) -> int:
    """Replay a run, or one call: RUN, RUN/STEP or RUN/STEP/ATTEMPT."""
    name, step, attempt = _parts(target)
    [run] = _recorded(settings, name)
    if not step:
        return _replay_run(run, settings, at, json=json)
    if at is not None:
        raise InputError("--at belongs to a whole run, not to one call", fix=f"interlock replay {name} --at {at}")
    return _replay_call(run, step, attempt, json=json)


def _parts(target: str) -> tuple[str, str, int | None]:
    name, *rest = target.split("/")
    attempt = rest[1] if rest[1:] else "1"
    if not name or len(rest) > 2 or "" in rest or not (attempt.isascii() and attempt.isdecimal()):  # noqa: PLR2004 - a step and an attempt
        fix = "write RUN, RUN/STEP or RUN/STEP/ATTEMPT, such as last/classify/1"
        raise InputError(f"{target!r} names neither a run nor a call", fix=fix)
    return name, rest[0] if rest else "", int(attempt) if rest[1:] else None


def _replay_run(run: Record, settings: Settings, at: int | None, *, json: bool) -> int:
    moments = history.replay(run)
    if at is not None:
        if not 0 <= at < len(moments):
            message = f"run {run.run_id} has no event {at}"
            raise InputError(message, fix=f"its events are numbered from 0 to {len(moments) - 1}")
        moments = moments[: at + 1]
    mismatches = [mismatch for moment in moments for mismatch in moment.mismatches]
    if json:
        print_json(_run_document(run, moments, at))
    else:
        from . import paint_replay

        if at is None:
            paint_replay.show_moments(run, moments, settings)
        else:
            paint_replay.show_state(_until(run, at), moments[-1])
    return verdict(run, mismatches)


def _until(run: Record, at: int) -> history.Story:
    return history.story(msgspec.structs.replace(run, events=run.events[: at + 1]))


def _run_document(run: Record, moments: Sequence[Moment], at: int | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "run_id": run.run_id,
        "verified": not any(moment.mismatches for moment in moments),
        "events": [_moment(moment) for moment in moments],
    }
    return document if at is None else document | {"state": _until(run, at).to_dict()}


def _moment(moment: Moment) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(e.encode(moment.event))
    head = {"seq": moment.seq, "at": history.timestamp(told.pop("at_us")), "event": told.pop("t")}
    moves = [{"step": move.step, "from": move.before or None, "to": move.after} for move in moment.moves]
    wrong = {"mismatches": _documents(moment.mismatches)} if moment.mismatches else {}
    return head | told | {"moves": moves} | wrong


def _documents(mismatches: Sequence[Mismatch]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(mismatch) for mismatch in mismatches]


def verdict(run: Record, mismatches: Sequence[Mismatch]) -> int:
    """Tell on standard error what is not as the events give it; returns the exit code."""
    if not mismatches:
        return exits.DONE
    sentences = "\n  ".join(mismatch.sentence for mismatch in mismatches[:MISMATCHES_SHOWN])
    if len(mismatches) > MISMATCHES_SHOWN:
        sentences += f"\n  and {len(mismatches) - MISMATCHES_SHOWN:,} more"
    fix = "trust nothing that follows; restore the journal from a copy"
    exits.complain(BrokenPromise(f"run {run.run_id} is not what its journal says\n  {sentences}", fix=fix))
    return exits.FAILED


def _replay_call(run: Record, step: str, attempt: int | None, *, json: bool) -> int:
    call = history.handed(run, step, attempt)
    if json:
        print_json(call_document(run.run_id, call))
    else:
        from . import paint_call

        paint_call.show_call(run, call)
    return verdict(run, call.mismatches)


def call_document(run_id: str, call: Handed) -> dict[str, Any]:
    """One call as `replay --json` prints it."""
    job, told = call.job, call.attempt
    document = told.to_dict()
    head = {key: document.pop(key) for key in ("step", "attempt", "agent", "at", "duration_ms")}
    outcome = {key: document.pop(key) for key in ("outcome", "score", "scores", "findings", "error") if key in document}
    reply = {key: document.pop(key) for key in _SAID if key in document}
    del document["view"]
    handed = ("action", "instructions", "feedback", "item", "index", "idempotency_key", "answer")
    requests = {"requests": msgspec.to_builtins(job.requests)} if job.requests else {}
    draft = {} if job.draft is None else {"draft": job.draft}
    draft |= {} if job.progress is None else {"progress": job.progress}
    draft |= {} if job.conflicts is None else {"conflicts": job.conflicts}
    return {
        "run_id": run_id,
        **head,
        "seq": call.seq,
        "view": call.view,
        "view_hash": call.view_hash,
        "verified": not call.mismatches,
        **({"mismatches": _documents(call.mismatches)} if call.mismatches else {}),
        "job": {name: getattr(job, name) for name in handed} | requests | draft,
        "reply": reply or None,
        "verdict": outcome,
        "calls": call.calls,
        **document,
    }


_SAID = ("writes", "deletes", "output", "confidence", "question", "request", "reply")


# --- explain and diff ---


def explain(settings: Settings, name: str, path: str, *, json: bool) -> int:
    """Tell where the value at a path came from."""
    [run] = _recorded(settings, name)
    found = history.lineage(run, path)
    if json:
        return print_json(found.to_dict(run.run_id))
    from .paint_lineage import show_lineage

    show_lineage(run, found)
    return exits.DONE


def diff(settings: Settings, one: str, other: str, *, json: bool) -> int:
    """Tell where two runs part; the exit code is 1 where they do."""

    async def look() -> tuple[Record, Record, list[str]]:
        async with reading(settings) as journal:
            a, b = await record(journal, one), await record(journal, other)
            if a.team == b.team:
                return a, b, []
            return a, b, team_difference(await journal.blob(a.row.team), await journal.blob(b.row.team))

    a, b, team = asyncio.run(look())
    found = history.compare(a, b)
    if json:
        print_json(found.to_dict() | {"team": team})
    else:
        from .paint_difference import show_difference

        show_difference(found, team)
    return exits.DONE if found.equal else exits.FAILED


def paths_of(name: str, incomplete: str) -> list[str]:
    """Paths in the context of a run that begin so, for the shell's completion; it must never fail."""
    try:
        [run] = _recorded(config.settings(), name)
        found = (path for path in run.folded().context if path.startswith(incomplete))
        return [path for path, _ in zip(found, range(COMPLETIONS_MAX), strict=False)]
    except InterlockError:
        return []
