"""People of a simulated world: they answer, approve, reject and let deadlines pass, as one seed decides."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from interlock.core import events as e
from interlock.core.decision import Asked
from interlock.engine.decisions import folded
from interlock.engine.engine import Engine
from interlock.errors import DecisionRefused, StaleDriver
from interlock.ports import WaitingQuestion

if TYPE_CHECKING:
    from .process import Process

BY = "person:sim"
# The share of questions that somebody answers, and of answers that reject; after how long, and how often in one run.
ANSWERED = 0.7
REJECTED = 0.15
SECONDS = (0.0, 0.0, 1.0, 40.0)
ANSWERS_MAX = 12
TEXTS = ("as you like", "no")


async def answer(process: "Process", engine: Engine) -> None:
    """Decide about what waits, here, until nothing waits that anybody answers."""
    left: set[tuple[str, str, int, int]] = set()
    while waiting := [one for one in await process.journal.questions() if _name(process, one) not in left]:
        question = waiting[0]
        name = _name(process, question)
        left.add(name)
        random = process.world.chance.stream("person", process.world.label(name[0]), *name[1:])
        if name[3] < ANSWERS_MAX and random.random() < ANSWERED:
            await asyncio.sleep(random.choice(SECONDS))
            await _decide(process, engine, question, random)


def _name(process: "Process", question: WaitingQuestion) -> tuple[str, str, int, int]:
    """What a question is called: its run, step and attempt, and how much people have decided in that run before."""
    events = process.world.accounts[question.run_id].events
    return question.run_id, question.step, question.attempt, sum(isinstance(one, e.QuestionAnswered) for one in events)


async def _decide(process: "Process", engine: Engine, question: WaitingQuestion, random: Random) -> None:
    machine = await folded(process.journal, process.world.scene.team.rules, question.run_id)
    asked = machine.questions.get(machine.number[question.step])
    if asked is None:
        return  # the deadline, or whoever cancels the run, has been quicker
    given = _decision(asked, random)
    try:
        run = await engine.decide(question.run_id, question.step, by=BY, attempt=question.attempt, **given)
    except (DecisionRefused, StaleDriver):
        return  # it can't be approved, or somebody has been quicker
    process.world.run_ended(process, run)


def _decision(asked: Asked, random: Random) -> dict[str, Any]:
    """What somebody decides, out of what may be.

    What they would write, only the team's people know. Nobody rejects what an agent asks: where no fault strikes, a run
    doesn't fail.
    """
    kinder = [verb for verb in asked.verbs if verb not in {"edit", "write", "reject"}]
    rejects = not asked.by_agent and random.random() < REJECTED
    verb = "reject" if rejects else random.choice(kinder)
    text = random.choice(asked.question.choices or TEXTS) if verb == "answer" else random.choice(TEXTS)
    return {"verb": verb, "text": text if verb in {"answer", "retry"} else ""}
