"""Who is told what waits in a simulated world: recipients that fail and hang, and what they must have been told."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from interlock.core import events as e
from interlock.core.notice import Kind, Notice
from interlock.engine.notifier import KEPT_DAYS, Notifier
from interlock.errors import NotDelivered
from interlock.ports import Message

from .account import Account, Broken

if TYPE_CHECKING:
    from .process import Process
    from .world import World

TEAM = "simulated"
DAY_US = 86_400_000_000
# How long a message takes: none comes through after 20 s. And the share of those that fail.
SECONDS = (0.0, 0.0, 1.0, 15.0, 45.0)
FAILED = 0.2
LEFT_MAX = 100_000

# To whom, and what: the kind, the run, the step, and when it became so.
_Key = tuple[str, str, str, str, int]
_ASKED = e.QuestionAsked | e.StepEscalated


class Notices:
    """What the recipients of a world are told. Whatever the team declares, nobody outside is."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._wanted: Mapping[str, Sequence[Kind]] = {one.name: one.on for one in world.scene.team.notify}
        # What came through, and which processes told it.
        self._told: dict[_Key, list[Process]] = {}

    def notifier(self, process: "Process") -> Notifier | None:
        """What tells them in this process; None where the team has nobody to be told."""
        recipients = [SimulatedRecipient(self, process, name) for name in self._wanted]
        return Notifier(recipients, self._wanted, team=TEAM) if recipients else None

    def came_through(self, process: "Process", recipient: str, notice: Notice) -> None:
        """Somebody was told this."""
        if notice.kind == "breaker":
            return
        key = (recipient, notice.kind, notice.run_id, notice.step, notice.at_us)
        # A step may die twice at one moment.
        meant = self._meant(self.world.accounts[notice.run_id]).get(key, ())
        if not meant:
            self._break(f"{recipient} is told what isn't so: {notice.text or notice.reason}", notice.run_id)
        told = self._told.setdefault(key, [])
        excused = not self.world.clock_is_steady or any(one.dead or one.excused for one in (*told, process))
        if len(told) >= len(meant) and not excused:
            self._break(f"{recipient} is told twice of {notice.kind} {notice.step}", notice.run_id)
        told.append(process)

    def check_the_end(self) -> None:
        """That everybody was told everything, or will be by who comes next, unless it is past."""
        if not self._wanted or not self.world.clock_is_steady:
            return
        reached = {*self._told, *self._left()}
        for account in self.world.accounts.values():
            for key, past in self._meant(account).items():
                if not all(past) and key not in reached:
                    raise Broken("notices", f"{key[0]} is never told of {key[1]} {key[3]}", account.run_id)

    def _break(self, sentence: str, run_id: str) -> None:
        self.world.break_(Broken("notices", sentence, run_id))

    def _meant(self, account: Account) -> dict[_Key, list[bool]]:
        """What is to be told of a run; each time, whether that is past: dealt with, or too old to be kept."""
        found: dict[_Key, list[bool]] = {}
        firsts = [one.events[0] for one in self.world.accounts.values()]
        forks = [one.origin for one in firsts if isinstance(one, e.RunStarted) and one.origin is not None]
        redriven = {step for fork in forks if fork.run_id == account.run_id for step in fork.steps}
        for place, event in enumerate(account.events):
            if isinstance(event, _ASKED | e.StepBuried):
                kind = "dead" if isinstance(event, e.StepBuried) else "question"
                old = self.world.now_us() - event.at_us > KEPT_DAYS * DAY_US
                is_past = old or event.step in redriven or any(_ends(one, event) for one in account.events[place + 1 :])
                for name, kinds in self._wanted.items():
                    if kind in kinds:
                        found.setdefault((name, kind, account.run_id, event.step, event.at_us), []).append(is_past)
        return found

    def _left(self) -> set[_Key]:
        """What is still in the journal, for who comes next."""
        found = set[_Key]()

        async def look() -> None:
            journal, later = self.world.disk.open(None, lambda *_: None), self.world.now_us() + 365 * DAY_US
            for name in self._wanted:
                for taken in await journal.take_notices(TEAM, name, later, later, LEFT_MAX):
                    notice = taken.notice
                    found.add((name, notice.kind, notice.run_id, notice.step, notice.at_us))
            await journal.close()

        loop = self.world.timeline.loop()
        self.world.timeline.run(loop.create_task(look()).done)
        loop.bury()
        return found


def _ends(event: e.AnyEvent, told: e.QuestionAsked | e.StepEscalated | e.StepBuried) -> bool:
    """Whether a step doesn't wait, or isn't dead, any more after this."""
    step = told.step
    match event:
        case e.RunReopened():
            return step in event.steps
        case e.BudgetRaised():
            return step in {event.step, *event.others}
        case e.QuestionAnswered() | e.QuestionExpired():
            return event.step == step
    return isinstance(event, e.RunCancelled) and not isinstance(told, e.StepBuried)


class SimulatedRecipient:
    """Somebody who is told in one process: at once, late, or not at all."""

    reasons = True

    def __init__(self, notices: Notices, process: "Process", name: str) -> None:
        self.name, self._notices, self._process = name, notices, process
        self._random = notices.world.chance.stream("recipient", process.number, name)

    def check(self) -> None:
        """See ports.Recipient."""

    async def deliver(self, message: Message) -> None:
        """See ports.Recipient."""
        if not self._notices.world.scene.calm:
            await asyncio.sleep(self._random.choice(SECONDS))
            if self._random.random() < FAILED:
                raise NotDelivered("nobody answers")
        for notice in message.notices:
            self._notices.came_through(self._process, self.name, notice)
