"""Exit codes, and how errors are told."""

import pytest

from interlock.cli import exits
from interlock.errors import (
    AgentError,
    InputError,
    InterlockError,
    JournalError,
    JournalFull,
    JournalUnavailable,
    RunInterrupted,
    RunNotFound,
    StaleDriver,
    TeamError,
)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        (["succeeded"], 0),
        (["succeeded", "parked"], 3),
        (["parked", "failed", "succeeded"], 1),
        (["cancelled", "parked"], 1),
        (["running", "failed"], 130),
    ],
)
def test_a_batch_ends_with_the_code_of_its_worst_run(statuses, code):
    assert exits.of_statuses(statuses) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (TeamError("x"), 2),
        (RunNotFound("x"), 2),
        (JournalError("x"), 2),
        (JournalFull("x"), 1),
        (JournalUnavailable("x"), 1),
        (StaleDriver("x"), 1),
        (AgentError("x"), 1),
        (RunInterrupted("x"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_have_codes(error, code, capsys):
    def work():
        raise error

    assert exits.guarded(work) == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_is_one_message_with_its_mend(capsys):
    exits.complain(InterlockError("it is \x1b[31mred", fix="mend it"))
    assert capsys.readouterr().err == "error: it is \\u001b[31mred\n  fix: mend it\n"


def test_many_problems_are_a_list(capsys):
    problems = [TeamError("bad", fix="mend", file="t.yaml", line=line) for line in (3, 7)]
    exits.complain(TeamError.of(problems))
    assert capsys.readouterr().err == (
        "error: 2 problems\n  t.yaml:3: bad\n    fix: mend\n  t.yaml:7: bad\n    fix: mend\n"
    )


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exits.guarded(lambda: 1 // 0)
