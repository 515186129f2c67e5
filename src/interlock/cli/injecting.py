"""`run --faults`: the engine that breaks things on purpose, and the word that it does."""

import secrets
import sys
from collections.abc import Callable
from functools import partial

from interlock.engine.engine import Engine
from interlock.errors import InputError
from interlock.team import Team
from interlock.testing.injection.faults import Faults
from interlock.testing.injection.orchestrator import FaultyOrchestrator, impossible, kill

from . import exits
from .config import Settings
from .text import plain

EVERYTHING = "all"
SEEDS = 1_000_000_000
_SHOW_CURSOR = "\x1b[?25h"


def orchestrator(team: Team, name: str, seed: int | None, settings: Settings) -> Callable[..., Engine]:
    """What makes the engine for a team, with the faults of this file; says so on standard error.

    seed: drawn where none is given. Raises FaultsError, InputError.
    """
    faults = Faults.everything() if name == EVERYTHING else _loaded(name, team)
    drawn = secrets.randbelow(SEEDS) if seed is None else seed
    exits.say(f"faults are injected into this run on purpose: {plain(name)}, seed {drawn}")
    for kind in impossible(faults):
        exits.say(f"warning: {kind} never strikes a real run: nobody can take a journal file from a living process")
    return partial(FaultyOrchestrator, faults=faults, seed=drawn, die=_die, resume=settings.command("resume"))


def _loaded(name: str, team: Team) -> Faults:
    faults = Faults.load(name, team)
    if all(fault.fault in impossible(faults) for fault in faults.faults):
        message = f"{name}: none of its faults can strike a real run"
        raise InputError(message, fix="inject them in a simulation: interlock simulate TEAM --faults FILE")
    return faults


def _die() -> None:
    """What draws on a terminal has hidden the cursor, and will not come to show it again."""
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    kill()
