"""Whatever a program hands to an engine is refused in words, or taken: nothing of it breaks anything."""

import asyncio

import pytest

import interlock as il
from interlock.errors import InputError, InterlockError
from interlock.journal.memory import MemoryJournal
from tests import virtual

from .stage import engine, scope, step

ODD = (5, None, 1.5, b"x", True, [], {}, ["a"], {"a": 1}, {5: 1}, "\ud800", "", "x" * 100_000, object(), float("nan"))


def desk():
    agents = [il.Agent("ann", scope=il.Scope(["act"], [], ["out.a"]), breaker={})]
    agents.append(il.Agent("bob", scope=il.Scope(["act"], [], ["out.b"]), retries=0))
    return il.Team(agents, il.Plan([step("a"), step("b", agent="bob")]))


async def work(job):
    if job.agent == "bob":
        raise il.AgentRefused("no")
    return il.Reply(ask=il.Question("may I?"))


async def each(runs):
    return [run async for run in runs]


def decision(**given):
    return {"run_id": "r", "step": "a", "verb": "edit", "by": "eve", "writes": {"out.a": 1}} | given


CALLS = {
    "run": lambda desk, odd: desk.run({"q": odd} if odd == {"a": 1} else odd, run_id="r"),
    "run_id": lambda desk, odd: desk.run({}, run_id=odd or 5),
    "resume_run": lambda desk, odd: desk.resume_run(odd),
    "resume ids": lambda desk, odd: each(desk.resume(ids=odd)),
    "resume width": lambda desk, odd: each(desk.resume(odd)),
    "open_batch": lambda desk, odd: desk.open_batch(odd, "rows"),
    "open_batch origin": lambda desk, odd: desk.open_batch([], odd),
    "redrive": lambda desk, odd: desk.redrive(odd),
    "redrive steps": lambda desk, odd: desk.redrive("r", odd or "b"),
    **{
        f"redrive {name}": lambda desk, odd, name=name: desk.redrive("r", ["a"], **{name: odd})
        for name in ("changes", "by", "reason")
    },
    "redrive_many": lambda desk, odd: each(desk.redrive_many(odd, refused=lambda *_: None)),
    "redrive_many steps": lambda desk, odd: each(desk.redrive_many({"r": odd or 5}, refused=lambda *_: None)),
    "cancel": lambda desk, odd: desk.cancel(odd),
    **{f"cancel {name}": lambda desk, odd, name=name: desk.cancel("none", **{name: odd}) for name in ("by", "reason")},
    "inbox": lambda desk, odd: desk.inbox(odd),
    **{
        f"decide {name}": lambda desk, odd, name=name: desk.decide(**decision(**{name: odd}))
        for name in (
            "run_id",
            "step",
            "verb",
            "by",
            "text",
            "writes",
            "reason",
            "attempt",
            "more",
            "effect",
            "asked_us",
        )
    },
    "open_breaker": lambda desk, odd: desk.open_breaker(odd, reason="bad"),
    "open_breaker reason": lambda desk, odd: desk.open_breaker("bob", reason=odd),
    "reset_breaker by": lambda desk, odd: desk.reset_breaker("ann", reason="good", by=odd),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_argument_is_refused_in_words_and_changes_nothing(call):
    async def main():
        async with engine(desk(), work) as running:
            await running.run({}, run_id="r")
            refused = 0
            for odd in ODD:
                before = await running.journal.load("r")
                try:
                    await CALLS[call](running, odd)
                except InterlockError as error:
                    refused += isinstance(error, InputError)
                    assert await running.journal.load("r") == before
            return refused

    assert virtual.run(main()) > 0 or call == "redrive_many steps"


def test_more_that_is_no_amount_says_what_it_may_be():
    async def main():
        async with engine(desk(), work) as running:
            await running.run({}, run_id="r")
            with pytest.raises(InputError, match="more is of type int, not an object; such as more=") as raised:
                await running.decide("r", "a", "approve", more=5, by="eve")
            return raised.value.fix

    assert virtual.run(main()) == 'such as more={"usd": 0.10}, {"tokens": 4000} or {"calls": 5}'


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"team": "team.yaml"}, 'the team is of type str, not a Team; load it: Team.load("team.yaml")'),
        ({"journal": 5}, "the journal is of type int, which is none; name a file"),
        ({"calls_max": 0}, "calls_max is 0, not a whole number from 1 on"),
        ({"runs_max": "5"}, "runs_max is of type str, not a whole number"),
    ],
)
def test_an_orchestrator_says_what_it_is_made_of(given, said):
    ann = il.Agent("ann", use=work, scope=scope())
    whole = {"team": il.Team([ann], il.Plan([step("a")])), "journal": MemoryJournal()}
    with pytest.raises(InputError) as raised:
        il.Orchestrator(**(whole | given))
    assert said in str(raised.value)


def test_a_text_in_the_place_of_steps_is_not_taken_letter_by_letter():
    async def main():
        async with engine(desk(), work) as running:
            await running.run({}, run_id="r")
            with pytest.raises(InputError, match="steps is of type str, not a list of texts"):
                await running.redrive("r", "b")
            with pytest.raises(InputError, match="ids is of type str, not a list of texts"):
                await each(running.resume(ids="r"))
            await asyncio.sleep(0)

    virtual.run(main())
