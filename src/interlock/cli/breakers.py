"""`breakers`: what keeps calls away, on the whole journal, and breakers moved by hand."""

import asyncio
import sys
from pathlib import Path

import msgspec

from interlock.core.gate import AtGate, Gate
from interlock.core.naming import hint
from interlock.engine import clock
from interlock.engine.breakers import ByHand, gate_name, move_breaker, policy_of
from interlock.errors import InputError, InterlockError
from interlock.history import Standing, standing
from interlock.ports import Journal
from interlock.team import Team

from . import config, exits
from .config import Settings
from .documents import print_json
from .journals import reading, teams
from .looking import user
from .text import shown_team

TEAMS_SHOWN = 5


class Why(msgspec.Struct, frozen=True):
    """Why a breaker is moved, and by whom; "" for whoever types this."""

    reason: str
    by: str


def show(settings: Settings, *, json: bool) -> int:
    """Show all gates."""
    standings = asyncio.run(_look(settings))
    if json:
        return print_json({"gates": [one.to_dict() for one in standings]})
    from .paint_breakers import show_gates

    show_gates(standings, clock.now_us(), settings)
    return exits.DONE


async def _look(settings: Settings) -> list[Standing]:
    async with reading(settings) as journal:
        return await _standings(journal)


async def _standings(journal: Journal) -> list[Standing]:
    """All gates that calls have passed, and those that are declared and wait for their first."""
    kept, now_us = dict(await journal.gates()), clock.now_us()
    known = await teams(journal, {name.rpartition("/")[0] for name in kept})
    policies = {
        gate_name(name, agent): role.gate
        for name, team in known.items()
        for agent, role in team.roles.items()
        if role.gate
    }
    policies |= {gate_name(name, ""): team.gate for name, team in known.items() if team.gate}
    return [
        standing(name, kept.get(name) or AtGate(Gate(), ()), policies.get(name), now_us)
        for name in sorted({*kept, *policies})
    ]


def move(settings: Settings, to: ByHand, agent: str, why: Why, team: str, *, json: bool) -> int:
    """Open a breaker by hand, or reset it."""

    async def ask() -> Standing:
        async with reading(settings) as journal:
            name, found = _team_of(agent, team, await teams(journal, [team] if team else ()))
            policy = policy_of(found.roles, agent)
            await move_breaker(journal, name, agent, policy, to, by=why.by or user(), reason=why.reason)
            return next(one for one in await _standings(journal) if (one.team, one.agent) == (name, agent))

    after = asyncio.run(ask())
    if json:
        return print_json(after.to_dict())
    said = (
        "is called no more, until you reset its breaker" if to == "open" else "is called again: its breaker is closed"
    )
    sys.stdout.write(f"{agent} of {shown_team(after.team)} {said}\n")
    if to == "open":
        sys.stdout.write(f"  {settings.command(f'breakers reset {agent} --reason TEXT')}\n")
    return exits.DONE


def _team_of(agent: str, wanted: str, known: dict[str, Team]) -> tuple[str, Team]:
    """The team that is meant, with its name in the journal. Raises InputError."""
    if wanted:
        path = Path(wanted).resolve()
        name = next((name for name in (wanted, str(path), str(path / "team.yaml")) if name in known), None)
        if name is None:
            fix = f"teams in this journal: {_some(known)}"
            raise InputError(f"no run in this journal is of the team {wanted:.200}{hint(wanted, known)}", fix=fix)
        return name, known[name]
    having = {name: team for name, team in known.items() if agent in team.roles}
    if len(having) > 1:
        fix = f"say which: --team {next(iter(having))}"
        raise InputError(f"several teams have an agent {agent}: {_some(having)}", fix=fix)
    if not having:
        agents = {name: None for team in known.values() for name, role in team.roles.items() if role.gate.breaker}
        fix = f"agents with a breaker: {', '.join(agents)}" if agents else "no agent in this journal has a breaker"
        raise InputError(f"no team in this journal has an agent {agent:.100}{hint(agent, agents)}", fix=fix)
    return having.popitem()


def _some(known: dict[str, Team]) -> str:
    more = f" and {len(known) - TEAMS_SHOWN:,} more" if len(known) > TEAMS_SHOWN else ""
    return ", ".join(map(shown_team, [*known][:TEAMS_SHOWN])) + more


def known_agents(incomplete: str) -> list[tuple[str, str]]:
    """Agents with a breaker whose names begin so, for the shell's completion; it must never fail or make a journal."""
    try:
        standings = asyncio.run(_look(config.settings()))
    except InterlockError:
        return []
    return [
        (one.agent, f"{one.breaker.state.replace('_', '-')} {shown_team(one.team)}")
        for one in standings
        if one.breaker is not None and one.agent.startswith(incomplete)
    ]
