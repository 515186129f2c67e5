"""The demo, as a newcomer sees it: real processes, a real kill, a real resume."""

import os
import re
import subprocess
import sys

import pytest

from interlock.errors import MissingExtra


@pytest.mark.slow
def test_the_demo_survives_its_own_kill_and_says_what_happened(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "demo"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the process is gone, without a goodbye" in done.stdout
    assert "0 committed steps were called again" in done.stdout
    for said in ("timed out after 1 s", "resolution may not write ticket.category", "interrupted when the process"):
        assert said in done.stdout
    assert int(re.search(r"(\d+) calls? in flight at the kill repeated", done.stdout)[1]) <= 4
    assert (tmp_path / ".interlock/demo/journal.db").exists()


def test_without_examples_the_demo_says_so(tmp_path, monkeypatch):
    from interlock.cli import demo

    monkeypatch.setattr(demo, "files", lambda _: tmp_path / "nowhere" / "interlock")
    with pytest.raises(MissingExtra, match="the examples are not installed here"):
        demo.examples()
