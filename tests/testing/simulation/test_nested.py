"""Runs do steps of other runs in simulated worlds: processes die, people answer, and nothing breaks."""

import shutil
from collections import Counter

import msgspec
import pytest
import yaml

from interlock.core import events as e
from interlock.core.above import Above
from interlock.core.budget import BudgetPolicy
from interlock.core.gate import GatePolicy
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.gates import GateAccount, Gates
from interlock.testing.simulation.kin import check_child, check_share, check_the_end, check_told
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes
from .test_crashes import without_gates

NESTED = TEAMS / "nested.yaml"


@pytest.mark.parametrize("sqlite", [False, True], ids=["memory", "sqlite"])
@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_runs_do_steps_of_others_once_whatever_happens(faults, sqlite):
    made, seen = scenes(NESTED, faults=faults, runs=2, sqlite=sqlite), Counter()
    for episode in episodes(made, range(5 if sqlite else 15)):
        for account in episode.runs.values():
            seen.update(type(event).__name__ for event in account.events)
            seen["deep"] += account.parent is not None and account.parent.depth == 2
    assert {"ChildStarted", "ChildEnded", "deep"} <= seen.keys()
    if faults and not sqlite:
        assert {"ChildParked", "ChildAbandoned"} <= seen.keys()


def test_a_run_that_has_failed_may_have_been_tried_again_when_that_is_heard():
    episode = World(scenes(NESTED, faults=every_fault(), runs=3).of(16), 16).play()
    again = [account for account in episode.runs.values() if any(type(one) is e.RunReopened for one in account.events)]
    assert (episode.broken, [account.status for account in again]) == (None, ["succeeded"])


@pytest.mark.timeout(300)
def test_whenever_the_process_dies_nested_runs_come_to_the_same_end(tmp_path):
    folder = shutil.copytree(TEAMS, tmp_path / "teams")
    for name in ("nested", "nested_inner", "nested_middle"):
        team = folder / f"{name}.yaml"
        declared = without_gates(yaml.safe_load(team.read_text()))
        declared["agents"].get("labs", {}).pop("timeout", "")  # which may rightly be over when the next process comes
        team.write_text(yaml.safe_dump(declared, sort_keys=False))
    report = explore_crashes(scene(folder / "nested.yaml", seed=3, runs=1), seed=3)
    assert report.ok, report.differences[0].message
    assert report.points > 50


def tight(folder):
    """The same teams under a budget that is too little for two of them at a time."""
    team = shutil.copytree(TEAMS, folder / "tight") / "nested.yaml"
    declared = yaml.safe_load(team.read_text())
    declared["budget"] = {"calls": 36, "usd": 8.0}
    for name in ("lab", "labs"):
        declared["agents"][name].pop("timeout", "")  # which would end most holds
    team.write_text(yaml.safe_dump(declared, sort_keys=False))
    return team


def test_what_others_have_set_aside_is_waited_for_and_parked_runs_are_not_waited_for_awake(tmp_path):
    made, gates, slept = scenes(tight(tmp_path), faults=every_fault(), runs=2), Counter(), 0
    for episode in episodes(made, range(12)):
        for account in episode.runs.values():
            held = {""}
            for event in account.events:
                if isinstance(event, e.CallHeld):
                    gates[event.gate] += 1
                    held |= {event.step} if event.gate == "run_reservation" else set()
                if isinstance(event, e.BackoffEnded):
                    held.discard(event.step)
                slept += isinstance(event, e.RunParked) and len(held) > 1
    assert gates["run_reservation"]
    assert slept


@pytest.mark.parametrize("team", ["reserved", "reserved_above"])
def test_who_waits_for_what_others_have_reserved_is_neither_forgotten_nor_let_go_on_in_vain(team):
    made, again = scenes(TEAMS / f"{team}.yaml", faults=every_fault(), runs=3), 0
    for episode in episodes(made, range(4, 12)):
        events = (event for account in episode.runs.values() for event in account.events)
        again += any(isinstance(event, e.CallHeld) and event.gate == "run_reservation" for event in events)
    assert again == 8


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_calls_of_nested_teams_pass_the_gates_of_all_above_whatever_happens(faults):
    made, seen = scenes(TEAMS / "day_above.yaml", faults=faults, runs=3), Counter()
    for episode in episodes(made, range(10)):
        for account in episode.runs.values():
            seen.update(event.gate for event in account.events if isinstance(event, e.CallHeld))
            seen.update(event.budget for event in account.events if isinstance(event, e.BudgetRaised))
    assert {"above_1_rate", "above_2_rate", "above_1_budget", "above_2_budget", "team_budget"} <= seen.keys()


