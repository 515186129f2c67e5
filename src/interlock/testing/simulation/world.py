"""One simulated world: a team at work in virtual time, in processes that die, with faults that one seed decides.

The engine, the machine and the assessment are the real ones. Simulated are time, the disk, what agents take and
answer, and the end of processes. Everything follows from the team, the requests and the seed: the same world twice is
the same, byte for byte.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, cast, get_args

import msgspec

from interlock.agents.function import FunctionAdapter
from interlock.core import events as e
from interlock.core.job import Job
from interlock.core.rules import Rules
from interlock.engine.cancelling import cancel
from interlock.engine.family import Crew
from interlock.engine.run import Run
from interlock.errors import JournalError, RunInterrupted, describe
from interlock.ports import Adapter, LetterRow, Opening, Performer
from interlock.team import Team
from interlock.testing.chance import Chance
from interlock.testing.fakes import Code, Seeded, answer_of
from interlock.testing.injection.adapters import FaultyAdapter
from interlock.testing.injection.faults import Faults, Injection, moment_of, seconds_of
from interlock.testing.injection.performers import FaultyPerformer

from .account import Account, Broken
from .account.effects import EffectAccount
from .account.views import ViewHashes
from .checks import Outcome, check_replay
from .disks import Disk, MemoryDisk, SqliteDisk
from .episode import Episode, Happening, Struck, became_of
from .forks import check_fork
from .gates import GateAccount, Gates
from .kin import check_child, check_share, check_told
from .kin import check_the_end as check_kin
from .loop import START_US, Timeline
from .notices import Notices
from .outside import Outside
from .process import BATCH, Call, Process
from .senders import Senders
from .traffic import Traffic

# After so many deaths a world has no more of them, so that it comes to an end.
DEATHS_MAX = 12
PROCESSES_MAX = 150
SECONDS_MAX = 1_000 * 86_400.0
RESTART_SECONDS = (0.0, 1.0, 30.0, 7_200.0)
# A world's engines have room for so many calls and runs at once: for all there are, or for few.
CALLS_MAX = (256, 256, 3)
RUNS_MAX = (256, 256, 1)
# The share of dead letters that are tried again, and after how many attempts nobody does so any more.
REDRIVEN = 0.5
ATTEMPTS_MAX = 12
# After so many durable appends, from any on, one is followed by a whole replay of its run.
REPLAY_EVERY = 16

_OUTCOMES: frozenset[Any] = frozenset(get_args(Outcome))
_ENDED_EFFECT = frozenset({e.EffectDone, e.EffectFailed})
_OF_CHILDREN = frozenset({e.ChildParked, e.ChildEnded, e.ChildAbandoned, e.RunCancelled})

Invariant = Callable[[Account, e.AnyEvent], str | None]

_encode = msgspec.json.encode


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is made of, but for its seed.

    agents: the code of each agent, to be called in virtual time. nested: the same of the teams that are nested in it,
    by their hashes. requests: each becomes a run. rows: which of them, where not all. invariants: beside the built-in
    ones, called after each event. calm: no delays but those of faults, and nobody who decides anything. sqlite: the
    journal is a real file, and not in memory. people: somebody answers what waits for a person. meddling: somebody has
    single steps tried again or skipped, and forks runs that are over. approve: somebody must approve each plan, within
    a day.
    """

    team: Team
    agents: Mapping[str, Code | Seeded]
    requests: Sequence[bytes]
    nested: Mapping[str, Mapping[str, Code | Seeded]] = {}
    faults: Faults = Faults()
    invariants: Sequence[Invariant] = ()
    rows: Sequence[int] | None = None
    calm: bool = False
    sqlite: bool = False
    people: bool = True
    meddling: bool = False
    approve: bool = False

    @property
    def labels(self) -> Sequence[int]:
        """The number of the request behind each row of the batch."""
        return range(len(self.requests)) if self.rows is None else self.rows


