"""A process that test_notice_crash kills: python notice_process.py FOLDER PORT KILL_AT.

Its one run asks a person, which a real server is told of; or, where there is a journal, it tells what was left.
KILL_AT: `asked` is as soon as the question is durable; `sent` is when the server has been told, and the journal doesn't
know that yet; `never`.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import interlock as il
from interlock.agents.notify import Service
from interlock.core.events import QuestionAsked
from interlock.engine import notifier


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def work(job: il.Job) -> il.Reply:
    return il.Reply(ask=il.Question("Refund 80 EUR?", ("yes", "no")))


deliver = Service.deliver


async def deliver_and_die(service: Service, message: Any) -> None:
    await deliver(service, message)
    die()


async def main(folder: Path, port: int, kill_at: str) -> None:
    journal = folder / "journal.db"
    known = journal.exists()
    notifier.TAKEN_US = 1_000  # nobody need wait for what the dead have taken
    if kill_at == "sent":
        Service.deliver = deliver_and_die  # type: ignore[method-assign]

    def observe(_run_id: str, events: Any) -> None:
        if kill_at == "asked" and any(isinstance(event, QuestionAsked) for event in events):
            die()

    scope = il.Scope(["act"], ["*"], ["out"])
    plan, notify = il.Plan([il.Step("s", "ann", "act")]), [f"json://127.0.0.1:{port}/"]
    team = il.Team([il.Agent("ann", use=work, scope=scope)], plan, notify=notify)
    async with il.Orchestrator(team, journal, on_event=observe) as orchestrator:
        if known:
            async for _ in orchestrator.resume():
                pass
        else:
            await orchestrator.run({}, run_id="r")
        if kill_at != "never":
            await asyncio.sleep(30)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
