"""A dead letter, whole: what the step was handed, all that it replied, and why it was given up."""

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.naming import hint
from interlock.core.purse import Cost
from interlock.errors import InputError

from .attempts import Attempt, attempts
from .record import Record
from .replay import Handed, handed
from .story import EffectStory, effects
from .times import timestamp


class Letter(msgspec.Struct, frozen=True):
    """A step that was given up. seq: the event that says so. call: its last one; None where it was never called.

    effects: how those that it asked for stood then.
    """

    run_id: str
    seq: int
    buried: e.StepBuried
    agent: str
    action: str
    instructions: str
    attempts: Sequence[Attempt]
    call: Handed | None
    effects: Sequence[EffectStory] = ()

    @property
    def cost(self) -> Cost:
        """What its attempts have consumed; usd is None as soon as one price is unknown."""
        used = [attempt.usage for attempt in self.attempts if attempt.usage is not None]
        unknown = any(one.usd is None and (one.input_tokens + one.output_tokens or one.requests) for one in used)
        usd = None if unknown else sum(one.usd or 0.0 for one in used)
        return Cost(usd, sum(one.input_tokens + one.output_tokens for one in used), len(self.attempts))

    def to_dict(self) -> dict[str, Any]:
        """The letter as `dlq show --json` prints it."""
        call, cost = self.call, self.cost
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "step": self.buried.step,
            "agent": self.agent,
            "reason": self.buried.reason,
            "at": timestamp(self.buried.at_us),
            "seq": self.seq,
            "cost": {"usd": cost.usd, "tokens": cost.tokens, "calls": cost.calls},
            "job": {"action": self.action, "instructions": self.instructions},
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "effects": [effect.to_dict() for effect in self.effects],
            "view": None,
            "view_hash": "",
            "verified": True,
        }
        if call is not None:
            document["job"] |= {"item": call.job.item, "index": call.job.index, "feedback": call.job.feedback}
            document |= {"view": call.view, "view_hash": call.view_hash, "verified": not call.mismatches}
        return document


def letter(record: Record, step: str) -> Letter:
    """The last letter of a step. Raises InputError where it was never given up, BrokenPromise for a damaged run."""
    every, events = record.events, [event for event in record.events if isinstance(event, e.StepBuried)]
    buried = next((event for event in reversed(events) if event.step == step), None)
    if buried is None:
        known = [event.step for event in events]
        fix = f"its dead letters: {', '.join(dict.fromkeys(known))}" if known else "list them: interlock dlq list"
        raise InputError(f"step {step} of run {record.run_id} was never given up{hint(step, known)}", fix=fix)
    seq = next(seq for seq in range(len(every) - 1, -1, -1) if every[seq] is buried)
    until = msgspec.structs.replace(record, events=every[: seq + 1])
    mine = [attempt for attempt in attempts(until.events) if attempt.step == step]
    call = handed(until, step) if mine else None
    machine = until.folded()
    declared = machine.step(machine.number[step])
    asked_for = effects(machine, machine.number[step])
    told = declared.agent, declared.action, declared.instructions
    return Letter(record.run_id, seq, buried, *told, mine, call, [*asked_for])


def _commits(event: e.AnyEvent) -> bool:
    """Whether an event says what a step has committed, whoever wrote it, or what was frozen for it."""
    if isinstance(event, e.QuestionAnswered):
        return event.commits
    if isinstance(event, e.QuestionExpired):
        return event.then == "default"
    return isinstance(
        event,
        e.AttemptCommitted
        | e.ConflictsResolved
        | e.WaitEnded
        | e.EventReceived
        | e.StepExpanded
        | e.StepShared
        | e.EffectShared,
    )


def to_redrive_elsewhere(record: Record, team: bytes) -> dict[str, Any]:
    """All that a step of this run was computed from: the request, the team and what was committed before."""
    first = record.events[0]
    assert isinstance(first, e.RunStarted)
    commits = [event for event in record.events if _commits(event)]
    return {
        "source": record.row.source,
        "team_hash": record.row.team,
        "plan_hash": record.row.plan,
        "batch": record.row.batch,
        "input": record.row.row,
        "team": msgspec.Raw(team),
        "request": first.request,
        "committed": [msgspec.Raw(e.encode(event)) for event in commits],
    }
