"""Decisions about a plan, and about contradictions, as a model makes them: mostly good ones, and all that is wrong."""

from collections.abc import Iterator
from random import Random
from typing import Any

from interlock.core.job import Job, Reply

from .generation.texts import text

STEPS_ADDED_MAX = 4
GOOD_SHARE = 0.7
FINISH_SHARE = 0.2
DROP_SHARE = 0.2
HALF = 0.5


def decision(job: Job, random: Random) -> Reply:
    """What a model decides about a plan: new steps, an end, nothing, or something that can't be."""
    assert job.progress is not None
    still_open = [one["id"] for one in job.progress.get("open", ())]
    if still_open and random.random() < DROP_SHARE:
        return Reply(output=_drop(still_open, job, random))
    if random.random() < GOOD_SHARE:
        if random.random() < FINISH_SHARE or not job.progress["agents"]:
            return Reply(output={"finish": {}})
        return Reply(output={"add": [*_steps(job, random)]})
    steps = [*_steps(job, random)]
    done = [one["id"] for one in job.progress["done"]]
    wrong: tuple[Any, ...] = (
        {},
        {"add": []},
        {"add": steps, "finish": {}},
        {"add": [*steps, *steps]},
        {"add": [{**one, "id": done[0]} for one in steps] if done else text(random)},
        {"add": [{**one, "agent": job.agent, "action": job.action} for one in steps]},
        {"add": [{**one, "needs": [steps[-1]["id"]]} for one in steps]},
        {"add": [{**one, "action": text(random)} for one in steps]},
        {"add": [{**one, "retries": 9} for one in steps]},
        {"add": steps * 100},
        {"add": [{"id": one["id"], "agent": one["agent"], "action": one["action"]} for one in steps]},
        {"finish": {text(random): 1}},
        text(random),
        [steps],
    )
    return Reply(output=random.choice(wrong))


def _drop(still_open: list[str], job: Job, random: Random) -> dict[str, Any]:
    """What is dropped, and what is added in its place, which may be the same."""
    dropped = random.choice(still_open)
    steps = [*_steps(job, random)]
    several: tuple[dict[str, Any], ...] = (
        {"drop": [dropped]},
        {"drop": still_open},
        {"add": steps, "drop": [dropped]},
        {"add": steps, "drop": [one["id"] for one in steps]},
        {"add": [{**one, "id": dropped} for one in steps[:1]], "drop": [dropped]},
        {"drop": [text(random)]},
        {"drop": [dropped], "finish": {}},
    )
    return random.choice(several)


def ruling(job: Job, random: Random) -> Reply:
    """What a model chooses of what contradicts itself: one of what was said, or something that can't be."""
    conflicts = job.conflicts or {}
    good: dict[str, Any] = {path: random.randint(1, len(said)) for path, said in conflicts.items()}
    if random.random() < GOOD_SHARE:
        return Reply(writes={"choices": good}) if random.random() < HALF else Reply(output={"choices": good})
    wrong: tuple[Any, ...] = (
        {"choices": {path: len(said) + 1 for path, said in conflicts.items()}},
        {"choices": {path: text(random) for path in conflicts}},
        {"choices": {path: {"new": text(random)} for path in conflicts}},
        {"choices": good | {text(random): 1}},
        {"choices": dict(list(good.items())[1:])},
        {path: said[0].get("value") for path, said in conflicts.items()},
        {"choices": text(random)},
        text(random),
    )
    return Reply(output=random.choice(wrong))


def _steps(job: Job, random: Random) -> Iterator[dict[str, Any]]:
    """A few new steps, one after another, so that none of them is in the way of another."""
    assert job.progress is not None
    agents: dict[str, dict[str, list[str]]] = job.progress["agents"]
    needs = [random.choice(job.progress["done"])["id"]] if job.progress["done"] and random.random() < HALF else []
    for n in range(random.randint(1, STEPS_ADDED_MAX) if agents else 0):
        name = random.choice([*agents])
        id_ = f"new-{job.step.rpartition('-')[2]}-{'abcd'[n]}"
        given = {"reads": agents[name]["reads"][:1]} if random.random() < HALF else {}
        action = random.choice(agents[name]["actions"] or ["act"])
        yield {"id": id_, "agent": name, "action": action, "needs": needs, **given}
        needs = [id_]
