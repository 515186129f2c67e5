"""The engines of teams that are nested in each other: each drives the runs of its own team, and finds the others'."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import msgspec

from interlock.errors import RunNotFound
from interlock.ports import Adapter, Performer, RunRow
from interlock.team import Team

from .notifier import Notifier

Method = TypeVar("Method", bound=Callable[..., Any])
HASH_CHARS = 8


class Crew(msgspec.Struct, frozen=True):
    """A team that is nested in that of an engine, with what its agents are called by. See Engine."""

    team: Team
    adapters: Mapping[str, Adapter]
    performers: Mapping[str, Performer] = {}
    notifier: Notifier | None = None
    release: Callable[[], Awaitable[None]] | None = None


def gates_name(name: str, source: str, team: str, *, nested: bool) -> str:
    """What the gates of a team are known by: its name, else its file; of a nested one without a name, its hash, too."""
    return name or (f"{source}/{team[:HASH_CHARS]}" if nested else source)


def gates_of_run(name: str, row: RunRow) -> str:
    """What the gates of the team of a run are known by. name: of that team."""
    return gates_name(name, row.source, row.team, nested=bool(row.parent))


def by_its_team(method: Method) -> Method:
    """Have the engine of the team do it whose run this is."""

    @wraps(method)
    async def of_its_team(self: Any, run_id: str, *given: Any, **named: Any) -> Any:
        engine = await self._of(run_id) if len(self._family) > 1 and isinstance(run_id, str) else self
        return await method(engine, run_id, *given, **named)

    return cast("Method", of_its_team)


async def member(family: Mapping[str, Any], run_id: str, otherwise: Any) -> Any:
    """The engine of the team whose run this is."""
    try:
        row = await otherwise.journal.run(run_id)
    except RunNotFound:
        return otherwise
    return family.get(row.team, otherwise)
