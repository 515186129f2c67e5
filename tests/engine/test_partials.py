"""What an agent says before it has finished is told to whoever listens, within bounds, and decides nothing."""

import asyncio

import pytest

import interlock as il
from interlock import ports
from interlock.agents.secret import Vault
from interlock.engine import partials
from interlock.engine.partials import Telling
from tests.agents.scenes import in_loop, job

REQUEST = {"text": "hello"}


def orchestrated(agent, **given):
    """The run of a team of one agent, and what was told meanwhile."""
    told = []
    policy = {key: given.pop(key) for key in ("timeout", "retries") if key in given}
    scope = il.Scope(allowed_actions=["act"], context_access=["text"], write_permissions=["answer"])
    team = il.Team([il.Agent("ann", use=agent, scope=scope, **policy)], il.Plan([il.Step("s0", "ann", "act")]))

    async def main():
        async with il.Orchestrator(team, ":memory:", **({"on_partial": told.append} | given)) as orchestrator:
            return await orchestrator.run(REQUEST, run_id="r0")

    return asyncio.run(main()), told


def test_the_pieces_are_the_text():
    async def agent(job):
        for piece in ("It", " is", " fine"):
            ports.listener()(piece)
            await asyncio.sleep(2 * partials.PAUSE_SECONDS)
        return {"answer": "It is fine"}

    run, told = orchestrated(agent)
    assert told == [il.Partial("r0", "s0", "ann", 1, text) for text in ("It", " is", " fine")]
    assert run.context["answer"] == "It is fine"


def test_many_pieces_at_once_are_told_together():
    async def agent(job):
        for _ in range(1_000):
            ports.listener()("x")
            await asyncio.sleep(0)
        return {"answer": "done"}

    _, told = orchestrated(agent)
    assert "".join(partial.text for partial in told) == 1_000 * "x"
    assert len(told) < 100


def test_nothing_waits_for_the_end_of_a_silence():
    async def agent(job):
        ports.listener()("a")
        ports.listener()("b")
        await asyncio.sleep(2 * partials.PAUSE_SECONDS)
        return {"answer": str(len(told))}

    told = []
    run, _ = orchestrated(agent, on_partial=told.append)
    assert run.context["answer"] == "2"


def test_an_endless_text_is_told_to_its_limit(monkeypatch):
    monkeypatch.setattr(partials, "PARTIAL_CHARS_MAX", 10)

    async def agent(job):
        for _ in range(5):
            ports.listener()("xyz")
        return {"answer": "done"}

    _, told = orchestrated(agent)
    assert "".join(partial.text for partial in told) == "xyzxyzxyzx"


def test_who_fails_to_hear_harms_nothing(caplog):
    async def agent(job):
        for _ in range(3):
            ports.listener()("x")
            await asyncio.sleep(2 * partials.PAUSE_SECONDS)
        return {"answer": "done"}

    def hearer(partial):
        raise ValueError("deaf")

    run, _ = orchestrated(agent, on_partial=hearer)
    assert run.status == "succeeded"
    assert [record.message for record in caplog.records] == [
        "what agent ann says could not be told of run r0; the run goes on"
    ]


def test_after_the_timeout_nothing_is_told():
    async def agent(job):
        try:
            await asyncio.sleep(60)
        finally:
            ports.listener()("too late")

    run, told = orchestrated(agent, timeout="50ms", retries=0)
    assert (run.status, told) == ("failed", [])


def test_each_attempt_is_told_apart():
    async def agent(job):
        ports.listener()("x")
        if job.attempt == 1:
            raise il.AgentError("again")
        return {"answer": "done"}

    _, told = orchestrated(agent, retries=1)
    assert [partial.attempt for partial in told] == [1, 2]


def test_where_nobody_listens_there_is_nobody_to_tell():
    async def agent(job):
        return {"answer": str(ports.listener())}

    run, _ = orchestrated(agent, on_partial=None)
    assert run.context["answer"] == "None"


# --- secrets ---

KEY = "sk-planted-5f1d0c7e9b3a4286"
OTHER = f"{KEY[-4:]}-another-0c7e"


async def told_of(*pieces):
    """What is told of these pieces, each after a pause."""
    told = []
    telling = Telling(
        lambda partial: told.append(partial.text), job(), lambda: False, Vault({"A_KEY": KEY, "B_KEY": OTHER})
    )
    for piece in pieces:
        telling(piece)
        telling._pause_ended()
    telling.end()
    return told


def test_a_key_that_a_model_repeats_is_not_streamed(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", KEY)

    async def agent(job):
        for piece in ("The key is ", KEY[:7], KEY[7:], ", keep it"):
            ports.listener()(piece)
            await asyncio.sleep(2 * partials.PAUSE_SECONDS)
        return {"answer": "done"}

    _, told = orchestrated(agent)
    assert "".join(partial.text for partial in told) == "The key is [DESK_API_KEY], keep it"


@in_loop
async def test_a_secret_is_hidden_wherever_it_is_split():
    for cut in range(1, len(KEY)):
        assert "".join(await told_of("it is " + KEY[:cut], KEY[cut:] + " there")) == "it is [A_KEY] there"
    assert "".join(await told_of("it is ", *KEY, " there")) == "it is [A_KEY] there"


@in_loop
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{KEY[:10]}... more", "[A_KEY]... more"),
        (f"it is ...{KEY[-9:]} more", "it is ...[A_KEY] more"),
        (f"it is {KEY[:12]}", "it is [A_KEY]"),
        (f"{KEY}{OTHER}", "[A_KEY][B_KEY]"),
        (f"{KEY}{OTHER[4:]}", f"[A_KEY]{OTHER[4:]}"),
        (f"{KEY[:9]}{KEY}", f"{KEY[:9]}[A_KEY]"),
        ("sk-planted for sk-plants... and so on.", "sk-planted for sk-plants... and so on."),
    ],
)
async def test_pieces_and_neighbours_of_secrets_are_told_as_in_one_text(text, told):
    assert Vault({"A_KEY": KEY, "B_KEY": OTHER}).hidden(text) == told
    assert "".join(await told_of(*text)) == told


@in_loop
async def test_only_what_a_secret_may_begin_with_is_held_back():
    assert await told_of("a task", " to do", "...", " and so on") == ["a ta", "sk to do", "... and so on"]
    assert (await told_of("text ending in s"))[0] == "text ending in "


@in_loop
async def test_who_fails_to_hear_is_not_called_for_what_was_held_back():
    calls = []

    def hearer(partial):
        calls.append(partial.text)
        raise ValueError("deaf")

    telling = Telling(hearer, job(), lambda: False, Vault({"A_KEY": KEY}))
    telling("it is sk-pl")
    telling.end()
    assert calls == ["it is "]
