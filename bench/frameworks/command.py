"""An agent that is a program: one that reads its job, sleeps and answers is started for each, as asyncio does it."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import interlock as il
from bench.frameworks import ANSWER, MODEL_SECONDS, Call
from interlock.agents.command import from_command
from interlock.agents.envelope import posted

PROGRAM = ("sh", "-c", f"cat > /dev/null; sleep {MODEL_SECONDS}; echo '{ANSWER}'")


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    adapter = from_command(PROGRAM)
    told = posted(job)

    async def itself() -> None:
        process = await asyncio.create_subprocess_exec(*PROGRAM, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        await process.communicate(told)

    yield lambda: adapter(job), itself
    await adapter.close()
