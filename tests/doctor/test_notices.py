"""Whether people could be told, and what comes of a test: each recipient by itself, in bounded time."""

import asyncio

import interlock as il
from interlock.doctor import examine, notices, tried


def team(*notify):
    return il.Team([il.Agent("ann", use=idle)], notify=notify)


async def idle(message):
    return None


async def hang(message):
    await asyncio.sleep(3_600)


def leave(message):
    raise SystemExit(3)


def test_one_that_cannot_be_told_hides_no_other(monkeypatch):
    monkeypatch.setattr(notices, "DELIVERY_SECONDS_MAX", 0.1)
    found = asyncio.run(tried(team(idle, hang, leave, "${NO_SUCH_URL}")))
    assert [one.state for one in found] == ["ok", "failed", "failed", "missing"]
    assert found[1].text == "no answer within 0.1 s"
    assert found[3].fix == "set NO_SUCH_URL in the environment"


def test_a_function_that_is_not_there_is_told_with_the_others():
    found = asyncio.run(tried(team({"use": "no_such_module:tell"}, idle)))
    assert [(one.subject, one.state) for one in found] == [
        ("no_such_module:tell", "failed"),
        (f"{__name__}:idle", "ok"),
    ]


def test_the_doctor_sends_nothing():
    heard = []
    found = examine(team(heard.append, "json://localhost"))
    assert [one.text.partition(";")[0] for one in found.notify][1] == "JSON"
    assert found.is_fine
    assert heard == []


def test_a_team_whose_recipients_lack_something_is_not_fine():
    found = examine(team("${NO_SUCH_URL}"))
    assert (found.agents[0].state, found.notify[0].state, found.is_fine) == ("ok", "missing", False)
