"""Breakers that a person moves: open until reset by hand, or closed at once."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from interlock import errors
from interlock.core import given
from interlock.core.breaker import Breaker, move
from interlock.core.gate import AtGate, GatePolicy, tell
from interlock.core.naming import hint
from interlock.core.role import Role
from interlock.errors import InputError
from interlock.ports import Journal

from . import clock

REASON_CHARS_MAX = 500
NAME_CHARS_MAX = 100
ByHand = Literal["open", "closed"]


def gate_name(team: str, agent: str) -> str:
    """What the gate of an agent is called in the journal; without an agent, that which all of a team share."""
    return f"{team}/{agent}"


def policy_of(roles: Mapping[str, Role], agent: str) -> GatePolicy:
    """What an agent declares of its gate, a breaker among it. Raises InputError."""
    given.text("agent", agent)
    if agent not in roles:
        fix = f"its agents: {', '.join(roles)}"
        raise InputError(f"there is no agent {agent:.100} in this team{hint(agent, roles)}", fix=fix)
    if roles[agent].gate.breaker is None:
        message = f"agent {agent} has no breaker, so there is nothing that would keep its calls away"
        raise InputError(message, fix="declare one in the team file, if only breaker: {}")
    return roles[agent].gate


async def move_breaker(
    journal: Journal,
    team: str,
    agent: str,
    policy: GatePolicy,
    to: ByHand,
    *,
    by: str,
    reason: str,
    now_us: Callable[[], int] = clock.now_us,
) -> Breaker:
    """Open a breaker until it is reset by hand, or reset it; returns it as it is afterwards.

    What its calls have come to so far counts before. Raises InputError where it is so already, or without a reason.
    """
    _check("a reason", reason, REASON_CHARS_MAX)
    _check("who does it", by, NAME_CHARS_MAX)
    turn = partial(_turn, policy, to, errors.hide(reason), by, now_us())
    was, now = await journal.at_gates([gate_name(team, agent)], turn)
    if now is not None:
        return now
    whose = f"the breaker of {agent}"
    if to == "closed":
        raise InputError(f"{whose} is closed already", fix="look at it: interlock breakers")
    raise InputError(f"{whose} was opened by hand before: {was.reason}", fix="it stays open until it is reset")


def _check(what: str, text: str, chars_max: int) -> None:
    given.text(what, text)
    if not text.strip():
        raise InputError(f"{what} is missing", fix="say it: whoever looks at the breaker later will ask")
    if len(text) > chars_max:
        raise InputError(f"{what} is longer than {chars_max} characters", fix="shorten it")


def _turn(
    policy: GatePolicy, to: ByHand, reason: str, by: str, now_us: int, found: Sequence[AtGate]
) -> tuple[Breaker, Breaker | None]:
    """A turn at one gate: the breaker as it was found, and as it has become; None where it need not move."""
    [at] = found
    at.moved += tell(at.gate, policy, at.outcomes)
    breaker = at.gate.breaker
    was = msgspec.structs.replace(breaker)
    by_hand_already = breaker.state == "open" and not breaker.until_us
    if breaker.state == "closed" if to == "closed" else by_hand_already:
        return was, None
    if breaker.state == to:
        move(breaker, "closed", "", now_us)  # the table has no way from open to open: nobody sees this one
    at.moved.append(move(breaker, to, reason, now_us, by=by))
    return was, msgspec.structs.replace(breaker)