class World:
    """A scene under one seed."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.chance = scene, Chance(seed)
        self.disk: Disk = SqliteDisk() if scene.sqlite else MemoryDisk()
        self.timeline = Timeline(None if scene.calm else self.chance.stream("ties"))
        self.accounts: dict[str, Account] = {}
        self._labels: dict[str, str] = {}
        self.story: list[Happening] = []
        self.broken: Broken | None = None
        self.outside = self._outside = self.timeline.loop()
        self._rules = scene.team.rules
        self._deaths = self._starts = self._starting = self._events = self._folded = self._ids = 0
        self._processes: list[Process] = []
        self._live: set[Process] = set()
        self._wall_us = START_US
        self._news = self._over = False
        self._digest = blake2b(digest_size=16)
        self._struck: list[tuple[str, str, Job | None, int]] = []
        self.clock_is_steady = True
        self._hashes = ViewHashes()
        self._until_replay = self.chance.pick(range(REPLAY_EVERY), "replays")
        self.calls_max = CALLS_MAX[0] if scene.calm else self.chance.pick(CALLS_MAX, "calls_max")
        self.runs_max = RUNS_MAX[0] if scene.calm else self.chance.pick(RUNS_MAX, "runs_max")
        self.notices = Notices(self)
        self.senders = Senders(self)
        self._gates = {team.hash: Gates(team.rules) for team in scene.team.teams.values()}
        self._traffic = Traffic(
            scene.team.teams, self.timeline, self.accounts, calls_max=self.calls_max, runs_max=self.runs_max
        )

    # --- its course ---

    def play(self) -> Episode:
        """Let it run to its end, or to the first broken invariant."""
        with _quiet():
            try:
                self._go()
            except Broken as broken:
                self.broken = broken
            finally:
                self._over = True
                for process in self._processes:
                    if process in self._live:
                        process.die()
                    if not process.loop.is_closed():
                        process.loop.bury()
                self._outside.bury()
                self.disk.close()
        return self._episode()

    def _go(self) -> None:
        self._start_process()
        self._plan_cancellations()
        self.senders.plan()
        while not self._all_over():
            self._news = False
            if not self.timeline.run(lambda: self._news, seconds_max=SECONDS_MAX):
                waiting = [run for run, account in self.accounts.items() if account.status == "running"]
                raise Broken("ends", "nothing more can come of this, but not every run is over", (waiting or [""])[0])
            if self.broken is not None:
                raise self.broken
        self._check_the_end()
        self.notices.check_the_end()
        check_kin(self.accounts)

    def _all_over(self) -> bool:
        rows = self.disk.rows()
        complete = sum(row.batch == BATCH for row in rows) == len(self.scene.labels) and all(
            row.status != "running" for row in rows
        )
        comes = bool(self._starting and self.has_waits)  # somebody who sees to them
        comes = comes or bool(self.scene.nested and self.disk.asked())
        return complete and not comes and all(process.fenced for process in self._live)

    def _start_process(self) -> None:
        self._starts += 1
        self._starting -= self._starting > 0
        if self._starts > PROCESSES_MAX:
            self.break_(Broken("ends", f"{PROCESSES_MAX} processes were not enough to end every run"))
            return
        process = Process(self, self._starts)
        self._live.add(process)
        self._processes.append(process)
        self._tell(process.number, "process started")
        for injection, at in self._moments(f"process-{process.number}", ("crash", "clock_jump")):
            happen = partial(self._crash, process) if injection.kind == "crash" else self._jump
            self._outside.call_later(at, happen, injection)

    def start_process_later(self) -> None:
        """Somebody notices, sooner or later, and starts another one."""
        delay = 0.0 if self.scene.calm else self.chance.pick(RESTART_SECONDS, "restart", self._starts)
        self._starting += 1
        self._outside.call_later(delay, self._start_process)

    def _moments(self, name: str, kinds: Iterable[str]) -> list[tuple[Injection, float]]:
        found = []
        for kind in kinds:
            injection = self.scene.faults.of_moment(self.chance, kind, name)
            if injection is not None:
                found.append((injection, moment_of(self.chance, kind, name)))
        return found

    def _plan_cancellations(self) -> None:
        for row, label in enumerate(self.scene.labels):
            for injection, at in self._moments(f"run-{label}", ("cancel",)):
                self._outside.call_later(at, self._cancel, f"{BATCH}-{row}", injection)

    def _crash(self, process: Process, injection: Injection) -> None:
        if process in self._live and self._deaths < DEATHS_MAX:
            self.struck(injection.name, "crash", f"process {process.number} is killed", process.number)
            process.die()

    def _jump(self, injection: Injection) -> None:
        seconds = seconds_of(injection, self.chance)
        self.struck(injection.name, "clock_jump", f"the clock jumps by {seconds:+,.3f} s", 0)
        self._wall_us += round(seconds * 1e6)
        self.clock_is_steady = False
        for account in self.accounts.values():
            account.clock_is_steady = False

    def _cancel(self, run_id: str, injection: Injection) -> None:
        if run_id in self.accounts:
            self.struck(injection.name, "cancel", f"somebody cancels run {run_id}", 0)
            self._outside.create_task(self._ask_to_cancel(run_id))

    async def _ask_to_cancel(self, run_id: str) -> None:
        journal = self.visitor()
        if self.accounts[run_id].status in {"running", "parked"}:
            self._traffic.cancel_asked(run_id)
        try:
            await cancel(journal, run_id, by="person:sim", now_us=self.now_us)
        except JournalError as error:
            self._tell(0, f"the cancellation was not answered: {error.message}", run_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told as a broken promise
            self.break_(Broken("engine", f"cancelling failed: {describe(error)}", run_id))
        finally:
            await journal.close()
            self._news = True

    def visitor(self) -> Any:
        """A handle on the journal for somebody who drives nothing."""
        return self.disk.open(None, partial(self.durable, None))

    def look(self) -> None:
        """Something may have moved a run that nobody drives: somebody sees to it."""
        self._news = True
        if not self._live and not self._starting and not self._over and not self._all_over():
            self.start_process_later()

    # --- what is told to it ---

    def now_us(self) -> int:
        """The wall clock, in microseconds since 1970."""
        return self._wall_us + round(self.timeline.now * 1e6)

    def durable(
        self, process: Process | None, run_id: str, events: Sequence[e.AnyEvent], opening: Opening | None
    ) -> None:
        """Events have become durable."""
        number = process.number if process else 0
        account = self.accounts.get(run_id)
        self._folded += len(events)
        try:
            if account is None:
                team = opening.team if opening is not None else self.scene.team.hash
                account = self.accounts[run_id] = Account(run_id, self.scene.team.teams[team].rules, self._hashes)
                account.team, account.parent = team, getattr(events[0], "parent", None)
                account.clock_is_steady = self.clock_is_steady
                self._check_row(run_id, opening, events)
            self._traffic.check_driver(account, process, events)
            self._digest.update(f"{self.timeline.now!r} {number} {run_id}\n".encode())
            for event in events:
                self._events += 1
                self.story.append(Happening(self.timeline.now, number, "event", run_id, event))
                account.hear(event)
                self._gates[account.team].hear(account, event, self._gates_above(account), self.now_us())
                self._digest.update(account.encoded[-1])
                kind = type(event)
                if kind in _OUTCOMES:
                    self._traffic.check_outcome(account, cast("Outcome", event))
                elif kind in _ENDED_EFFECT:
                    self._traffic.check_effect(account, cast("e.EffectDone", event))
                elif kind is e.BudgetRaised and cast("e.BudgetRaised", event).budget == "share":
                    check_share(self.accounts, account, cast("e.BudgetRaised", event))
                elif kind in _OF_CHILDREN:
                    self._told_of_children(account, event)
                for invariant in self.scene.invariants:
                    said = _verdict(invariant, account, event)
                    account.require(_name_of(invariant), not said, said or "")
            if not self._until_replay:
                self._check_replay(account)
            self._until_replay = (self._until_replay or REPLAY_EVERY) - 1
        except Broken as broken:
            self.break_(broken)

    def _gates_above(self, account: Account) -> list[GateAccount]:
        """The gates of the teams above that of a run, the nearest first."""
        found: list[GateAccount] = []
        while account.parent is not None:
            account = self.accounts[account.parent.run_id]
            found += self._gates[account.team].of_all
        return found

    def _told_of_children(self, account: Account, event: e.AnyEvent) -> None:
        if isinstance(event, e.ChildParked | e.ChildEnded):
            check_told(self.accounts, account, event)
        elif isinstance(event, e.RunCancelled | e.ChildAbandoned):
            self._cancelled_below(account, event)

    def _cancelled_below(self, account: Account, event: e.RunCancelled | e.ChildAbandoned) -> None:
        """Runs that do steps are asked to cancel themselves."""
        mine = [one.started.run_id for one in account.children.values() if not one.ended]
        for run_id in mine if isinstance(event, e.RunCancelled) else [event.run_id]:
            below = self.accounts.get(run_id)
            if below is not None and below.status in {"running", "parked"}:
                self._traffic.cancel_asked(run_id)

    def call_began(self, process: Process, job: Job) -> Call:
        """An agent is handed a job."""
        account = self.accounts[job.run_id]
        call = self._traffic.call_began(account, job)
        try:
            account.see_call(job)
            self._traffic.check_call(process, account, call)
        except Broken as broken:
            self.break_(broken)
        return call

    def wants_again(self, letter: LetterRow) -> bool:
        """Whether somebody tries a dead letter again: not for ever, and not where nothing unforeseen may happen."""
        name = ("redrive", self.label(letter.run_id), letter.step, letter.attempts)
        possible = letter.batch == BATCH and letter.attempts < ATTEMPTS_MAX and not self.scene.calm
        return possible and self.chance.share(*name) < REDRIVEN

    def new_id(self) -> str:
        """That of the batch, and then of forks."""
        self._ids += 1
        return f"fork-{self._ids}" if self.disk.has_batch() else BATCH

    def left_virtual_time(self, job: Job, sentence: str) -> None:
        """An agent's own code needs the real world: whatever the simulation says of this team would deceive."""
        self.break_(Broken("virtual_time", f"{job.agent}: {sentence}; give it a fake", job.run_id))

    def run_ended(self, process: Process, run: Run) -> None:
        """The engine yields a run."""
        if process.dead:
            return
        self._tell(process.number, f"run {run.status}", run.run_id)
        account = self.accounts[run.run_id]
        if run.status == "parked" and (self.has_waits or self.scene.nested or _has_expired_since(account.events)):
            return  # its deadline had passed when it was parked, and its engine went on before this was heard
        if run.status == "failed" and self.scene.nested and account.status != "failed":
            return  # the run above has had it tried again before this was heard
        try:
            self._traffic.check_stopped(process, account)
            told = (run.status, run.steps, _encode(run.context.to_dict()), run.cost)
            meant = (account.status, account.states, account.encoded_context, account.cost)
            for name, one, other in zip(("status", "steps", "context", "cost"), told, meant, strict=True):
                account.require_same("result", f"the {name} of the result", one, other)
        except Broken as broken:
            self.break_(broken)

    def struck(self, name: str, kind: str, sentence: str, process: int, job: Job | None = None) -> None:
        """A fault has struck."""
        lost = self.accounts[job.run_id].steps[job.step].lost if job is not None else 0
        self._struck.append((name, kind, job, lost))
        if job is None:  # a broken call has an event of its own
            self.story.append(Happening(self.timeline.now, process, "fault", "", sentence))

    def process_died(self, process: Process) -> None:
        """It was killed."""
        self._live.discard(process)
        if self._over:
            return
        self._deaths += 1
        self._tell(process.number, "process died")
        self._outside.call_soon(process.loop.bury)
        if not process.fenced:
            self.start_process_later()

    def process_ended(self, process: Process) -> None:
        """Its work is over, or has failed."""
        if process.dead:
            return
        error = None if process.task.cancelled() else process.task.exception()
        self._live.discard(process)
        process.disk.die()
        for complaint in process.loop.complaints:
            what = complaint.get("exception") or complaint.get("message", "")
            self.break_(Broken("engine", f"nobody caught this: {what!r:.300}"))
        self._tell(process.number, "process ended" + (f": {describe(error)}" if error else ""))
        expected = process.excused and isinstance(error, JournalError | RunInterrupted)
        if error is not None and not expected:
            self.break_(Broken("engine", f"the engine failed: {describe(error)}"))
        self._news = True
        if not process.fenced and not self._all_over():
            self.start_process_later()

    def break_(self, broken: Broken) -> None:
        """An invariant doesn't hold: the first one counts."""
        if self.broken is None:
            self.broken = broken
        self._news = True

    def _tell(self, process: int, what: str, run_id: str = "") -> None:
        self.story.append(Happening(self.timeline.now, process, what, run_id))

    # --- what it checks itself ---

    def _check_row(self, run_id: str, opening: Opening | None, events: Sequence[e.AnyEvent]) -> None:
        first = events[0]
        if isinstance(first, e.RunStarted) and first.parent is not None:
            check_child(self.accounts, run_id, first, first.parent)
            return
        if isinstance(first, e.RunStarted) and first.origin is not None:
            check_fork(self.accounts[first.origin.run_id], first.origin, events)
            return
        fits = opening is not None and run_id == f"{BATCH}-{opening.row}" and opening.row < len(self.scene.labels)
        if not fits:
            raise Broken("rows", f"run {run_id} is started for {opening}", run_id)

    def _check_replay(self, account: Account) -> None:
        self._folded += len(account.events)
        check_replay(account, self.disk.stored(account.run_id), self.disk.row(account.run_id))

    def _check_the_end(self) -> None:
        for account in self.accounts.values():
            self._check_replay(account)
        rows = {row.run_id for row in self.disk.rows() if row.batch == BATCH}
        if rows != {f"{BATCH}-{n}" for n in range(len(self.scene.labels))}:
            raise Broken("rows", f"the runs of the batch are {sorted(rows)}")

    # --- its parts ---

    def label(self, run_id: str) -> str:
        """What a run is called in draws: by its request, whichever row that has become."""
        label = self._labels.get(run_id)
        if label is None:
            label = self._label(run_id)
            if run_id in self.accounts:
                self._labels[run_id] = label
        return label

    def _label(self, run_id: str) -> str:
        first = self.accounts[run_id].events[0] if run_id in self.accounts else None
        if type(first) is e.RunStarted and first.origin is not None:
            return self.label(first.origin.run_id)
        if isinstance(first, e.RunStarted) and first.parent is not None:
            return f"{self.label(first.parent.run_id)}/{first.parent.step}/{first.parent.attempt}"
        return f"run-{self.scene.labels[int(run_id.rpartition('-')[2])]}"

    @property
    def faults_of_writes(self) -> Faults:
        """The faults of the journal, until there were deaths enough."""
        return self.scene.faults if self._deaths < DEATHS_MAX else Faults()

    @property
    def has_waits(self) -> bool:
        """Whether a run goes on by itself because a time has come."""
        roles = (role for team in self.scene.team.teams.values() for role in team.rules.roles.values())
        bounded = any(role.nested is not None and role.policy.timeout_ms for role in roles)
        return bounded or any(team.rules.waits for team in self.scene.team.teams.values())

    def rules_of(self, run_id: str) -> Rules:
        """What a run is held to."""
        return self.accounts[run_id].first_rules

    def crews(self, process: Process) -> list[Crew]:
        """The teams that are nested in the one of this world, as a process runs them."""
        teams = [*self.scene.team.teams.values()][1:]
        return [Crew(team, process.adapters(team), self.performers(process, team.rules)) for team in teams]

    def adapter(self, agent: str, team: Team) -> Adapter:
        """The agent as this world's engines call it."""
        code: Any = (self.scene.agents if team is self.scene.team else self.scene.nested[team.hash])[agent]
        if hasattr(code, "seeded"):
            code = code.seeded(self.chance, self.label, calm=self.scene.calm)
        return FaultyAdapter(
            FunctionAdapter(partial(answer_of, code)),
            team.rules,
            self.scene.faults,
            self.chance,
            label=self.label,
            reissues=lambda job: self.accounts[job.run_id].steps[job.step].lost,
            note=lambda job, injection: self.struck(injection.name, injection.kind, "", 0, job),
        )

    def performers(self, process: Process, rules: Rules) -> dict[str, Performer]:
        """What performs a team's effects in a process."""
        return {
            name: FaultyPerformer(
                Outside(self, process, name),
                name,
                rules,
                self.scene.faults,
                self.chance,
                label=self.label,
                number=lambda key: self._effect(key).begun - self._effect(key).lost,
                note=partial(self._effect_struck, process),
            )
            for name in rules.effects
        }

    def _effect(self, idempotency_key: str) -> EffectAccount:
        """The effect that is performed under this key."""
        return self.asking(idempotency_key).effects.under(idempotency_key)

    def asking(self, idempotency_key: str) -> Account:
        """The run that has an effect performed under this key now; a fork may, in the place of its origin."""
        first = self.accounts[idempotency_key.partition("/")[0]]
        going = (one for one in self.accounts.values() if one.status == "running")
        return next((one for one in going if one.effects.is_open(idempotency_key)), first)

    def _effect_struck(self, process: Process, idempotency_key: str, injection: Injection) -> None:
        if not process.dead:
            self._effect(idempotency_key).refused += injection.kind == "effect_error"
            self.struck(injection.name, injection.kind, f"injected: {injection.name}", process.number)

    def _episode(self) -> Episode:
        asked_for = [account for run_id, account in self.accounts.items() if run_id.startswith(f"{BATCH}-")]
        return Episode(
            seed=self.chance.seed,
            digest=self._digest.hexdigest(),
            events=self._events,
            folded=self._folded + sum(process.journal.loaded for process in self._processes),
            seconds=self.timeline.now,
            statuses=dict(Counter(account.status for account in asked_for)),
            reasons=[(account.status, account.reason) for account in asked_for if account.reason],
            struck=[self._fate_of(*struck) for struck in self._struck],
            writes=self._processes[0].journal.writes if self._processes else 0,
            broken=self.broken,
            story=self.story,
            runs=self.accounts,
        )

    def _fate_of(self, name: str, kind: str, job: Job | None, lost: int) -> Struck:
        if job is None:
            return Struck(name, kind, "", tuple(account.status for account in self.accounts.values()))
        account = self.accounts[job.run_id]
        return Struck(name, kind, became_of(account, job, lost), (account.status,))


def _verdict(invariant: Invariant, account: Account, event: e.AnyEvent) -> str | None:
    try:
        said: Any = invariant(account, event)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's check may fail in any way: no good sign either
        return f"it raised {describe(error)}"
    if said is None or isinstance(said, str):
        return said
    return f"an invariant returns what is wrong as a text, or None; it returned {said!r:.80}"


def _name_of(invariant: Invariant) -> str:
    return getattr(invariant, "__name__", type(invariant).__name__)


@contextmanager
def _quiet() -> Any:
    """Warnings about agents that misbehave on purpose are no news."""
    log = logging.getLogger("interlock")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def _has_expired_since(events: Sequence[e.AnyEvent]) -> bool:
    """Whether a deadline has set a run going again since it was parked last."""
    parked = max((n for n, event in enumerate(events) if isinstance(event, e.RunParked)), default=len(events))
    return any(isinstance(event, e.QuestionExpired) for event in events[parked:])
