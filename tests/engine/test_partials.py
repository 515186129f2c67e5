"""What an agent says before it has finished is told to whoever listens, within bounds, and decides nothing."""

import asyncio

import interlock as il
from interlock import ports
from interlock.engine import partials

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
