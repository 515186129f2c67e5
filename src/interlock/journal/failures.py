"""What SQLite and the system say when a journal can't be used, as errors that say what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from interlock.errors import JournalError, JournalFull, JournalUnavailable

BUSY_MS_MAX = 30_000
# What the system says where SQLite only says that a write failed.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def clear_errors(path: Path, db: apsw.Connection | None = None) -> Iterator[None]:
    """SQLite's errors as ours, with the mend."""
    try:
        yield
    except (apsw.FullError, apsw.IOError) as error:
        if isinstance(error, apsw.IOError) and (db is None or db.system_errno not in NO_SPACE):
            raise JournalUnavailable(f"the journal {path} can't be used: {error}") from error
        raise JournalFull(f"no space left for the journal {path}", fix="free some, then: interlock resume") from error
    except apsw.BusyError as error:
        raise JournalUnavailable(
            f"another process has held the journal {path} for {BUSY_MS_MAX / 1_000:g} s"
        ) from error
    except apsw.NotADBError as error:
        raise JournalError(f"{path} is not a SQLite database", fix="name another file with --journal") from error
    except (apsw.Error, OSError) as error:
        raise JournalError(f"the journal {path} can't be used: {error}") from error
