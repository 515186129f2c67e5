"""What holds for every test."""

import compileall
import gc
import os
import signal
import sys

import certifi
import pytest
from hypothesis import settings

import interlock
from interlock.team import registry

pytest_plugins = ["pytester"]

# No deadline per example: it would fail a test because the machine is busy. CI draws the same examples every time, so
# that it judges the change and not the luck of the day; elsewhere every run looks at new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell that has the tests run in the background lets them ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of processes are started. Where nobody may write bytecode, each would compile Interlock anew, which takes
# longer than to import it.
if sys.dont_write_bytecode and "PYTEST_XDIST_WORKER" not in os.environ:
    compileall.compile_dir(os.path.dirname(interlock.__file__), quiet=2)  # noqa: PTH120

# Settings of the person who runs the tests must not reach them.
for name in [name for name in os.environ if name.startswith("INTERLOCK_")]:
    del os.environ[name]


def pytest_collection_finish() -> None:
    """What the imports of all frameworks made stays until the end: a collection of garbage need not look at it again.

    It takes half a second with it and nothing without it, and hundreds of tests collect to see that nothing is left.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _one_authority(tmp_path_factory):
    """Every client of a model reads all authorities of the world, for longer than its test takes: here there is one."""
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----")
    bundle = tmp_path_factory.mktemp("authority") / "one.pem"
    bundle.write_text(f"{first}{end}\n", encoding="ascii", errors="ignore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield


@pytest.fixture(autouse=True, scope="module")
def nobodys_modules(tmp_path_factory):
    """Each test file begins without the modules of a team: one's `agents` would stand for that of a framework."""
    registry._folders.activate(tmp_path_factory.mktemp("nothing"))
