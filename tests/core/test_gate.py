"""Gates: who asks, what it is answered, and what its call coming to this or that changes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import interlock.core.events as e
from interlock.core.above import Above
from interlock.core.breaker import BreakerPolicy, Moved, move
from interlock.core.budget import DAY_US, NOTHING_USED, BudgetPolicy
from interlock.core.gate import (
    CLOCKS_APART_US,
    LOST_US,
    OPEN,
    TOKENS_AT_FIRST,
    WHY_CHARS_MAX,
    AtGate,
    Gate,
    GatePolicy,
    Grant,
    Outcome,
    Verdict,
    ask,
    copied,
    decode,
    decode_outcome,
    encode,
    forget_lost,
    outcome_of,
    policy_above,
    take_back,
    tell,
    turn,
    withdraw,
)
from interlock.core.job import Question, Usage
from interlock.core.rate import Rate, RatePolicy

from .test_rate import most_in_a_window

S = 1_000_000
BREAKER = BreakerPolicy(trip_after=2, cooldown_ms=30_000, half_open_calls=2)
BREAKS = GatePolicy(breaker=BREAKER)
ONE_A_SECOND = GatePolicy(rate=RatePolicy(Rate(1, S)))
THREE = GatePolicy(budget=BudgetPolicy(calls=3, daily=True))


def came(key, came="committed", at_us=0, **more):
    usage = None if came in {"neutral", "not_made"} else NOTHING_USED
    return Outcome(key, at_us, came, **{"usage": usage, **more})


def state(gate):
    return msgspec.to_builtins(gate)


def tripped(at_us=0):
    gate = Gate()
    for key in "xy":
        ask(gate, BREAKS, key, at_us)
        tell(gate, BREAKS, [came(key, "refused", at_us, why="no")])
    assert gate.breaker.state == "open"
    return gate


# --- nothing declared ---


def test_a_gate_without_a_policy_lets_everybody_through():
    gate = Gate()
    assert ask(gate, OPEN, "a", 7) == (Verdict(7), ())
    assert gate.grants == {"a": Grant(7)}
    assert tell(gate, OPEN, [came("a", "error")]) == []
    assert (bool(OPEN), bool(BREAKS), gate.grants) == (False, True, {})


# --- asking ---


@pytest.mark.parametrize("policy", [OPEN, BREAKS, ONE_A_SECOND, THREE])
def test_asking_twice_with_one_key_is_asking_once(policy):
    once, twice = Gate(), Gate()
    first = ask(once, policy, "a", 5)
    for _ in range(3):
        assert ask(twice, policy, "a", 5) == first
    assert state(twice) == state(once)


def test_a_booking_is_told_again_and_begins_when_its_time_has_come():
    gate = Gate()
    ask(gate, ONE_A_SECOND, "a", 0)
    held = ask(gate, ONE_A_SECOND, "b", 0)[0]
    assert held == Verdict(held.at_us, "rate", "its rate is taken up until then", held.at_us)
    assert gate.grants == {"a": Grant(0), "b": Grant(held.at_us)}
    assert S < held.at_us < 1.01 * S
    assert ask(gate, ONE_A_SECOND, "b", S // 2)[0] == held

    assert ask(gate, ONE_A_SECOND, "b", held.at_us - 500)[0].by is None  # a timer that rings a little too early
    assert ask(gate, ONE_A_SECOND, "b", held.at_us + 5)[0] == Verdict(held.at_us + 5)


def test_what_counts_is_when_a_call_begins_not_when_it_was_due():
    """A process was away for a while; what it finds booked on its return does not begin all at once."""
    gate, policy = Gate(), GatePolicy(rate=RatePolicy(Rate(2, S)))
    for key in "abcdef":
        ask(gate, policy, key, 0)

    verdicts = [ask(gate, policy, key, 9 * S)[0] for key in "abcdef"]
    assert [verdict.by for verdict in verdicts] == [None, None, "rate", "rate", "rate", "rate"]
    assert all(verdict.at_us >= 10 * S for verdict in verdicts[2:])


def test_a_clock_that_is_set_back_makes_no_rate_of_none():
    gate = Gate()
    ask(gate, BREAKS, "a", 60 * S)
    assert ask(gate, BREAKS, "a", 0)[0].by is None


def test_a_booking_means_nothing_once_the_rate_is_gone():
    gate = Gate()
    for key in "ab":
        ask(gate, ONE_A_SECOND, key, 0)
    assert ask(gate, OPEN, "b", 2 * S)[0] == Verdict(2 * S)


def test_a_call_that_was_booked_for_too_little_stands_in_line_again():
    policy, gate = GatePolicy(rate=RatePolicy(tokens=Rate(20, S))), Gate(ended=1, consumed=10)
    ask(gate, policy, "a", 0)
    ask(gate, policy, "b", S // 2)
    due_us = ask(gate, policy, "c", S // 2)[0].at_us
    assert S < due_us < S + S // 2
    tell(gate, policy, [Outcome("b", S, "committed", usage=Usage(1_000, 0))])
    again, _ = ask(gate, policy, "c", due_us)
    assert (again.by, again.at_us >= S + S // 2) == ("rate", True)


def test_a_call_that_was_booked_for_too_little_begins_all_the_same_where_it_fits():
    policy, gate = GatePolicy(rate=RatePolicy(tokens=Rate(31, S))), Gate(ended=1, consumed=10)
    booked = {key: ask(gate, policy, key, 0)[0].at_us for key in "abcdefg"}
    assert booked["c"] == 0 < booked["d"] == booked["f"] < booked["g"]
    tell(gate, policy, [Outcome("a", S, "committed", usage=Usage(12, 0))])
    assert ask(gate, policy, "d", booked["d"])[0] == Verdict(booked["d"])
    assert gate.grants["d"].tokens == 11


def test_a_call_that_is_late_waits_only_for_what_has_begun():
    gate = Gate()
    booked = [ask(gate, ONE_A_SECOND, key, 0)[0].at_us for key in "abcd"]
    assert ask(gate, ONE_A_SECOND, "c", booked[2])[0].by is None
    late, _ = ask(gate, ONE_A_SECOND, "b", booked[2])
    assert (late.by, booked[3] <= late.at_us < booked[3] + S // 2) == ("rate", True)


def test_tokens_are_booked_by_what_calls_consume_on_average_and_corrected_later():
    gate, policy = Gate(), GatePolicy(rate=RatePolicy(tokens=Rate(3_000, S)))
    for key in "abc":
        assert ask(gate, policy, key, 0)[0].by is None
    assert {grant.tokens for grant in gate.grants.values()} == {TOKENS_AT_FIRST}
    tell(gate, policy, [came(key, usage=Usage(tokens, 100)) for key, tokens in (("a", 300), ("b", 500))])

    assert sum(taken for _, taken in gate.tokens.slots) == 400 + 600 + 1_000
    assert ask(gate, policy, "d", 0)[0].by is None
    assert gate.grants["d"].tokens == 500
    tell(gate, policy, [came("c", "timeout", usage=None)])
    assert (gate.ended, gate.consumed) == (2, 1_000)


def test_requests_and_tokens_must_both_have_room():
    policy = GatePolicy(rate=RatePolicy(Rate(1, S), Rate(TOKENS_AT_FIRST, 60 * S)))
    gate = Gate()
    ask(gate, policy, "a", 0)
    assert ask(gate, policy, "b", 0)[0].at_us > 60 * S


def test_a_call_that_must_wait_for_tokens_is_no_request_of_now():
    policy, gate = GatePolicy(rate=RatePolicy(Rate(2, S), Rate(TOKENS_AT_FIRST, S))), Gate()
    ask(gate, policy, "a", 0)
    at_us = ask(gate, policy, "b", 0)[0].at_us
    assert [*gate.requests.slots] == [(0, 1), (at_us // policy.rate.requests.width_us, 1)]


def test_a_call_that_breaker_or_budget_keep_away_is_booked_nowhere():
    policy = GatePolicy(BREAKER, ONE_A_SECOND.rate, THREE.budget)
    gate = Gate()
    move(gate.breaker, "open", "by hand", 0)
    before = state(gate)
    assert ask(gate, policy, "a", 0)[0] == Verdict(0, "breaker", "its breaker is open: by hand", 30 * S)
    assert state(gate) == before

    spent = GatePolicy(BREAKER, ONE_A_SECOND.rate, BudgetPolicy(calls=0))
    assert ask(gate, spent, "a", 0)[0] == Verdict(0, "budget", "its budget is 0 calls, of which 0 calls are left", 0)
    assert state(gate) == before


def test_what_calls_under_way_have_only_reserved_is_waited_for():
    policy, gate = GatePolicy(budget=BudgetPolicy(tokens=100, daily=True, call_tokens=60)), Gate()
    ask(gate, policy, "a", 0)
    held, _ = ask(gate, policy, "b", 0)
    lacking = "its budget is 100 tokens a day, of which 40 tokens are left for now"
    assert held == Verdict(0, "reservation", lacking, S)
    tell(gate, policy, [came("a", usage=Usage(10, 0))])
    assert ask(gate, policy, "b", S)[0].by is None


def test_a_daily_budget_says_when_to_ask_again():
    gate = Gate()
    verdicts = [ask(gate, THREE, key, 5)[0] for key in "abcd"]
    assert [verdict.by for verdict in verdicts] == [None, None, None, "budget"]
    assert verdicts[3].until_us == DAY_US
    tell(gate, THREE, [came(key) for key in "abc"])
    assert ask(gate, THREE, "d", DAY_US)[0].by is None


# --- withdrawing ---


def test_a_call_that_is_not_made_leaves_no_trace():
    policy = GatePolicy(BREAKER, RatePolicy(Rate(1, S), Rate(5_000, S)), THREE.budget)
    gate = tripped()
    ask(gate, policy, "first", 40 * S)
    before = state(gate)
    for end in (lambda: withdraw(gate, policy, "b"), lambda: tell(gate, policy, [came("b", "not_made")])):
        ask(gate, policy, "b", 40 * S)
        assert state(gate) != before
        end()
        end()
        after = state(gate)
        after["requests"]["last_us"] = before["requests"]["last_us"]
        after["tokens"]["last_us"] = before["tokens"]["last_us"]
        assert after == before


def test_calls_that_nobody_tells_of_are_let_go():
    gate = Gate()
    for number, key in enumerate("abc"):
        ask(gate, THREE, key, number)
    forget_lost(gate, THREE, LOST_US)
    assert sorted(gate.grants) == ["b", "c"]
    assert gate.ledger.reserved.calls == 2
    forget_lost(gate, THREE, 2 * LOST_US)
    assert not gate.grants
    forget_lost(gate, THREE, 2 * LOST_US)


# --- telling ---


@pytest.mark.parametrize(
    ("outcome", "in_a_row"),
    [
        (came("a", "refused"), 2),
        (came("a", "error"), 2),
        (came("a", "timeout"), 2),
        (came("a", score=0.69), 2),
        (came("a", score=0.7), 0),
        (came("a"), 0),
        (came("a", "neutral"), 1),
        (came("a", "late"), 1),
    ],
)
def test_what_counts_as_bad(outcome, in_a_row):
    gate, policy = Gate(), GatePolicy(BreakerPolicy(trip_after=9))
    gate.breaker.bad_in_a_row = 1
    ask(gate, policy, "a", 0)
    tell(gate, policy, [outcome])
    assert gate.breaker.bad_in_a_row == in_a_row


def test_what_is_not_counted_says_nothing():
    gate, policy = Gate(), GatePolicy(BreakerPolicy(trip_after=1, counts=("refused",)))
    for key, how in (("a", "error"), ("b", "timeout")):
        ask(gate, policy, key, 0)
        assert tell(gate, policy, [came(key, how)]) == []
    ask(gate, policy, "c", 0)
    assert tell(gate, policy, [came("c", "refused", 5, why="no sum")]) == [Moved(5, "open", "a bad output: no sum")]


def test_a_score_that_is_too_low_is_told():
    gate, policy = Gate(), GatePolicy(BreakerPolicy(trip_after=1))
    ask(gate, policy, "a", 0)
    assert tell(gate, policy, [came("a", score=0.25)])[0].reason.endswith("a score of 0.25, below 0.7")


def test_an_outcome_is_counted_once_and_one_of_an_unknown_call_never():
    gate = Gate()
    ask(gate, BREAKS, "a", 0)
    tell(gate, BREAKS, [came("a", "error"), came("a", "error"), came("b", "error"), came("b", "not_made")])
    assert (gate.breaker.bad_in_a_row, gate.breaker.state) == (1, "closed")


def test_a_late_bill_is_paid_by_the_day_it_comes_on():
    gate, policy = Gate(), GatePolicy(budget=BudgetPolicy(tokens=10, daily=True))
    ask(gate, policy, "a", 0)
    tell(gate, policy, [came("a", "timeout", usage=None), came("a", "late", DAY_US, usage=Usage(7, 0))])
    assert (gate.ledger.day, gate.ledger.spent.tokens, gate.ledger.spent.calls) == (1, 7, 0)
    tell(gate, BREAKS, [came("a", "late", usage=Usage(7, 0))])


# --- breakers, with calls in flight ---


def test_a_reply_that_waits_for_a_judge_is_paid_for_at_once_and_judged_later():
    policy = GatePolicy(BREAKER, RatePolicy(tokens=Rate(1_000, S)), BudgetPolicy(tokens=100, call_tokens=60))
    gate = Gate()
    ask(gate, policy, "a", 5)
    assert ask(gate, policy, "b", 5)[0].by == "reservation"
    tell(gate, policy, [came("a", "drafted", 6, usage=Usage(5, 5))])
    assert (gate.ledger.spent.tokens, gate.ledger.reserved.tokens, gate.ended) == (10, 0, 1)
    assert ask(gate, policy, "b", 6)[0].by is None
    spent = gate.ledger.spent.tokens
    tell(gate, policy, [came("a", "refused", 7, why="its judge says no")])
    assert (gate.ledger.spent.tokens, gate.ended, gate.breaker.bad_in_a_row, [*gate.grants]) == (spent, 1, 1, ["b"])
    assert decode(encode(gate)) == gate


def test_a_draft_that_is_told_twice_is_paid_for_once():
    gate = Gate()
    ask(gate, THREE, "a", 5)
    tell(gate, THREE, [came("a", "drafted", 6), came("a", "drafted", 6)])
    assert (gate.ledger.spent.calls, gate.ledger.reserved.calls, gate.ended) == (1, 0, 1)


def test_a_draft_of_an_unknown_call_changes_nothing():
    gate = Gate()
    tell(gate, BREAKS, [came("a", "drafted")])
    assert gate == Gate()


def test_a_probe_that_was_let_through_before_a_crash_is_no_second_one_after_it():
    gate, policy = Gate(), GatePolicy(msgspec.structs.replace(BREAKER, half_open_calls=1))
    move(gate.breaker, "open", "bad", 0, 30_000)
    assert ask(gate, policy, "a", 30 * S)[0].by is None
    later_us = 7_200 * S
    assert [ask(gate, policy, key, later_us)[0].by for key in ("a", "b")] == [None, "breaker"]


def test_the_longer_a_breaker_is_held_open_by_hand_the_more_rarely_it_is_looked_at():
    gate, policy = Gate(), GatePolicy(BREAKER)
    move(gate.breaker, "open", "by hand", 0)
    looked, now_us = 0, 0
    while now_us < 3 * DAY_US:
        now_us, looked = ask(gate, policy, "a", now_us)[0].until_us, looked + 1
    assert looked < 50
    assert ask(gate, policy, "b", 60 * S)[0].until_us == 90 * S
    gate.breaker.since_us = 40 * S
    assert ask(gate, policy, "b", 240 * S + 3)[0].until_us == 240 * S + 3 + 50 * S


def test_a_breaker_trips_probes_and_closes_again():
    gate = tripped()
    assert ask(gate, BREAKS, "c", 29 * S)[0] == Verdict(
        0, "breaker", "its breaker is open: 2 bad outputs in a row, the last: no", 30 * S
    )
    asked = [ask(gate, BREAKS, key, 30 * S) for key in "cde"]
    assert [(verdict.by, [one.to for one in moved]) for verdict, moved in asked] == [
        (None, ["half_open"]),
        (None, []),
        ("breaker", []),
    ]
    assert asked[2][0].reason == "its breaker is half-open: it is being tried with a few calls"
    assert [one.to for one in tell(gate, BREAKS, [came("c"), came("d")])] == ["closed"]
    assert ask(gate, BREAKS, "e", 30 * S)[0].by is None


def test_all_that_a_breaker_does_in_one_turn_is_told():
    one_probe = GatePolicy(breaker=BreakerPolicy(trip_after=1, cooldown_ms=1_000, half_open_calls=1))
    gate = Gate()
    ask(gate, one_probe, "a", 0)
    tell(gate, one_probe, [came("a", "refused", why="no")])
    ask(gate, one_probe, "probe", 2 * S)
    gate.grants["late"] = Grant(2 * S)
    moved = tell(gate, one_probe, [came("probe", at_us=3 * S), came("late", "refused", 3 * S, why="no")])
    assert [move.to for move in moved] == ["closed", "open"]


def test_without_a_breaker_every_call_that_is_told_of_is_paid_for():
    gate = Gate()
    for key in "ab":
        ask(gate, THREE, key, 0)
    assert tell(gate, THREE, [came("a"), came("b")]) == []
    assert (gate.ledger.spent.calls, gate.ledger.reserved.calls, gate.grants) == (2, 0, {})


def test_a_probe_that_has_not_begun_in_its_round_is_one_of_the_next():
    gate = tripped()
    for now_us, round_ in ((30 * S, 1), (60 * S - 1, 1), (60 * S, 2)):
        assert ask(gate, BREAKS, "a", now_us)[0] == Verdict(now_us)
        assert (gate.grants["a"].probe, gate.breaker.probes) == (round_, 1)


def test_a_probe_that_says_nothing_makes_room_for_another():
    gate = tripped()
    for key in "ab":
        ask(gate, BREAKS, key, 30 * S)
    assert ask(gate, BREAKS, "c", 30 * S)[0].by == "breaker"
    tell(gate, BREAKS, [came("a", "neutral")])
    assert ask(gate, BREAKS, "c", 30 * S)[0].by is None


@pytest.mark.parametrize("is_tried", [False, True])
def test_a_call_keeps_its_place_while_its_breaker_lets_it_through(is_tried):
    gate, policy = Gate(), GatePolicy(BreakerPolicy(half_open_calls=3), ONE_A_SECOND.rate)
    if is_tried:
        move(gate.breaker, "open", "bad", 0, 1)
    booked = {key: ask(gate, policy, key, 2_000)[0] for key in "abc"}
    assert gate.breaker.state == ("half_open" if is_tried else "closed")
    assert {key: ask(gate, policy, key, 3_000)[0] for key in "bc"} == {key: booked[key] for key in "bc"}


@pytest.mark.parametrize("stay_ms", [0, 30_000])
def test_a_booking_of_before_is_no_way_around_an_open_breaker(stay_ms):
    policy = GatePolicy(BREAKER, ONE_A_SECOND.rate)
    gate = Gate()
    for key in "ab":
        ask(gate, policy, key, 0)
    move(gate.breaker, "open", "bad", 0, stay_ms)
    assert ask(gate, policy, "b", 2 * S)[0].by == "breaker"
    assert sorted(gate.grants) == ["a"]


def test_a_booking_of_before_becomes_a_probe():
    gate = Gate()
    ask(gate, BREAKS, "a", 0)
    move(gate.breaker, "open", "bad", 0, 1)
    verdict, moved = ask(gate, BREAKS, "a", S)
    assert (verdict.by, [one.to for one in moved], gate.grants["a"].probe) == (None, ["half_open"], 1)
    assert ask(gate, BREAKS, "a", S) == (Verdict(S), ())
    assert gate.breaker.probes == 1


def test_probes_of_an_earlier_round_are_not_counted():
    gate = tripped()
    for key in "ab":
        ask(gate, BREAKS, key, 30 * S)
    tell(gate, BREAKS, [came("a", "error", 30 * S)])
    ask(gate, BREAKS, "c", 60 * S)

    assert tell(gate, BREAKS, [came("b", "error", 60 * S)]) == []
    assert (gate.breaker.state, gate.breaker.probes, gate.breaker.good) == ("half_open", 1, 0)


def test_a_breaker_that_is_not_declared_any_more_keeps_nobody_away():
    gate = tripped()
    assert ask(gate, ONE_A_SECOND, "a", 0)[0].by is None
    held = ask(gate, ONE_A_SECOND, "b", 0)[0]
    assert ask(gate, ONE_A_SECOND, "b", 0)[0] == held
    assert gate.grants["b"].probe == 0


# --- two gates, one behind the other ---

TEAM_OF_ONE_A_SECOND = GatePolicy(rate=ONE_A_SECOND.rate, is_shared=True)
TEAM = GatePolicy(rate=RatePolicy(Rate(1, 60 * S)), budget=BudgetPolicy(calls=2, daily=True), is_shared=True)


NAMES = ("desk/ann", "desk/")


def by(*policies):
    return dict(zip(NAMES, policies, strict=False))


def at(*gates, outcomes=()):
    return [AtGate(gate, outcomes, name=name) for name, gate in by(*gates).items()]


def test_a_call_passes_the_gate_of_its_agent_and_that_of_the_team():
    own, shared = Gate(), Gate()
    verdicts = turn(by(ONE_A_SECOND, TEAM), ["a", "b", "c"], 0, at(own, shared))
    assert [verdict.by for verdict in verdicts] == [None, "team_rate", "team_budget"]
    assert verdicts[1].at_us > 60 * S
    assert sorted(own.grants) == sorted(shared.grants) == ["a", "b"]


def test_a_call_of_a_nested_team_passes_the_gates_of_those_above_which_are_told_by_name():
    outer = policy_above(2, Above("outer/", RatePolicy(Rate(1, 60 * S)), BudgetPolicy(calls=2, daily=True)))
    own, above = Gate(), Gate()
    first, second, third = turn(by(TEAM_OF_ONE_A_SECOND, outer), ["a", "b", "c"], 0, at(own, above))
    assert (first.by, first.reason) == (None, "")
    assert (second.by, second.reason) == ("above_2_rate", "team outer: its rate is taken up until then")
    said = "team outer: its budget is 2 calls a day, of which 0 calls are left"
    assert (third.by, third.reason, third.at_us) == ("above_2_budget", said, 0)
    assert sorted(own.grants) == sorted(above.grants) == ["a", "b"]


def test_the_gate_of_the_team_may_be_the_only_one():
    verdicts = turn(by(TEAM), ["a", "b", "c"], 0, at(Gate()))
    assert [verdict.by for verdict in verdicts] == [None, "team_rate", "team_budget"]


def test_the_later_of_two_bookings_holds():
    slow = GatePolicy(rate=RatePolicy(Rate(1, 3_600 * S)))
    verdicts = turn(by(slow, ONE_A_SECOND), ["a", "b"], 0, at(Gate(), Gate()))
    assert (verdicts[1].by, verdicts[1].at_us > 3_600 * S) == ("rate", True)


def test_of_two_that_book_for_the_same_time_the_gate_of_the_agent_is_told():
    verdicts = turn(by(ONE_A_SECOND, TEAM_OF_ONE_A_SECOND), ["a", "b"], 0, at(Gate(), Gate()))
    assert verdicts[1].by == "rate"


def test_what_one_gate_denies_takes_nothing_at_the_other():
    own, shared = Gate(), Gate()
    turn(by(BREAKS, TEAM), ["a", "b"], 0, at(own, shared))
    move(own.breaker, "open", "by hand", 0)

    assert turn(by(BREAKS, TEAM), ["b"], 0, at(own, shared))[0].by == "breaker"
    assert sorted(shared.grants) == ["a"]
    assert shared.ledger.reserved.calls == 1


def test_a_turn_folds_what_was_told_before_it_answers():
    gate = Gate()
    for key in "ab":
        ask(gate, BREAKS, key, 0)
    found = at(gate, outcomes=[came("a", "error"), came("b", "error")])
    assert turn(by(BREAKS), ["c"], 30 * S, found)[0].by is None
    assert [moved.to for moved in found[0].moved] == ["open", "half_open"]


def test_what_is_taken_back_is_held_nowhere():
    own, shared = Gate(), Gate()
    turn(by(BREAKS, TEAM), ["a", "b"], 0, at(own, shared))
    found = at(own, shared, outcomes=[came("a", "error")])
    take_back(by(BREAKS, TEAM), "b", 0, found)
    assert (own.grants, shared.grants, own.breaker.bad_in_a_row) == ({}, {}, 1)


def test_a_turn_lets_go_of_lost_calls():
    gate = Gate()
    ask(gate, THREE, "a", 0)
    turn(by(THREE), [], LOST_US, at(gate))
    assert not gate.grants


# --- a clock that was ahead ---

YEAR = 365 * DAY_US


@pytest.mark.parametrize("rate", [RatePolicy(Rate(2, S)), RatePolicy(tokens=Rate(2 * TOKENS_AT_FIRST, S))])
def test_what_was_booked_by_a_clock_that_was_ahead_holds_nobody_longer_than_a_period(rate):
    gate, policy = Gate(), GatePolicy(rate=rate)
    ahead = turn(by(policy), [*"abcde"], YEAR, at(gate))
    assert [verdict.by for verdict in ahead] == [None, None, "rate", "rate", "rate"]
    [held] = turn(by(policy), ["f"], 0, at(gate))
    assert (held.by, 0 < held.until_us < 2 * S, gate.seen_us) == ("rate", True, 0)
    again = turn(by(policy), ["f", "c"], held.until_us, at(gate))
    assert [verdict.by for verdict in again] == [None, None]
    late = turn(by(policy), ["d", "e"], held.until_us + 2 * S, at(gate))
    assert [verdict.by for verdict in late] == [None, None]


def test_what_began_before_the_clock_was_ahead_counts_as_it_did():
    gate = Gate()
    turn(by(ONE_A_SECOND), ["a"], 0, at(gate))
    gate.seen_us = YEAR
    [held] = turn(by(ONE_A_SECOND), ["b"], 0, at(gate))
    assert (held.by, S <= held.until_us < 2 * S, gate.grants["a"].at_us) == ("rate", True, 0)


def test_clocks_that_differ_a_little_change_nothing():
    gate = Gate()
    turn(by(ONE_A_SECOND), ["a"], CLOCKS_APART_US, at(gate))
    [held] = turn(by(ONE_A_SECOND), ["b"], 0, at(gate))
    assert (held.until_us > CLOCKS_APART_US, gate.seen_us) == (True, CLOCKS_APART_US)


def test_a_breaker_that_was_opened_by_a_clock_that_was_ahead_cools_down_from_now_on():
    gate = Gate()
    turn(by(BREAKS), ["x", "y"], 0, at(gate))
    bad = [came(key, "refused", YEAR, why="no") for key in "xy"]
    [found] = at(gate, outcomes=bad)
    [held] = turn(by(BREAKS), ["z"], 7, [found])
    assert (held.by, held.until_us) == ("breaker", 30 * S + 7)
    assert found.moved == [Moved(7, "open", "2 bad outputs in a row, the last: no")]
    gate.breaker.until_us = YEAR
    assert turn(by(BREAKS), ["z"], 0, at(gate))[0].until_us == 30 * S
    assert turn(by(BREAKS), ["z"], 30 * S, at(gate))[0].by is None


def test_what_was_spent_by_a_clock_that_was_days_ahead_counts_for_today():
    gate = Gate()
    turn(by(THREE), ["a", "b", "c"], YEAR, at(gate))
    tell(gate, THREE, [came(key, at_us=YEAR) for key in "abc"])
    [held] = turn(by(THREE), ["d"], 0, at(gate))
    assert (held.by, held.until_us) == ("budget", DAY_US)
    assert turn(by(THREE), ["d"], DAY_US, at(gate))[0].by is None


# --- what events say ---

FINDING = e.Finding("schema", "x" * 500)
UNJUDGED = e.Finding("unjudged", "its judge was down")
USAGE = Usage(1, 2, 0.5)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (e.AttemptCommitted(5, "s", 1, usage=USAGE), Outcome("k", 5, "committed", None, USAGE)),
        (e.AttemptCommitted(5, "s", 1, score=0.5), Outcome("k", 5, "committed", 0.5, NOTHING_USED)),
        (e.AttemptRefused(5, "s", 1, (UNJUDGED,)), Outcome("k", 5, "neutral", None, NOTHING_USED)),
        (
            e.AttemptRefused(5, "s", 1, (UNJUDGED, FINDING)),
            Outcome("k", 5, "refused", None, NOTHING_USED, "x" * WHY_CHARS_MAX),
        ),
        (e.AttemptRefused(5, "s", 1, (FINDING,)), Outcome("k", 5, "refused", None, NOTHING_USED, "x" * WHY_CHARS_MAX)),
        (e.ReplyDrafted(5, "s", 1, usage=USAGE), Outcome("k", 5, "drafted", None, USAGE)),
        (e.ReplyJudged(5, "s", 2, 0.1), Outcome("k", 5, "committed", None, NOTHING_USED)),
        (e.AttemptFailed(5, "s", 1, "timeout", "slow"), Outcome("k", 5, "timeout", None, None, "slow")),
        (e.AttemptFailed(5, "s", 1, "error", "bad", usage=USAGE), Outcome("k", 5, "error", None, USAGE, "bad")),
        (e.AttemptFailed(5, "s", 1, "rate_limited", "slower"), Outcome("k", 5, "neutral", None, NOTHING_USED)),
        (e.QuestionAsked(5, "s", 1, Question("?")), Outcome("k", 5, "neutral", None, NOTHING_USED)),
        (e.AttemptInterrupted(5, "s", 1), Outcome("k", 5, "neutral")),
        (e.ReplyArrivedLate(5, "s", 1, USAGE), Outcome("k", 5, "late", None, USAGE)),
        (e.BackoffEnded(5, "s"), None),
        (e.FaultInjected(5, "s", 1, "x"), None),
    ],
)
def test_what_an_event_says_to_a_gate(event, outcome):
    assert outcome_of(event, "k") == outcome


# --- keeping it ---


def busy_gate():
    gate, policy = tripped(), GatePolicy(BREAKER, RatePolicy(Rate(1, S), Rate(5_000, S)), THREE.budget)
    for key in "abc":
        ask(gate, policy, key, 40 * S)
    tell(gate, policy, [came("a", usage=USAGE)])
    gate.seen_us = 41 * S
    return gate


def test_a_gate_comes_back_as_it_was():
    assert decode(encode(busy_gate())) == busy_gate()
    assert decode(b"{}") == Gate()
    outcome = came("a", "refused", 5, why="no")
    assert decode_outcome(encode(outcome)) == outcome


def test_a_copy_is_changed_by_itself():
    gate = busy_gate()
    copy = copied(gate)
    assert copy == gate
    policy = GatePolicy(BREAKER, RatePolicy(Rate(1, S), Rate(5_000, S)), THREE.budget)
    for key in "xyz":
        ask(copy, policy, key, 90 * S)
    tell(copy, policy, [came(key, "error", 90 * S, usage=USAGE) for key in "xyzbc"])
    assert gate == busy_gate()
    assert copy != gate


def test_asking_twice_is_asking_once_where_what_was_booked_is_about_to_be_over():
    """A call that may begin in less than a timer's slack forgets nothing that counts until then."""
    policy, gate, now_us = GatePolicy(rate=RatePolicy(Rate(4, S))), Gate(), DAY_US - 3 * S
    for number in range(4):
        ask(gate, policy, f"k{number}", now_us)
    now_us += S + 5_000
    first = ask(gate, policy, "later", now_us)
    once = state(gate)
    assert first[0].by is None
    assert ask(gate, policy, "later", now_us) == first
    assert state(gate) == once


