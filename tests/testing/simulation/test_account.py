"""The account of a run: good stories pass, and each invariant refuses the first event that breaks it."""

import pickle
from contextlib import contextmanager
from functools import partial
from random import Random
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from msgspec import Raw

import interlock.core.events as e
from interlock.core import values
from interlock.core.context import EVERYTHING, View
from interlock.core.job import Job, Question, Usage, idempotency_key
from interlock.core.plan import Phase, Plan
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.step import Condition, Step
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.guardrails.declared import seat_of
from interlock.testing.simulation.account import Account, Broken
from interlock.testing.simulation.account.naive import NaiveContext
from interlock.testing.simulation.account.views import Seen, ViewHashes, wrong_by_name
from interlock.testing.simulation.checks import check_replay
from tests.core.strategies import scenarios
from tests.core.test_promises import SLOW_TO_DRAW, Playing, schedules

ALL = Scope(["act"], ["*"], ["*"])
GUARD = partial(seat_of, find=None)
SECOND_US = 1_000_000


def step(id_, *needs, **given):
    given.setdefault("writes", [f"out.{id_}"])
    return Step(id_, given.pop("agent", "ann"), "act", needs=needs, **given)


def each(id_, path, *needs, **given):
    return step(id_, *needs, for_each=path, writes=["out.{step}"], **given)


class Telling:
    """Tells an account what happens, one second apart."""

    def __init__(self, *steps, request=None, roles=None, reducers=None, limits=DEFAULT_LIMITS, hashes=None, **policy):
        roles = roles or {"ann": Role(ALL, Policy(**{"retries": 0, "backoff_ms": 0, **policy}))}
        self.rules = Rules(Plan(steps), roles, Sharing(reducers=reducers or {}), limits, GUARD)
        self.request = request or {}
        self.account = Account("run", self.rules, hashes)
        self.at_us = 0
        self.attempts = {}

    def hear(self, kind, *given, after=SECOND_US, **more):
        self.at_us += after
        self.account.hear(kind(self.at_us, *given, **more))
        return self

    def begin(self):
        return self.hear(e.RunStarted, Raw(values.encode(self.request)), "team", "plan")

    def start(self, step_id, *, attempt=0, agent="ann", again=False, **more):
        self.attempts[step_id] = attempt or self.attempts.get(step_id, 0) + (not again)
        return self.hear(e.AttemptStarted, step_id, self.attempts[step_id], agent, self.hash_of(step_id), **more)

    def hash_of(self, step_id):
        """The hash that a good machine tells for what a step may see."""
        one = self.account.steps.get(step_id)
        if one is None:
            return ""
        seen = Seen(self.account.naive, self.rules.plan.ancestors[one.number], one.duty.sight, "run")
        return values.content_hash(seen.leaves + seen.origin)

    def commit(self, step_id, deletes=(), usage=None, *, attempt=0, **writes):
        """Writes below `out`, or whole paths where they have one."""
        raw = {path.replace("__", "."): Raw(values.encode(value)) for path, value in writes.items()}
        return self.hear(e.AttemptCommitted, step_id, attempt or self.attempts[step_id], raw, deletes, usage=usage)

    def do(self, step_id, **writes):
        return self.start(step_id).commit(step_id, **writes)

    def refuse(self, step_id, *messages):
        findings = tuple(e.Finding("shape", message) for message in messages)
        return self.hear(e.AttemptRefused, step_id, self.attempts[step_id], findings)

    def fail(self, step_id, **more):
        return self.hear(e.AttemptFailed, step_id, self.attempts[step_id], "error", "it broke", **more)

    def lose(self, step_id):
        return self.hear(e.AttemptInterrupted, step_id, self.attempts[step_id])

    def ask(self, step_id):
        return self.hear(e.QuestionAsked, step_id, self.attempts[step_id], Question("Really?"))

    def decide(self, step_id, decision, by="person:eve", *, attempt=0, **given):
        attempt = attempt or self.attempts[step_id]
        return self.hear(e.QuestionAnswered, step_id, attempt, by, decision, **given)

    def expand(self, step_id, items):
        return self.hear(e.StepExpanded, step_id, Raw(values.encode(items)))

    def skip(self, step_id):
        return self.hear(e.StepSkipped, step_id, "its condition did not hold")

    def bury(self, step_id):
        return self.hear(e.StepBuried, step_id, "given up")

    def park(self):
        return self.hear(e.RunParked, "a person is asked")

    def cancel(self):
        return self.hear(e.RunCancelled, "ann")

    def finish(self, status="succeeded"):
        return self.hear(e.RunFinished, status)

    def call(self, step_id, **told):
        """The agent is handed its job."""
        attempt = told.setdefault("attempt", self.attempts.get(step_id, 1))
        told.setdefault("view", self.view_of(step_id))
        told.setdefault("idempotency_key", idempotency_key("run", step_id, attempt))
        told = {"run_id": "run", "step": step_id, "agent": "ann", "action": "act", **told}
        self.account.see_call(Job(**told))
        return self

    def view_of(self, step_id):
        """What the step is meant to see, when nobody plays tricks."""
        label = self.account.steps[step_id].number if step_id in self.account.steps else 1
        return shown(self.account.naive.tree(self.rules.plan.ancestors[label]))

    @property
    def states(self):
        return self.account.states


def shown(tree):
    return View.of(tree)


@contextmanager
def broken(invariant, message=None):
    with pytest.raises(Broken, match=message) as raised:
        yield
    assert raised.value.invariant == invariant
    assert raised.value.run_id == "run"


# --- time, final ---


def test_time_never_goes_back_within_a_run():
    telling = Telling(step("a")).begin().start("a", after=0)
    with broken("time", "time went back"):
        telling.commit("a").hear(e.RunFinished, "succeeded", after=-1)


def test_a_run_begins_with_its_start():
    with broken("final", "AttemptStarted after the run was "):
        Telling(step("a")).start("a")


def test_a_run_starts_once():
    with broken("final", "RunStarted after the run was running"):
        Telling(step("a")).begin().begin()


@pytest.mark.parametrize(
    "end",
    [lambda t: t.do("a").finish(), lambda t: t.start("a").fail("a").bury("a").finish("failed"), Telling.cancel],
)
def test_nothing_happens_after_the_end(end):
    telling = Telling(step("a")).begin()
    end(telling)
    assert telling.account.status in {"succeeded", "failed", "cancelled"}
    with broken("final", "after the run was"):
        telling.cancel()


