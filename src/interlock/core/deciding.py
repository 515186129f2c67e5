"""A decision about the plan of a run: what its agent is told, and what is held against what it answers.

`{"add": [steps], "finish": {path: value} or null}` is hostile input, like any reply. What is wrong with it goes back to
the agent as findings; what is taken is proved against all that may still write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from interlock.errors import ProposalRefused, TeamError, cut_short

from . import events as e
from .assess import EXCERPT_CHARS_MAX, FINDING_CHARS_MAX, FINDINGS_MAX, submitted
from .bounds import Bounds
from .budget import BudgetPolicy, left_of, limit
from .budget import shown as amount
from .context import Bank
from .extended import ExtendedRules
from .flaws import Flaw, Flaws, shown
from .job import Reply
from .plan import Plan
from .proposal import proposed_steps
from .purse import Purse
from .rules import Rules
from .states import State
from .step import Step
from .supervision import DECISION_KEYS, DROPPED_MAX, SupervisorPolicy, is_decision
from .values import decode, encode_written

STEPS_TOLD_MAX = 200
AGENTS_TOLD_MAX = 100
REASON_CHARS_TOLD_MAX = 300


class Situation(msgspec.Struct, frozen=True):
    """What a decision is held against. number: of its step; first: of the next one that the run adds."""

    rules: Rules
    plan: Plan
    bank: Bank
    state: Sequence[State]
    reasons: Mapping[int, str]
    additions: Sequence[range]
    number: int
    first: int
    decisions: Sequence[int]
    purse: Purse

    @property
    def policy(self) -> SupervisorPolicy:
        """Who decides, and within which bounds."""
        policy = self.rules.supervisor
        assert policy is not None
        return policy

    @property
    def step(self) -> str:
        """The id of the decision."""
        return self.plan.steps[self.number].id

    @property
    def steps_left(self) -> int:
        """How many steps may still be added."""
        return max(0, self.policy.steps_max - sum(map(len, self.additions)))

    def idle(self) -> int:
        """How many of the last decisions have come to nothing: no step that they added has committed."""
        count = 0
        for place in reversed(range(len(self.additions))):
            if any(self.state[n] == "committed" for n in self._came_of(place)):
                break
            count += 1
        return count

    def _came_of(self, place: int) -> Iterable[int]:
        """The steps of which one must have committed, lest a decision has come to nothing.

        Who is asked after each step need not add any: then it is those that it did not know to have ended.
        """
        if self.policy.ask != "each":
            return self.additions[place]
        known = self.plan.ancestors[self.decisions[place]]
        return (n for n in self.plan.number.values() if n not in self.decisions and not known >> n & 1)

    def why_no_more(self) -> str:
        """Why nobody is asked for another decision; "" where somebody is."""
        made = len(self.additions)
        if made >= self.policy.asked_at_most:
            return f"{made:,} decisions were made, and no more may be"
        if (idle := self.idle()) >= self.policy.no_progress_max:
            what = "the last decision has" if idle == 1 else f"the last {idle:,} decisions have"
            return f"{what} come to nothing"
        return ""


# --- what is told ---


def progress(now: Situation) -> dict[str, Any]:
    """What an agent that decides is told of the run: what is done, and what it may still add.

    Values it reads in its view. All of it hangs on what came before the decision alone, so it is the same when the call
    is issued again.
    """
    policy, plan = now.policy, now.plan
    before = [n for n in range(now.number) if plan.ancestors[now.number] >> n & 1 and plan.steps[n].id]
    done = [n for n in before if not is_decision(plan.steps[n].id)]
    left = {"decisions": max(0, policy.asked_at_most - len(now.additions)), "steps": now.steps_left}
    told: dict[str, Any] = {
        "agents": dict(_agents(now)),
        "done": [_told(now, n) for n in done[-STEPS_TOLD_MAX:]],
        "left": left,
    }
    if policy.ask == "each":
        told["open"] = [*_open(now)][:STEPS_TOLD_MAX]
    return told if len(done) <= STEPS_TOLD_MAX else told | {"done_before": len(done) - STEPS_TOLD_MAX}


def _open(now: Situation) -> Iterator[dict[str, Any]]:
    """What had not ended when the decision was called; begun: it was its turn, so it can't be dropped any more."""
    plan, over = now.plan, now.plan.ancestors[now.number]
    for n in range(now.number):
        step = plan.steps[n]
        if step.id and not over >> n & 1 and not is_decision(step.id):
            yield {"id": step.id, "agent": step.agent, "action": step.action, "begun": not _waited(n, now)}


