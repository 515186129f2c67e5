"""How far a run has come: how many items of a for_each are under way at a time, and how many each copy gets."""

import pytest

import interlock.core.events as e
from interlock.core.effects import EffectRule
from interlock.core.job import Effect, Reply
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.errors import PlanError

from .transcripts import Transcript, step

TWICE = Policy(retries=1, backoff_ms=1)


def fan(items=4, width=2, **given):
    each = step("a", for_each="q", width=width, writes=["out.{step}"], **given.pop("each", {}))
    return Transcript(each, step("b", needs=["a"], writes=["b"]), request={"q": list(range(items))}, **given)


def under_way(run):
    return [name for name, state in run.states.items() if "-" in name and state not in {"waiting", "committed", "dead"}]


def test_only_so_many_items_are_called_at_a_time_and_in_the_order_of_the_list():
    run = fan()
    assert run.begin() == ["expanded a [0,1,2,3]", "call ann for a-0 #1", "call ann for a-1 #1"]
    run.start("a-0", "a-1")
    assert run.reply("a-1") == ["call ann for a-2 #1"]
    assert run.reply("a-2") == ["call ann for a-3 #1"]
    assert run.reply("a-0") == []
    assert run.reply("a-3") == ["call ann for b #1"]


def test_a_width_that_nothing_reaches_changes_nothing():
    run = fan(items=2, width=5)
    assert run.begin()[1:] == ["call ann for a-0 #1", "call ann for a-1 #1"]
    assert (run.reply("a-1"), run.reply("a-0")) == ([], ["call ann for b #1"])
    assert fan(items=0).begin() == ["expanded a []", "call ann for b #1"]


def test_a_dead_item_makes_room_and_one_that_is_tried_again_keeps_its_own():
    run = fan(width=1, policy=TWICE)
    run.begin()
    run.fail("a-0")
    assert under_way(run) == ["a-0"]
    run.say(e.BackoffEnded(run.tick(), "a-0"))
    assert run.fail("a-0")[-1] == "call ann for a-1 #1"


def test_who_waits_for_a_person_keeps_its_room_and_the_run_parks():
    run = fan(width=1)
    run.begin()
    assert run.ask("a-0") == ["parked: a-0 asks: Really?"]
    assert run.states["a-1"] == "waiting"


def test_after_a_crash_no_more_are_called_than_before():
    run = fan()
    run.begin()
    run.start("a-0", "a-1")
    assert run.crash() == ["call ann for a-0 #1", "call ann for a-1 #1"]
    assert under_way(run) == ["a-0", "a-1"]


def test_an_item_keeps_its_room_until_its_effects_are_done():
    roles = {"ann": Role(Scope(["act", "mail"], ["*"], ["*"]))}
    run = fan(width=1, roles=roles, effects={"mail": EffectRule()})
    run.begin()
    run.reply("a-0", Reply(effects=[Effect("mail")]))
    assert under_way(run) == ["a-0"]
    run.begin_effect("a-0", "mail")
    assert run.done("a-0", "mail") == ["call ann for a-1 #1"]


def test_cancelling_ends_those_that_wait_too():
    run = fan()
    run.begin()
    run.say(e.RunCancelled(5, "eve"))
    assert set(run.states.values()) == {"cancelled"}


class TestReopened:
    def lost(self, items=4, **given):
        run = fan(items, **given)
        run.begin()
        for n in range(items):
            run.fail(f"a-{n}", retryable=False)
        return run

    def test_items_that_are_tried_again_wait_for_each_other(self):
        run = self.lost()
        told = run.say(e.RunReopened(run.tick(), ["a-3", "a-1", "a-2"], "eve"))
        assert told == ["call ann for a-3 #2", "call ann for a-1 #2"]
        assert run.reply("a-3") == ["call ann for a-2 #2"]
        assert run.reply("a-2") == []
        assert run.reply("a-1")[-1] == "failed: a: a-0: it broke"

    def test_one_whose_effects_are_left_needs_no_room_and_takes_some(self):
        roles = {"ann": Role(Scope(["act", "mail"], ["*"], ["*"]))}
        run = fan(2, 1, roles=roles, effects={"mail": EffectRule(retries=0)}, each={"on_dead": "skip"})
        run.begin()
        for n in range(2):
            run.reply(f"a-{n}", Reply(effects=[Effect("mail")]))
            run.begin_effect(f"a-{n}", "mail")
            run.not_done(f"a-{n}", "mail", retryable=False)
        run.say(e.RunReopened(run.tick(), ["a-0", "a-1"], "eve"))
        assert under_way(run) == ["a-0", "a-1"]
        for n in range(2):
            run.begin_effect(f"a-{n}", "mail")
            run.done(f"a-{n}", "mail")
        assert (run.states["a"], run.machine._room) == ("committed", {1: 1})


@pytest.mark.parametrize(("size", "batches"), [(1, [[0], [1], [2], [3]]), (3, [[0, 1, 2], [3]]), (9, [[0, 1, 2, 3]])])
def test_a_copy_gets_a_batch_of_items(size, batches):
    run = fan(width=0, each={"batch": size})
    assert run.begin()[0] == f"expanded a {str(batches).replace(' ', '')}"
    run.start("a-0")
    assert run.jobs["a-0"].item == batches[0]


def test_batches_of_nothing_are_none():
    assert fan(items=0, each={"batch": 2}).begin()[0] == "expanded a []"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 2}, "step a has a width, but no for_each; remove it"),
        ({"batch": 2}, "step a has a batch, but no for_each; remove it"),
        ({"for_each": "q", "width": -1}, "the width of step a is -1; 1 to 100,000 is possible"),
        ({"for_each": "q", "batch": 100_001}, "the batch of step a is 100,001; 1 to 100,000 is possible"),
        ({"for_each": "q", "batch": "2"}, "batch of step a is a str"),
    ],
)
def test_what_says_nothing_is_refused(given, message):
    with pytest.raises(PlanError) as refused:
        Plan([step("a", **given)])
    assert (str(refused.value), refused.value.place[:2]) == (message, ("plan", "a"))


def test_what_is_not_declared_is_not_in_the_hash():
    assert Plan([step("a", for_each="q")]).hash == Plan([step("a", for_each="q", width=0, batch=0)]).hash
    assert Plan([step("a", for_each="q")]).hash != Plan([step("a", for_each="q", width=1)]).hash