def test_a_parked_run_can_only_be_cancelled():
    telling = Telling(step("a"), step("b", "a")).begin().start("a").ask("a").park()
    with broken("final", "AttemptStarted after the run was parked"):
        telling.start("b")
    telling.cancel()
    assert telling.states == {"a": "cancelled", "b": "cancelled"}


# --- once ---


def test_a_committed_step_is_never_called_again():
    telling = Telling(step("a"), step("b")).begin().do("a", out__a=1)
    with broken("once", "a is called again although it is committed"):
        telling.start("a")


def test_a_step_is_not_called_while_it_is_in_flight():
    telling = Telling(step("a"), retries=3).begin().start("a")
    with broken("once", "a is called while a call of it is in flight"):
        telling.start("a")


def test_a_step_that_asks_is_not_called():
    telling = Telling(step("a"), step("b"), retries=3).begin().start("a").ask("a")
    with broken("once", "a is called again although it is escalated"):
        telling.start("a")


def test_a_step_ends_once():
    with broken("once", "a is skipped although it is committed"):
        Telling(step("a"), step("b")).begin().do("a").skip("a")
    with broken("once", "a is given up although it is committed"):
        Telling(step("a"), step("b")).begin().do("a").bury("a")


# --- attempts ---


def test_attempts_are_counted_one_by_one():
    with broken("attempts", "attempt 2 of a should be 1"):
        Telling(step("a")).begin().start("a", attempt=2)
    with broken("attempts", "attempt 1 of a should be 2"):
        Telling(step("a"), retries=1).begin().start("a").refuse("a", "no").start("a", attempt=1)


def test_a_lost_call_is_made_again_under_its_number():
    Telling(step("a")).begin().start("a").lose("a").start("a", again=True).commit("a").finish()
    with broken("attempts", "attempt 2 of a should be 1"):
        Telling(step("a"), retries=3).begin().start("a").lose("a").start("a")


def test_there_are_no_more_attempts_than_the_policy_allows():
    telling = Telling(step("a"), retries=2).begin()
    for _ in range(3):
        telling.start("a").refuse("a", "no")
    with broken("attempts", "a is called although all attempts of it are used up"):
        telling.start("a")


def test_what_fails_for_good_is_not_tried_again():
    telling = Telling(step("a"), retries=2).begin().start("a").fail("a", retryable=False)
    with broken("attempts", "used up"):
        telling.start("a")


def test_a_call_is_made_again_so_often_and_no_more():
    telling = Telling(step("a"), reissues_max=1).begin().start("a").lose("a").start("a", again=True).lose("a")
    with broken("attempts", "used up"):
        telling.start("a", attempt=2)
    telling.bury("a").finish("failed")


def test_a_step_is_not_given_up_with_attempts_left():
    with broken("attempts", "a is given up with attempts left"):
        Telling(step("a"), retries=1).begin().start("a").refuse("a", "no").bury("a")
    with broken("attempts", "a is given up with attempts left"):
        Telling(step("a")).begin().bury("a")


def two(**ann):
    return {"ann": Role(ALL, fallback="eve", **ann), "eve": Role(ALL)}


def test_the_fallback_comes_after_the_last_attempt_and_not_before():
    roles = two(policy=Policy(retries=1, backoff_ms=0))
    telling = Telling(step("a"), roles=roles).begin().start("a").refuse("a", "no")
    with broken("attempts", "eve is called, not ann"):
        telling.start("a", agent="eve")
    telling = Telling(step("a"), roles=roles).begin().start("a").refuse("a", "no").start("a").fail("a")
    telling.start("a", agent="eve").commit("a").finish()
    with broken("attempts", "ann is called, not eve"):
        Telling(step("a"), roles=two(policy=Policy(retries=0))).begin().start("a").refuse("a", "no").start("a")


# --- plan ---


def test_a_step_waits_for_what_it_needs():
    with broken("plan", "b is called, but it must wait for a"):
        Telling(step("a"), step("b", "a")).begin().start("b")
    Telling(step("a"), step("b", "a")).begin().do("a").start("b")


def test_a_step_of_a_phase_waits_for_the_phase_before():
    phases = Phase("one", [step("a"), step("b")]), Phase("two", [step("c")])
    with broken("plan", "c is called, but it must wait for b"):
        Telling(*phases).begin().do("a").start("c")


def test_there_is_no_other_step_than_those_of_the_plan():
    with broken("plan", "there is no step z"):
        Telling(step("a")).begin().start("z")


def dead(telling, step_id):
    return telling.start(step_id).fail(step_id).bury(step_id)


def test_a_step_that_needs_a_dead_one_is_skipped_at_once():
    telling = dead(Telling(step("a"), step("b", "a"), step("c", "b")).begin(), "a")
    assert telling.states == {"a": "dead", "b": "skipped", "c": "skipped"}
    with broken("once", "b is called again although it is skipped"):
        telling.start("b")


def test_any_outcome_is_enough_for_a_step_that_says_so():
    telling = dead(Telling(step("a"), step("b", "a"), step("c", "b", join="any_outcome")).begin(), "a")
    telling.do("c").finish("failed")
    assert telling.states == {"a": "dead", "b": "skipped", "c": "committed"}


def test_a_step_that_counts_as_skipped_or_done_when_it_is_dead_fails_no_run():
    steps = [
        step("a", on_dead="skip"),
        step("b", "a"),
        step("c", on_dead="continue"),
        step("d", "c"),
        step("e", "b", "c"),
    ]
    telling = dead(dead(Telling(*steps).begin(), "a"), "c")
    assert telling.states == {"a": "dead", "b": "skipped", "c": "dead", "d": "waiting", "e": "waiting"}
    telling.do("d").do("e")
    with broken("ends", r"failed with dead: \['a', 'c'\]"):
        telling.finish("failed")


def test_who_takes_any_outcome_runs_after_one_that_counts_as_skipped():
    dead(Telling(step("a", on_dead="skip"), step("b", "a", join="any_outcome")).begin(), "a").do("b").finish()


def reopened(telling, *steps):
    return telling.hear(e.RunReopened, steps, "ann")


def test_a_dead_step_is_tried_again_with_all_its_attempts_and_what_was_skipped_for_it_waits():
    telling = dead(Telling(step("a"), step("b", "a"), step("c", "b")).begin(), "a").finish("failed")
    reopened(telling, "a")
    assert telling.states == {"a": "ready", "b": "waiting", "c": "waiting"}
    telling.do("a").do("b").do("c").finish()


