"""A function of the user's own: found when it is needed, never trusted, never awaited."""

import pytest

from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Opinion, Panel, Seat
from interlock.errors import TeamError

from .drafts import draft, made, refusal


def no_promises(draft):
    return "promise nothing" if "promise" in draft.writes.get("x", "") else None


def opinion(answer):
    return made(lambda draft: answer).check(draft())


def test_it_is_found_when_it_is_needed_and_once():
    asked = []

    def find(reference):
        asked.append(reference)
        return no_promises

    guardrail = made({"use": "checks:no_promises", "cost": 3}, find)
    assert (asked, guardrail.name, guardrail.cost) == ([], "no_promises", 3)
    assert guardrail.check(draft({"x": "I promise"})) == Opinion(0.0, (Finding("no_promises", "promise nothing"),))
    assert guardrail.check(draft({"x": "maybe"})) == FINE
    assert asked == ["checks:no_promises"]


def test_what_it_may_answer():
    assert opinion(None) == opinion("") == opinion([]) == FINE
    assert opinion(0.5) == Opinion(0.5)
    assert (
        opinion(["a", "b"]) == opinion(("a", "b")) == Opinion(0.0, (Finding("<lambda>", "a"), Finding("<lambda>", "b")))
    )
    assert opinion(Opinion(0.25)) == Opinion(0.25)


async def late(draft):
    return None


@pytest.mark.parametrize("answer", [True, {}, {"a": 1}, object(), [1], ["a", None], b"no", lambda: 1])
def test_what_is_no_answer_raises(answer):
    with pytest.raises(TypeError, match="return None, a sentence, a score"):
        opinion(answer)


def test_a_score_out_of_range_refuses():
    verdict = Panel([Seat(made(lambda draft: 7))]).assess(draft())
    assert not verdict.passed
    assert "its score is not a number from 0 to 1" in verdict.findings[0].message


def test_an_awaitable_is_no_answer_and_is_closed():
    with pytest.raises(TypeError, match="it returned a coroutine"):
        made(late).check(draft())


class Awaited:
    async def __call__(self, draft):
        return None


@pytest.mark.parametrize("code", [late, Awaited()])
def test_an_async_one_is_refused_before_a_run(code):
    with pytest.raises(TeamError, match="is async, which is not part of this version"):
        made({"use": "checks:late"}, lambda _: code).resolve()


@pytest.mark.parametrize("code", [5, Awaited])
def test_what_is_no_function_is_refused_before_a_run(code):
    with pytest.raises(TeamError, match="is no function"):
        made({"use": "checks:five"}, lambda _: code).resolve()


def test_one_with_an_isolation_of_its_own_is_refused():
    assert "is not part of this version" in refusal({"use": "checks:f", "isolation": "process"})
