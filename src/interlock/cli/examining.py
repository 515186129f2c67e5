"""`doctor`: what is installed, what a team lacks, and whether the servers behind it answer."""

import platform
import sys
from typing import Any

import msgspec

import interlock
from interlock.doctor import Examination, Extra, examine, extras
from interlock.team import Team

from . import exits
from .documents import print_json
from .text import interactive


def doctor(team: str | None, *, json: bool) -> int:
    """Look, and tell; the exit code says whether the team could run."""
    about = {"interlock": interlock.__version__, "python": platform.python_version(), "system": sys.platform}
    parts, found = extras(), _examined(Team.load(team)) if team is not None else Examination()
    if json:
        print_json(_document(about, parts, found))
    else:
        from .paint_doctor import show_doctor

        show_doctor(about, parts, found, team or "")
    return exits.DONE if found.is_fine else exits.FAILED


def _examined(team: Team) -> Examination:
    if not interactive():
        return examine(team)
    from .paint_doctor import LooksLine

    with LooksLine(len(team.agents) + len(team.mcp_servers) + len(team.notify)) as line:
        return examine(team, line.moved)


def _document(about: dict[str, str], parts: list[Extra], found: Examination) -> dict[str, Any]:
    told = [
        {"name": one.name, "installed": one.is_installed, "packages": one.packages, "unfit": one.unfit} for one in parts
    ]
    return {**about, "extras": told, **msgspec.to_builtins(found)}
