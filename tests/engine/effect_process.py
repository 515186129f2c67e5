"""A process that test_effect_crash kills: python effect_process.py FOLDER PORT ON_UNKNOWN KILL_AT.

It runs a team whose effect is posted to a real server, or, where there is a journal, resumes it. KILL_AT: `sent` is
between the begin of the effect and its end, when the server has it; `done` is after its end and before that is durable;
`told` is after that; `asked` and `approved` are when a person is asked for approval, and has given it; `never`.
ON_UNKNOWN: its rule; or `approve`: a person must approve it, and does so at once, and is asked where it is unknown.
"""

import asyncio
import http.client
import os
import signal
import sys
from pathlib import Path
from typing import Any

import interlock as il
from interlock.core.events import EffectDone, QuestionAnswered, QuestionAsked

DEATHS = {"told": EffectDone, "asked": QuestionAsked}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def team(port: int, on_unknown: str, kill_at: str) -> il.Team:
    """Two steps that each send a mail, and one that needs both."""

    def post(key: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/mail", body=b"{}", headers={"Idempotency-Key": key})
        connection.getresponse().read()
        connection.close()

    async def mail(payload: Any, key: str) -> str:
        await asyncio.to_thread(post, key)
        if kill_at == "sent" and payload == "one":
            die()
        return "sent"

    async def work(job: il.Job) -> il.Reply:
        effects = [il.Effect("mail", job.step)] if job.step != "last" else []
        return il.Reply(writes={f"out.{job.step}": 1}, effects=effects)

    scope = il.Scope(["act", "mail"], ["*"], ["out.*"])
    steps = [il.Step(name, "ann", "act", needs=needs, writes=[f"out.{name}"]) for name, needs in PLAN.items()]
    rule = {"on_unknown": "ask", "approve": True} if on_unknown == "approve" else {"on_unknown": on_unknown}
    effects = {"mail": {"use": mail, **rule}}
    return il.Team([il.Agent("ann", use=work, scope=scope)], il.Plan(steps), effects=effects)


PLAN: dict[str, list[str]] = {"one": [], "two": [], "last": ["one", "two"]}


async def main(folder: Path, port: int, on_unknown: str, kill_at: str) -> None:
    journal = folder / "journal.db"
    known = journal.exists()

    def observe(_run_id: str, events: Any) -> None:
        kind = DEATHS.get(kill_at)
        if kind is not None and any(isinstance(event, kind) for event in events):
            die()

    async with il.Orchestrator(team(port, on_unknown, kill_at), journal, on_event=observe) as orchestrator:
        if kill_at in {"done", "approved"}:
            append = orchestrator.journal.append

            def dying(run_id: str, seq: int, events: Any, **rest: Any) -> Any:
                if kill_at == "done" and any(isinstance(event, EffectDone) for event in events):
                    die()
                appended = append(run_id, seq, events, **rest)
                if kill_at == "approved" and any(isinstance(event, QuestionAnswered) for event in events):
                    appended.add_done_callback(lambda _: die())
                return appended

            orchestrator.journal.append = dying  # type: ignore[method-assign]
        if known:
            async for _ in orchestrator.resume():
                pass
        else:
            await orchestrator.run({}, run_id="r")
        while approvals := [one for one in await orchestrator.inbox("r") if one.text.startswith("May ")]:
            await orchestrator.decide("r", approvals[0].step, "approve", by="eve")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
