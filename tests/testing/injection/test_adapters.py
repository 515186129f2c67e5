"""Broken calls: what each kind of fault makes of a good agent."""

import asyncio

import pytest

from interlock.agents.function import FunctionAdapter
from interlock.core.job import Reply
from interlock.core.policy import Policy
from interlock.errors import AgentError
from interlock.testing.chance import Chance
from interlock.testing.injection.adapters import HANG_TIMEOUTS, FaultyAdapter, InjectedError, InjectedRefusal
from interlock.testing.injection.faults import CALL, GARBAGE, Fault, Faults
from interlock.testing.injection.garbage import garble
from tests import virtual
from tests.core.transcripts import Transcript, step

TIMEOUT = 5.0
GOOD = {"out.a": "a sentence about Amara, who is 42 years old"}


class Agent:
    """A good agent, and the calls of it that were made."""

    def __init__(self, *answers, seconds=1.0):
        self.answers, self.seconds = answers, seconds
        self.keys = []
        self.slots = 3
        self.closed = False

    async def call(self, job, began):
        began()
        self.keys.append(job.idempotency_key)
        turn = len(self.keys) - 1
        await asyncio.sleep(self.seconds)
        answer = self.answers[turn] if turn < len(self.answers) else {**GOOD}
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        self.closed = True


class Scene:
    """A call of the agent of one step, behind an adapter that these faults break."""

    def __init__(self, *faults, inner=None, seed=0, **options):
        steps = step("a", writes=["out.a"]), step("b", writes=["out.b"])
        said = Transcript(*steps, policy=Policy(retries=0, timeout_ms=int(1_000 * TIMEOUT)))
        said.begin()
        said.start("a", "b")
        self.jobs, self.rules = said.jobs, said.rules
        self.inner = inner or Agent()
        self.noted, self.began, self.chance = [], [], Chance(seed)
        self.adapter = FaultyAdapter(
            self.inner,
            said.rules,
            Faults(faults),
            self.chance,
            note=lambda job, injection: self.noted.append(f"{job.step} {injection.kind}"),
            **options,
        )

    def call(self, step_id="a"):
        return self.adapter.call(self.jobs[step_id], lambda *, fault="": self.began.append(fault))

    def run(self, step_id="a"):
        """The answer of a call that nobody cuts short, and when it came."""

        async def main():
            try:
                return await self.call(step_id), virtual.seconds()
            except AgentError as error:
                return error, virtual.seconds()

        return virtual.run(main())


def only(kind, **more):
    return Scene(Fault(fault=kind), **more)


# --- no fault ---


def test_without_an_injection_the_answer_is_untouched():
    answer = Reply(writes=dict(GOOD))
    scene = Scene(Fault(fault="exception", step="b"), inner=Agent(answer))
    told, at = scene.run()
    assert told is answer
    assert at == 1.0
    assert (scene.began, scene.noted) == ([""], [])


def test_it_is_closed_and_bounded_as_the_inner_one():
    scene = Scene()
    assert scene.adapter.slots == 3
    virtual.run(scene.adapter.close())
    assert scene.inner.closed


# --- each kind ---


def test_an_exception_comes_instead_of_a_call():
    scene = only("exception")
    error, at = scene.run()
    assert type(error) is InjectedError
    assert (error.message, error.code, error.retryable) == ("injected: the agent failed", "injected", True)
    assert at == 0.0
    assert scene.inner.keys == []


def test_a_refusal_comes_instead_of_a_call_and_is_for_good():
    scene = only("refusal")
    error, at = scene.run()
    assert type(error) is InjectedRefusal
    assert (error.message, error.code) == ("injected: the agent refused", "injected_refusal")
    assert not error.retryable
    assert (at, scene.inner.keys) == (0.0, [])


def test_a_hanging_call_ends_long_after_its_timeout():
    scene = only("timeout")
    error, at = scene.run()
    assert type(error) is InjectedError
    assert at == HANG_TIMEOUTS * TIMEOUT
    assert scene.inner.keys == []


def test_a_hanging_call_can_be_cancelled():
    async def main():
        task = asyncio.get_running_loop().create_task(only("timeout").call())
        await asyncio.sleep(TIMEOUT)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), virtual.seconds()

    assert virtual.run(main()) == (True, TIMEOUT)


def test_a_slow_call_answers_after_a_while():
    scene = Scene(Fault(fault="slow", seconds=3.0))
    answer, at = scene.run()
    assert (answer, at) == (GOOD, 4.0)
    assert scene.inner.keys == ["run/a/1"]


def test_a_slow_call_takes_half_to_one_and_a_half_of_its_timeout_by_chance():
    times = {only("slow", seed=seed).run()[1] - 1.0 for seed in range(40)}
    assert len(times) == 40
    assert all(0.5 * TIMEOUT <= seconds <= 1.5 * TIMEOUT for seconds in times)
    assert min(times) < TIMEOUT < max(times)


def test_a_slow_call_can_be_cancelled():
    async def main():
        task = asyncio.get_running_loop().create_task(Scene(Fault(fault="slow", seconds=30.0)).call())
        await asyncio.sleep(TIMEOUT)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert virtual.run(main())


