"""Do two agents get on? One writes what the other reads: both are called, one after the other, as in a run.

    def test_every_pair_gets_on(pair):
        pair.check()

A real machine is led to the writer's steps by good replies of all others. The writer is called and its reply assessed,
then the reader, with the context that the writer has made. The calls take real time, as those of a model do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from interlock.core import events as e
from interlock.core import paths
from interlock.core.assess import excerpt
from interlock.core.commands import CallAgent
from interlock.core.machine import Machine
from interlock.core.naming import hint
from interlock.core.paths import bits
from interlock.core.rules import Rules
from interlock.engine.tasks import refuse_inside_a_loop, run_main
from interlock.errors import ReplyRefused, TeamError, UsageError
from interlock.ports import Adapter
from interlock.team import Team

from .chance import Chance
from .contract import FAILURES_SHOWN, TIMEOUTS_MAX, ContractFailure, NoAnswer, adapter_of, answered, failure_of
from .generation.events import past_waits
from .generation.replies import ReplyMaker, RequestMaker
from .situations import Situation

EXAMPLES_DEFAULT = 10
# A reader whose step has a condition isn't reached every time: so many runs are made for each example, at most.
RUNS_PER_EXAMPLE = 4
_RUN_ID = "pair"


class PairFailed(AssertionError):
    """The two don't get on. The text is the report."""

    __module__ = "interlock.testing"  # where users find it
    interlock_tells_all = True  # see SimulationFailed


class PairReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair did. As text it is a short transcript.

    runs: how many were begun. reached: how many came to the reader and had its replies accepted. failures: of the
    writer or the reader. unreached: why runs did not come to the reader -> how many.
    """

    pair: str
    fields: tuple[str, ...]
    seed: int
    runs: int
    reached: int
    failures: tuple[ContractFailure, ...]
    unreached: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether the reader was reached, and every reply of both was accepted."""
        return self.reached > 0 and not self.failures

    def __str__(self) -> str:
        counts = f"{self.runs} runs, {self.reached} came through, {len(self.failures)} failed"
        more = len(self.failures) - FAILURES_SHOWN
        lines = [f"{self.pair}, over {', '.join(self.fields)}: {counts} (seed {self.seed})"]
        lines += map(str, self.failures[:FAILURES_SHOWN])
        lines += [f"and {more} more failures"] if more > 0 else []
        lines += [f"{count} did not come to the reader: {why}" for why, count in self.unreached.items()]
        if not self.reached and not self.failures:
            lines.append("so nothing was checked: give requests that lead to the reader")
        return "\n".join(lines)


class Pair:
    """A writer and a reader. fields: what the reader may read of what the writer may write, as patterns.

    links: the numbers of the reader's steps in the plan -> those of the writer's steps before it. requests: to start
    from; by default they are generated.
    """

    def __init__(self, team: Team, writer: str, reader: str, requests: Sequence[Mapping[str, Any]] = ()) -> None:
        self.team, self.writer, self.reader, self.requests = team, writer, reader, requests
        self.links, self.fields = _links(team.rules, writer, reader)

    @property
    def id(self) -> str:
        """Its name: `triage->resolution`."""
        return f"{self.writer}->{self.reader}"

    def __repr__(self) -> str:
        return f"<Pair {self.id}>"

    def check(
        self,
        *,
        examples: int = EXAMPLES_DEFAULT,
        seed: int = 0,
        agents: Mapping[str, Callable[..., Any]] | None = None,
        requests: Sequence[Mapping[str, Any]] | None = None,
    ) -> PairReport:
        """Call both, until the reader was reached `examples` times in each of its steps.

        agents: functions to call instead of the two agents' own code. requests: in place of those of the pair, used in
        turn. seed: of generated requests and of the replies of all other agents.

        Raises PairFailed unless every reply was accepted, and where the reader was never reached; TeamError where the
        code can't be found; InputError for a request that no run could start with; UsageError.
        """
        report = self.report(examples=examples, seed=seed, agents=agents, requests=requests)
        if not report.ok:
            raise PairFailed(str(report))
        return report

    def report(
        self,
        *,
        examples: int = EXAMPLES_DEFAULT,
        seed: int = 0,
        agents: Mapping[str, Callable[..., Any]] | None = None,
        requests: Sequence[Mapping[str, Any]] | None = None,
    ) -> PairReport:
        """As `check`, but without raising PairFailed."""
        message = "a pair is called in an event loop of its own, and one is running here"
        refuse_inside_a_loop(message, fix="call it from a plain function: def test_..., not async def")
        if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
            raise UsageError(f"examples is {examples!r}", fix="ask for 1 or more")
        stray = next((name for name in agents or {} if name not in {self.writer, self.reader}), None)
        if stray is not None:
            raise UsageError(f"{stray} is not of this pair", fix=f"its agents are {self.writer} and {self.reader}")
        chosen = self.requests if requests is None else requests
        encoded = [self.team.rules.encode_request(request) for request in chosen]
        check = _Check(self, dict(agents or {}), encoded, Chance(seed))
        run_main(check.run(examples))
        return check.report(seed)