def test_a_call_too_many_for_the_day_of_a_team_above_is_found():
    made = scenes(TEAMS / "day_above.yaml", runs=3)
    runs = World(made.of(0), 0).play().runs
    below = next(account for account in runs.values() if account.parent is not None and account.parent.depth == 2)
    whole = next(account for account in runs.values() if account.parent is None)
    gates, above = Gates(below.rules), [GateAccount("whole", GatePolicy(budget=BudgetPolicy(calls=1, daily=True)))]
    begun = next(event for event in below.events if isinstance(event, e.AttemptStarted))
    gates.hear(below, begun, above)
    raised = e.BudgetRaised(begun.at_us, begun.step, 1, "person:eve", "above_1_budget", "team whole", calls=1)
    gates.hear(below, raised, above)
    gates.hear(below, begun, above)
    with pytest.raises(Broken, match="3 calls of whole on a day whose budget is less"):
        gates.hear(below, begun, above)
    assert whole.declared_above("above_1_budget") == (None, "")


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_more_of_a_share_is_set_aside_before_it_is_granted_whatever_happens(faults):
    made, seen = scenes(TEAMS / "shares_asked.yaml", faults=faults, runs=3), Counter()
    for episode in episodes(made, range(12)):
        for account in episode.runs.values():
            seen.update(type(event).__name__ for event in account.events)
            seen["deep"] += account.parent is not None and account.parent.depth == 2 and account.tokens > 0
    assert {"ShareRaised", "BudgetRaised", "deep"} <= seen.keys()


def test_a_run_that_has_set_aside_more_takes_no_room_before_it_goes_on():
    made = scenes(TEAMS / "shares_between.yaml", faults=every_fault(), runs=3)
    [episode] = episodes(made, [9_100_110])
    raised = [event for one in episode.runs.values() for event in one.events if isinstance(event, e.ShareRaised)]
    assert len(raised) == 1


def shared():
    """A run and one that does a step of it, for which more was set aside."""
    made = scenes(TEAMS / "shares_asked.yaml", runs=3)
    for seed in range(30):
        runs = World(made.of(seed), seed).play().runs
        for account in runs.values():
            for event in account.events:
                if isinstance(event, e.ShareRaised):
                    return runs, account, event
    raise AssertionError("nobody has approved more")


def before(account, event):
    """An account of the same run, as it was before an event."""
    again = type(account)(account.run_id, account.first_rules)
    for heard in account.events[: account.events.index(event)]:
        again.hear(heard)
    return again


def test_what_is_wrong_with_a_share_that_is_raised_is_found():
    runs, above, raised = shared()
    again = before(above, raised)
    for change, message in [
        ({"run_id": "other"}, "more is set aside for run other, which doesn't do"),
        ({"by": "agent"}, "agent approves more for"),
        ({"calls": 0, "tokens": 0, "usd": 0}, "is not more"),
    ]:
        with pytest.raises(Broken, match=message):
            again.hear(msgspec.structs.replace(raised, **change))
    for name in ("calls", "tokens", "usd"):
        with pytest.raises(Broken, match="are set aside for"):
            before(above, raised).hear(msgspec.structs.replace(raised, **{name: 10**9}))
    below = runs[raised.run_id]
    granted = next(event for event in below.events if isinstance(event, e.BudgetRaised))
    check_share(runs, below, granted)
    with pytest.raises(Broken, match="has more than is set aside for it"):
        check_share(runs, below, msgspec.structs.replace(granted, calls=9))


def test_more_of_a_share_that_its_run_is_not_told_of_is_found():
    runs, above, raised = shared()
    below = runs[raised.run_id]
    again = before(below, next(event for event in below.events if isinstance(event, e.BudgetRaised)))
    again.parent = below.parent
    with pytest.raises(Broken, match="was never told that it may consume more"):
        check_the_end({above.run_id: above, below.run_id: again})


def test_an_account_finds_a_hold_that_is_told_as_one_for_good_and_a_run_that_is_parked_too_early(tmp_path):
    made = scenes(tight(tmp_path), faults=every_fault(), runs=2)
    accounts = (account for seed in range(12) for account in World(made.of(seed), seed).play().runs.values())
    for account in accounts:
        again, held = type(account)(account.run_id, account.first_rules), ""
        again.clock_is_steady = False  # nobody tells it of processes that died
        for event in account.events:
            if isinstance(event, e.CallHeld) and event.gate == "run_reservation":
                for_good = msgspec.structs.replace(event, gate="run_budget", until_us=0)
                with pytest.raises(Broken, match="is held, but the run has enough left"):
                    again.hear(for_good)
                held = event.step
            if isinstance(event, e.RunParked) and held and again.step(held).held:
                again.budgets[""].held_usd = again.budgets[""].held_calls = 0
                with pytest.raises(Broken, match="could go on"):
                    again.hear(event)
                return
            again.hear(event)
    pytest.fail("nothing was held")


