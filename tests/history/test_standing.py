"""Where gates stand."""

import msgspec

from interlock.core.breaker import Moved, move
from interlock.core.budget import Amounts
from interlock.core.gate import AtGate, Gate, GatePolicy, Outcome, ask
from interlock.core.job import Usage
from interlock.history import standing
from interlock.team.gates import gate_of

NOW_US = 20_000 * 86_400_000_000 + 5_000_000
POLICY = gate_of(
    breaker={"trip_after": 1, "cooldown": "30s"},
    rate={"requests": "2/min", "tokens": "4000/min"},
    budget={"day": {"usd": 1, "calls": 3, "call": {"usd": 0.25}}},
)


def asked(*keys):
    gate = Gate()
    for key in keys:
        ask(gate, POLICY, key, NOW_US)
    return gate


def document(at, policy=POLICY, name="desk/ann"):
    told = standing(name, at, policy, NOW_US).to_dict()
    return msgspec.json.decode(msgspec.json.encode(told))


def test_a_gate_that_nobody_has_asked():
    assert document(AtGate(Gate(), ())) == {
        "team": "desk",
        "agent": "ann",
        "breaker": {"state": "closed", "moves": []},
        "rate": {
            "requests": {"amount": 2, "per": "min", "booked": 0, "later": 0, "free": "2024-10-04T00:00:05.000000Z"},
            "tokens": {"amount": 4_000, "per": "min", "booked": 0, "later": 0, "free": "2024-10-04T00:00:05.000000Z"},
        },
        "budget": {
            "day": "2024-10-04",
            "usd": {"limit": 1.0, "spent": 0.0, "reserved": 0.0, "left": 1.0},
            "calls": {"limit": 3, "spent": 0, "reserved": 0, "left": 3},
        },
    }


def test_calls_that_go_on_and_calls_that_wait():
    told = document(AtGate(asked("a", "b", "c"), ()))
    assert told["budget"]["usd"] == {"limit": 1.0, "spent": 0.0, "reserved": 0.75, "left": 0.25}
    assert (told["rate"]["requests"]["booked"], told["rate"]["requests"]["later"]) == (2, 1)
    assert told["rate"]["requests"]["free"] > "2024-10-04T00:01:05"


def test_what_was_told_since_anybody_asked_counts():
    outcome = Outcome("a", NOW_US, "refused", None, Usage(100, 20, 0.5), "made up")
    told = document(AtGate(asked("a"), [outcome], [Moved(1, "closed", "fixed", "Ada")]))
    breaker = told["breaker"]
    assert (breaker["state"], breaker["until"]) == ("open", "2024-10-04T00:00:35.000000Z")
    assert [(one["to"], one.get("by")) for one in breaker["moves"]] == [("open", None), ("closed", "Ada")]
    assert "made up" in breaker["reason"]
    assert told["budget"]["usd"] == {"limit": 1.0, "spent": 0.5, "reserved": 0.0, "left": 0.5}
    assert told["rate"]["tokens"]["booked"] == 120


def test_what_people_have_approved_for_today_is_left_too():
    more = Outcome("", NOW_US, "raised", more=Amounts(calls=2))
    told = document(AtGate(asked("a"), [more]))["budget"]["calls"]
    assert told == {"limit": 3, "spent": 0, "reserved": 1, "left": 4, "raised": 2}


def test_what_was_spent_on_another_day_does_not_count():
    gate = asked("a")
    gate.ledger.day -= 1
    gate.ledger.spent.calls = 3
    assert document(AtGate(gate, ()))["budget"]["calls"] == {"limit": 3, "spent": 0, "reserved": 1, "left": 2}


def test_forced_open_has_no_end():
    gate = Gate()
    moved = move(gate.breaker, "open", "bad prompt", NOW_US, by="Ada")
    breaker = document(AtGate(gate, (), [moved]))["breaker"]
    assert (breaker["state"], breaker["until"], breaker["reason"]) == ("open", None, "bad prompt")


def test_a_gate_that_is_declared_no_longer_shows_what_its_breaker_did():
    assert document(AtGate(asked("a"), ()), None) == {"team": "desk", "agent": "ann", "declared": False}
    gate = Gate()
    moved = move(gate.breaker, "open", "bad", NOW_US, 1_000)
    assert document(AtGate(gate, (), [moved]), None)["breaker"]["state"] == "open"


def test_a_team_without_a_name_has_the_path_of_its_file_and_all_of_it_share_a_gate_without_an_agent():
    told = standing("/a/team.yaml/", AtGate(Gate(), ()), gate_of(rate={"requests": "1/s"}), NOW_US)
    assert (told.team, told.agent, told.breaker) == ("/a/team.yaml", "", None)
    assert "breaker" not in told.to_dict()
    assert standing("x/y", AtGate(Gate(), ()), GatePolicy(), NOW_US).to_dict() == {"team": "x", "agent": "y"}
