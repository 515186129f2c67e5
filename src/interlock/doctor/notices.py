"""Who is told what waits for people: whether a message could be sent, and what comes of one that is."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from interlock.agents.notify import Service, Told, recipient
from interlock.engine.messages import trial
from interlock.engine.notifier import DELIVERY_SECONDS_MAX
from interlock.errors import TeamError
from interlock.team import Team
from interlock.team.notify import Declared

from .diagnosis import Diagnosis, diagnosed, wrong

LOOK_SECONDS_MAX = 20.0

Look = Callable[[Service | Told], Coroutine[Any, Any, str]]


async def could_be_told(team: Team, declared: Declared) -> Diagnosis:
    """Whether there is all that it takes to tell a recipient; nothing is sent."""
    return await _of(team, declared, lambda to: to.probe(), LOOK_SECONDS_MAX)


async def tried(team: Team) -> tuple[Diagnosis, ...]:
    """Send a test to each recipient, once; what comes of it."""
    message = trial(team.name or (team.folder.name if team.folder else "a team"))

    async def send(to: Service | Told) -> str:
        to.check()
        await to.deliver(message)
        return "delivered"

    looks = (_of(team, declared, send, DELIVERY_SECONDS_MAX) for declared in team.notify)
    return tuple(await asyncio.gather(*looks))


async def _of(team: Team, declared: Declared, look: Look, seconds_max: float) -> Diagnosis:
    kind = "url" if declared.url else "use"
    try:
        made = recipient(team, declared)
    except (TeamError, SystemExit) as error:  # importing its function may do anything
        return wrong(declared.name, kind, error)
    found = await diagnosed(declared.name, kind, look(made), seconds_max)
    told = f"{found.text}; told of {', '.join(declared.on)}"
    return msgspec.structs.replace(found, text=told) if found.is_fine else found
