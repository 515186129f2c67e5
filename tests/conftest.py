"""What holds for every test."""

import os

from hypothesis import settings

pytest_plugins = ["pytester"]

# No deadline per example: it would fail a test because the machine is busy. CI draws the same examples every time, so
# that it judges the change and not the luck of the day; elsewhere every run looks at new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Settings of the person who runs the tests must not reach them.
for name in [name for name in os.environ if name.startswith("INTERLOCK_")]:
    del os.environ[name]
