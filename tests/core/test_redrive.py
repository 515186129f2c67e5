"""Dead steps are tried again: in their own run where nothing has come after them."""

import pytest

import interlock.core.events as e
from interlock.core.policy import Policy
from interlock.core.redrive import dead_steps, obstacle
from interlock.core.rules import Role
from interlock.core.states import LEGAL, REOPENED, TERMINAL

from .transcripts import ALL, ONCE, Transcript, step


def reopen(run, *steps):
    return run.say(e.RunReopened(run.tick(), steps, "person:ann", "the model is back"))


def end(run):
    return {name: state for name, state in run.states.items() if state != "committed"}


def test_a_dead_step_and_what_was_skipped_for_want_of_it_go_on():
    run = Transcript(
        step("a", writes=["a"]),
        step("b", needs=["a"], writes=["b"]),
        step("c", needs=["b"], writes=["c"]),
        step("d", writes=["d"]),
    )
    run.begin()
    run.reply("d")
    assert run.refuse("a")[-1].startswith("failed")
    assert dead_steps(run.machine) == ["a"]
    assert obstacle(run.machine, ["a"]) == ""

    assert reopen(run, "a") == ["call ann for a #2"]
    assert (run.machine.status, run.machine.reason, run.machine.reasons) == ("running", "", {})
    assert end(run) == {"a": "ready", "b": "waiting", "c": "waiting"}
    assert run.reply("a") == ["call ann for b #1"]
    run.reply("b")
    assert run.reply("c") == ["succeeded"]
    assert dead_steps(run.machine) == []


def test_it_has_all_attempts_again_from_its_first_agent_on_and_keeps_its_feedback():
    roles = {"ann": Role(ALL, Policy(retries=1, reissues_max=1), fallback="bob"), "bob": Role(ALL, ONCE)}
    run = Transcript(step("a"), roles=roles)
    run.begin()
    run.refuse("a")
    run.refuse("a")
    run.refuse("a")
    assert reopen(run, "a") == ["call ann for a #4"]
    run.start("a")
    assert run.jobs["a"].feedback == ("'' is not a dotted path",)
    assert run.crash() == ["call ann for a #4"]
    run.start("a")
    assert run.crash() == [
        "buried a: its call was lost 2 times: whatever it does kills the process",
        "failed: a: its call was lost 2 times: whatever it does kills the process",
    ]
    assert reopen(run, "a") == ["call ann for a #5"]
    run.start("a")
    assert run.crash() == ["call ann for a #5"]
    assert run.refuse("a") == ["call ann for a #6"]
    assert run.refuse("a") == ["call bob for a #7"]


def test_one_that_dies_again_is_dead_again_and_so_is_its_run():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.begin()
    run.refuse("a")
    reopen(run, "a")
    assert run.refuse("a") == ["buried a: '' is not a dotted path", "failed: a: '' is not a dotted path"]
    assert run.states == {"a": "dead", "b": "skipped"}


@pytest.mark.parametrize("on_dead", ["skip", "continue"])
def test_after_a_run_that_outlived_its_dead_step(on_dead):
    run = Transcript(step("a", writes=["a"]), step("b", needs=["a"], writes=["b"], on_dead=on_dead))
    run.begin()
    run.reply("a")
    assert run.refuse("b")[-1] == "succeeded"
    assert reopen(run, "b") == ["call ann for b #2"]
    assert run.reply("b") == ["succeeded"]


def test_a_step_that_waits_for_another_as_well_goes_on_waiting():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    assert run.states["c"] == "waiting"
    assert reopen(run, "a") == ["call ann for a #2"]
    assert run.reply("a") == []
    assert run.reply("b") == ["call ann for c #1"]


def test_one_of_several_dead_steps_alone():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    run.refuse("b")
    assert dead_steps(run.machine) == ["a", "b"]
    reopen(run, "b")
    assert run.reply("b")[0].startswith("failed: a: ")
    assert run.states == {"a": "dead", "b": "committed", "c": "skipped"}
    reopen(run, "a")
    assert run.reply("a") == ["call ann for c #1"]