def test_a_dead_item_is_tried_again_and_its_step_with_it():
    telling = dead(listed().do("a").expand("b", [1, 2]), "b-0").do("b-1").finish("failed")
    reopened(telling, "b-0")
    assert telling.states == {"a": "committed", "b": "running", "b-0": "ready", "b-1": "committed", "c": "waiting"}
    telling.do("b-0").do("c").finish()


def test_what_is_tried_again_was_given_up():
    telling = dead(Telling(step("a"), step("b")).begin().do("b"), "a").finish("failed")
    with broken("redrive", "the run is reopened, but b was not given up: it is committed"):
        reopened(telling, "b")


def test_a_for_each_step_is_tried_again_by_its_items():
    telling = dead(listed([1]).do("a").expand("b", [1]), "b-0").finish("failed")
    with broken("redrive", "b was not given up: it is dead"):
        reopened(telling, "b")


def test_where_more_has_come_after_it_a_step_is_not_tried_again_in_its_run():
    telling = dead(Telling(step("a", on_dead="continue"), step("b", "a")).begin(), "a").do("b").finish()
    with broken("redrive", "the run is reopened, but b came after a"):
        reopened(telling, "a")


def test_a_cancelled_run_is_not_reopened():
    with broken("final", "RunReopened after the run was cancelled"):
        reopened(dead(Telling(step("a"), step("b")).begin(), "a").cancel(), "a")


def skipped(telling, *steps):
    return telling.hear(e.RunReopened, steps, "ann", skip=True)


def test_a_dead_step_is_skipped_and_what_needs_others_too_runs():
    telling = dead(Telling(step("a"), step("b"), step("c", "a", "b")).begin().do("b"), "a").finish("failed")
    skipped(telling, "a")
    assert telling.states == {"a": "skipped", "b": "committed", "c": "waiting"}
    telling.do("c").finish()


def test_a_dead_item_is_skipped():
    telling = dead(listed().do("a").expand("b", [1, 2]), "b-0").do("b-1").finish("failed")
    skipped(telling, "b-0")
    assert telling.states["b"] == "committed"


def test_what_is_not_dead_or_has_committed_is_not_skipped():
    with broken("redrive", "b was not given up: it is committed"):
        skipped(dead(Telling(step("a"), step("b")).begin().do("b"), "a").finish("failed"), "b")
    telling = dead(Telling(step("a"), step("b")).begin().do("b"), "a").finish("failed")
    telling.account.outbox["a"] = ["mail"]
    with broken("people", "a is skipped, and has committed"):
        skipped(telling, "a")


def fork(*steps, request=None):
    telling = Telling(*steps, request=request)
    origin = e.Origin("r", ("z",), "ann")
    return telling.hear(e.RunStarted, Raw(values.encode(telling.request)), "team", "plan", origin=origin)


def shares(telling, step_id, **writes):
    raw = {path.replace("__", "."): Raw(values.encode(value)) for path, value in writes.items()}
    return telling.hear(e.StepShared, step_id, 1, "ann", raw)


def test_a_fork_takes_over_commits_in_their_turn_and_only_before_it_calls():
    telling = shares(fork(step("a"), step("b", "a"), step("c")), "a", out__a=1)
    telling.do("b")
    with broken("shared", "c is taken over, but not into a fork"):
        shares(telling, "c")
    with broken("plan", "b is taken over before its turn"):
        shares(fork(step("a"), step("b", "a")), "b")
    with broken("once", "a is taken over although it is committed"):
        shares(shares(fork(step("a"), step("b", "a")), "a"), "a")
    with broken("shared", "a is taken over, but not into a fork"):
        shares(Telling(step("a")).begin(), "a")


def test_a_fork_takes_over_items():
    steps = [each("b", "list"), step("c", "b")]
    telling = fork(*steps, request={"list": [1, 2]}).expand("b", [1, 2])
    shares(shares(telling, "b-0", out__b_0=1), "b-1")
    assert telling.states == {"b": "committed", "c": "waiting", "b-0": "committed", "b-1": "committed"}
    assert telling.account.is_group("b")
    telling.do("c").finish()


def only_if(path, op="exists", value=None):
    return {"when": Condition(path, op, value)}


def test_a_step_whose_needs_were_all_skipped_is_skipped():
    telling = Telling(step("a", **only_if("no")), step("b", "a"), step("c"), step("d", "c", "a"))
    telling.begin().skip("a").do("c")
    assert telling.states["b"] == "skipped"
    telling.do("d").finish()


def test_a_condition_decides_whether_a_step_is_called():
    telling = Telling(step("a", **only_if("q", ">", 3)), request={"q": 3}).begin()
    with broken("plan", "a is called, but its condition doesn't hold"):
        telling.start("a")
    telling.attempts.clear()
    telling.skip("a").finish()
    with broken("plan", "a is skipped, but its condition holds"):
        Telling(step("a", **only_if("q", ">", 3)), request={"q": 4}).begin().skip("a")


def test_a_step_without_a_condition_is_not_skipped():
    with broken("plan", "a is skipped, but its condition holds"):
        Telling(step("a")).begin().skip("a")


def test_a_condition_is_looked_at_when_all_that_is_needed_is_over():
    telling = Telling(step("a"), step("b", "a", **only_if("out.a"))).begin()
    with broken("plan", "b is skipped, but it must wait for a"):
        telling.skip("b")
    telling.do("a", out__a=1).start("b")


# --- for_each: plan, frozen_items ---


def listed(items=(1, 2), **given):
    return Telling(step("a"), each("b", "list", "a"), step("c", "b"), request={"list": list(items)}, **given).begin()


def test_items_become_steps_of_their_own():
    telling = listed().do("a").expand("b", [1, 2])
    assert telling.states == {"a": "committed", "b": "running", "c": "waiting", "b-0": "ready", "b-1": "ready"}
    telling.do("b-1", **{"out__b-1": "two"})
    with broken("plan", "c is called, but it must wait for b"):
        telling.start("c")
    telling.attempts.clear()
    telling.do("b-0", **{"out__b-0": "one"}).do("c").finish()
    assert telling.account.context["out"] == {"b-0": "one", "b-1": "two"}


def test_an_empty_list_is_a_committed_step():
    telling = listed([]).do("a").expand("b", [])
    assert telling.states["b"] == "committed"
    telling.do("c").finish()


def test_a_dead_item_is_a_dead_step():
    telling = dead(listed().do("a").expand("b", [1, 2]), "b-0")
    assert telling.states["b"] == "running"
    telling.do("b-1")
    assert (telling.states["b"], telling.states["c"]) == ("dead", "skipped")
    telling.finish("failed")


