"""200 steps that each add 5 KB to the context: bytes on disk, while the journal is open and after it was closed.

Every step writes other content, hex digits of random bytes, so that nothing is gained by storing equal values once. The
reference is that content. Live counts the database and its write-ahead log when the last step is durable; closed, all
that is left.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

import interlock as il
from bench.figures import Figure, Goal, Result, Settings
from bench.folders import bytes_of, fresh_folder
from bench.subjects import GROWTH_BYTES, chain, grow

STEPS = 200
LIVE_RATIO_MAX = 1.6
CLOSED_RATIO_MAX = 1.3


class Sizes(msgspec.Struct):
    """Bytes on disk: at the end of the run, at most while it went on, and after the journal was closed."""

    live: int
    peak: int
    closed: int


def measure(settings: Settings) -> Result:
    steps = settings.size(STEPS)
    sizes = prepare(settings)()
    payload = steps * GROWTH_BYTES
    figures = [
        Figure(
            name=name,
            value=size,
            unit="bytes",
            reference=payload,
            reference_name="payload",
            ratio=size / payload,
            goal=Goal("ratio", at_most=bound),
        )
        for name, size, bound in (("live", sizes.live, LIVE_RATIO_MAX), ("closed", sizes.closed, CLOSED_RATIO_MAX))
    ]
    return Result("growing_state", figures, {"steps": steps, "live_peak_bytes": sizes.peak})


def prepare(settings: Settings) -> Callable[[], Sizes]:
    team = chain(settings.size(STEPS), grow)

    def in_fresh_folder() -> Sizes:
        with fresh_folder(settings.folder) as folder:
            journal = folder / "journal.db"
            live, peak = asyncio.run(live_bytes(team, journal))
            return Sizes(live, peak, bytes_of(folder))

    return in_fresh_folder


async def live_bytes(team: il.Team, journal: Path) -> tuple[int, int]:
    """What the files of an open journal take: at the end of a run, and at most while it went on."""
    files = [journal, journal.with_name(journal.name + "-wal")]
    sizes = []
    orchestrator = il.Orchestrator(team, journal, on_event=lambda _run, _events: sizes.append(bytes_of(*files)))
    async with orchestrator:
        run = await orchestrator.run({"seed": 1})
        assert run.status == "succeeded", run.reason
    return sizes[-1], max(sizes)