def test_both_at_once():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), step("c", needs=["a", "b"], writes=["c"]))
    run.begin()
    run.refuse("a")
    run.refuse("b")
    assert reopen(run, "a", "b") == ["call ann for a #2", "call ann for b #2"]
    run.reply("b")
    assert run.reply("a") == ["call ann for c #1"]


def fan(**given):
    items = step("a", for_each="q", writes=["out.{step}"])
    return Transcript(items, step("b", needs=["a"], writes=["b"]), request={"q": [1, 2]}, **given)


def test_a_dead_item_and_with_it_its_group():
    run = fan()
    run.begin()
    run.refuse("a-0")
    run.reply("a-1")
    assert end(run) == {"a": "dead", "b": "skipped", "a-0": "dead"}
    assert dead_steps(run.machine) == ["a-0"]
    assert obstacle(run.machine, ["a-0"]) == ""
    assert reopen(run, "a-0") == ["call ann for a-0 #2"]
    assert end(run) == {"a": "running", "b": "waiting", "a-0": "ready"}
    assert run.reply("a-0") == ["call ann for b #1"]
    assert run.reply("b") == ["succeeded"]


def test_both_items_and_one_while_the_other_is_at_work():
    run = fan()
    run.begin()
    run.refuse("a-0")
    assert reopen(run, "a-0") == ["call ann for a-0 #2"]
    run.refuse("a-0")
    run.refuse("a-1")
    assert reopen(run, "a-0", "a-1") == ["call ann for a-0 #3", "call ann for a-1 #2"]
    run.reply("a-0")
    assert run.reply("a-1") == ["call ann for b #1"]


def test_an_item_of_a_group_that_outlived_it():
    run = Transcript(step("a", for_each="q", writes=["out.{step}"], on_dead="skip"), request={"q": [1, 2]})
    run.begin()
    run.refuse("a-0")
    assert run.reply("a-1") == ["succeeded"]
    reopen(run, "a-0")
    assert run.states == {"a": "running", "a-0": "ready", "a-1": "committed"}
    assert run.reply("a-0") == ["succeeded"]


def test_a_list_that_is_none_is_looked_for_again():
    run = Transcript(step("a", for_each="q", writes=["out.{step}"]))
    run.begin()
    assert reopen(run, "a")[0] == "buried a: for_each: there is nothing at q"


def test_beside_a_question():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.refuse("a")
    assert run.ask("b") == ["parked: b asks: Really?"]
    assert reopen(run, "a") == ["call ann for a #2"]
    assert run.reply("a") == ["parked: b asks: Really?"]


def test_where_more_has_come_after_it_the_run_can_not_go_on():
    run = Transcript(
        step("a", writes=["a"], on_dead="continue"), step("b", needs=["a"], writes=["b"]), step("c", writes=["c"])
    )
    run.begin()
    run.reply("c")
    run.refuse("a")
    assert obstacle(run.machine, ["a"]) == "step b comes after a, and has started already"
    run.reply("b")
    assert obstacle(run.machine, ["a"]) == "step b comes after a, and has started already"
    with pytest.raises(AssertionError, match="b: committed -> waiting"):
        reopen(run, "a")


def test_what_was_cancelled_stays_so():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.refuse("a")
    run.say(e.RunCancelled(run.tick(), "ann"))
    assert obstacle(run.machine, ["a"]) == "the run was cancelled, which is final"


def test_only_dead_steps_are_tried_again():
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]))
    run.begin()
    run.reply("a")
    with pytest.raises(AssertionError, match="a: committed -> ready"):
        reopen(run, "a")


def test_what_is_reopened_had_ended_or_was_skipped():
    assert set(REOPENED) <= TERMINAL - {"cancelled"}
    assert all(not LEGAL[state] for state in REOPENED)
