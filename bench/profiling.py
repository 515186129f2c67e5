"""Where the time of a workload goes: cProfile over a few repetitions, each thread for itself."""

import cProfile
import pstats
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINES = 25


def profile(work: Callable[[], object], repetitions: int) -> None:
    """Print the functions that take the most time of their own, after one round that doesn't count.

    A profiled function costs up to three times as much, small ones the most: read shares, not times.
    """
    work()
    threads: dict[str, cProfile.Profile] = {}
    main = cProfile.Profile()
    with _profiled_threads(threads):
        main.enable()
        for _ in range(repetitions):
            work()
        main.disable()
    for name, profiled in {"event loop": main, **threads}.items():
        print(f"--- {name}")
        pstats.Stats(profiled).strip_dirs().sort_stats("tottime").print_stats(LINES)


@contextmanager
def _profiled_threads(profiles: dict[str, cProfile.Profile]) -> Iterator[None]:
    """Profile each thread that is started meanwhile, threads of one name together."""
    plain = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        profiled = profiles.setdefault(thread.name, cProfile.Profile())
        try:
            profiled.enable()
        except ValueError:  # Python 3.12 and later profile one thread at a time
            del profiles[thread.name]
            plain(thread)
            return
        try:
            plain(thread)
        finally:
            profiled.disable()

    threading.Thread.run = run
    try:
        yield
    finally:
        threading.Thread.run = plain