def test_a_step_outlives_a_dead_item_that_fails_no_run_but_not_all_of_them():
    steps = [each("b", "list", on_dead="continue"), step("c", "b")]
    telling = dead(Telling(*steps, request={"list": [1, 2]}).begin().expand("b", [1, 2]), "b-0").do("b-1")
    assert telling.states["b"] == "committed"
    telling.do("c").finish()
    telling = dead(Telling(*steps, request={"list": [1]}).begin().expand("b", [1]), "b-0")
    assert telling.states["b"] == "dead"
    telling.do("c").finish()


@pytest.mark.parametrize("items", [[1], [2, 1], [1, 2, 3], [1, True], [1, 2.0], "list", {}])
def test_a_step_is_expanded_to_its_list_and_nothing_else(items):
    with broken("frozen_items", "b is expanded to something else than its list"):
        listed().do("a").expand("b", items)


def test_nothing_is_no_list():
    with broken("frozen_items", "something else"):
        Telling(each("b", "nothing")).begin().expand("b", [])


def test_a_step_is_expanded_once():
    with broken("frozen_items", "b is expanded twice"):
        listed().do("a").expand("b", [1, 2]).expand("b", [1, 2])


def test_a_step_is_expanded_when_its_turn_has_come():
    with broken("plan", "b is expanded, but it must wait for a"):
        listed().expand("b", [1, 2])
    conditional = msgspec.structs.replace(each("b", "list"), **only_if("no"))
    with broken("plan", "b is expanded, but its condition doesn't hold"):
        Telling(conditional, request={"list": []}).begin().expand("b", [])


def test_a_skipped_step_is_not_expanded():
    conditional = msgspec.structs.replace(each("b", "list"), **only_if("no"))
    with broken("plan", "b is expanded, but it was skipped"):
        Telling(conditional, step("c"), request={"list": []}).begin().skip("b").expand("b", [])


def test_only_a_for_each_is_expanded():
    with broken("plan", "a is expanded, but has no for_each"):
        listed().expand("a", [1, 2])
    with broken("plan", "b-0 is expanded, but has no for_each"):
        listed().do("a").expand("b", [1, 2]).expand("b-0", [1, 2])


def test_a_for_each_is_not_called_itself():
    with broken("plan", "b is called, not its items"):
        listed().do("a").start("b")


@pytest.mark.parametrize("request_", [{}, {"list": "abc"}, {"list": [1, 2, 3, 4]}])
def test_a_list_that_is_none_or_too_long_buries_its_step(request_):
    narrow = Limits(for_each_width_max=3)
    telling = Telling(each("b", "list"), step("c", "b"), request=request_, limits=narrow).begin().bury("b")
    telling.finish("failed")
    assert telling.states == {"b": "dead", "c": "skipped"}


def test_a_good_list_buries_nobody():
    with broken("attempts", "b is given up with attempts left"):
        listed().do("a").bury("b")


def test_a_list_is_looked_for_when_its_turn_has_come():
    with broken("plan", "b is given up, but it must wait for a"):
        Telling(step("a"), each("b", "out.a", "a")).begin().bury("b")


def test_an_item_is_handed_its_own_value():
    telling = listed([1, {"x": 2}]).do("a").expand("b", [1, {"x": 2}]).start("b-0").start("b-1")
    telling.call("b-0", item=1, index=0).call("b-1", item={"x": 2}, index=1)
    for other in (True, 1.0, {"x": 2}, None):
        with broken("frozen_items", "b-0 is handed another item than at its expansion"):
            telling.call("b-0", item=other, index=0)


# --- backoff ---


def waiting(**policy):
    return Telling(step("a"), **{"retries": 3, "backoff_ms": 400, "backoff_ms_max": 1_000, **policy}).begin()


def test_a_wait_is_no_longer_than_declared():
    telling = waiting().start("a").fail("a")
    with broken("backoff", "a waited 1.6 s longer than it had to"):
        telling.hear(e.BackoffEnded, "a", after=2_000_000)


def test_a_wait_may_end_late_where_nobody_was_there_or_the_clock_has_jumped():
    telling = waiting().start("a").fail("a")
    telling.account.driven_since_us = telling.at_us + 5_000_000
    telling.hear(e.BackoffEnded, "a", after=6_000_000)
    telling = waiting().start("a").fail("a")
    telling.account.clock_is_steady = False
    telling.hear(e.BackoffEnded, "a", after=6_000_000)


def test_a_failed_attempt_is_followed_by_a_wait():
    telling = waiting().start("a").fail("a")
    assert telling.states == {"a": "backing_off"}
    with broken("backoff", "a is called before its wait is over"):
        telling.hear(e.BackoffEnded, "a", after=399_999).start("a", after=0)


@pytest.mark.parametrize(("failures", "wait_ms"), [(1, 400), (2, 800), (3, 1_000)])
def test_waits_grow_up_to_a_bound(failures, wait_ms):
    def after(wait_us):
        telling = waiting()
        for number in range(1, failures + 1):
            telling.start("a", after=0).fail("a", after=0)
            telling.hear(e.BackoffEnded, "a", after=SECOND_US if number < failures else wait_us)
        return telling

    after(wait_ms * 1_000).start("a", after=0)
    with broken("backoff"):
        after(wait_ms * 1_000 - 1).start("a", after=0)


def test_a_wait_ends_before_the_next_call():
    with broken("backoff", "a is called before its wait is over"):
        waiting().start("a").fail("a").start("a", after=60 * SECOND_US)


def test_only_a_wait_can_end():
    with broken("backoff", "a was not waiting: it is ready"):
        waiting().start("a").refuse("a", "no").hear(e.BackoffEnded, "a")


def test_a_refusal_is_followed_by_no_wait():
    waiting().start("a").refuse("a", "no").start("a", after=0).commit("a").finish()


def test_after_a_jump_of_the_clock_nobody_knows_how_long_a_wait_was():
    telling = waiting().start("a").fail("a")
    telling.account.clock_is_steady = False
    telling.hear(e.BackoffEnded, "a", after=0).start("a", after=0).commit("a").finish()


def test_the_fallback_waits_for_nobody():
    roles = two(policy=Policy(retries=0, backoff_ms=400))
    Telling(step("a"), roles=roles).begin().start("a").fail("a").start("a", agent="eve", after=0)


# --- guardrails ---


def judged(score, scores, *, threshold=0.7, guardrails=({"confidence": {"weight": 3}}, "schema")):
    telling = Telling(step("a", guardrails=guardrails, threshold=threshold, schema={})).begin().start("a")
    return telling.hear(e.AttemptCommitted, "a", 1, {"out.a": Raw(b"1")}, score=score, scores=scores)


