"""Effects that are broken on purpose: each kind does what it says, and strikes what it names."""

import asyncio

import pytest

import interlock as il
from interlock.errors import FaultsError
from interlock.testing.chance import Chance
from interlock.testing.injection.faults import EFFECT, Fault, Faults
from interlock.testing.injection.orchestrator import FaultyOrchestrator
from interlock.testing.injection.performers import FaultyPerformer
from tests import virtual

TEAM = il.Team(
    [il.Agent("ann", scope=il.Scope(["act", "mail"], ["*"], []))],
    il.Plan([il.Step("a", "ann", "act", for_each="list"), il.Step("b", "ann", "act")]),
    effects={"mail": {"use": "outside:mail", "timeout": "1s"}},
)


class Mail:
    """Sends, and notes that."""

    slots = 3
    closed = False

    def __init__(self):
        self.sent = []

    async def perform(self, payload, idempotency_key, began):
        began()
        self.sent.append(idempotency_key)
        return "sent"

    async def close(self):
        self.closed = True


def performed(*faults, step="b", tries=1):
    """What comes of the last of some tries, what was sent, which faults struck, and how long it took."""
    inner, noted, count = Mail(), [], iter(range(1, 99))
    faulty = FaultyPerformer(
        inner,
        "mail",
        TEAM.rules,
        Faults(faults),
        Chance(1),
        number=lambda _key: next(count),
        note=lambda key, injection: noted.append((key, injection.name)),
    )
    assert faulty.slots == 3

    async def main():
        for _ in range(tries):
            try:
                came = await faulty.perform({"to": "eve"}, f"run-0/{step}/effect:m/1", lambda **_: None)
            except (il.NotPerformed, OSError) as error:
                came = error
        await faulty.close()
        assert inner.closed
        return came, len(inner.sent), noted, virtual.seconds()

    return virtual.run(main())


def test_an_error_says_that_nothing_was_done():
    error, sent, noted, _ = performed(Fault(fault="effect_error"))

    assert (type(error), error.retryable, sent) == (il.NotPerformed, True, 0)
    assert noted == [("run-0/b/effect:m/1", "0:run-0/b/m/1/1:effect_error")]


def test_one_that_hangs_does_so_beyond_its_timeout_and_does_nothing():
    error, sent, _, seconds = performed(Fault(fault="effect_timeout"))

    assert (type(error), sent) == (OSError, 0)
    assert seconds > 1


def test_one_that_is_lost_was_performed():
    error, sent, _, _ = performed(Fault(fault="effect_lost"))

    assert (type(error), sent) == (OSError, 1)


@pytest.mark.parametrize(
    ("conditions", "step", "tries", "strikes"),
    [
        ({"step": "b"}, "b", 1, True),
        ({"step": "a"}, "b", 1, False),
        ({"step": "a"}, "a-2", 1, True),
        ({"attempt": 2}, "b", 1, False),
        ({"attempt": 2}, "b", 2, True),
        ({"probability": 0.0}, "b", 1, False),
    ],
)
def test_a_fault_strikes_the_tries_that_it_names(conditions, step, tries, strikes):
    came, _, noted, _ = performed(Fault(fault="effect_error", **conditions), step=step, tries=tries)

    assert (came != "sent", bool(noted)) == (strikes, strikes)


@pytest.mark.parametrize("kind", EFFECT)
def test_no_agent_can_be_named(kind):
    with pytest.raises(FaultsError, match="doesn't belong to a call, so it has no agent"):
        Fault(fault=kind, agent="ann")


def test_without_such_faults_nothing_is_drawn():
    assert performed(Fault(fault="timeout"))[:3] == ("sent", 1, [])


def test_they_strike_a_real_run_too():
    async def mail(payload, _key):
        sent.append(payload)

    async def work(_job):
        return il.Reply(effects=[il.Effect("mail", 1)])

    async def main():
        faults = Faults([Fault(fault="effect_error", attempt=1)])
        async with FaultyOrchestrator(team, ":memory:", faults=faults, seed=1) as orchestrator:
            return await orchestrator.run({})

    sent: list[int] = []
    scope = il.Scope(["act", "mail"], [], [])
    team = il.Team(
        [il.Agent("ann", use=work, scope=scope)], il.Plan([il.Step("a", "ann", "act")]), effects={"mail": mail}
    )
    run = asyncio.run(main())

    assert (run.status, sent) == ("succeeded", [1]), "the second try"