def pairs(team: Team, requests: Sequence[Mapping[str, Any]] = ()) -> list[Pair]:
    """Every two agents of a team of which one may read what the other may have written before, fallbacks included."""
    rules, found = team.rules, dict[tuple[str, str], None]()
    for n in range(1, len(rules.duties)):
        for m in bits(rules.plan.ancestors[n] & ~1):
            for writer in rules.duties[m]:
                for reader in rules.duties[n]:
                    if writer.agent not in {"", reader.agent} and _shared(rules, m, writer.agent, n, reader.agent):
                        found[writer.agent, reader.agent] = None
    return [Pair(team, writer, reader, requests) for writer, reader in found]


def _shared(rules: Rules, m: int, writer: str, n: int, reader: str) -> tuple[str, ...]:
    """What the reader sees in its step of what the writer may write in the other."""
    writes = next((duty.writable.patterns for duty in rules.duties[m] if duty.agent == writer), ())
    reads = next((duty.sight.patterns for duty in rules.duties[n] if duty.agent == reader), ())
    return _in_both(tuple(writes), tuple(reads))


@lru_cache(10_000)
def _in_both(writes: tuple[str, ...], reads: tuple[str, ...]) -> tuple[str, ...]:
    both = (paths.intersection(write, read) for write in writes for read in reads)
    return tuple(dict.fromkeys(pattern for pattern in both if pattern is not None))


def _links(rules: Rules, writer: str, reader: str) -> tuple[dict[int, tuple[int, ...]], tuple[str, ...]]:
    for name in (writer, reader):
        if name not in rules.roles:
            fix = f"the agents are {', '.join(rules.roles)}"
            raise UsageError(f"there is no agent {name}{hint(name, rules.roles)}", fix=fix)
    links: dict[int, tuple[int, ...]] = {}
    fields: dict[str, None] = {}
    for n in range(1, len(rules.duties)):
        shared = {m: _shared(rules, m, writer, n, reader) for m in bits(rules.plan.ancestors[n] & ~1)}
        links[n] = tuple(m for m, patterns in shared.items() if patterns)
        fields |= dict.fromkeys(pattern for patterns in shared.values() for pattern in patterns)
    if writer == reader or not fields:
        message = f"{reader} reads nothing that {writer} has written before"
        raise TeamError(message, fix="see which pairs there are: interlock.testing.pairs(team)")
    # One of several samples stands for all.
    first = {rules.plan.declared_id[rules.plan.steps[n].id]: n for n in reversed(links) if links[n]}
    return {n: links[n] for n in sorted(first.values())}, tuple(fields)


class _Course(NamedTuple):
    """How one run went: whether it came to the reader, what failed, or why it did not come there."""

    reached: bool
    failure: ContractFailure | None = None
    why: str = ""