def _agents(now: Situation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who may be given steps."""
    for name in sorted(_available(now))[:AGENTS_TOLD_MAX]:
        scope = now.rules.roles[name].scope
        actions, writes = [*scope.allowed_actions], [*scope.write_permissions]
        yield name, {"actions": actions, "reads": [*dict.fromkeys(scope.readable)], "writes": writes}


def _available(now: Situation) -> frozenset[str]:
    if now.policy.recursion == "ask":
        return frozenset(now.rules.roles)
    return frozenset(now.rules.roles) - {*now.rules.chain(now.policy.agent)}


def _told(now: Situation, n: int) -> dict[str, Any]:
    step, reason = now.plan.steps[n], now.reasons.get(n)
    told = {"id": step.id, "agent": step.agent, "action": step.action, "outcome": now.state[n]}
    why = {"reason": cut_short(reason, REASON_CHARS_TOLD_MAX)} if reason and now.state[n] != "committed" else {}
    return told | why


# --- what is answered ---


def stated(answer: Any) -> Any:
    """An answer with the decision as its output, where the agent has given it as what it writes."""
    reply = Reply(writes=answer) if type(answer) is dict else answer
    if type(reply) is not Reply or reply.output is not None or type(reply.writes) is not dict or not reply.writes:
        return reply
    return msgspec.structs.replace(reply, writes={}, output=reply.writes)


def decided(given: e.AttemptCommitted, now: Situation, agent: str) -> e.AttemptCommitted | e.AttemptRefused:
    """The verdict on a decision that keeps to the rules for all replies."""
    decision = decode(given.output)
    findings = [*_findings(decision, now)]
    finish = decision.get("finish") if not findings else None
    if finish:
        rules = now.rules
        assert isinstance(rules, ExtendedRules)
        written = submitted(finish, bank=now.bank, duty=rules.answering(agent), limits=rules.limits)
        findings = written.findings
        if not findings:
            return msgspec.structs.replace(given, writes=written.writes)
    if not findings:
        return given
    kept = Raw(encode_written(cut_short(bytes(given.output).decode(), EXCERPT_CHARS_MAX)))
    found = tuple(findings[:FINDINGS_MAX])
    return e.AttemptRefused(given.at_us, given.step, given.attempt, found, kept, given.reads, given.usage)


def _findings(decision: Any, now: Situation) -> Iterator[e.Finding]:
    """What is wrong with a decision."""
    if type(decision) is not dict or not decision.keys() <= {*DECISION_KEYS}:
        yield _finding(
            'a decision is {"add": [steps], "drop": [ids], "finish": {path: value} or null}, and nothing else'
        )
        return
    add, drop, finish = decision.get("add") or [], decision.get("drop") or [], decision.get("finish")
    if type(add) is not list or type(drop) is not list or type(finish) not in {dict, type(None)}:
        yield _finding("add is a list of steps, drop one of ids, and finish an object of paths and values, or null")
    elif (add or drop) and finish is not None:
        yield _finding("it adds or drops steps and finishes: do one of them")
    elif found := [*_undroppable(drop, now)]:
        yield from found
    elif not add and finish is None and now.policy.ask == "start":
        yield _finding("it adds no steps: add them, or finish")
    elif add:
        yield from map(_finding, _flaws(add, now))


def _undroppable(drop: list[Any], now: Situation) -> Iterator[e.Finding]:
    """Steps that can't be dropped: none of that name, or one that didn't wait when the decision was called.

    What has begun since is not refused, for its agent could not know; it just isn't dropped.
    """
    if len(drop) > DROPPED_MAX:
        yield _finding(f"$.drop: there are {len(drop):,} ids; {DROPPED_MAX:,} at most")
        return
    for place, name in enumerate(drop):
        numbers = now.plan.groups.get(name) if type(name) is str else None
        if not numbers or is_decision(name):
            yield _finding(f"$.drop[{place}]: {shown(str(name))} is no step of the plan")
        elif not any(_waited(n, now) for n in numbers):
            yield _finding(f"$.drop[{place}]: {name} did not wait any more")


def _waited(n: int, now: Situation) -> bool:
    """Whether a step waited for others when the decision was called. Of one that is over, all that it needs is."""
    over = now.plan.ancestors[now.number]
    return not all(over >> need & 1 for need in now.plan.needs[n])


def dropped_by(decided: Raw, now: Situation) -> tuple[str, ...]:
    """The steps that a decision which was taken drops: those that still wait; all that do, where it finishes."""
    decision: dict[str, Any] = decode(decided)
    names = decision.get("drop") or ([*now.plan.groups] if decision.get("finish") is not None else [])
    numbers = (n for name in names for n in now.plan.groups[name])
    return tuple(dict.fromkeys(now.plan.steps[n].id for n in numbers if now.state[n] == "waiting"))


def last_resort(now: Situation) -> Raw:
    """The steps that are taken where no proposal of a planner could be, as JSON."""
    added = [msgspec.structs.replace(step, needs=(now.step, *step.needs)) for step in now.policy.last_resort]
    return Raw(msgspec.json.encode(added))


def _finding(message: str) -> e.Finding:
    return e.Finding("decision", cut_short(message, FINDING_CHARS_MAX))


def _flaws(add: list[Any], now: Situation) -> list[str]:
    """What is wrong with the steps that are to be added."""
    if not now.steps_left:
        return ["$.add: no more steps may be added; add none, or finish"]
    flaws = Flaws(_bounds(now))
    try:
        steps = _made(add, now.step, now.rules, now.plan, flaws.bounds)
    except ProposalRefused as refused:
        return _said_of_add(refused.flaws)
    places = {step.id: n for n, step in enumerate(steps)}
    try:
        for step in filter(is_decision, places):
            flaws.add(f"$.steps[{places[step]}].id", "this is the id of a decision", "rename it", step)
        rules = ExtendedRules(now.rules, steps, now.first)
        for what, allowed in (*_excesses(rules.plan, now), *_unaffordable(rules, now)):
            flaws.add("$.steps", what, allowed)
        if not flaws.found:
            flaws.add_problems(rules.problems(), places)
    except TeamError as error:
        flaws.add_problems(error.problems, places)
    return _said_of_add(flaws.found)


def _said_of_add(flaws: Iterable[Flaw]) -> list[str]:
    return [str(flaw).replace("$.steps", "$.add") for flaw in flaws]


def _bounds(now: Situation) -> Bounds:
    return Bounds(agents=_available(now), steps_max=now.steps_left)


def _made(add: list[Any], decision: str, rules: Rules, plan: Plan, bounds: Bounds) -> list[Step]:
    """The steps as they are added: each comes after the decision. Raises ProposalRefused."""
    known = plan.number.keys() | plan.groups.keys()
    steps = proposed_steps({"steps": add}, rules.roles, bounds, known)
    return [msgspec.structs.replace(step, needs=tuple(dict.fromkeys((decision, *step.needs)))) for step in steps]


def added_by(decided: Raw, now: Situation) -> tuple[Raw, bool]:
    """The steps of a decision that was taken, as JSON; and whether it finishes."""
    decision: dict[str, Any] = decode(decided)
    add = decision.get("add") or []
    steps = _made(add, now.step, now.rules, now.plan, _bounds(now)) if add else []
    return Raw(msgspec.json.encode(steps)), decision.get("finish") is not None


def _unaffordable(rules: Rules, now: Situation) -> Iterator[tuple[str, str]]:
    """Budgets of this run that the new steps would exceed, each called once at what is set aside for a call."""
    calls: dict[str, tuple[BudgetPolicy, int]] = {}
    for n in range(now.first, len(rules.plan.steps)):
        for _, whose, budget in rules.duties[n][0].budgets:
            calls[whose] = budget, calls.get(whose, (budget, 0))[1] + 1
    for whose, (budget, count) in calls.items():
        ledger = now.purse.ledger(whose)
        for name, declared, need in budget.bounds:
            most = limit(ledger, budget, name) or declared
            left = max(0, most - getattr(ledger.spent, name) - getattr(ledger.reserved, name))
            if count * need > left:
                what = f"it would take {amount(name, count * need)} of the budget of {whose or 'the run'}"
                yield what, left_of(name, left)


def _excesses(plan: Plan, now: Situation) -> Iterator[tuple[str, str]]:
    """Bounds of the supervisor that the plan would exceed."""
    policy, new = now.policy, range(now.first, len(plan.steps))
    if len(new) > now.steps_left:
        yield f"it adds {len(new):,} steps", f"{now.steps_left:,} at most, with every sample"
    if len(plan.steps) - 1 > now.rules.limits.steps_max:
        yield "the run would have too many steps", f"{now.rules.limits.steps_max:,} at most"
    depth: list[int] = []
    added = {*new, *(n for numbers in now.additions for n in numbers)}
    calls: dict[str, int] = {}
    for n, needs in enumerate(plan.needs):
        depth.append((n in added) + max(map(depth.__getitem__, needs), default=0))
        if n in added:
            calls[plan.steps[n].agent] = calls.get(plan.steps[n].agent, 0) + 1
    if max(depth) > policy.depth_max:
        yield f"{max(depth):,} added steps come one after another", f"{policy.depth_max:,} at most"
    for agent, count in calls.items():
        if count > policy.calls_max:
            yield f"{agent} has {count:,} added steps", f"{policy.calls_max:,} for each agent at most"
