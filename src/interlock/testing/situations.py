"""A real machine, led to one step by good replies to all before it: what the agent of the step is handed there."""

from random import Random
from typing import NamedTuple, cast

import msgspec
from msgspec import Raw

import interlock.core.events as e
from interlock.core.assess import assess
from interlock.core.commands import CallAgent
from interlock.core.context import View
from interlock.core.job import Job, Reply, Request
from interlock.core.machine import Machine
from interlock.core.plan import Plan
from interlock.core.rules import Rules

from .generation.events import past_waits
from .generation.replies import ReplyMaker, RequestMaker
from .generation.texts import pick

TRIES = 40
_RUN_ID = "contract"


class Situation(NamedTuple):
    """A machine at the point where it calls an agent; the call is announced."""

    machine: Machine
    call: CallAgent
    job: Job


class Unreached(NamedTuple):
    """Why no run came to a step."""

    reason: str


class Situations:
    """What the agents of a team are handed, by chance."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._request = RequestMaker(rules)
        self._makers: dict[tuple[str, str], ReplyMaker] = {}
        self._unconditional: dict[int, Rules] = {}

    def before(self, n: int, agent: str, random: Random) -> Situation | Unreached:
        """A run that has come to the step with this plan number and calls this agent, the first or a fallback.

        Where chance finds none, the conditions of the steps before it count as holding; its own never does.
        """
        last = Unreached("")
        for attempt in range(2 * TRIES):
            found = self._led(self._rules if attempt < TRIES else self._freed(n), n, agent, random)
            if isinstance(found, Situation):
                return found
            last = found
        return last

    def _led(self, rules: Rules, n: int, agent: str, random: Random) -> Situation | Unreached:
        machine = Machine(rules)
        request = Raw(rules.encode_request(self._request(random)))
        commands = machine.advance([e.RunStarted(0, request, "", "")], 0) + past_waits(machine, random)
        wanted = rules.plan.ancestors[n] | 1 << n
        reached: list[CallAgent] = []
        for command in commands:  # it grows on the way
            label = machine.label[command.number]
            if not isinstance(command, CallAgent) or not wanted >> label & 1:
                continue
            if label == n and command.agent == agent:
                reached.append(command)
            else:
                commands += machine.advance([self._outcome(machine, command, random, wanted, give_up=label == n)], 0)
                commands += past_waits(machine, random)
        if not reached:
            return Unreached(_why(machine, n))
        call = pick(random, reached)
        machine.start(call, 0)
        return Situation(machine, call, machine.job(_RUN_ID, call))

    def _outcome(self, machine: Machine, call: CallAgent, random: Random, wanted: int, *, give_up: bool) -> e.AnyEvent:
        """What becomes of a call on the way: a good reply, which requests a branch that is wanted; or a failure.

        give_up: it fails, so that a fallback has its turn. wanted: a bitset of steps.
        """
        machine.start(call, 0)
        if give_up:
            return e.AttemptFailed(0, call.step, call.attempt, "error", "the fallback's turn", retryable=False)
        job, duty = machine.job(_RUN_ID, call), machine.duty(call.number)
        groups = machine.plan.groups
        leading = [b for b in duty.branches if any(wanted >> number & 1 for number in groups[b.step])]
        branch = pick(random, leading) if leading else None
        # What guardrails want nobody can make up; here it is enough to come to the step.
        return assess(
            Reply(
                writes=self._maker(machine.label[call.number], call.agent)(job, random),
                request=Request(branch.action, branch.to) if branch else None,
            ),
            bank=machine.bank,
            duty=msgspec.structs.replace(duty, panel=None),
            index=job.index or 0,
            limits=machine.rules.limits,
            view=cast("View", job.view),
            at_us=0,
            step=call.step,
            attempt=call.attempt,
            job=job,
        )

    def _maker(self, label: int, agent: str) -> ReplyMaker:
        step = self._rules.plan.steps[label]
        known = self._makers.get((step.id, agent))
        if known is None:
            known = self._makers[step.id, agent] = ReplyMaker(self._rules, step, agent)
        return known

    def _freed(self, n: int) -> Rules:
        """The same rules, but that no step before this one has a condition."""
        if n not in self._unconditional:
            rules, plan = self._rules, self._rules.plan
            kept = plan.declared_id[plan.steps[n].id]
            steps = [step if step.id == kept else msgspec.structs.replace(step, when=None) for step in plan.declared]
            freed = Plan(steps, steps_max=rules.limits.steps_max)
            self._unconditional[n] = Rules(
                freed, rules.roles, rules.sharing, rules.limits, rules.guard, rules.gate, rules.budget, rules.effects
            )
        return self._unconditional[n]


def _why(machine: Machine, n: int) -> str:
    dead = next((m for m, state in enumerate(machine.state) if state == "dead"), n)
    if dead != n:
        return f"step {machine.step_id(dead)} could not be done: {machine.reasons[dead]}"
    return machine.reasons.get(n, "the list of its items was empty")
