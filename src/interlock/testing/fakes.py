"""Fake agents: scripted, recorded, probabilistic, and generated from what the team declares.

Each is a callable that takes a Job, so it stands wherever an agent's function stands: in a simulation, in a test of one
agent, or as `use` of an Agent.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast

import msgspec

from interlock.core import events as e
from interlock.core.context import EVERYTHING, View
from interlock.core.job import DELETE, Effect, Job, Question, Reply, Request, Usage
from interlock.core.paths import Patterns, base, inside, is_open
from interlock.core.policy import Policy
from interlock.core.proofs import deciding
from interlock.core.role import Duty
from interlock.core.rules import Rules
from interlock.core.values import DEFAULT_LIMITS
from interlock.engine.tasks import run_main
from interlock.errors import FAILURES, AgentError, AgentRefused, ReplyRefused
from interlock.wiring import open_journal

from .chance import Chance
from .deciding import decision, ruling
from .generation.replies import ReplyMaker
from .generation.texts import pick, text
from .grown import GrownRules
from .injection.faults import GARBAGE
from .injection.garbage import garble

# What a generated agent takes, as shares of its timeout: mostly little.
LATENCY_SHARES = (0.0, 0.0, 0.001, 0.01, 0.02, 0.05, 0.2, 0.6)
TOKENS_MAX = 2_000
# What timed out takes so many times as long when it is replayed: long enough to time out again.
HANG_FACTOR = 2
# In a simulation a generated agent asks a person so often instead of answering.
ASK_SHARE = 0.005
# So often it has something to say beside its writes, reads all it is shown, and deletes a field that it need not write.
OUTPUT_SHARE = 0.3
COARSE_SHARE = 0.7
DELETE_SHARE = 0.1
CHOICE_SHARE = 0.8
NAMES_READ = 3
EFFECTS_MAX = 2
HALF = 0.5

Code = Callable[[Job], Any]


class Seeded(Protocol):
    """An agent whose answers hang on the seed of the simulation it is in."""

    def seeded(self, chance: Chance, label: Callable[[str], str], *, calm: bool) -> Code:
        """The agent under one seed. label: what a run is called in draws. calm: it takes no time."""


async def answer_of(code: Code, job: Job) -> Any:
    """What an agent answers, async or not."""
    answer = code(job)
    return await answer if inspect.isawaitable(answer) else answer


class Scripted:
    """Answers from a list, one after another: dicts of writes, Replies, exceptions to raise, functions of the job.

    seconds: how long each call takes. calls: the jobs it was handed. A call past the end of the list fails for good.
    """

    def __init__(self, *answers: Any, seconds: float = 0.0) -> None:
        self._answers, self._seconds = answers, seconds
        self.calls: list[Job] = []

    async def __call__(self, job: Job) -> Any:
        """The next answer."""
        self.calls.append(job)
        number = len(self.calls)
        await asyncio.sleep(self._seconds)
        if number > len(self._answers):
            message = f"the script of {job.agent} has {len(self._answers)} answers; this is call {number}"
            raise AgentRefused(message, fix="script one more, or find out why it is called again")
        answer = self._answers[number - 1]
        if isinstance(answer, BaseException):
            raise answer
        return await answer_of(answer, job) if callable(answer) else answer


class Recorded:
    """Answers what was answered in an earlier run: step by step, attempt by attempt, and taking as long.

    events: those of the earlier run. request: what it was started with. A call that run never made fails for good.
    Between the same attempts of one step, a call that was lost counts as the one that replaced it. Of a refused reply
    whose writes were not kept, only the reasons are known: it is refused for them again, without its usage.
    """

    def __init__(self, events: Sequence[e.AnyEvent]) -> None:
        started = events[0] if events else None
        self.request: dict[str, Any] = msgspec.json.decode(started.request) if isinstance(started, e.RunStarted) else {}
        self._outcomes: dict[tuple[str, int], tuple[float, e.AnyEvent]] = {}
        began: dict[tuple[str, int], int] = {}
        for event in events:
            key = (getattr(event, "step", ""), getattr(event, "attempt", 0))
            if isinstance(event, e.AttemptStarted):
                began[key] = event.at_us
            elif key in self._outcomes and isinstance(self._outcomes[key][1], e.ReplyDrafted):
                pass  # what its judge made of it is not its agent's doing
            elif isinstance(event, e.Verdict | e.AttemptFailed):
                seconds = (event.at_us - began[key]) / 1e6
                timed_out = isinstance(event, e.AttemptFailed) and event.kind == "timeout"
                self._outcomes[key] = seconds * HANG_FACTOR if timed_out else seconds, event

    @classmethod
    def load(cls, journal: str | Path, run_id: str) -> "Recorded":
        """What a run in a journal says. Raises RunNotFound, JournalError."""

        async def read() -> Sequence[e.AnyEvent]:
            opened = open_journal(journal)
            try:
                return await opened.load(run_id)
            finally:
                await opened.close()

        return cls(run_main(read()))

    async def __call__(self, job: Job) -> Any:
        """What was answered then."""
        if (job.step, job.attempt) not in self._outcomes:
            message = f"the recorded run has no attempt {job.attempt} of {job.step}"
            raise AgentRefused(message, fix="record a run that goes the same way")
        seconds, outcome = self._outcomes[job.step, job.attempt]
        await asyncio.sleep(seconds)
        return _replayed(outcome)


def _replayed(outcome: e.AnyEvent) -> Any:
    match outcome:
        case e.ReplyJudged():
            said = [finding.message for finding in outcome.findings]
            return Reply(writes={"score": outcome.score, "findings": said}, usage=outcome.usage)
        case e.AttemptCommitted() | e.ReplyDrafted():
            writes = {path: msgspec.json.decode(raw) for path, raw in outcome.writes.items()}
            deletes = dict.fromkeys(outcome.deletes, DELETE)
            return Reply(
                writes={**writes, **deletes},
                output=msgspec.json.decode(outcome.output),
                usage=outcome.usage,
                confidence=outcome.confidence,
                effects=tuple(Effect(w.effect, msgspec.json.decode(w.payload), w.key) for w in outcome.effects),
                request=Request(outcome.request.action, outcome.request.to) if outcome.request else None,
            )
        case e.AttemptRefused():
            return _refused(outcome)
        case e.QuestionAsked():
            return Reply(ask=outcome.question, usage=outcome.usage)
        case e.AttemptFailed():
            kind = FAILURES.get(outcome.kind, AgentError)
            if kind.retryable is not outcome.retryable:
                kind = AgentError if outcome.retryable else AgentRefused
            raise kind(outcome.error, usage=outcome.usage, retry_after=outcome.retry_after_ms / 1_000)
    raise AssertionError(outcome)


def _refused(outcome: e.AttemptRefused) -> Reply:
    """A reply that is refused again. Where its writes were not kept, or not at fault, only the reasons are repeated."""
    writes = msgspec.json.decode(outcome.reply)
    if isinstance(writes, dict) and all(finding.path for finding in outcome.findings):
        return Reply(writes=writes, usage=outcome.usage)
    raise ReplyRefused("; ".join(finding.message for finding in outcome.findings))


class Probabilistic:
    """An agent around another that takes time, fails, answers garbage and gets worse, by chance.

    seconds: the median of what a call takes; it is log-normal, with `spread` as its sigma. errors, refusals, garbage:
    shares of calls, 0 to 1; a refusal is an error for good, which is not tried again. drift: how much the share of
    garbage grows with each call. The luck of a call hangs on its idempotency key and the seed alone; in a simulation,
    on that one's seed as well.
    """

    def __init__(
        self,
        agent: Code,
        *,
        seconds: float = 0.5,
        spread: float = 0.5,
        errors: float = 0.0,
        refusals: float = 0.0,
        garbage: float = 0.0,
        drift: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._agent, self._seconds, self._spread = agent, seconds, spread
        self._errors, self._refusals, self._garbage = errors, refusals, garbage
        self._drift, self._seed = drift, seed
        self.calls = 0

    async def __call__(self, job: Job) -> Any:
        """The inner agent's answer, unless luck has it otherwise."""
        self.calls += 1
        return await self._answer(self._agent, job, Chance(self._seed).stream(job.idempotency_key), self.calls - 1)

    def seeded(self, chance: Chance, label: Callable[[str], str], *, calm: bool) -> Code:
        """See Seeded. Each world begins with an agent that is not worn yet."""
        agent: Any = self._agent
        if hasattr(agent, "seeded"):
            agent = agent.seeded(chance, label, calm=calm)
        calls = count()

        async def call(job: Job) -> Any:
            self.calls += 1
            luck = chance.stream("luck", self._seed, label(job.run_id), job.step, job.attempt)
            return await self._answer(agent, job, luck, next(calls))

        return call

    async def _answer(self, agent: Code, job: Job, luck: Random, calls: int) -> Any:
        garbage = self._garbage + self._drift * calls
        await asyncio.sleep(self._seconds * luck.lognormvariate(0.0, self._spread))
        if luck.random() < self._errors:
            raise AgentError("the agent failed by chance")
        if self._refusals and luck.random() < self._refusals:
            raise AgentRefused("the agent refused by chance")
        answer = await answer_of(agent, job)
        if luck.random() < garbage:
            return garble(luck.choice(GARBAGE), answer, job, _ANY_DUTY, DEFAULT_LIMITS, luck)
        return answer


