"""A journal that gives the same run when it is replayed, and each way in which it may not."""

from types import SimpleNamespace

import msgspec
import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.job import Reply, Usage
from interlock.testing.simulation.account import Account, Broken
from interlock.testing.simulation.checks import check_replay
from tests.core.transcripts import Transcript, step


class Told:
    """A finished run, its account and what its journal holds."""

    def __init__(self):
        said = Transcript(
            step("a", writes=["out.a"]),
            step("b", needs=["a"], writes=["out.{step}"], for_each="out.a.list"),
            request={"q": 1},
        )
        said.begin()
        said.reply("a", Reply(writes={"out.a": {"list": [1, 2]}}, usage=Usage(10, 5)))
        said.reply("b-0", {"out.b-0": "one"})
        said.reply("b-1", {"out.b-1": "two"})
        self.stored = said.journal
        self.row = SimpleNamespace(status="succeeded")
        self.account = Account("run", said.rules)
        for data in self.stored:
            self.account.hear(e.decode(data))

    def check(self):
        check_replay(self.account, self.stored, self.row)

    def find(self, kind, step_id=""):
        return next(
            n for n, event in enumerate(self.account.events)
            if isinstance(event, kind) and getattr(event, "step", "") == step_id
        )  # fmt: skip

    def change(self, place, **fields):
        """One event is another one, in the journal and for the account: as if it had always been so."""
        changed = msgspec.structs.replace(self.account.events[place], **fields)
        self.account.events[place] = changed
        self.account.encoded[place] = self.stored[place] = e.encode(changed)


@pytest.fixture
def told():
    return Told()


def broken(told, invariant, message):
    with pytest.raises(Broken, match=message) as raised:
        told.check()
    assert (raised.value.invariant, raised.value.run_id) == (invariant, "run")


def test_a_journal_gives_the_run_it_was_written_by(told):
    told.check()


def test_a_run_can_be_checked_at_any_moment(told):
    stored, account = told.stored, Account("run", told.account.rules)
    for count in range(1, len(stored) + 1):
        account.hear(e.decode(stored[count - 1]))
        check_replay(account, stored[:count], SimpleNamespace(status=account.status))


def test_another_byte_is_noticed(told):
    told.stored[-2] = told.stored[-2].replace(b"two", b"twO")
    broken(told, "journal", "the journal holds other events than were reported as durable")


@pytest.mark.parametrize("spoil", [lambda s: s.pop(), lambda s: s.append(s[-1]), lambda s: s.reverse()])
def test_a_lost_a_doubled_or_a_moved_event_is_noticed(told, spoil):
    spoil(told.stored)
    broken(told, "journal", "the journal holds other events")


@pytest.mark.parametrize("step_id", ["a", "b-1"])
def test_another_view_hash_is_noticed(told, step_id):
    told.change(told.find(e.AttemptStarted, step_id), view="0" * 64)
    broken(told, "replay", f"the view of {step_id} has another hash when it is replayed")


def test_a_row_that_says_something_else_is_noticed(told):
    told.row.status = "running"
    broken(told, "journal", "the listed status: 'running', not 'succeeded'")


def test_other_states_are_noticed(told):
    told.account.steps["b-1"].state = "dead"
    broken(told, "replay", "'b-1': 'dead'")


def test_another_context_is_noticed(told):
    told.change(told.find(e.AttemptCommitted, "b-1"), writes={"out.b-1": Raw(b'"too"')})
    broken(told, "replay", "the replayed context: .*too.*, not .*two")


def test_another_status_is_noticed(told):
    told.account.status = told.row.status = "failed"
    broken(told, "replay", r"the replayed status and cost: \('succeeded', Cost")


def test_another_cost_is_noticed(told):
    told.account.tokens += 1
    broken(told, "replay", r"the replayed status and cost: \('succeeded', Cost")
