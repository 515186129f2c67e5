"""Where a setting comes from: the flag, then the environment, then interlock.toml, then the default."""

import os
import shlex
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.naming import hint
from interlock.core.policy import duration_ms
from interlock.engine import clock
from interlock.errors import InputError, JournalError, PlanError
from interlock.wiring import DEFAULT_JOURNAL

CONFIG_FILE = "interlock.toml"
CONCURRENCY_MAX = 10_000
_KEYS: dict[str, type] = {"journal": str, "concurrency": int}


class Settings(msgspec.Struct, frozen=True):
    """What the commands go by. flags: what a follow-up command must repeat to find the same journal."""

    journal: str
    concurrency: int | None = None
    flags: str = ""

    def command(self, words: str) -> str:
        """A command that the user may type next."""
        return f"interlock {words}{self.flags}"

    @property
    def existing(self) -> str:
        """The journal, which must be there already. Raises JournalError."""
        if self.journal == ":memory:":
            raise JournalError("a journal in memory ends with its process", fix="name a file with --journal")
        if not Path(self.journal).exists():
            fix = "name another with --journal, or start a run: interlock run TEAM --input FILE"
            raise JournalError(f"there is no journal {self.journal}", fix=fix)
        return self.journal


def settings(journal: str | None = None, concurrency: int | None = None) -> Settings:
    """The settings of this call; arguments are its flags. Raises InputError."""
    written = _file(Path(CONFIG_FILE))
    environment = os.environ.get("INTERLOCK_CONCURRENCY")
    if concurrency is None and environment:
        concurrency = _checked(environment, "INTERLOCK_CONCURRENCY")
    if concurrency is None and "concurrency" in written:
        concurrency = _checked(written["concurrency"], f"{CONFIG_FILE}: concurrency")
    named = os.environ.get("INTERLOCK_JOURNAL") or written.get("journal") or DEFAULT_JOURNAL
    flags = f" --journal {shlex.quote(journal)}" if journal and journal != named else ""
    return Settings(journal or named, concurrency, flags)


def seconds(text: str, flag: str = "--grace") -> float:
    """A duration given as a flag, such as `10s`. Raises InputError."""
    try:
        return duration_ms(text) / 1_000
    except PlanError as error:
        raise InputError(f"{flag}: {error.sentence}", fix=error.fix) from None


def since_us(text: str) -> int:
    """What `--since` says: a duration before now, or a date, as microseconds since 1970. Raises InputError."""
    try:
        return clock.now_us() - 1_000 * duration_ms(text)
    except PlanError:
        pass  # then it is a date
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        fix = "write 90m, 2h or 3d for how long ago, or a date such as 2026-05-31 or 2026-05-31T18:00"
        raise InputError(f"--since is {text!r:.100}, which is no time", fix=fix) from None


def _file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    for key, value in found.items():
        _check(path, key, value)
    return found


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _KEYS:
        raise InputError(f"{path}: there is no setting {key}{hint(key, _KEYS)}", fix=f"known: {', '.join(_KEYS)}")
    if type(value) is not _KEYS[key]:
        raise InputError(f"{path}: {key} is {value!r}", fix=f"write a {'number' if _KEYS[key] is int else 'text'}")


def _checked(value: str | int, where: str) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= CONCURRENCY_MAX:
        raise InputError(f"{where} is {value!r}", fix=f"write a number from 1 to {CONCURRENCY_MAX:,}")
    return int(text)