# What an agent may write isn't known here: whatever it writes counts as its own.
_ANY_DUTY = Duty("", EVERYTHING, Patterns(("*",)), Policy(), ())


def _judgement(random: Random) -> Reply:
    """What a judge says of a draft: mostly good, and if not, why."""
    score = round(random.random() ** 0.5, 3)
    found = [text(random) for _ in range(random.randrange(3))]
    usage = Usage(random.randrange(TOKENS_MAX), random.randrange(TOKENS_MAX), random.randrange(100) / 1e4)
    return Reply(writes={"score": score, "findings": found}, usage=usage)


def _near(one: str, other: str) -> bool:
    return inside(one, other) or inside(other, one)


class Generated:
    """Good replies made from what the team declares: the writes of the step, their schemas and reducers."""

    def __init__(self, rules: Rules) -> None:
        self._rules, self._grown = rules, GrownRules(rules)
        self._makers: dict[tuple[str, str], ReplyMaker] = {}

    def reply(self, job: Job, random: Random) -> Reply:
        """A good reply to a job."""
        if job.draft is not None:
            return _judgement(random)
        if job.progress is not None:
            return decision(job, random)
        if job.conflicts is not None:
            return ruling(job, random)
        rules = self._grown.of(job)
        step = rules.plan.steps[rules.plan.number_of(job.step)]
        maker = self._makers.get((step.id, job.agent))
        if maker is None:
            maker = self._makers[step.id, job.agent] = ReplyMaker(rules, step, job.agent)
        usage = Usage(random.randrange(TOKENS_MAX), random.randrange(TOKENS_MAX), random.randrange(100) / 1e4)
        writes, confidence = maker(job, random), random.random()
        duty = rules.duty(job.step, job.agent)
        self._choose(writes, job, duty, random)
        if random.random() < DELETE_SHARE:
            writes |= self._deletion(writes, maker(job, random))
        output = {"said": text(random)} if random.random() < OUTPUT_SHARE else None
        effects = self._effects(duty, random)
        request = random.choice(job.requests) if job.requests and random.random() < HALF else None
        return Reply(writes=writes, output=output, usage=usage, confidence=confidence, effects=effects, request=request)

    def _effects(self, duty: Duty, random: Random) -> tuple[Effect, ...]:
        """Some of the effects that the agent may ask for, if there are any."""
        allowed = duty.effects
        if not allowed:
            return ()
        some = random.randrange(EFFECTS_MAX + 1)
        return tuple(Effect(random.choice(allowed), {"text": text(random)}, key=f"effect {n}") for n in range(some))

    def _choose(self, writes: dict[str, Any], job: Job, duty: Duty, random: Random) -> None:
        """Most often, where a guardrail wants one of several candidates, take one."""
        panel = duty.panel
        for guardrail in (seat.guardrail for _, seat in panel.seats) if panel else ():
            candidates = getattr(guardrail, "candidates", None)
            if candidates is not None and random.random() < CHOICE_SHARE:
                (path,) = guardrail.watches  # type: ignore[attr-defined]
                open_to_choice = path in writes or not any(_near(path, other) for other in writes)
                there = candidates(job.view)
                if there and open_to_choice and not is_open(path):
                    writes[path] = pick(random, there)

    def _deletion(self, writes: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """Delete a field that another reply would write and this one leaves alone, if there is one."""
        kept = (*writes, *self._rules.sharing.reducers)
        left = (path for path in other if not any(_near(path, field) for field in kept))
        return dict.fromkeys(islice(left, 1), DELETE)

    async def __call__(self, job: Job) -> Reply:
        """A good reply, the same whenever the same attempt is made."""
        return self.reply(job, Chance(0).stream(job.idempotency_key))

    def seeded(self, chance: Chance, label: Callable[[str], str], *, calm: bool) -> Code:
        """See Seeded. It takes its time, writes into all that it was handed, and now and then asks a person."""

        async def call(job: Job) -> Reply:
            random = chance.stream("reply", label(job.run_id), job.step, job.attempt)
            duty = self._grown.of(job).duty(job.step, job.agent)
            seconds = random.choice(LATENCY_SHARES) * random.random() * (duty.policy.timeout_ms / 1_000)
            await asyncio.sleep(0.0 if calm else seconds)
            if duty.immediate:
                await self._have_performed(job, duty, random)
            if random.random() < ASK_SHARE:
                reply = Reply(ask=Question(f"What shall {job.step} do?", ("go on", "stop")))
            else:
                reply = self.reply(job, random)
            self._look(job, random)
            return reply

        return call

    async def _have_performed(self, job: Job, duty: Duty, random: Random) -> None:
        """Wait for effects, one after another or at once; now and then it goes on when one fails."""
        effects, at_once, goes_on = self._effects(duty, random), random.random() < HALF, random.random() < HALF
        # Another attempt asks for the same, or under the same key for something else.
        waits = [job.effect(e.effect, e.payload["text"][:4], key=e.key.replace("effect", "now")) for e in effects]
        try:
            if at_once:
                await asyncio.gather(*waits)
            else:
                for wait in waits:
                    await wait
        except AgentError:
            if not goes_on:
                raise
        finally:
            for wait in waits:
                wait.close()

    def _look(self, job: Job, random: Random) -> None:
        """Read all that is shown, as a model does, or a few fields of the team, shown or not; and write into them."""
        if random.random() < COARSE_SHARE:
            found = [*cast("View", job.view).to_dict().values(), job.item]
        else:
            found = [job.view.get(path) for path in random.choices(self._fields, k=NAMES_READ)]
        for value in found:
            if isinstance(value, list | dict):
                value.clear()

    @cached_property
    def _fields(self) -> list[str]:
        """The fields that some step may write or decides by; an open pattern stands for a field in it."""
        plan = self._rules.plan.steps[1:]
        patterns = (p for step in plan for p in (*self._rules.may_write(step), *deciding(step)))
        return [*dict.fromkeys(f"{base(p)}.x".removeprefix(".") if is_open(p) else p for p in patterns)] or ["x"]
