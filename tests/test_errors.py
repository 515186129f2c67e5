"""One tree of errors: each with a message, a stable code, and whose fault it is."""

import copy
import pickle

import pytest

from interlock import errors
from interlock.errors import InterlockError, JournalFull, PlanError, RaceError, TeamError


def tree(root=InterlockError):
    return [root, *[error for child in root.__subclasses__() for error in tree(child)]]


ERRORS = [error for error in tree() if error.__module__ == errors.__name__]


def test_every_error_of_the_module_is_in_the_tree():
    found = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert found == set(ERRORS)


def test_codes_are_what_they_were():
    # Compatibility data: scripts tell errors apart by them. Add to these, and change none.
    assert {error.__name__: error.code for error in ERRORS} == {
        "InterlockError": "interlock",
        "PathError": "bad_path",
        "ValueRefused": "bad_value",
        "TeamError": "bad_team",
        "PlanError": "bad_plan",
        "OwnershipError": "two_owners",
        "RaceError": "race",
        "ProposalRefused": "bad_proposal",
        "UnknownPrice": "unknown_price",
        "FaultsError": "bad_faults",
        "InputError": "bad_input",
        "UsageError": "bad_usage",
        "MissingExtra": "missing_extra",
        "NotDelivered": "not_delivered",
        "BrokenPromise": "broken_promise",
        "AgentError": "agent_failed",
        "AgentCrashed": "agent_crashed",
        "AgentRefused": "agent_refused",
        "RateLimited": "rate_limited",
        "Overloaded": "overloaded",
        "Unreachable": "unreachable",
        "BadRequest": "bad_request",
        "AccessDenied": "access_denied",
        "ContextTooLong": "context_too_long",
        "NotPerformed": "not_performed",
        "AdapterFailed": "adapter_failed",
        "ReplyRefused": "reply_refused",
        "JournalError": "journal",
        "JournalFull": "journal_full",
        "JournalTooNew": "journal_too_new",
        "JournalUnavailable": "journal_unavailable",
        "StaleDriver": "stale_driver",
        "RunNotFound": "no_such_run",
        "TeamChanged": "team_changed",
        "DecisionRefused": "decision_refused",
        "EventNotTaken": "event_not_taken",
        "RunInterrupted": "interrupted",
        "SimulationError": "simulation",
    }


def test_no_two_errors_share_a_code():
    assert len({error.code for error in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_whose_fault_it_is(error):
    assert error.fault in {"caller", "agent", "interlock"}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_without_a_message_still_says_something(error):
    assert str(error()).strip()
    assert error().message
    assert "\n" not in str(error())


def test_a_message_ends_with_the_mend():
    error = JournalFull("no space left for runs.db", fix="free some")
    assert (error.message, error.fix) == ("no space left for runs.db", "free some")
    assert str(error) == "no space left for runs.db; free some"
    assert str(JournalFull()) == "The disk under the journal is full; nothing was lost and the run can be resumed"


def test_a_team_error_says_where():
    error = TeamError("timeout is negative", fix="write 2s", place=("agents", "a", "timeout"), file="team.yaml", line=7)
    assert str(error) == "team.yaml:7: timeout is negative; write 2s"
    assert str(TeamError("it is empty", file="team.yaml")) == "team.yaml: it is empty"
    assert (error.sentence, error.file, error.line) == ("timeout is negative", "team.yaml", 7)
    assert error.place == ("agents", "a", "timeout")
    assert error.problems == (error,)


def test_several_problems_are_one_error_of_their_kind():
    races = [RaceError("a and b write x"), RaceError("b and c write y")]
    assert TeamError.of(races[:1]) is races[0]
    both = TeamError.of(races)
    assert type(both) is RaceError
    assert both.problems == tuple(races)
    assert str(both) == "2 problems:\n  a and b write x\n  b and c write y"
    assert type(TeamError.of([*races, PlanError("a step needs itself")])) is TeamError


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_the_way_to_another_process(error, again):
    original = error("it broke", fix="mend it")
    copied = again(original)
    assert type(copied) is error
    assert (str(copied), copied.message, copied.fix) == (str(original), original.message, original.fix)
