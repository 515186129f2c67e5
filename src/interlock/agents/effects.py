"""What performs the effects of a team: plain functions, `def send(payload, idempotency_key)`, async or not.

An async one runs in the event loop, any other in a worker process, which its timeout kills.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from interlock.errors import AgentError, TeamError
from interlock.ports import Began, Performer
from interlock.team import Team
from interlock.team.registry import importable, resolve

from .process import ProcessPool
from .tools import Workshop
from .wire import answer_of


class Performed:
    """Calls an async function in the event loop."""

    slots: int | None = None

    def __init__(self, function: Callable[[Any, str], Awaitable[Any]]) -> None:
        self._function = function

    async def perform(self, payload: Any, idempotency_key: str, began: Began) -> Any:
        """See ports.Performer."""
        began()
        return await self._function(payload, idempotency_key)

    async def close(self) -> None:
        """Nothing is kept."""


class PerformedInProcess:
    """Calls `module:function` in a worker of a pool, which others close."""

    def __init__(self, pool: ProcessPool, reference: str) -> None:
        self._pool, self._reference = pool, reference
        self.slots: int | None = pool.idle_max

    async def perform(self, payload: Any, idempotency_key: str, began: Began) -> Any:
        """See ports.Performer."""
        worker = await self._pool.lease(self._reference)
        try:
            began()
            reply = await worker.perform(self._reference, payload, idempotency_key)
        except BaseException:
            worker.kill()
            raise
        self._pool.give_back(worker)
        if reply.error and not reply.kind:
            raise AgentError(reply.error)  # the function raised something that doesn't say what was done
        return answer_of(reply).output

    async def close(self) -> None:
        """The pool is others' as well."""


def performers(team: Team, workshop: Workshop) -> dict[str, Performer]:
    """What performs each effect of a team. Raises TeamError, naming every one whose function isn't found."""
    made: dict[str, Performer] = {}
    problems: list[TeamError] = []
    for name, declared in team.effects.items():
        try:
            made[name] = _performer(team, declared.get("use"), workshop.pool)
        except TeamError as error:
            place = ("effects", name, "use")
            problems.append(team.locate(TeamError(f"effect {name}: {error.sentence}", fix=error.fix, place=place)))
    if problems:
        raise TeamError.of(problems)
    return made


def _performer(team: Team, use: Any, pool: ProcessPool) -> Performer:
    if use is None:
        raise TeamError("nothing performs it", fix="name a function: use: module:function")
    function = resolve(use, team.folder) if isinstance(use, str) else use
    _refuse_misfit(function)
    if inspect.iscoroutinefunction(function):
        return Performed(function)
    reference = use if isinstance(use, str) else importable(function)
    if reference is None:
        message = "it isn't async, and no other process can import its function"
        raise TeamError(message, fix="write async def, or define it at the top level of a module")
    return PerformedInProcess(pool, reference)


def _refuse_misfit(function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind(None, "")
    except (TypeError, ValueError) as error:
        message = "its function can't be called with a payload and an idempotency key"
        raise TeamError(message, fix="write def perform(payload, idempotency_key)") from error