def test_what_reaches_the_threshold_is_committed():
    judged(0.7, {"confidence": 0.6, "schema": 1.0})
    judged(0.9, {"confidence": 0.9})


@pytest.mark.parametrize(
    ("score", "scores", "message"),
    [
        (0.25, {"confidence": 0.0, "schema": 1.0}, "a is committed with 0.25, below 0.7"),
        (0.5, {"confidence": 0.5}, "a is committed with 0.5, below 0.7"),
        (1.0, {}, "a is committed, and its guardrails were not asked"),
        (1.0, {"other": 1.0}, "its guardrails were not asked"),
        (0.9, {"confidence": 0.6, "schema": 1.0}, "a has a score of 0.9, but"),
        (None, {"schema": 1.0}, "a has a score of None"),
    ],
)
def test_nothing_below_the_threshold_is_committed(score, scores, message):
    with broken("guardrails", message):
        judged(score, scores)


def test_where_nobody_judges_there_is_no_score():
    with broken("guardrails", "a has a score, and no guardrails"):
        judged(1.0, {}, guardrails=(), threshold=None)


# --- permissions, limits ---


@pytest.mark.parametrize("path", ["out", "out.b", "elsewhere", "out.ab"])
def test_a_step_commits_only_what_it_may_write(path):
    telling = Telling(step("a"), step("b")).begin().start("a")
    with broken("permissions", f"a committed {path}, which it may not write"):
        telling.commit("a", **{path: 1})


def test_a_step_deletes_only_what_it_may_write():
    with broken("permissions", "a committed elsewhere, which it may not write"):
        Telling(step("a")).begin().start("a").commit("a", deletes=("elsewhere",))
    telling = Telling(step("a"), request={"out": {"a": 1, "b": 2}}).begin().start("a").commit("a", deletes=("out.a",))
    assert telling.account.context == {"out": {"b": 2}}


def test_an_item_commits_only_what_belongs_to_it():
    telling = listed().do("a").expand("b", [1, 2]).start("b-1")
    with broken("permissions", "b-1 committed out.b-0, which it may not write"):
        telling.commit("b-1", **{"out__b-0": 1})


def test_a_commit_keeps_within_its_limits():
    telling = Telling(step("a"), limits=Limits(commit_bytes_max=10)).begin().start("a")
    with broken("limits", "a committed more than commit_bytes_max allows"):
        telling.commit("a", out__a="x" * 9)
    Telling(step("a"), limits=Limits(commit_bytes_max=10)).begin().do("a", out__a="x" * 8)


@pytest.mark.parametrize(
    ("limit", "good", "bad"),
    [
        ("value_bytes_max", "x" * 8, "x" * 9),
        ("depth_max", [[[[[[[[[[1]]]]]]]]]], [[[[[[[[[[[1]]]]]]]]]]]),
        ("commit_fields_max", {f"f{n}": [n, n] for n in range(10)}, {f"f{n}": n for n in range(11)}),
    ],
)
def test_a_value_keeps_within_each_limit(limit, good, bad):
    def telling():
        return Telling(step("a"), limits=Limits(**{limit: 10})).begin()

    telling().do("a", out__a=good).finish()
    with broken("limits", f"a committed more than {limit} allows"):
        telling().do("a", out__a=bad)


def test_a_field_with_a_reducer_is_one_field():
    facts = {f"f{n}": n for n in range(11)}
    telling = Telling(step("a"), reducers={"out.a": "merge"}, limits=Limits(commit_fields_max=10))
    telling.begin().do("a", out__a=facts).finish()


def test_the_context_keeps_within_its_limit():
    telling = Telling(step("a"), step("b"), request={"q": "x" * 8}, limits=Limits(context_bytes_max=20)).begin()
    telling.do("a", out__a="x" * 8).do("b", out__b=1)
    with broken("limits", "the context has 21 bytes, more than 20"):
        telling.finish()


@pytest.mark.parametrize("limits", [Limits(for_each_width_max=1), Limits(steps_max=3)])
def test_a_list_that_is_too_long_is_not_expanded(limits):
    with broken("limits", "b is expanded to 2 items, too many"):
        listed(limits=limits).do("a").expand("b", [1, 2])
    listed(limits=limits).do("a").bury("b").finish("failed")


# --- first_outcome ---


OUTCOMES = {
    "commit": Telling.commit,
    "refuse": lambda t, s: t.refuse(s, "no"),
    "fail": Telling.fail,
    "lose": Telling.lose,
    "ask": Telling.ask,
}


@pytest.mark.parametrize("first", OUTCOMES)
@pytest.mark.parametrize("second", OUTCOMES)
def test_the_first_outcome_of_an_attempt_counts(first, second):
    telling = Telling(step("a"), step("b"), retries=3, reissues_max=3).begin().start("a")
    OUTCOMES[first](telling, "a")
    with broken("first_outcome", "of attempt 1 of a, which is over"):
        OUTCOMES[second](telling, "a")


def test_an_outcome_belongs_to_the_attempt_that_runs():
    telling = Telling(step("a"), retries=3).begin().start("a").refuse("a", "no").start("a")
    with broken("first_outcome", "AttemptCommitted of attempt 1 of a, which is over"):
        telling.commit("a", attempt=1)


def test_a_late_reply_is_charged_and_changes_nothing():
    telling = Telling(step("a"), retries=1).begin().start("a").fail("a").start("a")
    telling.hear(e.ReplyArrivedLate, "a", 1, Usage(2, 3))
    assert telling.account.tokens == 5
    assert telling.states == {"a": "running"}
    telling.commit("a").hear(e.ReplyArrivedLate, "a", 2)


def test_a_reply_is_not_late_before_its_attempt_is_over():
    with broken("first_outcome", "attempt 1 of a is late, but has no outcome"):
        Telling(step("a")).begin().start("a").hear(e.ReplyArrivedLate, "a", 1)
    with broken("first_outcome", "attempt 2 of a is late, but has no outcome"):
        Telling(step("a"), retries=3).begin().start("a").fail("a").hear(e.ReplyArrivedLate, "a", 2)


# --- people ---


def asked():
    return Telling(step("a"), step("b", "a")).begin().start("a").ask("a").park()


def test_an_answer_is_told_to_the_next_attempt_and_uses_up_no_retry():
    telling = asked().decide("a", "answer", text="yes")
    assert telling.account.status == "running"
    assert telling.account.steps["a"].feedback == ("A person has answered your question: Really?", "yes")
    telling.start("a").ask("a").park().decide("a", "retry").start("a").commit("a").do("b").finish()


