"""What a value of a team file may be, and how to mend one that is something else."""

import pytest

from interlock.team.gates import DURATION
from interlock.team.shapes import Text


@pytest.mark.parametrize(("shape", "value", "fix"), [(Text(), 5, "put it in quotes"), (DURATION, 5, "")])
def test_quotes_are_proposed_only_where_they_help(shape, value, fix):
    [problem] = shape.problems(value, ("a",))
    assert problem.fix == fix
