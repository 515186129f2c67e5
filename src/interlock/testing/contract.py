"""Does an agent keep to its contract? Show it views as its team would, and assess what it answers as a run would.

def test_triage_keeps_to_its_contract():
    check_agent(Team.load("team.yaml"), "triage").raise_for_failures()
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from interlock.agents.function import FunctionAdapter, ThreadAdapter
from interlock.core.assess import excerpt
from interlock.core.events import AttemptRefused, QuestionAsked
from interlock.core.job import Job
from interlock.core.naming import hint
from interlock.core.rules import Rules
from interlock.core.values import encode_written
from interlock.engine.tasks import refuse_inside_a_loop, run_main, spawn
from interlock.errors import ReplyRefused, TeamError, UsageError, describe
from interlock.ports import Adapter
from interlock.team import Team
from interlock.team.registry import code_of, resolve_guardrails
from interlock.wiring import is_async

from .chance import Chance
from .situations import Situation, Situations, Unreached

EXAMPLES_DEFAULT = 20
FAILURES_SHOWN = 5
FINDINGS_SHOWN = 5
SHOWN_CHARS_MAX = 600
# Each costs as long as the agent may take, and what hangs three times hangs always.
TIMEOUTS_MAX = 3


class ContractFailure(msgspec.Struct, frozen=True, kw_only=True):
    """One call in which the agent broke its contract.

    example: its number among the step's, from 1. kind: "refused", "raised" or "timed out". view: what the agent was
    shown, nested. item: of a for_each. reply: the beginning of what it answered. findings: what is wrong, one sentence
    each.
    """

    step: str
    example: int
    kind: str
    view: dict[str, Any]
    reply: str
    findings: tuple[str, ...]
    item: Any = None

    def __str__(self) -> str:
        lines = [f"step {self.step}, example {self.example}: {self.kind}", f"  saw      {_shown(self.view)}"]
        if self.item is not None:
            lines.append(f"  item     {_shown(self.item)}")
        if self.reply:
            lines.append(f"  answered {_cut(self.reply)}")
        more = len(self.findings) - FINDINGS_SHOWN
        lines += [f"  - {finding}" for finding in self.findings[:FINDINGS_SHOWN]]
        return "\n".join([*lines, *([f"  - and {more} more"] if more > 0 else [])])


class ContractReport(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent did. As text it is a short transcript.

    calls, accepted, questions: how many calls there were, how many replies would have been committed, how many of
    these asked a person. notes: steps that could not be checked, or not to the end, one sentence each.
    """

    agent: str
    seed: int
    calls: int
    accepted: int
    questions: int
    failures: tuple[ContractFailure, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the agent was called and every reply was accepted."""
        return self.calls > 0 and not self.failures

    def __str__(self) -> str:
        asked = f" ({self.questions} of them questions)" if self.questions else ""
        counts = f"{self.calls} calls, {self.accepted} accepted{asked}, {len(self.failures)} failed"
        more = len(self.failures) - FAILURES_SHOWN
        parts = [
            f"agent {self.agent}: {counts} (seed {self.seed})",
            *map(str, self.failures[:FAILURES_SHOWN]),
            *([f"and {more} more failures"] if more > 0 else []),
            *self.notes,
        ]
        return "\n".join(parts)

    def raise_for_failures(self) -> None:
        """Raise AssertionError with this report as its text, unless it is ok."""
        if not self.ok:
            raise AssertionError(str(self))


def check_agent(
    team: Team,
    agent: str,
    *,
    use: Callable[..., Any] | None = None,
    examples: int = EXAMPLES_DEFAULT,
    seed: int = 0,
) -> ContractReport:
    """Call an agent with `examples` views in each step that it may do, as the first or as a fallback.

    What a view holds is made from the schemas of the agents before it, in a run of the real machine; the replies are
    assessed by the rules of the team. Nothing is written and no other agent is called. An agent that raises or takes
    longer than its timeout has failed, too.

    use: what to call instead of the agent's own code. An async function runs in an event loop that is made here, any
    other one in a thread. seed: another one makes other views; the same one makes the same.

    Raises TeamError: the team can't be run, has no such agent, or gives it nothing to do, or a schema needs examples
    for values to be made; UsageError in a running event loop, or for arguments of no use.
    """
    message = "check_agent makes an event loop of its own, and one is running here"
    refuse_inside_a_loop(message, fix="call it from a plain function: def test_..., not async def")
    if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
        raise UsageError(f"examples is {examples!r}", fix="ask for 1 or more")
    if agent not in team.agents:
        fix = f"the agents are {', '.join(team.agents)}"
        raise TeamError(f"there is no agent {agent}{hint(agent, team.agents)}", fix=fix, file=team.source)
    resolve_guardrails(team)
    steps = _steps_of(team.rules, agent)
    if not steps:
        raise TeamError(
            f"agent {agent} does no step of the plan", fix="give it one, or check another", file=team.source
        )
    check = _Check(team.rules, agent, adapter_of(team, agent, use), Chance(seed))
    run_main(check.run(steps, examples))
    return check.report(seed)


def _steps_of(rules: Rules, agent: str) -> list[int]:
    return [n for n, duties in enumerate(rules.duties) if any(duty.agent == agent for duty in duties)]


def adapter_of(team: Team, agent: str, use: Callable[..., Any] | None) -> Adapter:
    """The agent's own code, or what is given in its place, as it can be called. Raises TeamError, UsageError."""
    if use is None:
        try:
            use = code_of(team.agents[agent], team.folder)
        except TeamError as error:
            raise TeamError.of([team.locate(problem) for problem in error.problems]) from error.__cause__
    if not callable(use):
        raise UsageError(f"use is a {type(use).__name__}", fix="give a function, or leave it out")
    return FunctionAdapter(use) if is_async(use) else ThreadAdapter(use)


class NoAnswer(NamedTuple):
    """A call that ended without a reply."""

    kind: str
    sentence: str


class _Check:
    """One check of one agent, and what was found so far."""

    def __init__(self, rules: Rules, agent: str, adapter: Adapter, chance: Chance) -> None:
        self._rules, self._agent, self._adapter, self._chance = rules, agent, adapter, chance
        self._situations = Situations(rules)
        self._calls = self._accepted = self._questions = 0
        self._failures: list[ContractFailure] = []
        self._notes: list[str] = []

    def report(self, seed: int) -> ContractReport:
        return ContractReport(
            agent=self._agent,
            seed=seed,
            calls=self._calls,
            accepted=self._accepted,
            questions=self._questions,
            failures=tuple(self._failures),
            notes=tuple(self._notes),
        )

    async def run(self, steps: list[int], examples: int) -> None:
        for n in steps:
            await self._step(n, examples)

    async def _step(self, n: int, examples: int) -> None:
        step, timeouts = self._rules.plan.steps[n].id, 0
        for example in range(1, examples + 1):
            situation = self._situations.before(n, self._agent, self._chance.stream(step, self._agent, example))
            if isinstance(situation, Unreached):
                self._notes.append(f"step {step}: no run came to it for example {example}: {situation.reason}")
                return
            failure = await self._example(situation, example)
            if failure is not None:
                self._failures.append(failure)
                timeouts += failure.kind == "timed out"
            if timeouts == TIMEOUTS_MAX:
                self._notes.append(f"step {step}: not called again after {TIMEOUTS_MAX} timeouts")
                return

    async def _example(self, situation: Situation, example: int) -> ContractFailure | None:
        machine, call, job = situation
        answer = await answered(self._adapter, job, call.timeout_ms)
        self._calls += 1
        if isinstance(answer, NoAnswer):
            return failure_of(situation, example, answer.kind, "", [answer.sentence])
        verdict = machine.judge(call, job, answer, 0)
        if isinstance(verdict, AttemptRefused):
            said = "" if isinstance(answer, ReplyRefused) else excerpt(answer)
            return failure_of(situation, example, "refused", said, [finding.message for finding in verdict.findings])
        self._accepted += 1
        self._questions += isinstance(verdict, QuestionAsked)
        return None


def failure_of(situation: Situation, example: int, kind: str, reply: str, findings: list[str]) -> ContractFailure:
    """What went wrong in a situation, with the view that the agent was shown."""
    # A view of its own: showing it must not count as reading by the agent.
    machine, n = situation.machine, situation.call.number
    view = machine.bank.view(machine.label[n], machine.duty(n).sight).to_dict()
    return ContractFailure(
        step=situation.call.step,
        example=example,
        kind=kind,
        view=view,
        reply=reply,
        findings=tuple(findings),
        item=situation.job.item,
    )


async def answered(adapter: Adapter, job: Job, timeout_ms: int) -> Any:
    """What the agent answers in time. One that ignores its cancellation is left behind."""
    task = spawn(_outcome(adapter, job))
    done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1_000)
    if done:
        return task.result()
    task.cancel()
    return NoAnswer("timed out", f"it took longer than {timeout_ms / 1_000:g} s")


async def _outcome(adapter: Adapter, job: Job) -> Any:
    try:
        return await adapter.call(job, _began)
    except ReplyRefused as refused:
        return ReplyRefused(describe(refused))
    except BaseException as error:  # noqa: BLE001 - agents may raise anything, SystemExit included
        return NoAnswer("raised", describe(error))


def _began(*, fault: str = "") -> None:
    """The timeout runs from the call on; a thread begins at once."""


def _shown(value: Any) -> str:
    return _cut(encode_written(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}..."
