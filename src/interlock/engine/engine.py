"""Drives many runs of one team on one journal, within bounds, and stops in good order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec

from interlock.core import events as e
from interlock.core import given
from interlock.core.decision import Verb, decided
from interlock.core.machine import Machine
from interlock.core.naming import is_id
from interlock.errors import InputError, RunInterrupted, StaleDriver
from interlock.ids import new_id, row_run_id
from interlock.ports import Adapter, Batch, Journal, Opening, Performer, Request, RunRow, Secrets, WaitingQuestion
from interlock.team import Team

from . import clock, tasks
from .approval import approval_of
from .breakers import move_breaker, policy_of
from .cancelling import cancel
from .decisions import accept, decide, folded, refuse_secrets, request_of
from .deliveries import addressee, event_id_in, event_request
from .driver import Driver
from .family import Crew, by_its_team, gates_name
from .gates import Gatekeeper
from .notifier import Notifier
from .partials import Hearer
from .performances import slot_of
from .redriving import unless_stopped
from .resuming import Resuming
from .run import Run
from .shell import Observer, Shell
from .slots import Slots
from .watchdog import Watchdog

CALLS_MAX = 256
RUNS_MAX = 256


class Engine(Resuming):
    """Runs a team. Use it as an async context manager.

    calls_max, runs_max: calls and runs in flight at once. watch: name agents that block the loop, from a thread.
    now_us, ids: where time (microseconds since 1970) and new ids (from such a time) come from. faults: the document of
    the faults that the adapters inject on purpose; it is kept in the journal, and new runs are marked with its hash.
    secrets: what neither a request nor a reply may hold, and nothing tells.
    hearer: told what agents say before they have finished. release: ends what the adapters share, when they
    are closed. performers: what performs the team's effects, by name. notifier: tells people what waits for them.
    nested: the teams that are nested in this one, however deep. above: the engine of which it is a part, for those.
    """

    def __init__(  # noqa: PLR0913 - the seams, by name
        self,
        team: Team,
        adapters: Mapping[str, Adapter],
        journal: Journal,
        *,
        calls_max: int = CALLS_MAX,
        runs_max: int = RUNS_MAX,
        observers: Sequence[Observer] = (),
        watch: bool = True,
        now_us: Callable[[], int] = clock.now_us,
        ids: Callable[[int], str] = new_id,
        faults: bytes = b"",
        secrets: Secrets | None = None,
        hearer: Hearer | None = None,
        release: Callable[[], Awaitable[None]] | None = None,
        performers: Mapping[str, Performer] | None = None,
        notifier: Notifier | None = None,
        nested: Sequence[Crew] = (),
        above: "Engine | None" = None,
    ) -> None:
        self.team, self.journal = team, journal
        self._rules = team.rules
        self._source = str(team.path or "") if above is None else above._source
        performers = performers or {}
        bounds = {**_bounds(team, adapters), **_bounds_of_effects(performers)}
        slots = Slots(calls_max, bounds) if above is None else above._shell.slots.part(team.hash, bounds)
        policies = {name: role.gate for name, role in self._rules.roles.items()}
        self._name = gates_name(team.name, self._source, team.hash, nested=above is not None)
        self._notifier, noticing = notifier, notifier.noticing if notifier is not None else None
        gates = Gatekeeper(journal, policies, self._rules.gate, self._name, now_us, noticing)
        observers = [*observers, *([noticing.observe] if noticing is not None else ())]
        self._shell = Shell(journal, gates, adapters, slots, now_us, observers, secrets, hearer, performers, noticing)
        self._room = asyncio.Semaphore(runs_max)
        self._runs_max, self._now_us, self._new_id = runs_max, now_us, ids
        self._drivers: dict[str, Driver] = {}
        self._watchdog = Watchdog() if watch else None
        self._team_hash = self._faults_hash = ""
        self._faults, self._release = faults, release
        # Requests that are being taken already, by id; and the tasks that go on with parked runs.
        self._deciding: set[str] = set()
        # Runs whose deadlines somebody here sees to already; and whoever looks out for more of them.
        self._expiring: set[str] = set()
        self._watch: asyncio.Task[None] | None = None
        self._parked = asyncio.Event()
        self._woken: set[asyncio.Task[None]] = set()
        self._family: dict[str, Engine] = {team.hash: self}
        self._shell.nest = self if nested or above is not None else None
        for crew in nested:
            self._family.setdefault(crew.team.hash, self._nested(crew, observers))

    def _nested(self, crew: Crew, observers: Sequence[Observer]) -> "Engine":
        """The engine of a team that is nested in this one: they share all that isn't one team's."""
        shell = self._shell
        inner = Engine(
            crew.team,
            crew.adapters,
            self.journal,
            observers=observers,
            watch=False,
            now_us=self._now_us,
            ids=self._new_id,
            faults=self._faults,
            secrets=shell.secrets,
            hearer=shell.hearer,
            release=crew.release,
            performers=crew.performers,
            notifier=crew.notifier,
            above=self,
        )
        inner._family, inner._drivers, inner._room = self._family, self._drivers, self._room
        inner._deciding, inner._expiring, inner._woken = self._deciding, self._expiring, self._woken
        inner._parked = self._parked
        return inner

    async def __aenter__(self) -> Self:
        if self._shell.secrets is not None:
            self._shell.secrets.refresh()
        for engine in self._family.values():
            engine._team_hash = await self.journal.put_blob(engine.team.document)
        if self._faults:
            faults = await self.journal.put_blob(self._faults)
            for engine in self._family.values():
                engine._faults_hash = faults
        self.journal.listen(self._hear)
        if any(engine._has_deadlines() for engine in self._family.values()):
            self._watch = tasks.spawn(self._watch_deadlines())
        if self._watchdog is not None:
            self._watchdog.start()
        for engine in self._family.values():
            if engine._notifier is not None:
                engine._notifier.start(self.journal, self._now_us)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        for engine in self._family.values():
            engine._shell.stopping = True
        for run_id, driver in self._drivers.items():
            driver.fail(RunInterrupted(f"run {run_id} was stopped: its engine was closed", fix="resume it"))
        await tasks.cancel_all(self._woken | ({self._watch} if self._watch else set()))
        while self._drivers:  # noqa: ASYNC110 - their tasks end as soon as they have their turn
            await asyncio.sleep(0)
        for engine in self._family.values():
            await tasks.end_or_leave(engine._shell.ending)
            if engine._notifier is not None:
                await engine._notifier.close()
        await self._close()

    async def _close(self) -> None:
        """Close all that is behind it, the adapters first. Where one fails, the others are closed all the same."""
        async with AsyncExitStack() as closing:  # the last that it hears of is the first to be closed
            closing.push_async_callback(self.journal.close)
            for engine in self._family.values():
                if engine._release is not None:
                    closing.push_async_callback(engine._release)
                for performer in engine._shell.performers.values():
                    closing.push_async_callback(performer.close)
                for adapter in engine._shell.adapters.values():
                    closing.push_async_callback(adapter.close)

    # --- runs ---

    async def run(
        self, request: Mapping[str, Any], *, run_id: str | None = None, approve_plan: bool | str = False
    ) -> Run:
        """Run the team for one request, to its end or until only a person can move it.

        request: the initial context, plain JSON. approve_plan: a person must approve the plan first, or what a planner
        proposes; or must within so long, such as `2h`. Raises InputError, and RunInterrupted when the engine stops
        first.
        """
        raw, approval = self.request(request), approval_of(self._rules, approve_plan)
        if run_id is not None and not is_id(run_id):
            raise InputError(f"{run_id!r:.100} is not a run id", fix="use letters, digits, _ and -, at most 80")
        async with self._room:
            run_id = run_id or self._new_id(self._now_us())
            opening = Opening(self._team_hash, self._rules.plan.hash, self._source)
            return await self._start(run_id, raw, opening, approval)

    def request(self, request: Any) -> bytes:
        """A request as the JSON it is stored as, for `open_batch`. Raises InputError."""
        raw, secrets = self._rules.encode_request(request), self._shell.secrets
        if secrets is not None and (name := secrets.among(raw)):
            message = f"the request holds the value of {name}, which is secret, and a journal keeps requests"
            raise InputError(message, fix="leave it out")
        return raw

    async def _start(self, run_id: str, raw: bytes, opening: Opening, approval: e.PlanApproval | None = None) -> Run:
        if self._shell.stopping:
            raise RunInterrupted(f"run {run_id} was not started: the engine is stopping", fix="start it again")
        pinned = (opening.team, opening.plan, e.FORMAT_VERSION, self._faults_hash)
        started = e.RunStarted(self._now_us(), msgspec.Raw(raw), *pinned, approval=approval, chosen=self._chosen(raw))
        if approval is not None and approval.deadline_ms:
            self._watch = self._watch or tasks.spawn(self._watch_deadlines())
        return await self._drive(run_id, Machine(self._rules), [started], opening, opening.row)

    def _chosen(self, raw: bytes) -> e.PlanChosen | None:
        """Why a request has the plan of this team, where it has several."""
        chosen = self.team.chosen
        return None if chosen is None else e.PlanChosen(chosen.plan, chosen.why(msgspec.json.decode(raw)))

    async def _drive(
        self, run_id: str, machine: Machine, facts: list[e.AnyEvent], opening: Opening | None, row: int
    ) -> Run:
        if run_id in self._drivers:
            raise StaleDriver(f"run {run_id} is being driven already")
        driver = self._drivers[run_id] = Driver(self._shell, run_id, machine)
        try:
            await driver.drive(facts, opening)
        finally:
            del self._drivers[run_id]
            self._parked.set()
            for request in driver.undecided:
                self._wake(request)
        if machine.status == "running":
            raise RunInterrupted(f"run {run_id} was stopped before its end", fix="go on with: interlock resume")
        await self._tell_above(machine)
        return Run.of(run_id, machine, row)

    # --- batches ---

    async def open_batch(self, requests: Sequence[bytes], origin: str) -> Batch:
        """Store many requests, each as `request` gives it, before the first of them runs. Raises InputError."""
        given.text("origin", origin)
        if not isinstance(requests, Sequence) or not all(isinstance(one, bytes) for one in requests):
            raise InputError("a request of a batch is no JSON", fix="give each as Orchestrator.request returns it")
        now = self._now_us()
        batch = Batch(self._new_id(now), self._team_hash, self._source, origin, now, len(requests))
        await self.journal.open_batch(batch, requests)
        return batch

    async def run_batch(self, batch: Batch, width: int | None = None) -> AsyncIterator[Run]:
        """Run the rows of a batch that have no run yet, at most `width` at once; yields runs as they end.

        Ends early, without an error, when the engine stops.
        """
        given.whole("width", width or self._runs_max, 1)
        plan_hash = self._rules.plan.hash

        async def start(row: int, raw: bytes) -> Run | None:
            opening = Opening(self._team_hash, plan_hash, self._source, batch.batch_id, row)
            async with self._room:
                return await unless_stopped(self._start(row_run_id(batch.batch_id, row), raw, opening))

        async for run in tasks.each(
            self._until_stop(self.journal.pending(batch.batch_id)), lambda i: start(*i), width or self._runs_max
        ):
            if run is not None:
                yield run

    async def _until_stop(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for item in items:
            if self._shell.stopping:
                return
            yield item

    # --- cancelling and stopping ---

    async def cancel(self, run_id: str, *, by: str = "program", reason: str = "") -> RunRow:
        """Cancel a run, whoever drives it; see `cancel`."""
        given.texts(run_id=run_id, by=by, reason=reason)
        driver = self._drivers.get(run_id)
        if driver is None:
            row = await cancel(self.journal, run_id, by=by, reason=reason, now_us=self._now_us)
            if row.parent:
                await self._take_up(row.parent)
            return row
        driver.deliver(Request(f"cancel-{run_id}", run_id, "cancel", by, reason))
        await driver.ended()
        return await self.journal.run(run_id)

    def _hear(self, request: Request) -> None:
        driver = self._drivers.get(request.run_id)
        if driver is not None and driver.deliver(request):
            return
        self._wake(request)

    # --- people ---

    async def inbox(self, run_id: str = "") -> list[WaitingQuestion]:
        """What waits for a person, in one run or in all of the journal, the oldest first."""
        given.text("run_id", run_id)
        return await self.journal.questions(run_id)

    @by_its_team
    async def decide(  # noqa: PLR0913 - what a person may say, by name
        self,
        run_id: str,
        step: str,
        verb: Verb,
        *,
        by: str,
        text: str = "",
        writes: Mapping[str, Any] | None = None,
        reason: str = "",
        attempt: int = 0,
        more: Mapping[str, float] | None = None,
        effect: str = "",
        asked_us: int = 0,
    ) -> Run:
        """Decide about a step that waits for a person, and go on with its run to its end, or until it is parked again.

        verb: answer (`text`, to an agent's question), retry (`text` as advice), approve (the refused reply, or `more`
        of the budget that it asks for: `{"usd": 0.1}`), edit (`writes` over those of the refused reply), write
        (`writes` in the agent's place; dotted path -> JSON or DELETE), reject. by: who decides. attempt, effect,
        asked_us: decide only if it is this one that waits, the effect with this key that it is about, and the question
        of then (the `asked_us` in the inbox). Where another process drives the run, it is returned as it is when the
        decision is journaled.

        Raises DecisionRefused, and leaves the question open, where that can't be done or somebody has decided before;
        InputError, RunNotFound, TeamChanged, RunInterrupted.
        """
        decision = decided(
            step, verb, text=text, writes=writes, attempt=attempt, more=more, effect=effect, asked_us=asked_us
        )
        request = request_of(run_id, decision, by, reason, self._now_us())
        refuse_secrets(request, self._shell.secrets)
        request = await self._covered(request)
        self._deciding.add(request.request_id)
        while (driver := self._drivers.get(run_id)) is not None:
            verdict = await driver.verdict(request)
            accept(run_id, verdict)
            await driver.ended()
            await asyncio.sleep(0)  # whoever drives it is told first
            if verdict is not None:
                return await self._seen(run_id)
        row = await self.journal.run(run_id)
        if row.team != self._team_hash:
            raise await self._changed(row)
        await decide(self.journal, self._rules, request, secrets=self._shell.secrets, now_us=self._now_us)
        if not await self.journal.claim(run_id):
            return await self._seen(run_id)
        async with self._room:
            run = await self._go_on(row, await folded(self.journal, self._rules, run_id))
        return run or await self._seen(run_id)

    @by_its_team
    async def send_event(
        self, run_id: str, event: str, data: Any = None, *, by: str = "program", event_id: str = ""
    ) -> Run:
        """Send an event to a run, for the step that awaits it; returns the run as it is when that is journaled.

        data: what it brings, plain JSON; None for nothing. It is written at the path in the step's `writes`. by: who
        sends it. event_id: two with the same id are one event, however often it is sent. It is kept where no step waits
        for it yet but one may. A parked run goes on beside. Where another run has taken the place of this one, it is
        sent to that.

        Raises EventNotTaken, and nothing has changed, where nothing will ever wait for it or its data don't fit;
        InputError, RunNotFound, TeamChanged.
        """
        request = event_request(run_id, event, data, by, event_id, self._now_us())
        refuse_secrets(request, self._shell.secrets)
        self._deciding.add(request.request_id)
        while (driver := self._drivers.get(run_id)) is not None:
            verdict = await driver.verdict(request)
            accept(run_id, verdict)
            if verdict is not None:
                return await self._seen(run_id)
            await asyncio.sleep(0)
        row = await self.journal.run(run_id)
        if (heir := await addressee(self.journal, row)) is not row:
            return await self.send_event(heir.run_id, event, data, by=by, event_id=event_id_in(request))
        if row.team != self._team_hash:
            raise await self._changed(row)
        await decide(self.journal, self._rules, request, secrets=self._shell.secrets, now_us=self._now_us)
        self._spawn(self._go_on_beside(run_id))
        return await self._seen(run_id)

    async def _seen(self, run_id: str) -> Run:
        """A run as it is in the journal."""
        row = await self.journal.run(run_id)
        return Run.of(run_id, await folded(self.journal, self._rules, run_id), row.row)

    # --- breakers ---

    async def open_breaker(self, agent: str, *, reason: str, by: str = "program") -> None:
        """Keep all calls of an agent away, in every process on this journal, until `reset_breaker`.

        Calls in flight may finish. Raises InputError: no such agent, an agent without a breaker, one that was opened
        so before.
        """
        policy = policy_of(self._rules.roles, agent)
        await move_breaker(self.journal, self._name, agent, policy, "open", by=by, reason=reason, now_us=self._now_us)

    async def reset_breaker(self, agent: str, *, reason: str, by: str = "program") -> None:
        """Close an agent's breaker, whatever had it open. Raises InputError, also where it is closed already.

        Steps that wait for it go on when their wait is over.
        """
        policy = policy_of(self._rules.roles, agent)
        await move_breaker(self.journal, self._name, agent, policy, "closed", by=by, reason=reason, now_us=self._now_us)

    # --- the end ---

    def stop(self) -> None:
        """Take no more work; calls in flight may finish. Every method that runs something then ends early."""
        for engine in self._family.values():
            engine._shell.stopping = True
        for driver in [*self._drivers.values()]:
            driver.look_up()

    @property
    def in_flight(self) -> int:
        """How many runs are being driven."""
        return len(self._drivers)


def _bounds(team: Team, adapters: Mapping[str, Adapter]) -> dict[str, int]:
    """How many calls of each agent may be in flight: what it declares, and what its adapter can do."""
    given = {name: (adapter.slots, team.agents[name].concurrency) for name, adapter in adapters.items()}
    return {name: min(b for b in bounds if b is not None) for name, bounds in given.items() if any(bounds)}


def _bounds_of_effects(performers: Mapping[str, Performer]) -> dict[str, int]:
    return {slot_of(name): performer.slots for name, performer in performers.items() if performer.slots}
