"""Steps that wait: for a time, or for an event from outside."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.arrivals import Sent, arrival, lapsed
from interlock.core.decision import Decision
from interlock.core.moments import time_us
from interlock.core.plan import Phase, Plan
from interlock.core.redrive import dead_steps, taken_over, why_not_again
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import expired, overdue, settled
from interlock.core.step import Condition, Step
from interlock.core.takeover import adopted
from interlock.core.values import Limits
from interlock.core.waits import Wait
from interlock.errors import PlanError

from .transcripts import ONCE, Transcript, awaits, send, step

ANN = {"ann": Role(Scope(["act"], ["*"], ["a", "b", "c", "d", "when"]), ONCE)}
SECOND, HOUR, DAY_MS = 1_000_000, 3_600_000_000, 86_400_000
AMOUNT = {"required": ["paid"], "properties": {"paid": {"type": "integer", "minimum": 1}}}


def told(*steps, **given):
    return Transcript(*steps, roles=ANN, **given)


def wake(run, step_id):
    """The time of a wait has come."""
    n = run.machine.number[step_id]
    run.at_us = max(run.at_us, run.machine.waits[n].due_us)
    return run.say(expired(run.machine, n, run.at_us))


# --- times ---


def test_a_short_wait_keeps_its_run_going_until_its_time():
    run = told(Step("w", wait="5s"), step("a", needs=["w"]))
    assert run.begin() == ["w waits until 1970-01-01T00:00:05Z", "wake w at 5,000,000"]
    assert (run.machine.status, run.states["w"]) == ("running", "awaiting")
    assert run.machine.wanted() == []
    assert wake(run, "w") == ["call ann for a #1"]
    assert run.states["w"] == "committed"


@pytest.mark.parametrize(("wait", "status"), [("1m", "running"), ("60001ms", "parked")])
def test_a_wait_of_more_than_a_minute_parks_its_run(wait, status):
    run = told(Step("w", wait=wait))
    run.begin()
    assert run.machine.status == status
    assert overdue(run.machine, HOUR) == [1]


def test_a_long_wait_parks_its_run_when_nothing_else_is_left():
    run = told(Step("w", wait="2h"), step("a"))
    assert run.begin() == ["w waits until 1970-01-01T02:00:00Z", "call ann for a #1", "wake w at 7,200,000,000"]
    assert run.reply("a") == ["parked: w waits until 1970-01-01T02:00:00Z"]
    assert overdue(run.machine, 2 * HOUR - 1) == []
    assert overdue(run.machine, 2 * HOUR) == [1]
    assert wake(run, "w") == ["succeeded"]
    assert run.machine.reason == ""


def test_a_machine_folded_anew_wakes_at_the_same_time():
    run = told(Step("w", wait="30s"), step("a"))
    run.begin()
    run.tick()
    assert run.crash() == ["call ann for a #1", "wake w at 30,000,000"]
    parked = told(Step("w", wait="2h"))
    parked.begin()
    assert parked.crash() == []
    assert parked.machine.status == "parked"
    assert overdue(parked.machine, 2 * HOUR) == [1]


def test_overdue_waits_end_in_the_order_of_their_deadlines():
    run = told(Step("w", wait="3h"), Step("v", wait="2h"), awaits())
    run.begin()
    assert run.machine.reason == "v waits until 1970-01-01T02:00:00Z, and 2 more wait"
    assert [run.machine.step_id(n) for n in overdue(run.machine, 4 * HOUR)] == ["v", "w"]
    run = told(Step("w", wait="3h"), Step("v", wait="2h"))
    run.begin()
    assert run.machine.reason == "v waits until 1970-01-01T02:00:00Z, and 1 more wait"


def test_a_wait_until_a_time_of_the_declaration_or_the_context():
    run = told(Step("w", wait={"until": "1970-01-01T00:01:40Z"}), Step("v", wait={"until": "order.due"}, needs=["w"]))
    run = Transcript(*run.rules.plan.declared, roles=ANN, request={"order": {"due": "1970-01-01T00:00:10+00:00"}})
    assert run.begin() == ["w waits until 1970-01-01T00:01:40Z", "parked: w waits until 1970-01-01T00:01:40Z"]
    # The time has come before: it is over at once.
    assert wake(run, "w") == ["v waits until 1970-01-01T00:00:10Z", "wake v at 10,000,000"]
    assert wake(run, "v") == ["succeeded"]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({}, "there is nothing at due"),
        ({"due": "tomorrow"}, "at due, 'tomorrow' is no time"),
        ({"due": 12}, "at due, a int is no time"),
    ],
)
def test_where_no_time_stands_the_step_is_given_up(request_, why):
    run = told(Step("w", wait={"until": "due"}), request=request_)
    assert run.begin() == [f"buried w: wait: {why}", f"failed: w: wait: {why}"]
    assert dead_steps(run.machine) == ["w"]


def test_a_time_at_a_path_counts_as_read():
    with pytest.raises(PlanError, match="step w reads when, which step a may write at the same time"):
        told(step("a", writes=["when"]), Step("w", wait={"until": "when"}))


def test_a_wait_is_skipped_like_any_step():
    never = Condition("paid", "exists")
    run = told(Step("w", wait="2h", when=never), step("a"))
    assert run.begin()[0].startswith("skipped w: its condition did not hold")
    group = told(Phase("one", [step("a", on_request={"act": "w"})]), Phase("two", [Step("w", wait="2h")]))
    group.begin()
    assert group.reply("a")[0].startswith("skipped w: it was not requested by a")
    assert [one.to for one in group.rules.duties[1][0].requests] == ["w"]


def test_a_cancelled_run_waits_no_more():
    run = told(Step("w", wait="2h"))
    run.begin()
    run.say(e.RunCancelled(run.tick(), "ann"))
    assert (run.states["w"], run.machine.waits, overdue(run.machine, 9 * HOUR)) == ("cancelled", {}, [])


# --- events ---


def test_an_event_ends_the_wait_and_writes_what_it_brings():
    run = told(awaits(writes=["paid"], schema=AMOUNT), step("a", needs=["pay"]))
    assert run.begin() == ["pay waits for payment", "parked: pay waits for payment"]
    verdict, then = send(run, 12)
    assert verdict == e.WaitEnded(SECOND, "pay", "evt", "bank", {"paid": Raw(b"12")})
    assert then == ["call ann for a #1"]
    assert run.context == {"paid": 12}
    assert (run.machine.status, run.machine.reason) == ("running", "")


def test_an_event_may_bring_nothing():
    run = told(awaits())
    run.begin()
    assert send(run)[1] == ["succeeded"]
    assert run.context == {}


def test_an_event_that_comes_early_is_kept_for_the_step_that_waits_first():
    run = told(step("a"), awaits(needs=["a"], writes=["paid"]), awaits("more", needs=["pay"], writes=["again"]))
    run.begin()
    verdict, then = send(run, 1)
    assert (verdict, then) == (e.EventReceived(SECOND, "payment", "evt", "bank", Raw(b"1")), [])
    assert send(run, 2, event_id="evt2")[1] == []
    assert [kept.event_id for kept in run.machine.kept["payment"]] == ["evt", "evt2"]
    assert run.reply("a") == [
        "pay waits for payment",
        "pay waits no more, by evt",
        "more waits for payment",
        "more waits no more, by evt2",
        "succeeded",
    ]
    assert run.context == {"paid": 1, "again": 2}
    assert run.machine.kept["payment"] == []


def test_a_kept_event_ends_a_wait_when_that_begins():
    run = told(step("a"), awaits(needs=["a"]))
    run.begin()
    send(run)
    run.start("a")
    begun, ended, _ = run.follows(run.judge("a", {}), 7)
    assert (begun.at_us, ended.event_id, ended.at_us) == (run.at_us + 7, "evt", run.at_us + 7)


def test_one_kept_event_ends_one_of_two_waits_that_begin_together():
    run = told(step("a"), awaits(needs=["a"]), awaits("also", needs=["a"]))
    run.begin()
    send(run)
    assert run.reply("a") == [
        "pay waits for payment",
        "also waits for payment",
        "pay waits no more, by evt",
        "parked: also waits for payment",
    ]
    assert send(run, event_id="evt2")[1] == ["succeeded"]


def test_of_two_that_wait_the_first_to_begin_has_the_event():
    run = told(step("a"), awaits("late", needs=["a"]), awaits("soon"))
    run.begin()
    run.reply("a")
    assert send(run)[0].step == "soon"
    assert send(run, event_id="evt2")[0].step == "late"


def test_an_event_is_for_the_first_step_that_it_fits():
    whole = {"properties": {"one": {"type": "integer"}}}
    run = told(
        awaits("first", needs=["a"], writes=["one"], schema=whole, deadline="2h"),
        awaits("other", needs=["a"], writes=["two"]),
        step("a"),
    )
    run.begin()
    send(run, "text", event_id="evt1")  # it fits the other
    send(run, 5, event_id="evt2")
    assert run.reply("a") == [
        "first waits for payment until 1970-01-01T02:00:04Z",
        "other waits for payment",
        "first waits no more, by evt2",
        "other waits no more, by evt1",
        "succeeded",
    ]
    assert run.context == {"one": 5, "two": "text"}


def test_of_steps_that_wait_an_event_ends_the_wait_of_the_first_that_it_fits():
    whole = {"properties": {"one": {"type": "integer"}}}
    run = told(
        awaits("first", writes=["one"], schema=whole), awaits("bare"), awaits("later", needs=["first"], writes=["two"])
    )
    run.begin()
    assert send(run, event_id="evt1")[0].step == "bare"
    assert send(run, "text", event_id="evt2")[0] == e.EventReceived(
        run.at_us, "payment", "evt2", "bank", Raw(b'"text"')
    )
    refused, _ = send(run, "more", event_id="evt3")  # for the later there is one
    assert [found.message for found in refused.findings] == ["one: Expected `int`, got `str`"]
    assert send(run, 5, event_id="evt4")[1] == ["later waits for payment", "later waits no more, by evt2", "succeeded"]


def test_a_kept_event_is_refused_when_nothing_is_left_that_it_fits():
    one, two = ({"properties": {name: {"type": "integer"}}} for name in ("one", "two"))
    steps = (
        step("a", writes=["a"]),
        awaits("any", needs=["a"], writes=["any"], when=Condition("a", "==", 2)),
        awaits("first", needs=["a"], writes=["one"], schema=one),
        awaits("second", needs=["first"], writes=["two"], schema=two),
    )
    run = told(*steps)
    run.begin()
    send(run, "text", event_id="evt1")
    assert [type(send(run, n, event_id=f"evt{n}")[0]).__name__ for n in (2, 3)] == ["EventReceived"] * 2
    assert run.reply("a", a=1) == [
        "skipped any: its condition did not hold: a == 2",
        "first waits for payment",
        "first waits no more, by evt2",
        "second waits for payment",
        "second waits no more, by evt3",
        "succeeded",
    ]
    assert [kept.event_id for kept in run.machine.kept["payment"]] == ["evt1"]
    run = told(*steps[:3])
    run.begin()
    send(run, "text", event_id="evt1")
    assert run.reply("a", a=1) == [
        "skipped any: its condition did not hold: a == 2",
        "first waits for payment",
        "refused evt1: one: Expected `int`, got `str`",
        "parked: first waits for payment",
    ]
    assert run.machine.kept["payment"] == []


def test_a_run_of_old_in_which_each_event_was_for_the_next_step_is_read_as_it_was():
    steps = (step("a", writes=["a"]), *(awaits(name, needs=["a"], writes=[name]) for name in ("one", "two")))
    run = told(*steps)
    run.begin()
    for n in (1, 2):
        send(run, n, event_id=f"evt{n}")
    machine = run.fold()
    for event in (
        e.AttemptStarted(9, "a", 1, "ann", ""),
        e.AttemptCommitted(9, "a", 1),
        e.WaitBegun(9, "one", 0, "payment"),
        e.WaitBegun(9, "two", 0, "payment"),
        e.EventRefused(9, "payment", "evt1", "bank", (), "two"),
        e.WaitEnded(9, "one", "evt2", "bank", {"one": Raw(b"2")}),
    ):
        machine.apply(event)
    assert (machine.kept["payment"], [*machine.waits]) == ([], [3])
    assert [type(command).__name__ for command in machine.decide()] == ["ParkRun"]


def test_an_event_is_taken_once_however_often_it_is_sent():
    run = told(awaits(writes=["paid"]), awaits("also", writes=["more"]))
    run.begin()
    send(run, 1)
    again, then = send(run, 1)
    assert [found.code for found in again.findings] == ["again"]
    assert then == []
    assert run.fold().event_ids == {"evt"}


def test_an_event_that_nothing_will_ever_wait_for_is_refused():
    run = told(awaits(deadline="1d"), awaits("next", needs=["pay"], event="parcel"), Step("w", wait="3d"))
    run.begin()
    refused, then = send(run, event="paiment")
    told_ = (
        "nothing in this run waits for paiment: pay waits for payment until 1970-01-02T00:00:00Z, "
        "next will wait for parcel, w waits until 1970-01-04T00:00:00Z. Did you mean payment?"
    )
    assert [(found.code, found.message) for found in refused.findings] == [("unawaited", told_)]
    assert then == []
    assert run.states == {"pay": "awaiting", "next": "waiting", "w": "awaiting"}
    assert isinstance(send(run, event="parcel")[0], e.EventReceived)
    full, _ = send(run, event="parcel", event_id="evt2")
    assert full.findings[0].message == "nothing waits for another parcel: what may await it has one already"


@pytest.mark.parametrize(
    ("step_", "data", "message"),
    [
        (awaits(writes=["paid"], schema=AMOUNT), 0, "paid: Expected `int` >= 1"),
        (awaits(writes=["paid"]), "x" * 200, "paid"),
        (awaits(writes=["paid"]), 2**70, "paid"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(step_, data, message):
    run = told(step_, limits=Limits(value_bytes_max=100))
    run.begin()
    refused, then = send(run, data)
    assert message in refused.findings[0].message
    assert then == []
    assert (run.states["pay"], run.context, run.machine.event_ids) == ("awaiting", {}, set())


@pytest.mark.parametrize(
    ("given", "state", "context", "end"),
    [
        ({}, "dead", {}, ["buried pay: payment has not come in time", "failed: pay: payment has not come in time"]),
        ({"on_deadline": "dead", "on_dead": "skip"}, "dead", {}, ["buried pay: payment has not come in time"]),
        ({"on_deadline": "skip"}, "skipped", {}, []),
        ({"on_deadline": "continue"}, "committed", {}, []),
        ({"on_deadline": {"default": {"paid": 0}}}, "committed", {"paid": 0}, []),
    ],
)
def test_what_becomes_of_a_step_whose_event_has_not_come_in_time(given, state, context, end):
    run = told(awaits(writes=["paid"], deadline="1d", **given))
    run.begin()
    assert wake(run, "pay") == (end if end[1:] else [*end, "succeeded"])
    assert (run.states["pay"], run.context) == (state, context)
    assert run.fold().state == run.machine.state


def test_a_default_that_can_not_be_taken_gives_the_step_up():
    pay = awaits(needs=["a"], writes=["a.b.paid"], deadline="1d", on_deadline={"default": {"a.b.paid": 1}})
    run = Transcript(
        step("a", writes=["a.c"]), pay, roles={"ann": Role(Scope(["act"], [], ["a.c"]), ONCE)}, request={"a": {"b": 1}}
    )
    run.begin()
    run.reply("a")
    n = run.machine.number["pay"]
    assert lapsed(run.machine, n, run.at_us).then == "dead"
    assert wake(run, "pay")[0] == (
        "buried pay: payment has not come in time, and its default can't be taken: "
        "a.b.paid can't be written: a.b holds a value that is not an object"
    )


def test_a_step_that_was_given_up_waits_again():
    run = told(awaits(deadline="1h"), step("a", needs=["pay"]))
    run.begin()
    wake(run, "pay")
    again = run.say(e.RunReopened(run.tick(), ("pay",), "person:eve"))
    assert again == [
        "pay waits for payment until 1970-01-01T02:00:01Z",
        "parked: pay waits for payment until 1970-01-01T02:00:01Z",
    ]
    assert send(run)[1] == ["call ann for a #1"]


# --- as they are declared ---


def test_what_a_wait_says_of_itself():
    assert Wait.of("90s", "").described == "waits 90s"
    assert Wait.of("120s", "").described == "waits 2m"
    assert Wait.of({"until": "2026-12-01T09:00:00Z"}, "").described == "waits until 2026-12-01T09:00:00Z"
    assert Wait.of({"until": "order.due"}, "").described == "waits until order.due"
    assert Wait.of(None, "paid", "3d").described == "awaits paid"
    assert Wait.of({"until": "2026-12-01T09:00:00Z"}, "").until_us == time_us("2026-12-01T09:00:00Z")


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        (("1ms", ""), Wait(duration_ms=1)),
        (("3650d", ""), Wait(duration_ms=3650 * DAY_MS)),
        (({"until": "a"}, ""), Wait(path="a")),
        (({"until": "q1.due"}, ""), Wait(path="q1.due")),
        (({"until": "1970-01-01T00:00:01Z"}, ""), Wait(until_us=SECOND)),
        ((None, "x"), Wait(event="x", then="dead")),
        ((None, "x", "1d"), Wait(event="x", deadline_ms=DAY_MS, then="dead")),
        ((None, "x", "1d", "skip"), Wait(event="x", deadline_ms=DAY_MS, then="skip")),
        (
            (None, "x", "1d", {"default": {'"a".b': 0}}),
            Wait(event="x", deadline_ms=DAY_MS, then="continue", default={"a.b": 0}),
        ),
    ],
)
def test_what_a_step_waits_for_is_declared_in_a_few_words(given, declared):
    assert Wait.of(*given) == declared


NO_WAIT = ("wait is a duration or {until: TIME}", 'such as 2h, or {until: "2026-12-01T09:00:00Z"}')
WAYS = "write one of dead, skip, continue, or {default: {path: value}}"
NO_PATH = (
    "'a..b' is not a dotted path: it has an empty segment",
    "write a key that is empty or holds . or * in double quotes",
)


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        (("soon", ""), "'soon' is not a duration", "write a number and a unit: 500ms, 2s, 1m, 1h, 1d"),
        (("0s", ""), "the wait 0s is not between 1ms and 3650d", ""),
        ((7, ""), *NO_WAIT),
        ((["until"], ""), *NO_WAIT),
        (({"for": "2h"}, ""), *NO_WAIT),
        (({"until": ""}, ""), *NO_WAIT),
        (({"until": 12}, ""), *NO_WAIT),
        (({"until": "due", "for": "2h"}, ""), *NO_WAIT),
        (({"until": "2026-12-01"}, ""), "until: '2026-12-01' is no time", "write it like 2026-12-01T09:00:00Z"),
        (({"until": "a..b"}, ""), f"until: {NO_PATH[0]}", NO_PATH[1]),
        (("2h", "x"), "it has wait and await_event", "keep one; await_event has a deadline of its own"),
        (("2h", "", "2h"), "only a step that awaits an event has a deadline", "remove it"),
        (("2h", "", None, "skip"), "only a step that awaits an event has a deadline", "remove it"),
        ((None, "a b"), "'a b' is not the name of an event", "use letters, digits, _ and -, at most 80"),
        ((None, "x", "9999d"), "the deadline 9999d is not between 1ms and 3650d", ""),
        ((None, "x", None, "skip"), "without a deadline nothing comes after it", "add one, such as deadline: 3d"),
        ((None, "x", "1d", "later"), "'later' is nothing that becomes of a step whose event is late", WAYS),
        ((None, "x", "1d", 7), "7 is nothing that becomes of a step whose event is late", WAYS),
        (
            (None, "x", "1d", {"default": {}}),
            "{'default': {}} is nothing that becomes of a step whose event is late",
            WAYS,
        ),
        (
            (None, "x", "1d", {"default": {"a": 1}, "then": "skip"}),
            "{'default': {'a': 1}, 'then': 'skip'} is nothing that becomes of a step whose event is late",
            WAYS,
        ),
        ((None, "x", "1d", {"default": {"a..b": 1}}), f"the default for a late event: {NO_PATH[0]}", NO_PATH[1]),
        (
            (None, "x", "1d", {"default": {"a": {1}}}),
            "the default for a late event: a is a set, which is not JSON; convert it first",
            "",
        ),
    ],
)
def test_a_wait_that_can_not_be_is_refused(given, message, fix):
    with pytest.raises(PlanError) as caught:
        Wait.of(*given)
    assert (caught.value.message, caught.value.fix) == (message, fix)


OF_AGENTS = "remove it, or make it two steps"
NAME_ONE = "name one; a step waits for a time (wait: 2h) or for an event (await_event: NAME)"
ONE_PATH = "step w awaits an event, and what that brings is written at one path"


@pytest.mark.parametrize(
    ("given", "key", "message", "fix"),
    [
        ({"wait": "0s"}, "wait", "step w: the wait 0s is not between 1ms and 3650d", ""),
        ({"wait": "2h", "writes": ["a"]}, "writes", "step w writes nothing: it only waits", "remove it"),
        (
            {"await_event": "a b"},
            "await_event",
            "step w: 'a b' is not the name of an event",
            "use letters, digits, _ and -, at most 80",
        ),
        (
            {"await_event": "x", "deadline": "1d", "on_deadline": {"default": {"z": 1}}},
            "on_deadline",
            "step w does not write z, which its default has",
            "name the path that stands in its writes",
        ),
        ({"await_event": "x", "writes": ["y", "z"]}, "writes", ONE_PATH, "name one field in writes"),
        ({"await_event": "x", "writes": ["y.*"]}, "writes", ONE_PATH, "name one field in writes"),
        (
            {"await_event": "x", "agent": "ann"},
            "agent",
            "step w waits, and has agent, which is said of agents",
            OF_AGENTS,
        ),
        (
            {"await_event": "x", "for_each": "items"},
            "for_each",
            "step w waits, and has for_each, which is said of agents",
            OF_AGENTS,
        ),
        ({}, "agent", "step w has no agent", NAME_ONE),
        ({"agent": "ann"}, "action", "step w has no action", NAME_ONE),
        (
            {"agent": "ann", "action": "act", "deadline": "1d"},
            "deadline",
            "step w has a deadline, and awaits no event",
            "remove it, or ask a person with escalate",
        ),
    ],
)
def test_a_step_that_can_not_wait_so_is_refused(given, key, message, fix):
    with pytest.raises(PlanError) as caught:
        Plan([Step("w", **given)])
    error = caught.value
    assert (error.message, error.fix, error.place) == (message, fix, ("plan", "w", key))


# --- forks ---


def shared(run, *tried):
    """What a fork shares in which these steps are tried again."""
    facts = taken_over(run.machine, "run", [e.decode(told) for told in run.journal], tried, 9 * HOUR)
    assert {fact.at_us for fact in facts} <= {9 * HOUR}
    return facts


def test_a_fork_shares_the_waits_that_are_over():
    run = told(
        Step("nap", wait="5s"),
        awaits(needs=["nap"], writes=["paid"]),
        awaits("late", event="parcel", needs=["nap"], deadline="5s", on_deadline="skip"),
        awaits(
            "none", event="parcel", needs=["nap"], deadline="6s", on_deadline={"default": {"box": 0}}, writes=["box"]
        ),
        awaits("dead", event="letter", needs=["nap"], deadline="7s"),
        step("z", needs=["pay", "none"]),
    )
    run.begin()
    wake(run, "nap")
    send(run, 7)
    for late in ("late", "none", "dead"):
        wake(run, late)
    # What has waited in vain is not shared, be it named or not.
    facts = shared(run, "z")
    assert facts == [
        e.StepShared(9 * HOUR, "nap", 0, "default"),
        e.StepShared(9 * HOUR, "pay", 0, "bank", {"paid": Raw(b"7")}, event_id="evt"),
        e.StepSkipped(9 * HOUR, "late", "parcel has not come in time", "default"),
        e.StepShared(9 * HOUR, "none", 0, "default", {"box": Raw(b"0")}),
    ]
    # An event that has come is known in the fork, too.
    fork = Transcript(*run.machine.plan.steps[1:], roles=ANN)
    fork.say(e.RunStarted(9 * HOUR, Raw(b"{}"), "", ""), *facts)
    assert send(fork, 7)[0].findings[0].message == "the event evt has come before"
    # Where a person has had them tried again, what their deadlines said before isn't shared.
    assert [type(fact).__name__ for fact in shared(run, "nap")] == ["EventReceived"]


def test_a_fork_does_not_share_that_a_wait_was_skipped_which_has_begun_anew():
    run = told(
        step("a", writes=["a"], on_dead="continue"),
        awaits(needs=["a"], deadline="5s", on_deadline="skip"),
        step("z", writes=["d"]),
    )
    run.begin()
    run.refuse("a")
    run.refuse("z")
    wake(run, "pay")
    assert [fact.step for fact in shared(run, "z")] == ["pay"]
    run.say(e.RunReopened(run.tick(), ("a",), "person:ann"))
    run.reply("a")
    assert run.states["pay"] == "awaiting"
    assert [fact.step for fact in shared(run, "z")] == ["a"]


def test_an_event_that_no_shared_step_has_used_comes_along():
    steps = (
        step("a"),
        awaits(needs=["a"], writes=["paid"]),
        awaits("box", event="parcel", needs=["pay"], writes=["box"]),
        awaits("bell", event="ring", needs=["pay"]),
    )
    run = told(*steps)
    run.begin()
    send(run, 5, event_id="early")
    send(run, 6, event="parcel", event_id="early too", by="post")
    send(run, event="ring", event_id="loud")
    kept = [
        e.EventReceived(9 * HOUR, "payment", "early", "bank", Raw(b"5")),
        e.EventReceived(9 * HOUR, "parcel", "early too", "post", Raw(b"6")),
        e.EventReceived(9 * HOUR, "ring", "loud", "bank"),
    ]
    assert shared(run, "a") == kept
    run.reply("a")
    assert set(run.states.values()) == {"committed"}
    facts = shared(run, "a")
    assert facts == kept
    # Under a team in which nobody awaits a parcel, that is left out.
    facts, machine = adopted(told(*steps[:2]).rules, run.rules.plan, Raw(b"{}"), facts, ["a"], 9 * HOUR)
    assert [fact.event_id for fact in facts] == ["early"]
    assert [kept.event_id for kept in machine.kept["payment"]] == ["early"]


def test_an_event_that_was_refused_when_its_step_began_to_wait_does_not_come_along():
    run = told(step("a"), awaits(needs=["a"], schema=AMOUNT, writes=["paid"]))
    run.begin()
    send(run, 5)
    run.journal.append(e.encode(e.EventRefused(run.tick(), "payment", "evt", "bank", (), "pay")))
    assert shared(run, "a") == []


def test_a_wait_whose_deadline_has_passed_takes_no_event_any_more():
    steps = (awaits(deadline="1h", writes=["paid"]), step("a"), awaits("next", needs=["a"], writes=["more"]))
    run = told(*steps)
    run.begin()
    machine = run.machine
    due_us = machine.waits[machine.number["pay"]].due_us
    at = [arrival(machine, Sent("payment", "evt", 1), "bank", at_us) for at_us in (due_us, due_us + 1)]
    assert [type(verdict).__name__ for verdict in at] == ["WaitEnded", "EventReceived"]


def test_an_event_is_not_kept_for_a_step_that_is_about_to_be_buried():
    run = told(awaits(deadline="1h", writes=["paid"]))
    run.begin()
    machine = run.machine
    machine.apply(lapsed(machine, 1, machine.waits[1].due_us))
    assert machine.state[1] == "ready"
    assert isinstance(arrival(machine, Sent("payment", "evt", 1), "bank", machine.at_us), e.EventRefused)


def test_a_person_ends_a_wait():
    steps = (awaits(writes=["paid"]), step("a", needs=["pay"], writes=["a"]), step("b", writes=["b"]))
    run = told(*steps)
    run.begin()
    run.reply("b", b=1)
    verdict = settled(run.machine, Decision("pay", "skip"), "person:ann", "in cash", run.tick())
    assert run.say(verdict) == ["succeeded"]
    assert (run.states, run.machine.reasons[1]) == (
        {"pay": "skipped", "a": "skipped", "b": "committed"},
        "person:ann has skipped it: in cash",
    )
    again = settled(run.machine, Decision("pay", "skip"), "person:eve", "", run.tick())
    assert again.findings[0].message == "pay does not wait for a person: person:ann has decided about it"
    assert [fact.by for fact in shared(run, "b") if isinstance(fact, e.StepSkipped)] == ["person:ann"]


def test_a_person_who_ends_a_wait_need_not_say_why():
    run = told(awaits())
    run.begin()
    assert run.say(settled(run.machine, Decision("pay", "skip"), "person:ann", "", run.tick())) == ["succeeded"]
    assert run.machine.reasons[1] == "person:ann has skipped it"


def test_who_would_have_a_wait_tried_again_is_told_what_ends_it():
    run = told(Step("w", wait="2h"), awaits(writes=["paid"]))
    run.begin()
    assert why_not_again(run.machine, "run", "w") == (
        "it waits until 1970-01-01T02:00:00Z, not for a person",
        "go on without it: interlock skip run w",
    )
    assert why_not_again(run.machine, "run", "pay") == (
        "it waits for payment, not for a person",
        "send its event: interlock event run payment, or go on without it: interlock skip run pay",
    )


# --- in the place of a run ---


def replaced(run, *steps, given=None, roles=ANN):
    """What takes the place of a run that is cancelled for it, under another team, nine hours later; what it says."""
    other = Transcript(*steps, roles=roles, request=run.request)
    events = [e.decode(told) for told in run.journal]
    run.say(e.RunCancelled(run.tick(), "eve"))
    facts = taken_over(run.machine, "run", events, dead_steps(run.machine), 9 * HOUR, keep_waits=True)
    facts, _ = adopted(other.rules, run.rules.plan, Raw(b"{}"), facts, dead_steps(run.machine), 9 * HOUR)
    other.at_us = 9 * HOUR
    return other, other.say(e.RunStarted(9 * HOUR, Raw(b"{}"), "team", "plan"), *facts)


NEXT_DAY = {"until": "1970-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("old", "new", "due_us"),
    [
        (Step("w", wait="12h"), Step("w", wait="12h"), 12 * HOUR),
        (Step("w", wait="12h"), Step("w", wait="13h"), 13 * HOUR),
        (Step("w", wait="12h"), awaits("w", deadline="2h"), 11 * HOUR),
        (awaits("w", deadline="3d"), awaits("w", deadline="1d", on_deadline="skip"), 24 * HOUR),
        (awaits("w", deadline="3d"), awaits("w"), 0),
        (awaits("w"), awaits("w", deadline="1d"), 24 * HOUR),
        (awaits("w", deadline="3d"), awaits("w", deadline="1d", event="parcel"), 33 * HOUR),
        (Step("w", wait="12h"), Step("w", wait="3650d"), 3650 * 24 * HOUR),
        (Step("w", wait=NEXT_DAY), Step("w", wait=NEXT_DAY), 24 * HOUR),
        (Step("w", wait=NEXT_DAY), Step("w", wait={"until": "1970-01-03T00:00:00Z"}), 48 * HOUR),
        (Step("w", wait="12h"), Step("w", wait="12h", when=Condition("q", "exists")), None),
        (Step("w", wait="12h"), step("w", writes=["a"]), None),
        (Step("w", wait="12h"), Step("v", wait="12h"), None),
    ],
)  # fmt: skip
def test_what_takes_the_place_of_a_run_goes_on_waiting_from_when_its_wait_began(old, new, due_us):
    run = told(old)
    run.begin()
    other, _ = replaced(run, new, step("z", writes=["d"]))
    other.at_us = 20 * HOUR
    waits = [(begun.at_us, begun.due_us) for begun in other.machine.waits.values() if begun.step == "w"]
    assert waits == ([] if due_us is None else [(9 * HOUR, due_us)])


def test_a_wait_that_goes_on_for_the_second_time_still_counts_from_when_it_began():
    def waits(deadline):
        return step("a", writes=["a"]), awaits("w", needs=["a"], deadline=deadline)

    run = told(*waits("2d"))
    run.begin()
    run.reply("a")
    began_us = run.machine.waits[2].at_us
    assert began_us > 0
    second, _ = replaced(run, *waits("3d"), step("z", writes=["d"]))
    third, _ = replaced(second, *waits("4d"), step("z", writes=["d"]), step("y", writes=["c"]))
    assert third.machine.waits[2].due_us == began_us + 4 * 24 * HOUR
    # So does one that had no deadline before.
    run = told(*waits(None))
    run.begin()
    run.reply("a")
    other, _ = replaced(run, *waits("4d"), step("z", writes=["d"]))
    assert other.machine.waits[2].due_us == began_us + 4 * 24 * HOUR


def test_a_wait_until_a_time_of_the_context_goes_on_in_its_place():
    run = told(step("a", writes=["when"]), Step("w", wait={"until": "when"}, needs=["a"]))
    run.begin()
    run.reply("a", when="1970-01-02T00:00:00Z")
    _, said = replaced(
        run, step("a", writes=["when"]), Step("w", wait={"until": "when"}, needs=["a"]), step("z", writes=["d"])
    )
    assert said == ["call ann for z #1", f"wake w at {24 * HOUR:,}"]


def test_what_was_overdue_ends_at_once_in_the_order_of_the_deadlines():
    steps = (Step("v", wait="2h"), Step("w", wait="1h"))
    run = told(*steps)
    run.begin()
    other, said = replaced(run, *steps, step("z", writes=["d"]))
    assert said == ["call ann for z #1", f"wake v at {2 * HOUR:,}", f"wake w at {HOUR:,}"]
    assert [other.machine.step_id(n) for n in overdue(other.machine, 9 * HOUR)] == ["w", "v"]


def test_a_wait_that_comes_after_what_is_tried_again_begins_anew_in_its_place():
    run = told(step("a", writes=["a"], on_dead="continue"), Step("w", wait="2h", needs=["a"]), Step("v", wait="2h"))
    run.begin()
    run.refuse("a")
    assert run.machine.waits.keys() == {2, 3}
    events = [e.decode(told) for told in run.journal]
    facts = taken_over(run.machine, "run", events, ["a"], 9 * HOUR, keep_waits=True)
    assert [(type(fact), fact.step) for fact in facts] == [(e.WaitBegun, "v")]


def test_the_first_that_waited_has_the_event_in_its_place_too():
    steps = (step("a", writes=["a"]), awaits("late", needs=["a"]), awaits("early"))
    run = told(*steps)
    run.begin()
    run.reply("a")
    other, _ = replaced(run, *steps, step("z", writes=["d"]))
    verdict, _ = send(other)
    assert verdict.step == "early"


def test_what_no_event_has_ended_in_time_stays_so_under_another_team():
    late = awaits("late", deadline="5s", on_deadline="skip")
    steps = (
        late,
        step("a", needs=["late"], writes=["a"]),
        step("b", writes=["b"]),
        step("c", needs=["b"], writes=["c"]),
    )
    run = told(*steps)
    run.begin()
    wake(run, "late")
    assert run.states["late"] == "skipped"
    other, _ = replaced(run, *steps, step("z", writes=["d"]))
    assert other.states["late"] == other.states["a"] == "skipped"
    # Where that is no wait for an event any more, it is decided anew.
    other, _ = replaced(run, step("late", writes=["when"]), *steps[1:])
    assert other.states["late"] == "ready"
