"""docs/team-file.md speaks of every key there is."""

import re
from pathlib import Path

import pytest

from interlock.team.kinds import MCP_SERVER, TOOL
from interlock.team.steps import PHASE, RECONCILE_STEP, STEP
from interlock.team.tables import AGENT, EFFECT, LIMITS, SUPERVISOR, TEAM

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
