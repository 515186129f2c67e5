"""The same requests and replies under many schedules: whatever the timing, the same must come out.

All calls take their time, so that as many as the plan allows are in flight at once; processes die, and calls are made
twice. An agent that hangs on anything but its job (a global variable, the order of calls) is found here, too.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.job import Job
from interlock.core.rules import Rules

from .chance import Chance
from .fakes import Code, answer_of
from .grown import GrownRules
from .injection.faults import Fault, Faults
from .simulation.account import Account
from .simulation.episode import Episode
from .simulation.world import Scene, World

# A call takes up to this share of its timeout, so that timing alone fails none.
SHARE_MAX = 0.6
# None of these changes what a step comes to, unless its call is lost too often.
FAULTS = Faults(
    [
        Fault(fault="crash_before_write", probability=0.01),
        Fault(fault="crash_after_write", probability=0.01),
        Fault(fault="stale_driver", probability=0.005),
        Fault(fault="duplicate", probability=0.05),
    ]
)


class StressReport(msgspec.Struct, frozen=True, kw_only=True):
    """What many schedules came to. compared: how many runs had the same outcome of each step, and so the same end."""

    schedules: int
    compared: int
    events: int


class Overlapping:
    """An agent that takes its time, by the luck of the schedule, and answers the same under each."""

    def __init__(self, code: Any, rules: Rules, seed: int) -> None:
        self._code, self._grown, self._seed = code, GrownRules(rules), seed

    def seeded(self, chance: Chance, label: Callable[[str], str], *, calm: bool) -> Code:
        """See fakes.Seeded."""
        code = self._code
        if hasattr(code, "seeded"):
            code = code.seeded(Chance(self._seed), label, calm=True)

        async def call(job: Job) -> Any:
            timeout = self._grown.of(job).duty(job.step, job.agent).policy.timeout_ms / 1_000
            share = 0.0 if calm else SHARE_MAX * chance.share("overlap", label(job.run_id), job.step, job.attempt)
            await asyncio.sleep(share * timeout)
            return await answer_of(code, job)

        return call


def overlapping(agents: Mapping[str, Any], rules: Rules, seed: int) -> dict[str, Any]:
    """The same agents, each taking its time. seed: of the replies of generated ones."""
    return {name: Overlapping(code, rules, seed) for name, code in agents.items()}


class Schedules:
    """Worlds that differ in their timing alone, held against the one in which nothing takes time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = msgspec.structs.replace(scene, faults=FAULTS)
        self.expected = World(msgspec.structs.replace(scene, faults=Faults(), calm=True), 0).play()
        self.compared = 0

    def play(self, seed: int) -> tuple[Episode, str, str]:
        """One schedule; with what came out differently, and in which run: two texts, empty where nothing did."""
        episode = World(self._scene, seed).play()
        for run_id, account in self.expected.runs.items():
            other = episode.runs.get(run_id)
            if other is not None and other.states == account.states:
                self.compared += 1
                difference = next(_differences(account, other), "")
                if difference:
                    return episode, difference, run_id
        return episode, "", ""


def _differences(one: Account, other: Account) -> Iterator[str]:
    """In the order of the plan, so that the cause comes before its effects."""
    views, views_after = _views(one), _views(other)
    commits, commits_after = _commits(one), _commits(other)
    for step in sorted(one.steps, key=lambda name: (one.steps[name].number, name)):
        if views.get(step) != views_after.get(step):
            yield f"{step} is shown something else than under another schedule"
        if commits.get(step) != commits_after.get(step):
            wrote, writes = commits_after.get(step, b"").decode(), commits.get(step, b"").decode()
            yield (
                f"{step} wrote {wrote:.300}, under another schedule {writes:.300}, though it was shown the same: its "
                "agent hangs on something besides its job"
            )
    if msgspec.json.encode(one.context) != msgspec.json.encode(other.context):
        yield f"the context is {other.context!r:.300}, under another schedule {one.context!r:.300}"


def _views(account: Account) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for event in account.events:
        if isinstance(event, e.AttemptStarted):
            found.setdefault(event.step, set()).add(event.view)
    return found


def _commits(account: Account) -> dict[str, bytes]:
    commits = (event for event in account.events if isinstance(event, e.AttemptCommitted))
    return {event.step: msgspec.json.encode(event.writes | dict.fromkeys(event.deletes)) for event in commits}
