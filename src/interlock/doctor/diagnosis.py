"""What was found about one agent or MCP server, and how long looking may take."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Literal

import msgspec

from interlock.agents.secret import hidden
from interlock.engine import tasks
from interlock.errors import AccessDenied, AgentError, InterlockError, MissingExtra, TeamError, describe

NAMES_SHOWN, NAME_CHARS_MAX = 8, 80

State = Literal["ok", "missing", "failed"]


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found about one agent, one server behind the team, or one who is told what waits for people.

    state: `ok`; `missing` where something must be installed or set; `failed` where it is there and doesn't work. text:
    what is behind it, or what is wrong. fix: how to mend it.
    """

    subject: str
    kind: str
    state: State
    text: str
    fix: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether it can work."""
        return self.state == "ok"


class Examination(msgspec.Struct, frozen=True):
    """What was found about the agents of a team, its MCP servers and who is notified, each in the order of the team."""

    agents: tuple[Diagnosis, ...] = ()
    mcp_servers: tuple[Diagnosis, ...] = ()
    notify: tuple[Diagnosis, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether all of it can work."""
        return all(one.is_fine for one in (*self.agents, *self.mcp_servers, *self.notify))

    def including(self, name: str, inner: "Examination") -> "Examination":
        """This, and what was found about the team that this agent is."""
        groups = [
            (*mine, *(msgspec.structs.replace(one, subject=f"{name} > {one.subject}") for one in theirs))
            for mine, theirs in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(inner), strict=True)
        ]
        return Examination(*groups)


async def diagnosed(subject: str, kind: str, look: Coroutine[Any, Any, str], seconds_max: float) -> Diagnosis:
    """What a look finds: the sentence that it returns, or what it raises, or that it takes too long."""
    try:
        said = await _in_time(look, seconds_max)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what is looked at was written by others
        return wrong(subject, kind, error)
    if said is None:
        return Diagnosis(subject, kind, "failed", f"no answer within {seconds_max:g} s")
    return Diagnosis(subject, kind, "ok", said)


async def _in_time(look: Coroutine[Any, Any, str], seconds_max: float) -> str | None:
    """The result of a look; None where it takes too long. One that goes on after its cancellation is left alone."""
    task = tasks.spawn(look)
    done, _ = await asyncio.wait({task}, timeout=seconds_max)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=tasks.STUBBORN_SECONDS)
        return None
    if task.cancelled():
        raise AgentError("it was cancelled from inside")
    return task.result()


def shown(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(name[:NAME_CHARS_MAX] for name in names[:NAMES_SHOWN]) + more


def wrong(subject: str, kind: str, error: BaseException) -> Diagnosis:
    """What an error means."""
    if not isinstance(error, InterlockError):
        return Diagnosis(subject, kind, "failed", hidden(describe(error)))
    state: State = "missing" if isinstance(error, MissingExtra | AccessDenied) else "failed"
    text = error.sentence if isinstance(error, TeamError) else error.message
    return Diagnosis(subject, kind, state, text, error.fix)