def test_what_a_person_writes_is_committed_and_held_to_the_same_rules():
    write = {"writes": {"out.a": Raw(b"1")}}
    telling = asked().decide("a", "write", **write).do("b").finish()
    assert telling.account.context == {"out": {"a": 1}}
    with broken("permissions", "a committed other, which it may not write"):
        asked().decide("a", "edit", writes={"other": Raw(b"1")})
    with broken("people", "to retry a commits nothing"):
        asked().decide("a", "retry", **write)


def test_a_rejected_step_is_given_up():
    telling = asked().decide("a", "reject")
    with broken("attempts", "a is called although all attempts of it are used up"):
        telling.start("a")
    asked().decide("a", "reject").bury("a").finish("failed")


def test_only_people_decide_and_only_about_what_waits():
    with broken("people", "program decides about a, and is no person"):
        asked().decide("a", "retry", by="program")
    with broken("people", "a is decided about, but it does not wait: it is escalated"):
        asked().decide("a", "retry", attempt=2)
    with broken("people", "a is decided about, but it does not wait: it is ready"):
        asked().decide("a", "retry").decide("a", "retry")


HOUR = 3_600 * SECOND_US


def escalated(escalate=None):
    escalate = escalate or {"deadline": "1h"}
    telling = Telling(step("a", escalate=escalate)).begin().start("a").refuse("a", "no")
    return telling.hear(e.StepEscalated, "a", 1, "no", telling.at_us + SECOND_US + HOUR).park()


def test_a_step_is_escalated_when_its_attempts_are_used_up_and_declared_so():
    telling = escalated().decide("a", "retry", text="try yes").start("a")
    assert telling.account.steps["a"].feedback == ("no", "A person advises:", "try yes")
    with broken("attempts", "a is escalated with attempts left"):
        Telling(step("a", escalate=True)).begin().hear(e.StepEscalated, "a", 1, "no")
    with broken("people", "a is escalated, which it doesn't declare"):
        Telling(step("a")).begin().start("a").refuse("a", "no").hear(e.StepEscalated, "a", 1, "no")
    with broken("people", "a is given up, and nobody was asked"):
        Telling(step("a", escalate=True)).begin().start("a").refuse("a", "no").bury("a")


def test_a_missed_deadline_takes_the_declared_way():
    escalated().hear(e.QuestionExpired, "a", 1, "dead", after=HOUR).bury("a").finish("failed")
    default = {"deadline": "1h", "then": "default", "default": {"out.a": 1}}
    told = escalated(default).hear(e.QuestionExpired, "a", 1, "default", {"out.a": Raw(b"1")}, after=HOUR).finish()
    assert told.account.context == {"out": {"a": 1}}
    with broken("people", "the question of a expires before its deadline"):
        escalated().hear(e.QuestionExpired, "a", 1, "dead")
    with broken("people", "the question of a expires, then default, which it doesn't declare"):
        escalated().hear(e.QuestionExpired, "a", 1, "default", after=HOUR)
    with broken("people", "the question of a expires, but it does not wait: it is ready"):
        escalated().decide("a", "retry").hear(e.QuestionExpired, "a", 1, "dead", after=HOUR)


def test_a_missed_deadline_hands_on_to_the_fallback():
    roles = {"ann": Role(ALL, Policy(retries=0), fallback="bob"), "bob": Role(ALL, Policy(retries=0))}
    passed = {"deadline": "1h", "then": "fallback"}
    telling = Telling(step("a", escalate=passed), roles=roles).begin().start("a")
    telling.hear(e.QuestionAsked, "a", 1, Question("Really?"), due_us=HOUR).park()
    telling.hear(e.QuestionExpired, "a", 1, "fallback", after=HOUR).start("a", agent="bob").commit("a").finish()


def test_a_refused_answer_changes_nothing():
    telling = asked().hear(e.AnswerRefused, "a", "person:bob", "retry", ())
    assert (telling.account.status, telling.account.states["a"]) == ("parked", "escalated")


# --- parked, ends ---


def test_a_run_is_parked_for_a_question():
    with broken("parked", "the run is parked, and no step asks anything"):
        Telling(step("a")).begin().start("a").park()


def test_a_run_is_not_parked_while_anything_can_go_on():
    def asking(**policy):
        return Telling(step("a"), step("b"), **policy).begin().start("a").ask("a")

    with broken("parked", r"the run is parked, but \['b'\] could go on"):
        asking().park()
    with broken("parked", "could go on"):
        asking().start("b").park()
    with broken("parked", "could go on"):
        asking(retries=3, backoff_ms=100).start("b").fail("b").park()
    with broken("parked", "could go on"):
        asking(retries=3).start("b").refuse("b", "no").park()
    asking().do("b").park()


def test_a_question_is_charged():
    telling = Telling(step("a")).begin().start("a")
    telling.hear(e.QuestionAsked, "a", 1, Question("Really?"), Usage(1, 1)).park()
    assert telling.account.tokens == 2


def test_a_run_ends_when_all_its_steps_have():
    with broken("ends", r"the run is over, but not \['b'\]"):
        Telling(step("a"), step("b")).begin().do("a").finish()


def test_a_run_with_a_dead_step_has_failed():
    with broken("ends", r"succeeded with dead: \['a'\]"):
        dead(Telling(step("a")).begin(), "a").finish()
    with broken("ends", "failed with dead"):
        Telling(step("a")).begin().do("a").finish("failed")


# --- calls: durable, keys, feedback, job, views ---


def test_a_call_follows_its_durable_announcement():
    with broken("durable", "a is called before its attempt 1 is durable"):
        Telling(step("a")).begin().call("a")
    with broken("durable", "a is called before its attempt 2 is durable"):
        Telling(step("a")).begin().start("a").call("a", attempt=2)
    with broken("durable", "a is called before its attempt 1 is durable"):
        Telling(step("a"), retries=1).begin().start("a").refuse("a", "no").call("a")


def test_a_call_made_again_keeps_its_key():
    telling = Telling(step("a")).begin().start("a").call("a").lose("a").start("a", again=True).call("a")
    with broken("keys", "the idempotency key of a changed to other"):
        telling.call("a", idempotency_key="other")