def test_two_worlds_of_one_seed_are_the_same():
    made = scenes(NESTED, faults=every_fault(), runs=2)
    assert World(made.of(4), 4).play().digest == World(made.of(4), 4).play().digest


# --- what the account refuses ---


@pytest.fixture(scope="module")
def played():
    episode = World(scene(NESTED, seed=0, runs=1), 0).play()
    assert episode.broken is None
    return episode.runs


def told_until(played, kind, step="research"):
    """The account of the run above, as it was before the first event of this kind; and that event."""
    account = played["sim-0"]
    first = next(event for event in account.events if type(event).__name__ == kind and event.step == step)
    return before(account, first), first


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("ChildStarted", {"due_us": 5}, "the time of"),
        ("ChildEnded", {"run_id": "other"}, "hears of other, and waits for"),
        ("ChildEnded", {"late": True}, "ends late, and was not given up"),
        ("ChildEnded", {"status": "parked"}, "has ended as parked"),
        ("AttemptCommitted", {"attempt": 7}, "AttemptCommitted of attempt 7"),
    ],
)
def test_an_account_finds_what_is_told_wrongly(played, kind, change, message):
    account, event = told_until(played, kind)
    with pytest.raises(Broken, match=message):
        account.hear(msgspec.structs.replace(event, **change))


def test_an_account_finds_an_end_that_is_told_twice_and_a_commit_without_a_success(played):
    account, ended = told_until(played, "ChildEnded")
    account.hear(e.ChildEnded(ended.at_us, "research", 1, ended.run_id, "failed"))
    with pytest.raises(Broken, match="waits for no run"):
        account.hear(ended)
    account, ended = told_until(played, "ChildEnded")
    account.hear(e.ChildEnded(ended.at_us, "research", 1, ended.run_id, "failed"))
    with pytest.raises(Broken, match="research has succeeded, but the run that did it has failed"):
        account.hear(e.AttemptCommitted(ended.at_us, "research", 1))
    account, ended = told_until(played, "ChildEnded")
    with pytest.raises(Broken, match="before its time"):
        account.hear(e.ChildAbandoned(ended.at_us, "research", 1, ended.run_id))
    with pytest.raises(Broken, match="is done by what lab is not"):
        told_until(played, "ChildStarted")[0].hear(e.AttemptStarted(ended.at_us, "research", 1, "lab", "v"))


def test_what_a_run_tells_of_another_is_held_against_it(played):
    above = played["sim-0"]
    [ended] = [one for one in above.events if isinstance(one, e.ChildEnded) and one.step == "research"]
    check_told(played, above, ended)
    for change, message in [
        ({"status": "failed"}, "how run"),
        ({"run_id": "none", "status": "cancelled"}, "never began"),
    ]:
        with pytest.raises(Broken, match=message):
            check_told(played, above, msgspec.structs.replace(ended, **change))
    with pytest.raises(Broken, match="there is none"):
        check_told(played, above, e.ChildParked(9, "research", 1, "none", "why", 3))
    with pytest.raises(Broken, match="and was not"):
        check_told(played, above, e.ChildParked(9, "research", 1, ended.run_id, "why", 1))
    below = type(above)("below", above.first_rules)
    below.events += [e.RunParked(8, "why"), e.AnswerRefused(9, "draft", "person:eve", "approve", ())]
    check_told({"below": below}, above, e.ChildParked(9, "research", 1, "below", "why", 2))


def test_a_run_that_nobody_has_announced_or_that_outlives_the_one_above_is_found(played):
    first = played["sim-0"].events[0]
    parent = e.Parent("sim-0", "research", 1)
    with pytest.raises(Broken, match="no run has announced that"):
        check_child(played, "other", first, parent)
    above, started = told_until(played, "ChildStarted")
    above.hear(started)
    first = played[started.run_id].events[0]
    check_child({"sim-0": above}, started.run_id, first, first.parent)
    parent = msgspec.structs.replace(first.parent, above=(Above("other/", None, BudgetPolicy(calls=1, daily=True)),))
    with pytest.raises(Broken, match="the gates above run"):
        check_child({"sim-0": above}, started.run_id, first, parent)
    [below] = [one for one in played.values() if one.parent is not None and one.parent.step == "research"]
    below.status = "parked"
    with pytest.raises(Broken, match="it goes on, and run sim-0 is over"):
        check_the_end(played)
    below.status = "succeeded"
    check_the_end(played)
