"""Exit codes, and how an error is told: one clear message on standard error, never a traceback."""

import os
import sys
from collections.abc import Callable, Iterable

from interlock.errors import (
    InterlockError,
    JournalError,
    JournalFull,
    JournalUnavailable,
    RunInterrupted,
    StaleDriver,
    TeamError,
)

from .text import plain, red, wrapped

DONE, FAILED, USAGE, PARKED, INTERRUPTED = 0, 1, 2, 3, 130
_BY_STATUS = {"succeeded": DONE, "parked": PARKED, "running": INTERRUPTED}
_WORST_FIRST = (INTERRUPTED, USAGE, FAILED, PARKED)


def of_statuses(statuses: Iterable[str]) -> int:
    """The exit code for runs that ended with these statuses: of the worst one."""
    return worst(_BY_STATUS.get(status, FAILED) for status in statuses)


def worst(codes: Iterable[int]) -> int:
    """The one of several exit codes that matters most."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), DONE)


def of_error(error: InterlockError) -> int:
    """The exit code for an error: bad usage where the caller can mend it by another command or file."""
    if isinstance(error, RunInterrupted):
        return INTERRUPTED
    if isinstance(error, JournalError):
        return FAILED if isinstance(error, JournalFull | JournalUnavailable | StaleDriver) else USAGE
    return USAGE if error.fault == "caller" else FAILED


def guarded(work: Callable[[], int]) -> int:
    """The exit code of a command; its errors are told here."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except InterlockError as error:
        complain(error)
        return of_error(error)
    except BrokenPipeError:
        _let_go_of_stdout()
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED


def complain(error: InterlockError) -> None:
    """Tell an error on standard error."""
    if isinstance(error, RunInterrupted):
        say(f"interrupted: {error}")
    else:
        say(f"{red('error', sys.stderr)}: {plain(_message(error))}")


def say(text: str) -> None:
    """A line on standard error, without what is secret in it."""
    from interlock.agents.secret import hidden

    sys.stderr.write(wrapped(hidden(text), sys.stderr) + "\n")
    sys.stderr.flush()


def _message(error: InterlockError) -> str:
    problems = error.problems if isinstance(error, TeamError) else ()
    if len(problems) > 1:
        return "\n".join([f"{len(problems)} problems", *("  " + _with_fix(problem, "    ") for problem in problems)])
    return _with_fix(error, "  ")


def _with_fix(error: InterlockError, indent: str) -> str:
    return f"{error.message}\n{indent}fix: {error.fix}" if error.fix else error.message


def _let_go_of_stdout() -> None:
    """Nobody reads any more: whatever is still buffered must not fail at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