# --- whatever asks ---


class AnyTraffic(RuleBasedStateMachine):
    """Calls ask, begin when they may, end somehow, are withdrawn or lost, in any order; a gate keeps to its word."""

    def __init__(self):
        super().__init__()
        self.policy = GatePolicy(
            BreakerPolicy(trip_after=2, cooldown_ms=3_000, half_open_calls=2),
            RatePolicy(Rate(4, S), Rate(9_000, S)),
            BudgetPolicy(calls=25, tokens=60_000, usd=600, daily=True, call_tokens=2_000, call_usd=20),
        )
        self.gate = Gate()
        self.now_us = DAY_US - 3 * S
        self.keys = 0
        self.waiting, self.flying = [], []
        self.begun, self.days, self.probes = [], {}, {}

    def _ask(self, key):
        before = state(self.gate)
        verdict, moved = ask(self.gate, self.policy, key, self.now_us)
        once = state(self.gate)
        assert ask(self.gate, self.policy, key, self.now_us) == (verdict, ()) or verdict.by == "breaker"
        assert state(self.gate) == once
        if verdict.by in {"budget", "breaker"}:
            assert key not in self.gate.grants
            assert moved or before["ledger"]["reserved"] == once["ledger"]["reserved"] or key in before["grants"]
            return
        assert verdict.by in {None, "rate"}
        if verdict.by == "rate":
            self.waiting.append((verdict.at_us, key))
            return
        self.flying.append(key)
        self.begun.append((self.now_us, 1))
        day = self.now_us // DAY_US
        self.days[day] = self.days.get(day, 0) + 1
        round_ = self.gate.grants[key].probe
        assert self.gate.breaker.state == "closed" or round_ == self.gate.breaker.round
        if self.gate.breaker.state == "half_open":
            self.probes.setdefault(round_, set()).add(key)

    @rule()
    def ask(self):
        self.keys += 1
        self._ask(f"k{self.keys}")

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def ask_again(self, data):
        at_us, key = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.remove((at_us, key))
        self.now_us = max(self.now_us, at_us)
        self._ask(key)

    @rule(passes_us=st.sampled_from([1, 1_000, 300_000, S, 3 * S, 40 * S]))
    def wait(self, passes_us):
        self.now_us += passes_us

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def end(self, data):
        key = data.draw(st.sampled_from(self.flying))
        self.flying.remove(key)
        how = data.draw(st.sampled_from(["committed", "refused", "error", "timeout", "neutral"]))
        usage = data.draw(st.sampled_from([None, NOTHING_USED, Usage(900, 100, 0.00001), Usage(1_500, 500, 0.00002)]))
        tell(self.gate, self.policy, [Outcome(key, self.now_us, how, None, usage, "bad")])
        for probes in self.probes.values():
            probes.discard(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), told=st.booleans())
    def withdraw(self, data, told):
        item = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.remove(item)
        if told:
            tell(self.gate, self.policy, [Outcome(item[1], self.now_us, "not_made")])
        else:
            withdraw(self.gate, self.policy, item[1])

    @precondition(lambda self: self.flying)
    @rule()
    def lose_all_of_them(self):
        tell(self.gate, self.policy, [Outcome(key, self.now_us, "neutral") for key in self.flying])
        self.flying.clear()
        self.probes.clear()

    @rule()
    def is_kept(self):
        self.gate = decode(encode(self.gate))

    @invariant()
    def rate_holds(self):
        assert most_in_a_window(self.begun, S) <= 4

    @invariant()
    def budget_holds(self):
        ledger, most = self.gate.ledger, self.policy.budget
        assert all(count <= 25 for count in self.days.values())
        for name in ("calls", "tokens", "usd"):
            spent, reserved = getattr(ledger.spent, name), getattr(ledger.reserved, name)
            assert reserved >= 0
            assert spent + reserved <= getattr(most, name)
        assert ledger.reserved.calls == len(self.gate.grants) == len(self.flying) + len(self.waiting)

    @invariant()
    def probes_are_few(self):
        breaker = self.gate.breaker
        if breaker.state == "half_open":
            assert len(self.probes.get(breaker.round, ())) + breaker.good <= breaker.probes <= 2
        assert sum(grant.probe == breaker.round > 0 for grant in self.gate.grants.values()) <= 2


TestAnyTraffic = AnyTraffic.TestCase
TestAnyTraffic.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@given(st.lists(st.sampled_from(["ask", "tell", "withdraw", "lose"]), max_size=200), st.data())
def test_a_budget_for_five_calls_makes_five(what, data):
    gate, policy = Gate(), GatePolicy(budget=BudgetPolicy(calls=5))
    made, flying = 0, []
    for number, one in enumerate(what):
        if one == "ask" and ask(gate, policy, f"{number}", 0)[0].by is None:
            flying.append(f"{number}")
            made += 1
        elif one != "ask" and flying:
            key = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            made -= one == "withdraw"
            tell(gate, policy, [came(key, {"tell": "committed", "withdraw": "not_made", "lose": "neutral"}[one])])
        assert made <= 5
