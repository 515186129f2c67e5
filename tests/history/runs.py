"""Real runs to tell of: driven by the engine on virtual time, with agents that note what they were handed."""

import asyncio
from contextlib import suppress

import msgspec

from interlock.core.context import View
from interlock.core.events import decode, encode
from interlock.core.values import content_hash
from interlock.engine.cancelling import cancel
from interlock.history import Record
from interlock.journal.memory import MemoryJournal, MemoryStore
from interlock.team import Team
from tests import virtual
from tests.engine.stage import engine, step, team

__all__ = ["Noting", "Record", "killed_and_resumed", "ran", "record", "step", "tampered", "team"]


class Noting:
    """An agent that notes each job it is handed, and answers as told: a dict, a Reply, an error, or what a call gives.

    Answers are by step, one per call, the last of them for ever; without any it writes `out.STEP`.
    """

    def __init__(self, **answers):
        self._answers = {name: list(given) for name, given in answers.items()}
        self.jobs = []

    async def __call__(self, job):
        seen = View(job.view._bank, job.view._visible, job.view._sight)  # its own reads are not the agent's
        self.jobs.append((job, seen.to_dict()))
        left = self._answers.get(job.step) or self._answers.get(job.step.rpartition("-")[0])
        answer = {f"out.{job.step}": "done"} if not left else left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, BaseException):
            raise answer
        return await answer(job) if callable(answer) else answer


def ran(of, agent=None, request=None, *, run_id="r", store=None, cancelled=False, **given):
    """The record of a run from its beginning to its end."""
    store = MemoryStore() if store is None else store

    async def main():
        async with engine(of, agent or Noting(), journal=MemoryJournal(store), **given) as running:
            await running.run(request or {}, run_id=run_id)
            if cancelled:
                await cancel(running.journal, run_id, by="person:ann", reason="enough", now_us=virtual.now_us)

    virtual.run(main())
    return record(store, run_id)


def killed_and_resumed(of, agent, *, after, request=None, run_id="r"):
    """The record of a run whose process was killed after some seconds, and which was then resumed."""
    store = MemoryStore()

    async def main():
        journal = MemoryJournal(store)
        running = engine(of, agent, journal=journal)
        await running.__aenter__()
        going = asyncio.get_running_loop().create_task(running.run(request or {}, run_id=run_id))
        await asyncio.sleep(after)
        for driver in list(running._drivers.values()):
            driver.fail(ProcessLookupError("killed"))
        with suppress(ProcessLookupError):
            await going
        await journal.close()
        async with engine(of, agent, journal=MemoryJournal(store)) as again:
            await again.resume_run(run_id)

    virtual.run(main())
    return record(store, run_id)


def record(store, run_id="r"):
    """What a store keeps of a run, read as the command line reads it."""
    row = store.rows[run_id]
    document = store.blobs[row.team]
    return Record(row, content_hash(document), Team.of_document(document).rules, [*map(decode, store.events[run_id])])


def tampered(told, kind, change, nth=0):
    """The same record, with the nth event of a kind changed behind the journal's back."""
    events = list(told.events)
    place = [at for at, event in enumerate(events) if isinstance(event, kind)][nth]
    events[place] = msgspec.structs.replace(events[place], **change)
    return msgspec.structs.replace(told, events=[decode(encode(event)) for event in events]), place
