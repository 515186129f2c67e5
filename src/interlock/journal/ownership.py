"""Who drives runs: a lock file per driver, held as long as its process lives.

A dead process can't hold a lock, so a run whose owner's lock is free is nobody's. Locks are `flock`s on files of their
own: they don't pass to programs that the driver starts, and one process may hold several. A file without a lock means
nothing, so it may be removed at any time; whoever takes the lock of another driver does so inside a write transaction
of the journal, one at a time.

A fork would inherit the locks and keep them after its parent's death, so it gives them up at once.
"""

import fcntl
import os
import stat
import weakref
from contextlib import suppress
from pathlib import Path

OPEN_TRIES_MAX = 100


class DriverLocks:
    """The lock files of one journal, in a folder beside it. They can be opened by whoever can write the journal."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._folder = journal.with_name(f"{journal.name}-drivers")
        self._held: dict[int, int] = {}
        _all_locks.add(self)

    def take(self, epoch: int) -> bool:
        """Hold the lock of a driver, if nobody does yet."""
        if epoch in self._held:
            return False
        descriptor = self._open(epoch)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._held[epoch] = descriptor
        return True

    def _open(self, epoch: int) -> int:
        mode = stat.S_IMODE(self._journal.stat().st_mode)
        for _ in range(OPEN_TRIES_MAX):
            self._folder.mkdir(exist_ok=True)
            # Another process may close and remove the empty folder just now.
            with suppress(FileNotFoundError):
                return os.open(self._path(epoch), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, mode)
        raise FileNotFoundError(f"{self._folder} vanishes again and again")

    def drop(self, epoch: int) -> None:
        """Release a lock and remove its file: its driver is no more."""
        try:
            self._path(epoch).unlink(missing_ok=True)
        finally:
            os.close(self._held.pop(epoch))

    def drop_all(self) -> None:
        """Release every lock held, and leave no empty folder."""
        for epoch in list(self._held):
            self.drop(epoch)
        with suppress(OSError):
            self._folder.rmdir()

    def sweep(self) -> None:
        """Remove the files that the dead left behind. What another user owns stays."""
        for path in self._folder.glob("*.lock"):
            with suppress(OSError):
                if path.stem.isdecimal() and self.take(int(path.stem)):
                    self.drop(int(path.stem))

    def give_up(self) -> None:
        """Close the files without a word: the locks stay with the process that forked this one."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{epoch}.lock"


_all_locks: weakref.WeakSet[DriverLocks] = weakref.WeakSet()


def _after_fork() -> None:
    for locks in list(_all_locks):
        locks.give_up()


os.register_at_fork(after_in_child=_after_fork)
