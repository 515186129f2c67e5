"""What the caller of a run gets back."""

import msgspec
import pytest

import interlock as il
from tests import virtual

from .stage import engine, fan, step, team


async def spend(job):
    if job.step == "dead":
        raise OSError("no network")
    return il.Reply(writes={f"out.{job.step}": job.item}, usage=il.Usage(10, 5, 0.25))


def run(of, request=None):
    async def main():
        async with engine(of, spend) as running:
            return await running.run(request or {}, run_id="run")

    return virtual.run(main())


def test_it_says_how_the_run_went():
    ended = run(team(step("each", for_each="list", writes=["out.{step}"]), step("dead")), {"list": ["a", "b"]})
    assert ended.status == "failed"
    assert ended.reason == "dead: OSError: no network (test_run.py:14 in spend)"
    assert ended.steps == {"each": "committed", "dead": "dead", "each-0": "committed", "each-1": "committed"}
    assert ended.context["out"] == {"each-0": "a", "each-1": "b"}
    assert (ended.cost.usd, ended.cost.tokens, ended.cost.calls) == (0.5, 30, 3)
    assert ended.duration == 0


def test_as_a_document():
    document = run(fan(2)).to_dict()
    assert document == {
        "run_id": "run",
        "status": "succeeded",
        "context": {"out": {"s0": None, "s1": None}},
        "steps": {"committed": 2},
        "cost": {"usd": 0.5, "tokens": 30, "calls": 2},
        "duration_ms": 0,
        "input": 0,
    }
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    assert run(team(step("dead"))).to_dict()["reason"] == "dead: OSError: no network (test_run.py:14 in spend)"


def test_it_can_be_read_only():
    ended = run(fan(1))
    with pytest.raises(AttributeError):
        ended.status = "failed"
    with pytest.raises(TypeError):
        ended.context["out.s0"] = 1