def test_no_two_attempts_have_one_key():
    telling = Telling(step("a"), step("b"), retries=1).begin().start("a").call("a").refuse("a", "no").start("a")
    with broken("keys", "the idempotency key of a changed to run/a/1"):
        telling.call("a", idempotency_key="run/a/1", feedback=("no",))
    telling.start("b")
    with broken("keys", "the idempotency key of b"):
        telling.call("b", idempotency_key="run/a/1")


def test_the_latest_feedback_travels():
    telling = Telling(step("a"), retries=3).begin().start("a").call("a").refuse("a", "too long", "too sad").start("a")
    with broken("feedback", r"a is told \(\), not \('too long', 'too sad'\)"):
        telling.call("a")
    telling.call("a", feedback=("too long", "too sad")).refuse("a", "too short").start("a")
    telling.call("a", feedback=("too short",)).fail("a").start("a").call("a", feedback=("too short",))


@pytest.mark.parametrize(
    "told", [{"run_id": "other"}, {"agent": "bob"}, {"action": "rest"}, {"instructions": "Hurry."}, {"index": 0}]
)
def test_an_agent_is_handed_the_job_that_was_declared(told):
    declared = step("a", instructions="Take your time.")
    telling = Telling(declared).begin().start("a").call("a", instructions="Take your time.")
    with broken("job", "a is handed"):
        telling.call("a", **{"instructions": "Take your time.", **told})


def test_samples_and_items_are_told_their_number():
    telling = Telling(step("a", samples=2, writes=["out.{step}"])).begin().start("a-1").start("a-2")
    telling.call("a-1", index=1).call("a-2", index=2)
    with broken("job", "a-2 is handed"):
        telling.call("a-2", index=1)
    telling = listed().do("a").expand("b", [1, 2]).start("b-1")
    with broken("job", "b-1 is handed"):
        telling.call("b-1", index=0, item=2)


def looking(reads=None):
    """`c` follows `a`; `b` runs beside them."""
    telling = Telling(step("a"), step("b"), step("c", "a", reads=reads), request={"q": 1})
    return telling.begin().do("a", out__a={"x": 1, "y": 2}).do("b", out__b=2).start("c")


def test_a_view_is_what_its_ancestors_committed():
    looking().call("c", view=shown({"q": 1, "out": {"a": {"x": 1, "y": 2}}}))
    looking(reads=["out.a.x"]).call("c", view=shown({"out": {"a": {"x": 1}}}))


@pytest.mark.parametrize(
    "tree",
    [
        {"q": 1, "out": {"a": {"x": 1, "y": 2}, "b": 2}},  # what runs beside it
        {"q": 1},
        {},
        {"q": 1, "out": {"a": {"x": 1, "y": 3}}},
        {"q": 1.0, "out": {"a": {"x": 1, "y": 2}}},
        {"q": 1, "out": {"a": {"y": 2, "x": 1}}},  # another order of keys
    ],
)
def test_a_view_is_nothing_else(tree):
    with broken("views", "c is shown"):
        looking().call("c", view=shown(tree))


def test_a_view_is_cut_to_the_scope():
    with broken("views", "c is shown"):
        looking(reads=["out.a.x"]).call("c", view=shown({"q": 1, "out": {"a": {"x": 1, "y": 2}}}))


def test_a_view_gives_by_name_what_it_shows():
    class Leaky(View):
        """Shows only what it may, but gives whatever is asked for by name."""

        def get(self, path, default=None):
            return 1 if path == "out.a" else default

        def unread(self):
            return self

    leaky = Leaky(View.of({})._bank, -1, EVERYTHING)
    assert wrong_by_name(leaky, {}, "out.a") == "out.a gives 1"
    assert wrong_by_name(View.of({"a": 1}), {"a": 1}, "a") == wrong_by_name(View.of({"a": 1}), {"a": 1}, "A") == ""
    # Every other call is asked for a path by name.
    telling = Telling(step("a"), step("b"), step("c")).begin().do("a", out__a=1).start("b").start("c")
    with broken("views", "to c, OUT.A was read"):
        telling.call("c", view=leaky)


def test_one_hash_stands_for_one_view_in_all_runs():
    hashes = ViewHashes()
    one, other = (Telling(step("a"), request={"q": q}, hashes=hashes).begin() for q in (1, 2))
    one.start("a")
    with broken("views", "the hash of the view of a is that of another view"):
        other.hear(e.AttemptStarted, "a", 1, "ann", one.hash_of("a"))


def test_one_view_has_one_hash_in_all_runs():
    hashes = ViewHashes()
    one, other = (Telling(step("a"), request={"q": 1}, hashes=hashes).begin() for _ in range(2))
    one.start("a")
    with broken("views", "the hash of the view of a is that of another view"):
        other.hear(e.AttemptStarted, "a", 1, "ann", "another")


# --- what it tells ---


def test_it_tells_what_it_knows():
    telling = Telling(step("a"), step("b"), request={"q": 1}).begin().start("a")
    telling.hear(e.FaultInjected, "a", 1, "slow").commit("a", usage=Usage(10, 5), out__a=[1])
    account = telling.account
    assert account.request == {"q": 1}
    assert account.context == {"q": 1, "out": {"a": [1]}}
    assert account.states == {"a": "committed", "b": "waiting"}
    assert (account.status, account.tokens, len(account.events)) == ("running", 15, 4)


def test_a_broken_invariant_can_be_told_in_another_process():
    error = pickle.loads(pickle.dumps(Broken("views", "it saw too much", "r-1")))
    assert (error.invariant, error.message, error.run_id) == ("views", "it saw too much", "r-1")
    assert str(error) == "views: it saw too much"


# --- any story of the machine ---


class Overheard(Playing):
    """A run whose every event and call is told to an account, too."""

    def __init__(self, scenario, schedule=b""):
        self.account = Account("run", scenario.rules)
        super().__init__(scenario, schedule)

    def note(self, fact):
        super().note(fact)
        self.account.hear(fact)

    def start_call(self, command):
        before = len(self.flights)
        super().start_call(command)
        if len(self.flights) > before:
            self.account.see_call(self.flights[-1][1])

    def check(self):
        row = SimpleNamespace(status=self.machine.status)
        check_replay(self.account, self.journal, row)
        assert self.account.status == self.machine.status
        assert self.account.tokens == self.machine.cost.tokens
        assert repr(self.account.context) == self.final_context()
        assert self.account.request == self.scenario.request


@settings(max_examples=100, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules)
def test_a_legal_story_breaks_nothing(scenario, schedule):
    run = Overheard(scenario, schedule).play()
    run.check()
    ended = {name: state for name, state in run.states().items() if state != "ready"}
    assert {name: run.account.states[name] for name in ended} == ended


