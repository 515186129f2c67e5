"""docs/team-file.md speaks of every key there is."""

import re
from pathlib import Path

import pytest

from interlock.team.tables import AGENT, EFFECT, LIMITS, MCP_SERVER, PHASE, RECONCILE_STEP, STEP, SUPERVISOR, TEAM, TOOL

TEXT = Path(__file__).parents[2].joinpath("docs/team-file.md").read_text("utf-8")


@pytest.mark.parametrize(
    "record",
    [
        AGENT,
        STEP,
        RECONCILE_STEP,
        RECONCILE_STEP.fields["reconcile"].shape,
        LIMITS,
        TEAM,
        PHASE,
        TOOL,
        MCP_SERVER,
        EFFECT.record,
        SUPERVISOR,
    ],
    ids=lambda record: record.what,
)
def test_every_key_is_documented(record):
    assert [key for key in record.fields if not re.search(rf"[`\s]{key}[`:\s]", TEXT)] == []
