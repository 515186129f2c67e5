"""Instructions of LLM agents that lie in files of their own: read when the team is loaded, and from then on part of it.

So a run is pinned to the text, not to the name of a file that may say something else tomorrow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.errors import TeamError

KEY = "instructions_file"
FILE_BYTES_MAX = 100_000


def inlined(name: str, declared: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """What an agent declares, with the text in the place of its file. Raises TeamError where it can't be read."""
    llm = declared.get("llm")
    if not isinstance(llm, Mapping) or KEY not in llm:
        return declared
    try:
        text = _text(_inside(folder, llm[KEY]))
    except TeamError as error:
        message = f"agents.{name}.llm.{KEY}: {llm[KEY]} {error.sentence}"
        raise TeamError(message, fix=error.fix, place=("agents", name, "llm", KEY)) from None
    return {**declared, "llm": {key: llm[key] for key in llm if key != KEY} | {"instructions": text}}


def _inside(folder: Path, name: str) -> Path:
    """Where a file lies. Raises TeamError outside of the folder: links are followed first."""
    path = folder / name
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links that lead in a circle, or a NUL in the name
        raise TeamError("is no file", fix=f"it is looked for in {folder}") from None
    if not is_inside:
        raise TeamError(f"lies outside of {folder}", fix="put it beside the team file")
    return path


def _text(path: Path) -> str:
    if not path.is_file():
        raise TeamError("is no file", fix=f"it is looked for in {path.parent}")
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        text = raw.decode()
    except OSError as error:
        raise TeamError(f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TeamError("is not UTF-8", fix="save it as UTF-8") from None
    if len(raw) > FILE_BYTES_MAX:
        raise TeamError(f"has more than {FILE_BYTES_MAX:,} bytes", fix="shorten it; what is long is data")
    if not text.strip():
        raise TeamError("is empty", fix="write what the agent is told into it")
    return text.strip()
