"""People of a simulated world: they answer, approve, reject and let deadlines pass, as one seed decides."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from interlock.core import events as e
from interlock.core.budget import USD_MICROS, BudgetPolicy
from interlock.core.decision import Asked
from interlock.core.machine import Machine
from interlock.core.reconciling import resolution
from interlock.core.rules import Rules
from interlock.engine.decisions import folded
from interlock.engine.engine import Engine
from interlock.engine.run import Run
from interlock.errors import DecisionRefused, StaleDriver
from interlock.ports import Journal, WaitingQuestion

if TYPE_CHECKING:
    from .process import Process

BY = "person:sim"
# The share of questions that somebody answers, of answers that reject, and of budgets that are raised by something
# else than what they lack; after how long, and how often in one run.
ANSWERED = 0.7
REJECTED = 0.15
MISTAKEN = 0.2
SECONDS = (0.0, 0.0, 1.0, 40.0)
ANSWERS_MAX = 12
TEXTS = ("as you like", "no")
# What somebody approves who hasn't looked: more than is bounded, less than is enough, and what is no amount.
AMOUNTS = (1, 5, 0.03, -1)
DECIDED = e.QuestionAnswered | e.BudgetRaised


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
            run = await decide(engine, process.journal, process.world.rules_of(name[0]), question, random)
            if run is not None:
                process.world.run_ended(process, run)


def _name(process: "Process", question: WaitingQuestion) -> tuple[str, str, int, int]:
    """What a question is called: its run, step and attempt, and how much people have decided in that run before."""
    events = process.world.accounts[question.run_id].events
    return question.run_id, question.step, question.attempt, sum(isinstance(one, DECIDED) for one in events)


async def decide(
    engine: Engine,
    journal: Journal,
    rules: Rules,
    question: WaitingQuestion,
    random: Random,
    writes: Mapping[str, Any] | None = None,
) -> Run | None:
    """Somebody decides about a question; None where it can't be done, or the deadline or somebody else was quicker.

    writes: what they might write in the agent's place, which only the team's people know.
    """
    machine = await folded(journal, rules, question.run_id)
    n = machine.number[question.step]
    asked = machine.questions.get(n)
    if asked is None:
        return None
    budget, _ = machine.budget_at(asked.budget, machine.duty(n))
    given = _decision(asked, budget, random, writes)
    if asked.contradicts and given["verb"] == "answer" and random.random() > MISTAKEN:
        given["text"] = _choices(machine, n, random)
    given |= {"attempt": question.attempt, "asked_us": question.asked_us}
    with suppress(DecisionRefused, StaleDriver):
        return await engine.decide(question.run_id, question.step, by=BY, **given)
    return None


def _decision(
    asked: Asked, budget: BudgetPolicy | None, random: Random, writes: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What somebody decides, out of what may be.

    Nobody rejects what an agent asks: where no fault strikes, a run doesn't fail.
    """
    barred = {"edit", "reject"} if writes else {"edit", "write", "reject"}
    kinder = [verb for verb in asked.verbs if verb not in barred]
    rejects = not asked.by_agent and random.random() < REJECTED
    verb = "reject" if rejects else random.choice(kinder)
    text = random.choice(asked.question.choices or TEXTS) if verb == "answer" else random.choice(TEXTS)
    given: dict[str, Any] = {"verb": verb, "text": text if verb in {"answer", "retry"} else ""}
    if budget is not None and verb == "approve":
        given["more"] = _more(budget, random)
    return given | ({"writes": writes} if verb == "write" else {})


def _choices(machine: Machine, n: int, random: Random) -> str:
    """What somebody chooses of what contradicts itself."""
    return " ".join(f"{field.path}={random.randint(1, len(field.said))}" for field in resolution(machine, n).open)


def _more(budget: BudgetPolicy, random: Random) -> dict[str, Any]:
    """How much more of a budget somebody approves: mostly what it is already, some times."""
    if random.random() < MISTAKEN:
        return {
            name: random.choice(AMOUNTS) for name in random.sample(["usd", "tokens", "calls"], random.randint(0, 3))
        }
    times = random.randint(1, 3)
    more = {name: times * most for name in ("calls", "tokens", "usd") if (most := getattr(budget, name)) is not None}
    return more | ({"usd": more["usd"] / USD_MICROS} if "usd" in more else {})
