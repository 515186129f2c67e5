"""What an engine does about steps that are done or given up: it tries them again, in their run or in a fork of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from interlock import errors
from interlock.core import events as e
from interlock.core import given
from interlock.core.decision import person
from interlock.core.machine import Machine
from interlock.core.naming import hint
from interlock.core.redrive import dead_steps, obstacle, why_not_again
from interlock.core.rules import Rules
from interlock.core.values import content_hash
from interlock.errors import InputError, RunInterrupted, RunNotFound, StaleDriver, TeamChanged
from interlock.ports import Journal, Opening, Request, RunRow
from interlock.team import Team, difference

from . import tasks
from .children import asks_of
from .decisions import BY_CHARS_MAX, REASON_CHARS_MAX, folded
from .deliveries import addressee
from .driver import Driver
from .family import by_its_team
from .forks import Tried, forked, rules_of
from .forks import refuse_secrets as refuse_secrets_in
from .lost import lost
from .run import Run
from .shell import Shell

# The mend where a run that is tried again was started under another version of the team.
UNDER_THIS_TEAM = "add --team TEAM to have it tried under that team as it is, in a fork (in Python: under_this_team)"


# The beginning of a run's id that the id of what takes its place has, and the hash of the team after it.
MIGRATED_CHARS_MAX = 60
HASH_CHARS = 8


def migrated_id(run_id: str, team: str) -> str:
    """The id of the run that takes the place of another under another team: the same whenever that is done.

    Of a long id only the beginning stands in it, with its hash: a run may be migrated time and again, to and fro.
    """
    if len(run_id) > MIGRATED_CHARS_MAX:
        run_id = f"{run_id[: MIGRATED_CHARS_MAX - HASH_CHARS - 1]}-{content_hash(run_id.encode())[:HASH_CHARS]}"
    return f"{run_id}-{team[:HASH_CHARS]}"


class Redriving:
    """The part of an engine that tries again; the engine itself knows how a run is driven."""

    team: Team
    journal: Journal
    _rules: Rules
    _name: str
    _source: str
    _team_hash: str
    _faults_hash: str
    _shell: Shell
    _room: asyncio.Semaphore
    _runs_max: int
    _drivers: dict[str, Driver]
    decide: Callable[..., Awaitable[Run]]
    _now_us: Callable[[], int]
    _new_id: Callable[[int], str]

    async def _drive(
        self, run_id: str, machine: Machine, facts: list[e.AnyEvent], opening: Opening | None, row: int
    ) -> Run:
        raise NotImplementedError

    async def _go_on(self, row: RunRow, machine: Machine) -> Run | None:
        raise NotImplementedError

    async def _seen(self, run_id: str) -> Run:
        raise NotImplementedError

    def hear(self, request: Request) -> None:
        """Something was asked of a run in an append of another, which is durable."""
        raise NotImplementedError

    def _until_stop(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        raise NotImplementedError

    async def _changed(self, row: RunRow, fix: str = "resume it with the team as it was, or cancel it") -> TeamChanged:
        differences = difference(await self.journal.blob(row.team), self.team.document)
        what = "; ".join(differences) or "it is another team"
        return TeamChanged(f"run {row.run_id} was started under another version of this team: {what}", fix=fix)

    # --- in a run ---

    @by_its_team
    async def redrive(
        self,
        run_id: str,
        steps: Sequence[str] = (),
        *,
        changes: Mapping[str, Any] | None = None,
        by: str = "program",
        reason: str = "",
        under_this_team: bool = False,
    ) -> Run:
        """Try steps of a run again that were given up; without any named, all of them. Returns the run as it ends.

        The run itself goes on where nothing that comes after them has started. Else, and where `changes` set paths of
        what the first of them is shown, it is forked: a new run shares all that was committed, but for what comes after
        a dead step; it tries all of them. by, reason: who does it and why, for the journal. under_this_team: a run that
        was started under another version of the team, or another team, is forked under this one, too.

        Raises RunNotFound, InputError where a step is not dead, a change not possible, or what was committed could not
        be so under this team, StaleDriver where another process drives the run, TeamChanged, RunInterrupted.
        """
        given.text("run_id", run_id)
        given.names("steps", steps)
        given.by_name("changes", {} if changes is None else changes, '{"ticket.text": "..."}')
        given.text("by", by, BY_CHARS_MAX)
        given.text("reason", reason, REASON_CHARS_MAX)
        async with self._room:
            row = await self.journal.run(run_id)
            await self._claim(run_id, "redrive")
            machine = await self._folded(row, under_this_team=under_this_team)
            chosen = _dead(machine, run_id, steps)
            if row.team != self._team_hash or changes or obstacle(machine, chosen):
                return await self._fork(row, machine, Tried(chosen[0], changes or {}, by, errors.hide(reason)))
            return await self._reopen(row, machine, chosen, by, reason)

    async def _reopen(
        self, row: RunRow, machine: Machine, steps: Sequence[str], by: str, reason: str, *, skip: bool = False
    ) -> Run:
        now = max(self._now_us(), machine.at_us)
        reopened = e.RunReopened(now, tuple(steps), by, errors.hide(reason), skip)
        return await self._drive(row.run_id, machine, [reopened, *lost(machine, now)], None, row.row)

    async def redrive_many(
        self,
        letters: Mapping[str, Sequence[str]],
        *,
        by: str = "program",
        reason: str = "",
        under_this_team: bool = False,
        refused: Callable[[str, errors.InterlockError], None],
    ) -> AsyncIterator[Run]:
        """Try the steps of many runs again: run id -> steps. Yields runs as they end; `refused` is told of the others.

        by, reason, under_this_team: as in `redrive`.

        Ends early, without an error, when the engine stops. Who dies in its middle does the rest by asking again for
        what still waits, and resumes what was begun.
        """
        given.by_name("letters", letters, '{"RUN": ["STEP"]}')

        async def again(run_id: str) -> Run:
            steps = letters[run_id]
            return await self.redrive(run_id, steps, by=by, reason=reason, under_this_team=under_this_team)

        async for run in self._each_unless_refused(letters, again, refused):
            yield run

    async def _each_unless_refused(
        self,
        runs: Iterable[str],
        do: Callable[[str], Awaitable[Run]],
        refused: Callable[[str, errors.InterlockError], None],
    ) -> AsyncIterator[Run]:
        """Do this with each of these runs, as many at once as may be driven; yields them as they end."""

        async def attempt(run_id: str) -> Run | None:
            try:
                return await unless_stopped(do(run_id))
            except errors.InterlockError as error:
                refused(run_id, error)
                return None

        async for run in tasks.each(self._until_stop(_each(runs)), attempt, self._runs_max):
            if run is not None:
                yield run

    async def _claim(self, run_id: str, what: str) -> None:
        if run_id in self._drivers or not await self.journal.claim(run_id, ended=True):
            raise StaleDriver(f"run {run_id} is being driven", fix=f"{what} it when it has ended, or cancel it")

    # --- one step ---

    @by_its_team
    async def retry(self, run_id: str, step: str, *, by: str = "program", reason: str = "") -> Run:
        """Have one step of a run tried again in that run: it is dead, or waits for a person. by: a person's name.

        Returns the run as it ends, or is parked again. Raises RunNotFound, TeamChanged, StaleDriver, RunInterrupted;
        DecisionRefused where what the step asks is no matter of trying; InputError for any other step, which says what
        may be done instead.
        """
        return await self._do("retry", run_id, step, by, reason)

    @by_its_team
    async def skip(self, run_id: str, step: str, *, by: str = "program", reason: str = "") -> Run:
        """Let a run go on without one of its steps: it is dead, or waits for a person, a time or an event.

        by: a person's name.

        What needs the step goes on as if its condition had not held. Returns and raises as `retry` does.
        """
        return await self._do("skip", run_id, step, by, reason)

    async def _do(self, verb: Literal["retry", "skip"], run_id: str, step: str, by: str, reason: str) -> Run:
        given.texts(run_id=run_id, step=step)
        given.text("reason", reason, REASON_CHARS_MAX)
        by, anew = person(by), f"run it under this team, in a fork: interlock fork {run_id} --at {step} --team TEAM"
        row = await self.journal.run(run_id)
        await self._refuse_replaced(row, f"{verb} HEIR {step}")
        machine = await self._folded(row, under_this_team=False, fix=anew)
        n = machine.number.get(step, 0)
        asked = machine.questions.get(n)
        if asked is not None or (verb == "skip" and n in machine.waits):
            asked_us = asked.asked_us if asked is not None else 0
            return await self.decide(run_id, step, verb, by=by, reason=reason, asked_us=asked_us)
        async with self._room:
            await self._claim(run_id, verb)
            row = await self.journal.run(run_id)
            machine = await self._folded(row, under_this_team=False)
            if problem := why_not_again(machine, run_id, step, skip=verb == "skip"):
                what = "tried again" if verb == "retry" else "skipped"
                raise InputError(f"step {step!r:.100} of run {run_id} can't be {what}: {problem[0]}", fix=problem[1])
            return await self._reopen(row, machine, [step], by, reason, skip=verb == "skip")

    # --- in a fork ---

    @by_its_team
    async def fork(
        self,
        run_id: str,
        at: str,
        *,
        changes: Mapping[str, Any] | None = None,
        by: str = "program",
        reason: str = "",
        under_this_team: bool = False,
        repeat_effects: bool = False,
    ) -> Run:
        """Run a step of a run again in a new run, and all that comes after it; returns the new run as it ends.

        at: a step, an item of a for_each, or the id of several copies. The new run shares all else that was committed;
        what was not, it does, and what is dead is tried again with all that comes after that. The old run stays as it
        is. changes: paths of what the step is shown -> values. by, reason: for the journal. under_this_team: as in
        `redrive`. repeat_effects: perform the effects again of what is done again; else those that were performed stay
        so.

        Raises RunNotFound, InputError where there is no such step, the run is not over, a change is not possible, or
        what was committed could not be so under this team; TeamChanged, RunInterrupted.
        """
        given.texts(run_id=run_id, at=at)
        given.by_name("changes", {} if changes is None else changes, '{"ticket.text": "..."}')
        given.text("by", by, BY_CHARS_MAX)
        given.text("reason", reason, REASON_CHARS_MAX)
        async with self._room:
            row = await self.journal.run(run_id)
            machine = await self._folded(row, under_this_team=under_this_team)
            why = by, errors.hide(reason)
            tried = Tried.at_step(machine, at, changes or {}, *why, repeat_effects=repeat_effects)
            return await self._fork(row, machine, tried)

    async def migrate(self, run_id: str, *, by: str = "program", reason: str = "") -> Run:
        """Let a run that was started under another version of the team go on under this one, and return it as it ends.

        A fork takes its place, which shares all that was committed, and the run itself is cancelled. What was in flight
        is begun anew. Its id follows from both, so that whoever dies in the middle of it does the rest by asking again.

        Raises RunNotFound, StaleDriver where another process drives the run, InputError where it is over, was started
        under this very team, or what was committed could not be so under it; RunInterrupted.
        """
        given.text("run_id", run_id)
        given.text("by", by, BY_CHARS_MAX)
        given.text("reason", reason, REASON_CHARS_MAX)
        async with self._room:
            row = await self.journal.run(run_id)
            await self._refuse_replaced(row, "resume HEIR --migrate")
            self._refuse_to_migrate(row)
            await self._claim(run_id, "migrate")
            rules = await rules_of(self.journal, row)
            machine = await folded(self.journal, rules, run_id)
            self._refuse_what_nobody_approved(run_id, machine, rules)
            now, seq, other = max(self._now_us(), machine.at_us), machine.seq, migrated_id(run_id, self._team_hash)
            why = f"it goes on as run {other}, under another version of its team"
            cancelled = e.RunCancelled(now, by, why, other)
            end = [*lost(machine, now), cancelled]
            for fact in end:
                machine.apply(fact)
            if not await self._has_been_migrated(other, run_id):
                tried = Tried("", {}, by, errors.hide(reason), replaces=True)
                facts = await self._forked(row, machine, tried, now)
                opening = Opening(self._team_hash, self._rules.plan.hash, self._source)
                # The fork first: a run that was cancelled, and goes on nowhere, would be lost.
                await self.journal.append(other, 0, facts, opening=opening)
                self._shell.tell(other, facts)
            asks = asks_of(run_id, machine, end)
            await self.journal.append(run_id, seq, end, asks=asks)
            self._shell.tell(run_id, end)
            for request in asks:
                self.hear(request)
            return await self._go_on_with(other)

    async def migrate_many(
        self,
        runs: Iterable[str],
        *,
        by: str = "program",
        reason: str = "",
        refused: Callable[[str, errors.InterlockError], None],
    ) -> AsyncIterator[Run]:
        """Migrate many runs. Yields those that take their places, as they end; `refused` is told of the others."""
        async for run in self._each_unless_refused(runs, partial(self.migrate, by=by, reason=reason), refused):
            yield run

    async def _refuse_replaced(self, row: RunRow, command: str) -> None:
        """Another run goes on in the place of this one: what is asked for here is to be asked for there."""
        if (heir := await addressee(self.journal, row)) is not row:
            fix = f"name that one: interlock {command.replace('HEIR', heir.run_id)}"
            raise InputError(f"run {row.run_id} goes on as run {heir.run_id}", fix=fix)

    def _refuse_to_migrate(self, row: RunRow) -> None:
        if row.team == self._team_hash:
            fix = f"go on with it: interlock resume {row.run_id}"
            raise InputError(f"run {row.run_id} was started under this very team", fix=fix)
        if row.parent:
            message = f"run {row.run_id} does a step of run {row.parent}"
            raise InputError(message, fix=f"migrate that one: interlock resume {row.parent} --migrate")
        if row.status not in {"running", "parked"}:
            fix = f"run a step of it again under this team: interlock fork {row.run_id} --at STEP --team TEAM"
            how = "was cancelled" if row.status == "cancelled" else f"has {row.status}"
            raise InputError(f"run {row.run_id} is over: it {how}", fix=fix)

    def _refuse_what_nobody_approved(self, run_id: str, machine: Machine, rules: Rules) -> None:
        """What a person has approved is what runs: another plan is something else. rules: those that it began with."""
        is_approved = machine.approval is not None and not (machine.waits_for_approval or machine.rejected)
        if is_approved and rules.plan.hash != self._rules.plan.hash:
            message = f"run {run_id} has a plan that a person has approved, and this team has another"
            fix = f"go on with what was approved: interlock resume {run_id} --as-pinned"
            raise InputError(message, fix=fix)

    async def _has_been_migrated(self, other: str, run_id: str) -> bool:
        """Whether the fork that takes the place of a run is there already."""
        try:
            row = await self.journal.run(other)
        except RunNotFound:
            return False
        first = (await self.journal.load(other))[0]
        assert isinstance(first, e.RunStarted)
        if first.origin is None or (first.origin.run_id, first.origin.replaces) != (run_id, True):
            raise InputError(f"run {run_id} can't be migrated: there is another run {row.run_id}")
        return True

    async def _go_on_with(self, run_id: str) -> Run:
        row = await self.journal.run(run_id)
        if row.status == "running" and not await self.journal.claim(run_id):
            raise StaleDriver(f"run {run_id} is driven by another process", fix="wait for it")
        return await self._go_on(row, await folded(self.journal, self._rules, run_id)) or await self._seen(run_id)

    async def _folded(self, row: RunRow, *, under_this_team: bool, fix: str = UNDER_THIS_TEAM) -> Machine:
        """A run under the rules that it was started with. Raises TeamChanged where these must be this team's."""
        is_other = row.team != self._team_hash
        if is_other and not under_this_team:
            raise await self._changed(row, fix)
        return await folded(self.journal, await rules_of(self.journal, row) if is_other else self._rules, row.run_id)

    async def _forked(self, row: RunRow, machine: Machine, tried: Tried, now_us: int) -> list[e.AnyEvent]:
        rules, team, faults = self._rules, self._team_hash, self._faults_hash
        return await forked(self.journal, row, machine, tried, rules=rules, team=team, now_us=now_us, faults=faults)

    async def _fork(self, row: RunRow, machine: Machine, tried: Tried) -> Run:
        """Try steps of a run again in another one, under this team."""
        now, rules = self._now_us(), self._rules
        facts = await self._forked(row, machine, tried, now)
        refuse_secrets_in(facts, self._shell.secrets)
        opening = Opening(self._team_hash, rules.plan.hash, self._source)
        return await self._drive(self._new_id(now), Machine(rules), facts, opening, 0)


def _dead(machine: Machine, run_id: str, steps: Sequence[str]) -> list[str]:
    """The steps to try again. Raises InputError where one of them is not dead, or none is."""
    dead = dead_steps(machine)
    wrong = next((step for step in steps if step not in dead), None)
    known = f"its dead steps: {', '.join(dead)}" if dead else "it has no dead steps"
    if wrong is not None:
        raise InputError(f"step {wrong} of run {run_id} is not dead{hint(wrong, dead)}", fix=known)
    if not dead:
        raise InputError(f"run {run_id} has no dead steps", fix="list them: interlock dlq list")
    return [step for step in dead if not steps or step in steps]


async def unless_stopped(work: Awaitable[Run | None]) -> Run | None:
    """The run that this drives to its end; None where the engine stops first."""
    with suppress(RunInterrupted):
        return await work
    return None


async def _each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
