"""What holds for the tests of the core."""

import pytest

from interlock.core import paths


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_known_yet():
    """A mutant is tested in a fork of a process that has run the tests before: what was cached there would hide it."""
    paths.canonical.cache_clear()
    paths._cached_prefixes.cache_clear()
