"""Whatever a run is like, it replays as it was journaled, and every value leads back to its beginning."""

import asyncio
import random

import pytest

import interlock as il
from interlock.history import attempts, compare, handed, lineage, replay
from tests.history.runs import Noting, killed_and_resumed, ran, step, team

SEEDS = range(60)


class Moody:
    """An agent that does by chance all that an agent may do."""

    def __init__(self, chance):
        self._chance = chance

    async def __call__(self, job):
        await asyncio.sleep(self._chance.random() * 3)
        if self._chance.random() < 0.5:
            job.view.to_dict()
        else:
            job.view.get("log")
        mood = self._chance.random()
        if mood < 0.15:
            raise ValueError("no")
        if mood < 0.25:
            return {"": 1}
        if mood < 0.28:
            return il.Reply(ask=il.Question("may I?"))
        if mood < 0.3:
            await asyncio.sleep(30)
        value = self._chance.choice(["done", 1, {"a": [1]}, {}, il.DELETE])
        return {f"out.{job.step}": value, "log": job.step}


def a_step(chance, n):
    given = {"writes": ["out.{step}", "log"], "stale_ok": True}
    given |= chance.choice([{}, {}, {"for_each": "list"}, {"samples": 2}])
    given |= chance.choice([{}, {"join": "any_outcome"}, {"reads": ["log", "out"]}])
    needs = [f"s{before}" for before in range(n) if chance.random() < 0.4]
    if needs and chance.random() < 0.2:
        given["when"] = il.Condition(f"out.{needs[0]}", chance.choice(["exists", "absent"]))
    return step(f"s{n}", *needs, **given)


def a_run(seed):
    chance = random.Random(seed)
    bob = il.Agent("bob", scope=il.Scope(["act"], ["*"], ["out", "log"]), retries=1, backoff="1s")
    steps = [a_step(chance, n) for n in range(chance.randint(1, 7))]
    given = {"retries": chance.randint(0, 2), "backoff": "1s", "fallback": "bob"}
    of = team(*steps, agents=[bob], reducers={"log": "append"}, **given)
    request = {"list": [1, 2, {"x": 1}][: chance.randint(0, 3)], "log": []}
    if chance.random() < 0.5:
        return ran(of, Moody(chance), request)
    return killed_and_resumed(of, Moody(chance), after=chance.random() * 8, request=request)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_replays_as_it_was_and_every_value_has_its_origins(seed):
    told = a_run(seed)
    assert [mismatch for moment in replay(told) for mismatch in moment.mismatches] == []
    assert not any(handed(told, call.step, call.attempt).mismatches for call in attempts(told.events))
    assert compare(told, told).equal
    for leaf in told.folded().context:
        found = lineage(told, leaf)
        assert found.first
        assert walked(found) == {(origin.path, origin.writer) for origin in found.origins}


def walked(found):
    """All that is met on the way from writer to writer."""
    met, ahead = set(), [*found.first]
    while ahead:
        origin = ahead.pop()
        if (origin.path, origin.writer) not in met:
            met.add((origin.path, origin.writer))
            ahead += found.before(origin)
    return met


def test_a_run_without_agents_that_fail_is_equal_to_itself_done_again():
    of = team(step("a"), step("each", "a", for_each="list", writes=["out.{step}"]))
    again = [ran(of, Noting(), {"list": [1, 2]}, run_id=name) for name in ("one", "two")]
    assert compare(*again).equal
