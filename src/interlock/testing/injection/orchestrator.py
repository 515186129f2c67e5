"""The faults of a simulation in a real run: real agents, a real journal, and a process that is really killed.

Draws have the names that they have in a simulation: a run is called by its row, the process is the first of its world.
So the same faults, seed and requests break the same calls again, although every run gets a new id.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from interlock.agents.effects import performers
from interlock.agents.secret import VAULT
from interlock.agents.tools import Workshop
from interlock.core.events import AnyEvent
from interlock.core.values import decode, encode_canonical
from interlock.engine import clock
from interlock.engine.engine import CALLS_MAX, RUNS_MAX, Engine
from interlock.ports import Journal, Opening, Request
from interlock.team import Team
from interlock.testing.chance import Chance
from interlock.wiring import DEFAULT_JOURNAL, adapters, open_journal

from .adapters import FaultyAdapter
from .faults import Faults, Injection, moment_of, seconds_of
from .journals import FaultyJournal
from .performers import FaultyPerformer

PROCESS = "process-1"
BY = "fault injection"
# After these the process is dead, or its runs have no driver any more.
_STOPPING = frozenset({"crash", "crash_before_write", "crash_after_write", "write_error", "disk_full"})
# A file is locked by the process that drives its runs, and nobody can take that away from a living one.
IMPOSSIBLE = frozenset({"stale_driver"})

log = logging.getLogger("interlock")


def kill() -> None:
    """End this process at once, as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


class FaultyOrchestrator(Engine):
    """Runs a team as Orchestrator does, and breaks on purpose what the faults name.

    faults, seed: what goes wrong, and the draws; both are kept in the journal, and every run is marked with their hash.
    Faults of IMPOSSIBLE kinds never strike. die: how a crash kills this process. resume: the command that goes on
    without them. The rest is as in Orchestrator, and an
    Orchestrator that resumes the runs goes on without faults. What strikes a write or a moment is told as a warning of
    the logger `interlock`. Raises FaultsError for faults that this team can't have, TeamError, JournalError.
    """

    def __init__(  # noqa: PLR0913 - the seams, by name
        self,
        team: Team,
        journal: str | Path | Journal = DEFAULT_JOURNAL,
        *,
        faults: Faults,
        seed: int,
        calls_max: int = CALLS_MAX,
        runs_max: int = RUNS_MAX,
        on_event: Callable[[str, Sequence[AnyEvent]], None] | None = None,
        die: Callable[[], None] = kill,
        resume: str = "interlock resume",
    ) -> None:
        self._resume = resume
        self._injected, self._chance, self._die = faults.checked(team), Chance(seed), die
        self._labels: dict[str, str] = {}
        self._tries = Counter[str]()
        self._offset_us = 0
        self._moments: list[asyncio.TimerHandle] = []
        rules, chance = team.rules, self._chance
        workshop = Workshop.of(team)
        made = adapters(team, workshop)
        broken = {n: FaultyAdapter(a, rules, faults, chance, label=self._label) for n, a in made.items()}
        stored = open_journal(journal) if isinstance(journal, str | Path) else journal
        super().__init__(
            team,
            broken,
            _MarkedJournal(stored, faults, chance, die=die, note=self._struck, opened=self._opened),
            calls_max=calls_max,
            runs_max=runs_max,
            observers=[] if on_event is None else [on_event],
            now_us=self._shifted_now_us,
            faults=document(faults, seed),
            secrets=VAULT,
            release=workshop.close,
            performers={
                name: FaultyPerformer(
                    performer,
                    name,
                    rules,
                    faults,
                    chance,
                    label=self._label,
                    number=self._try,
                    note=self._effect_struck,
                )
                for name, performer in performers(team, workshop).items()
            },
        )

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._schedule("crash", PROCESS, self._crash)
        self._schedule("clock_jump", PROCESS, self._jump)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for moment in self._moments:
            moment.cancel()
        await super().__aexit__(kind, error, trace)

    # --- runs and their names ---

    def _opened(self, run_id: str, opening: Opening) -> None:
        """A run of a batch is called by its row, another one by how many there were before it."""
        self._labels[run_id] = label = f"run-{opening.row if opening.batch else len(self._labels)}"
        self._schedule("cancel", label, lambda injection: self._cancel(run_id, injection))

    def _label(self, run_id: str) -> str:
        return self._labels.get(run_id, run_id)

    # --- effects ---

    def _try(self, idempotency_key: str) -> int:
        self._tries[idempotency_key] += 1
        return self._tries[idempotency_key]

    def _effect_struck(self, _key: str, injection: Injection) -> None:
        self._struck(injection.name, injection.kind)

    # --- moments ---

    def _schedule(self, kind: str, name: str, strike: Callable[[Injection], None]) -> None:
        """Let this kind of fault strike what is called so, if it does: at a moment that is more likely an early one."""
        injection = self._injected.of_moment(self._chance, kind, name)
        if injection is not None:
            seconds = moment_of(self._chance, kind, name)
            self._moments.append(asyncio.get_running_loop().call_later(seconds, strike, injection))

    def _crash(self, injection: Injection) -> None:
        self._struck(injection.name, injection.kind)
        self._die()

    def _jump(self, injection: Injection) -> None:
        self._struck(injection.name, injection.kind)
        self._offset_us += round(seconds_of(injection, self._chance) * 1e6)

    def _cancel(self, run_id: str, injection: Injection) -> None:
        if run_id in self._drivers:
            self._struck(injection.name, injection.kind)
            self._hear(Request(f"cancel-{run_id}", run_id, "cancel", BY, injection.name))

    def _shifted_now_us(self) -> int:
        return clock.now_us() + self._offset_us

    def _struck(self, name: str, kind: str) -> None:
        """Said before it happens: a process that was killed says nothing."""
        if kind not in IMPOSSIBLE:
            after = f"; go on without faults: {self._resume}" if kind in _STOPPING else ""
            log.warning("injected on purpose: %s%s", name, after)


def document(faults: Faults, seed: int) -> bytes:
    """What a run is marked with: the faults and the seed of their draws, as canonical JSON."""
    declared: dict[str, Any] = decode(faults.document)
    encoded: bytes = encode_canonical({**declared, "seed": seed})
    return encoded


def impossible(faults: Faults) -> Iterator[str]:
    """The kinds among these faults that can't be injected into a real run, each once."""
    yield from sorted({fault.fault for fault in faults.faults} & IMPOSSIBLE)


class _MarkedJournal(FaultyJournal):
    """Writes the team and the faults themselves unharmed: without them a run could be neither marked nor resumed.

    opened: is told of each run that is about to be opened.
    """

    def __init__(
        self,
        inner: Journal,
        faults: Faults,
        chance: Chance,
        *,
        die: Callable[[], None],
        note: Callable[[str, str], None],
        opened: Callable[[str, Opening], None],
    ) -> None:
        super().__init__(inner, faults, chance, name=PROCESS, die=die, lose=lambda: None, note=note)
        self._opened = opened

    def append(
        self,
        run_id: str,
        expected_seq: int,
        events: Sequence[AnyEvent],
        *,
        opening: Opening | None = None,
        **beside: Any,
    ) -> "asyncio.Future[None]":
        """See ports.Journal."""
        if opening is not None:
            self._opened(run_id, opening)
        return super().append(run_id, expected_seq, events, opening=opening, **beside)

    async def put_blob(self, data: bytes) -> str:
        """See ports.Journal."""
        return await self.inner.put_blob(data)
