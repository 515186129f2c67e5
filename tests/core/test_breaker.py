"""Circuit breakers: every move of the table happens, and no other."""

import pytest

from interlock.core.breaker import COUNTED, LEGAL, Breaker, BreakerPolicy, Moved, admit, breaker_of, forget_probe, move
from interlock.core.breaker import judge as judged

S = 1_000_000
POLICY = BreakerPolicy(trip_after=2, cooldown_ms=30_000, half_open_calls=2)
STATES = list(LEGAL)


def at(state, policy=POLICY):
    """A breaker that came into this state at 0 s."""
    breaker = Breaker()
    if state != "closed":
        move(breaker, "open", "bad", 0, policy.cooldown_ms)
    if state == "half_open":
        move(breaker, "half_open", "cool", 0, policy.cooldown_ms)
    return breaker


def judge(breaker, bad="", *, probe=0, at_us=0, policy=POLICY):
    return judged(breaker, policy, bad=bad, probe=probe, at_us=at_us)


# --- the table ---


@pytest.mark.parametrize("to", STATES)
@pytest.mark.parametrize("state", STATES)
def test_a_breaker_moves_along_its_table_and_nowhere_else(state, to):
    breaker = at(state)
    rounds = breaker.round
    if to not in LEGAL[state]:
        with pytest.raises(AssertionError, match=f"{state} -> {to}"):
            move(breaker, to, "why", 5)
        return

    assert move(breaker, to, "why", 5, 7, "ann") == Moved(5, to, "why", "ann")
    assert (breaker.state, breaker.since_us, breaker.until_us, breaker.reason) == (to, 5, 7_005, "why")
    assert (breaker.bad_in_a_row, breaker.recent, breaker.probes, breaker.good) == (0, "", 0, 0)
    assert breaker.round == rounds + (to == "half_open")


def test_every_move_of_the_table_happens_by_itself_or_by_hand():
    breaker, seen = Breaker(), set()

    def went(moved):
        before = seen_from[0]
        seen.add((before, moved[0].to))
        seen_from[0] = moved[0].to
        return moved[0].reason

    seen_from = ["closed"]
    judge(breaker, "no")
    assert went(judge(breaker, "no")) == "2 bad outputs in a row, the last: no"
    assert went(admit(breaker, POLICY, 30 * S)[1]) == "it has cooled down"
    assert went(judge(breaker, "no", probe=1)) == "a probe was bad: no"
    went(admit(breaker, POLICY, 60 * S)[1])
    assert judge(breaker, probe=2) == []
    assert went(judge(breaker, probe=2)) == "2 probes were good"
    went([move(breaker, "open", "by hand", 0)])
    went([move(breaker, "closed", "by hand", 0)])

    assert seen == {(state, to) for state, following in LEGAL.items() for to in following}


# --- closed ---


def test_a_good_output_begins_the_row_anew():
    breaker = Breaker()
    for bad in ("no", "", "no", "", "no"):
        assert judge(breaker, bad) == []

    assert judge(breaker, "again") == [Moved(0, "open", "2 bad outputs in a row, the last: again")]


def test_a_full_window_with_too_large_a_bad_share_opens_it():
    policy = BreakerPolicy(trip_after=9, window=4, bad_share=0.5)
    breaker = Breaker()
    for bad in ("", "", "", "x", "", ""):
        assert judge(breaker, bad, policy=policy) == []
    assert judge(breaker, "x", policy=policy, at_us=5) == [
        Moved(5, "open", "2 of the last 4 outputs were bad, the last: x")
    ]


def test_a_window_opens_on_a_bad_output_only():
    policy = BreakerPolicy(trip_after=9, window=2, bad_share=0.5)
    breaker = Breaker()
    judge(breaker, "x", policy=policy)
    assert judge(breaker, "", policy=policy) == []
    assert breaker.recent == "x."


def test_everybody_is_admitted_while_it_is_closed():
    assert [admit(Breaker(), POLICY, now) for now in (0, 10**15)] == [(True, [])] * 2


# --- open ---


def test_nobody_is_admitted_while_it_is_open():
    breaker = at("open")

    assert admit(breaker, POLICY, 30 * S - 1) == (False, [])
    assert admit(breaker, POLICY, 30 * S) == (True, [Moved(30 * S, "half_open", "it has cooled down")])


def test_what_was_opened_by_hand_stays_open():
    breaker = Breaker()
    move(breaker, "open", "by hand", 5)

    assert admit(breaker, POLICY, 10**18) == (False, [])


@pytest.mark.parametrize("bad", ["", "no"])
def test_outputs_are_not_counted_while_it_is_open(bad):
    breaker = at("open")
    before = vars_of(breaker)
    assert [judge(breaker, bad, probe=probe) for probe in (0, 1)] == [[], []]
    assert vars_of(breaker) == before


def vars_of(breaker):
    return {name: getattr(breaker, name) for name in breaker.__struct_fields__}


# --- half-open ---


def test_no_more_probes_than_allowed_are_let_through():
    breaker = at("half_open")
    assert [admit(breaker, POLICY, 0)[0] for _ in range(4)] == [True, True, False, False]


def test_a_forgotten_probe_makes_room_for_another():
    breaker = at("half_open")
    for _ in range(2):
        admit(breaker, POLICY, 0)

    forget_probe(breaker, 1)
    assert [admit(breaker, POLICY, 0)[0] for _ in range(2)] == [True, False]
    forget_probe(breaker, 1)
    forget_probe(breaker, 1)
    assert [admit(breaker, POLICY, 0)[0] for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("state", "probe"), [("closed", 1), ("open", 1), ("half_open", 0), ("half_open", 2)])
def test_a_probe_of_another_round_makes_no_room(state, probe):
    breaker = at(state)
    before = vars_of(breaker)
    forget_probe(breaker, probe)
    assert vars_of(breaker) == before


def test_probes_that_are_lost_are_given_out_again():
    breaker = at("half_open")
    admit(breaker, POLICY, 0)
    admit(breaker, POLICY, 0)
    judge(breaker, probe=1)

    assert not admit(breaker, POLICY, 30 * S - 1)[0]
    assert [admit(breaker, POLICY, 30 * S)[0] for _ in range(2)] == [True, False]  # one was good
    assert (breaker.round, breaker.until_us) == (2, 60 * S)
    assert judge(breaker, probe=2)[0].to == "closed"


def test_a_single_probe_is_told_as_one():
    breaker, policy = at("half_open"), BreakerPolicy(half_open_calls=1)
    assert judge(breaker, probe=1, at_us=5, policy=policy) == [Moved(5, "closed", "the probe was good")]


@pytest.mark.parametrize("bad", ["", "no"])
def test_calls_that_are_no_probes_of_this_round_are_not_counted(bad):
    breaker = at("half_open")
    move(breaker, "open", "again", 0, 1)
    admit(breaker, POLICY, S)
    before = vars_of(breaker)

    assert breaker.round == 2
    assert [judge(breaker, bad, probe=probe) for probe in (0, 1)] == [[], []]
    assert vars_of(breaker) == before


# --- declarations ---


def test_a_declaration():
    assert breaker_of({}) == BreakerPolicy()
    declared = {"threshold": 0.5, "cooldown": "2m", "counts": ["timeout"], "while_open": "fail", "window": 8}
    policy = breaker_of(declared)
    assert policy == BreakerPolicy(0.5, 5, 8, 0.5, 120_000, 3, ("timeout",), "fail")
    assert (policy.waits, BreakerPolicy().waits) == (False, True)
    assert BreakerPolicy().counts == COUNTED