@settings(max_examples=50, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules)
def test_a_legal_story_can_be_cut_short(scenario, schedule):
    run = Overheard(scenario, schedule)
    run.recover()
    for _ in range(len(schedule) // 8):
        if not (choice := len(run.flights) + len(run.timers) + len(run.calls)):
            break
        run.act(run.choose(choice))
    run.check()
    if run.machine.status in {"running", "parked"}:
        cancelled = e.RunCancelled(run.now_us, "tester")
        run.machine.apply(cancelled)
        run.journal.append(e.encode(cancelled))
        run.note(cancelled)
        run.check()
        assert {*run.account.states.values()} == {*run.states().values()}


class Spoiled(Overheard):
    """A run whose machine makes a mistake at some moment: one that the account must notice."""

    def __init__(self, scenario, chance):
        super().__init__(scenario)
        self.chance = chance
        self.spoiled = False

    def note(self, fact):
        self.account.hear(self.spoil(fact))

    def spoil(self, fact):
        if isinstance(fact, e.AttemptStarted) and not self.spoiled and self.chance.random() < 0.3:
            self.spoiled = True
            return msgspec.structs.replace(fact, attempt=fact.attempt + 1)
        return fact


@settings(max_examples=30, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios())
def test_a_wrong_number_in_any_story_is_noticed(scenario):
    run = Spoiled(scenario, Random(1))
    found = None
    try:
        run.play()
    except Broken as broken_:
        found = broken_.invariant
    assert found == ("attempts" if run.spoiled else None)


def test_the_naive_context_begins_empty():
    assert Account("run", Telling(step("a")).rules).context == NaiveContext({}).tree(-1) == {}


def test_a_step_that_asks_is_skipped_unless_an_effect_waits_to_be_settled():
    telling = asked().decide("a", "skip", attempt=1)
    assert telling.states == {"a": "skipped", "b": "skipped"}
    telling.finish()
    telling = asked()
    telling.account.steps["a"].about = "mail"
    with broken("people", "a is skipped, and its effect mail is not settled"):
        telling.decide("a", "skip", attempt=1)


def test_a_fork_in_the_place_of_a_run_goes_on_with_its_waits_and_lets_none_begin_late():
    wait = Step("w", wait="2h")
    telling = fork(wait, step("a")).hear(e.WaitBegun, "w", 3_600_000_000)
    assert telling.states["w"] == "awaiting"
    with broken("waits", "what w waits for"):
        fork(wait, step("a")).hear(e.WaitBegun, "w", 9_000_000_000)
    with broken("waits", "what w waits for"):
        fork(wait, step("a")).do("a").hear(e.WaitBegun, "w", 3_600_000_000)


def test_one_event_ends_one_wait_in_a_fork_too():
    steps = [Step(name, await_event="paid") for name in ("a", "b")]
    telling = fork(*steps).hear(e.StepShared, "a", 0, "bank", {}, event_id="evt")
    with broken("waits", "b takes over an event that another has had"):
        telling.hear(e.StepShared, "b", 0, "bank", {}, event_id="evt")


def test_only_a_step_that_may_refuse_an_event_is_passed_over():
    writes, strict = ({"await_event": "paid", "writes": [name]} for name in ("x", "y"))
    strict["schema"] = {"properties": {"y": {"type": "integer"}}}
    roles = {"ann": Role(Scope(["act"], ["*"], ["out"]), Policy(retries=0))}
    both = [Step("one", **writes), Step("two", **writes | {"writes": ["z"]})]
    telling = (
        Telling(*both, roles=roles).begin().hear(e.WaitBegun, "one", 0, "paid").hear(e.WaitBegun, "two", 0, "paid")
    )
    with broken("waits", "two has an event that is for one"):
        telling.hear(e.WaitEnded, "two", "evt", "bank", {"z": Raw(b"1")})
    with broken("waits", "one has an event of another kind"):
        Telling(*both, roles=roles).begin().hear(e.WaitBegun, "one", 0, "paid").hear(e.WaitEnded, "one", "evt", "bank")
    both[0] = Step("one", **strict)
    telling = (
        Telling(*both, roles=roles).begin().hear(e.WaitBegun, "one", 0, "paid").hear(e.WaitBegun, "two", 0, "paid")
    )
    telling.hear(e.WaitEnded, "two", "evt", "bank", {"z": Raw(b"1")})
    later = Step("late", needs=["one"], **writes)
    early = Telling(Step("one", wait="1s"), later, roles=roles).begin()
    early.hear(e.EventReceived, "paid", "evt", "bank", Raw(b"1"))
    with broken("waits", "paid is kept, and nothing will ever wait for it"):
        early.hear(e.EventReceived, "paid", "evt2", "bank", Raw(b"1"))


def test_a_person_who_ends_a_wait_skips_its_step():
    telling = Telling(Step("w", wait="2h")).begin().hear(e.WaitBegun, "w", 7_202_000_000)
    telling.hear(e.WaitEnded, "w", by="person:ann", then="skip", reason="person:ann has skipped it")
    assert telling.states == {"w": "skipped"}
    with broken("waits", "ann has ended the wait of w otherwise"):
        Telling(Step("w", wait="2h")).begin().hear(e.WaitBegun, "w", 7_202_000_000).hear(e.WaitEnded, "w", by="ann")


def test_what_a_judge_has_decided_is_reconciled_once_whatever_is_told_before_that():
    judged = step("judged", "one", "two", reconcile={"among": ["out.one", "out.two"], "policy": "judge"})
    telling = Telling(step("one"), step("two"), judged, retries=1).begin()
    telling.do("one", out__one="a").do("two", out__two="b")
    telling.start("judged").hear(e.AttemptFailed, "judged", 1, "timeout", "too late").start("judged")
    choices = Raw(values.encode({"choices": {"out.judged": 2}}))
    telling.hear(e.AttemptCommitted, "judged", 2, {"out.judged": Raw(b'"b"')}, output=choices)
    telling.hear(e.ReplyArrivedLate, "judged", 1, after=0)
    said = e.Said(("one",), Raw(b'"a"')), e.Said(("two",), Raw(b'"b"'))
    resolved = ("judged", ("out.one", "out.two"), {}, (e.Settled("out.judged", said, 1, "judge ann"),), 0)
    telling.hear(e.ConflictsResolved, *resolved, after=0)
    assert telling.states["judged"] == "committed"
    with broken("once", "judged reconciles although it is committed"):
        telling.hear(e.ConflictsResolved, *resolved, after=0)