def late(cancellations, *, inner_seconds=0.0):
    """What becomes of a late call that is cancelled at its timeout, and perhaps again; and when."""
    scene = Scene(Fault(fault="late", seconds=2.0), inner=Agent(seconds=inner_seconds))

    async def main():
        task = asyncio.get_running_loop().create_task(scene.call())
        await asyncio.sleep(TIMEOUT)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.sleep(0.5)
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else task.result(), virtual.seconds()

    return virtual.run(main())


@pytest.mark.parametrize("cancellations", [1, 2])
def test_a_late_call_ignores_what_the_engine_cancels_and_answers_after_its_timeout(cancellations):
    assert late(cancellations) == (GOOD, TIMEOUT + 2.0)


def test_a_late_call_obeys_the_third_cancellation():
    assert late(3) == ("cancelled", TIMEOUT + 1.5)


def test_a_late_call_that_nobody_cancels_is_late_all_the_same():
    assert late(0) == (GOOD, TIMEOUT + 2.0)


def test_a_late_call_comes_up_to_half_its_timeout_late_by_chance():
    times = [only("late", seed=seed, inner=Agent(seconds=0)).run()[1] for seed in range(20)]
    assert all(TIMEOUT <= at <= 1.5 * TIMEOUT for at in times)


def test_a_doubled_call_has_one_key_and_the_first_answer():
    scene = only("duplicate", inner=Agent({"out.a": "first"}, {"out.a": "second"}))
    assert scene.run() == ({"out.a": "first"}, 2.0)
    assert scene.inner.keys == ["run/a/1", "run/a/1"]


def test_the_second_of_a_doubled_call_may_fail():
    scene = only("duplicate", inner=Agent({"out.a": "first"}, ValueError("second")))
    assert scene.run()[0] == {"out.a": "first"}


def test_the_first_of_a_doubled_call_may_fail():
    scene = only("duplicate", inner=Agent(AgentError("first"), {"out.a": "second"}))
    with pytest.raises(AgentError, match="first"):
        virtual.run(scene.call())
    assert len(scene.inner.keys) == 2


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_what_becomes_of_the_answer(kind):
    scene = only(kind, seed=3)
    answer, at = scene.run()
    job, duty = scene.jobs["a"], scene.rules.duty("a", "ann")
    name = f"0:run/a/1/0:{kind}"
    meant = garble(kind, dict(GOOD), job, duty, scene.rules.limits, scene.chance.stream("garble", name))
    assert repr(answer) == repr(meant) != repr(GOOD)
    assert at == 1.0
    assert scene.inner.keys == ["run/a/1"]


def test_any_garbage_is_one_of_the_kinds():
    noted = [only("garbage", seed=seed) for seed in range(60)]
    for scene in noted:
        scene.run()
    assert {kind for scene in noted for kind in scene.noted} == {f"a {kind}" for kind in GARBAGE}


def test_an_agent_that_fails_by_itself_makes_no_garbage():
    scene = only("off_topic", inner=Agent(AgentError("it broke by itself")))
    error, _ = scene.run()
    assert error.message == "it broke by itself"


@pytest.mark.parametrize("kind", [kind for kind in CALL if kind != "garbage"])
def test_every_kind_is_noted_and_said_once_when_the_call_begins(kind):
    scene = only(kind)
    scene.run()
    assert scene.began == [kind]
    assert scene.noted == [f"a {kind}"]


# --- which calls ---


def test_only_the_calls_that_a_fault_names_are_broken():
    scene = Scene(Fault(fault="exception", step="b"))
    assert scene.run("a")[0] == GOOD
    assert type(scene.run("b")[0]) is InjectedError
    assert scene.noted == ["b exception"]


@pytest.mark.parametrize(
    ("fault", "struck"), [({"agent": "ann"}, True), ({"agent": "bob"}, False), ({"attempt": 2}, False)]
)
def test_an_agent_and_an_attempt_can_be_named(fault, struck):
    scene = Scene(Fault(fault="exception", **fault))
    scene.run()
    assert bool(scene.noted) == struck


def test_samples_and_items_are_named_by_their_step():
    said = Transcript(
        step("s", samples=2, writes=["out.{step}"]),
        step("each", for_each="q", writes=["out.{step}"]),
        request={"q": [1]},
    )
    said.begin()
    said.start("s-1", "s-2", "each-0")

    def struck(named, called):
        noted = []
        faults, agent = Faults([Fault(fault="exception", step=named)]), FunctionAdapter(good)
        adapter = FaultyAdapter(agent, said.rules, faults, Chance(0), note=lambda job, _: noted.append(job.step))

        async def main():
            await asyncio.gather(adapter.call(said.jobs[called], lambda **_: None), return_exceptions=True)

        virtual.run(main())
        return noted == [called]

    assert struck("s", "s-1")
    assert struck("s", "s-2")
    assert struck("s-2", "s-2")
    assert not struck("s-2", "s-1")
    assert struck("each", "each-0")
    assert not struck("each", "s-1")


async def good(job):
    return GOOD


def test_draws_have_the_label_of_the_run_and_the_count_of_lost_calls():
    def names(**options):
        names = []
        scene = Scene(Fault(fault="exception"), **options)
        scene.adapter._note = lambda job, injection: names.append(injection.name)
        scene.run()
        return names

    assert names() == ["0:run/a/1/0:exception"]
    assert names(label=lambda run_id: f"<{run_id}>") == ["0:<run>/a/1/0:exception"]
    assert names(reissues=lambda job: 2) == ["0:run/a/1/2:exception"]
