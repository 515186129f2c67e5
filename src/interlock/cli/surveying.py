"""`audit --from`: what is wrong with a system of another framework, and the team file that it comes to."""

import sys
from pathlib import Path

from interlock.errors import InputError
from interlock.survey import Survey
from interlock.survey import survey as look

from . import exits
from .documents import print_json
from .text import plural


def survey(named: str, out: str | None, *, json: bool) -> int:
    """Survey a system. Its team file goes to a file that doesn't exist yet, or to standard output."""
    target = Path(out) if out is not None else None
    if target is not None and target.exists():
        raise InputError(f"{out} exists already", fix="name another file, or remove it")
    found = look(named, Path.cwd())
    if target is not None:
        _write(found, target)
    if json:
        print_json(found.to_dict())
    elif target is not None:
        from .paint_survey import show_survey

        show_survey(found, named, target)
    else:
        sys.stdout.write(found.skeleton)
        exits.say(f"{plural(len(found.findings), 'finding')}, told at its beginning")
    return exits.DONE if found.ok else exits.USAGE


def _write(found: Survey, target: Path) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(found.skeleton)
    except OSError as error:
        raise InputError(f"{target} can't be written: {error.strerror}", fix="name another file") from None