class _Check:
    """One check of one pair, and what was found so far."""

    def __init__(self, pair: Pair, agents: dict[str, Any], requests: list[bytes], chance: Chance) -> None:
        self._pair, self._rules, self._chance = pair, pair.team.rules, chance
        names = (pair.writer, pair.reader)
        self._adapters: dict[str, Adapter] = {name: adapter_of(pair.team, name, agents.get(name)) for name in names}
        self._requests, self._make = requests, None if requests else RequestMaker(self._rules)
        self._makers: dict[tuple[int, str], ReplyMaker] = {}
        self._runs = self._reached = 0
        self._failures: list[ContractFailure] = []
        self._unreached: dict[str, int] = {}

    def report(self, seed: int) -> PairReport:
        return PairReport(
            pair=self._pair.id,
            fields=self._pair.fields,
            seed=seed,
            runs=self._runs,
            reached=self._reached,
            failures=tuple(self._failures),
            unreached=self._unreached,
        )

    async def run(self, examples: int) -> None:
        for n in self._pair.links:
            called = timeouts = 0
            for number in range(RUNS_PER_EXAMPLE * examples):
                if called == examples or timeouts == TIMEOUTS_MAX:
                    break
                course = await self._one(n, number)
                self._count(course)
                called += course.reached or course.failure is not None
                timeouts += course.failure is not None and course.failure.kind == "timed out"

    def _count(self, course: _Course) -> None:
        self._runs += 1
        if course.failure is not None:
            self._failures.append(course.failure)
        elif course.reached:
            self._reached += 1
        else:
            self._unreached[course.why] = self._unreached.get(course.why, 0) + 1

    async def _one(self, n: int, number: int) -> _Course:
        machine, random = Machine(self._rules), self._chance.stream("pair", self._pair.id, n, number)
        commands = machine.advance([e.RunStarted(0, Raw(self._request(number, random)), "", "")], 0)
        commands += past_waits(machine, random)
        wanted = self._rules.plan.ancestors[n] | 1 << n
        reached = False
        for command in commands:  # it grows on the way
            label = machine.label[command.number]
            if not isinstance(command, CallAgent) or not wanted >> label & 1:
                continue
            machine.start(command, 0)
            event = await self._outcome(machine, command, n, random, number + 1)
            if isinstance(event, ContractFailure):
                return _Course(reached, event)
            reached = reached or (label == n and command.agent == self._pair.reader)
            commands += machine.advance([event], 0) + past_waits(machine, random)
        return _Course(reached, why="" if reached else self._why(machine, n))

    def _request(self, number: int, random: Random) -> bytes:
        if self._make is None:
            return self._requests[number % len(self._requests)]
        return self._rules.encode_request(self._make(random))

    async def _outcome(
        self, machine: Machine, call: CallAgent, n: int, random: Random, example: int
    ) -> e.AnyEvent | ContractFailure:
        """What becomes of a call: one of the pair's agents is called, or it is a fallback's turn, or all is well."""
        label = machine.label[call.number]
        tested = self._pair.reader if label == n else self._pair.writer if label in self._pair.links[n] else ""
        job = machine.job(_RUN_ID, call)
        if not tested:
            return machine.judge(call, job, self._maker(label, call.agent)(job, random), 0)
        if call.agent != tested:
            turn = f"the turn of {tested}"
            return e.AttemptFailed(0, call.step, call.attempt, "error", turn, retryable=False)
        answer = await answered(self._adapters[tested], job, call.timeout_ms)
        situation = Situation(machine, call, job)
        if isinstance(answer, NoAnswer):
            return failure_of(situation, example, answer.kind, "", [answer.sentence])
        verdict = machine.judge(call, job, answer, 0)
        if isinstance(verdict, e.AttemptRefused):
            said = "" if isinstance(answer, ReplyRefused) else excerpt(answer)
            return failure_of(situation, example, "refused", said, [finding.message for finding in verdict.findings])
        return verdict

    def _maker(self, label: int, agent: str) -> ReplyMaker:
        if (label, agent) not in self._makers:
            self._makers[label, agent] = ReplyMaker(self._rules, self._rules.plan.steps[label], agent)
        return self._makers[label, agent]

    def _why(self, machine: Machine, n: int) -> str:
        return next(self._reasons(machine, n), "the list of its items was empty")

    def _reasons(self, machine: Machine, n: int) -> Iterator[str]:
        before = [m for m in (*bits(self._rules.plan.ancestors[n] & ~1), n) if m < len(machine.state)]
        for state in ("escalated", "dead", "skipped"):
            for m in before:
                if machine.state[m] == state:
                    yield f"{machine.step_id(m)} {_ENDS[state]}{machine.reasons.get(m, '')}"


_ENDS = {"escalated": "asked a person: ", "dead": "was given up: ", "skipped": "was skipped: "}
