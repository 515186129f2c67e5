"""Events from outside: as they are sent and read, and what becomes of them in a run."""

from math import nan

import pytest
from msgspec import Raw
from msgspec.structs import replace

import interlock.core.events as e
from interlock.core.arrivals import EVENT_ID_CHARS_MAX, Sent, kept_arrival, lapsed, opened, sender, sent
from interlock.core.decision import BODY_BYTES_MAX, NAME_CHARS_MAX
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.core.values import Limits
from interlock.errors import InputError

from .transcripts import ONCE, Transcript, awaits, send, step

ANN = {"ann": Role(Scope(["act"], ["*"], ["a"]), ONCE)}
SECOND, HOUR = 1_000_000, 3_600_000_000


def begun(*steps, **given):
    run = Transcript(*steps, roles=ANN, **given)
    run.begin()
    return run


def whole(name):
    """The schema of a step that writes a whole number there."""
    return {"properties": {name: {"type": "integer"}}}


def refused(run, code, message, path=""):
    """The refusal, now, of what `send` sends by default."""
    return e.EventRefused(run.at_us, "payment", "evt", "bank", (e.Finding(code, message, path),))


# --- as they are sent ---


def test_an_event_is_carried_as_json():
    assert opened(sent("paid", "evt", {"amount": 1})) == Sent("paid", "evt", {"amount": 1})
    assert opened(b'{"event": "paid", "id": "evt"}') == Sent("paid", "evt", None)


@pytest.mark.parametrize("event_id", ["e", "x" * EVENT_ID_CHARS_MAX, "é #1"])
def test_the_id_of_an_event_is_one_line_of_up_to_200_characters(event_id):
    assert opened(sent("paid", event_id)).id == event_id


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        (("a b", "evt"), "'a b' is not the name of an event", "use letters, digits, _ and -, at most 80"),
        (("paid", ""), "'' can't be the id of an event", "one line of up to 200 characters"),
        (("paid", "a\nb"), r"'a\nb' can't be the id of an event", "one line of up to 200 characters"),
        (("paid", 7), "7 can't be the id of an event", "one line of up to 200 characters"),
        (("paid", "x" * 201), f"'{'x' * 99} can't be the id of an event", "one line of up to 200 characters"),
        (("paid", "evt", nan), "the data of paid can't be used: it is nan, which JSON doesn't have", ""),
    ],
)
def test_what_is_no_event_is_not_sent(given, message, fix):
    with pytest.raises(InputError) as caught:
        sent(*given)
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_an_event_is_at_most_as_large_as_a_request():
    text = "x" * (BODY_BYTES_MAX - len(sent("paid", "evt", "")))
    body = sent("paid", "evt", text)
    assert (len(body), opened(body).data) == (BODY_BYTES_MAX, text)
    with pytest.raises(InputError, match=r"^the event paid is 4,259,841 bytes, more than 4,259,840$"):
        sent("paid", "evt", text + "x")
    with pytest.raises(InputError, match=r"^an event can't be read: it is no bytes, or too many$"):
        opened(body + b" ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (12, "an event can't be read: it is no bytes, or too many"),
        (b"", "an event can't be read: Input data was truncated"),
        (b"[]", "an event can't be read: Expected `object`, got `array`"),
        (b'{"event": "a"}', "an event can't be read: Object missing required field `id`"),
        (b'{"event": "a b", "id": "x"}', "'a b' is not the name of an event"),
        (b'{"event": "a", "id": ""}', "'' can't be the id of an event"),
        (
            b'{"event": "a", "id": "x", "data": %d}' % 2**64,
            "the data of a can't be used: it is an integer outside 64 bits; write it as a string",
        ),
    ],
)
def test_what_is_no_event_is_not_read(body, message):
    with pytest.raises(InputError) as caught:
        opened(body)
    assert caught.value.message == message


def test_who_sends_an_event_is_one_line():
    assert sender("stripe") == "stripe"
    assert sender("x" * NAME_CHARS_MAX) == "x" * NAME_CHARS_MAX
    for name, shown in (("a\nb", r"'a\nb'"), ("", "''"), ("x" * (NAME_CHARS_MAX + 1), f"'{'x' * 99}")):
        with pytest.raises(InputError) as caught:
            sender(name)
        assert caught.value.message == f"{shown} can't be recorded as who sends an event"
        assert caught.value.fix == "one line, such as stripe"


# --- what is refused, and what is told of it ---


def test_a_run_that_has_ended_takes_no_event():
    run = begun(awaits())
    send(run, event_id="first")
    assert send(run)[0] == refused(run, "ended", "the run has ended: it has succeeded")
    run = begun(awaits())
    run.say(e.RunCancelled(run.tick(), "person:ann", "we are shut"))
    assert send(run)[0] == refused(run, "ended", "the run has ended: cancelled by person:ann: we are shut")


def test_an_event_that_has_come_before_is_refused():
    run = begun(awaits(writes=["paid"]), awaits("also", writes=["more"]))
    send(run, 1)
    assert send(run, 2) == (refused(run, "again", "the event evt has come before"), [])


@pytest.mark.parametrize(
    ("given", "data", "finding"),
    [
        ({}, 12, ("unwritable", "step pay writes nothing, so its event brings no data")),
        ({"writes": ["paid"]}, None, ("dataless", "step pay writes paid, and the event brings no data")),
        ({"writes": ["paid"], "schema": whole("paid")}, "x", ("schema", "paid: Expected `int`, got `str`", "paid")),
    ],
)
@pytest.mark.parametrize("waits", [True, False])
def test_what_no_step_can_take_is_refused(given, data, finding, waits):
    """Whether the step waits for it already, or will."""
    run = begun(step("a"), awaits(needs=[] if waits else ["a"], **given))
    assert send(run, data) == (refused(run, *finding), [])


FIVE = "w0 waits for e, w1 will wait for e, w2 will wait for e, w3 will wait for e, w4 will wait for e"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([], "it waits for nothing."),
        ([Step("w", wait="2h")], "w waits until 1970-01-01T02:00:00Z."),
        ([Step("w", wait="2h"), Step("v", wait="2h")], "w waits until 1970-01-01T02:00:00Z, v will wait."),
        ([awaits("w", event="waits")], "w waits for waits."),
        ([awaits("v", event="a"), awaits("w", event="waits")], "v waits for a, w will wait for waits."),
        ([awaits("w", event="paiment")], "w waits for paiment. Did you mean paiment?"),
        ([awaits(f"w{n}", event="e") for n in range(5)], f"{FIVE}."),
        ([awaits(f"w{n}", event="e") for n in range(7)], f"{FIVE}, and 2 more."),
    ],
)
def test_of_an_event_that_nothing_awaits_it_is_told_what_steps_one_after_the_other_wait_for(steps, told):
    ids = [one.id for one in steps]
    run = begun(step("a"), *(replace(one, needs=ids[max(0, n - 1) : n]) for n, one in enumerate(steps)))
    assert send(run)[0] == refused(run, "unawaited", f"nothing in this run waits for payment: {told}")


# --- what is kept ---


def test_an_event_that_comes_early_is_kept_up_to_the_sizes_of_its_team():
    run = begun(step("a"), awaits(needs=["a"], writes=["paid"]), limits=Limits(value_bytes_max=3 << 20))
    large = "x" * (2 << 20)
    assert send(run, large)[0] == e.EventReceived(SECOND, "payment", "evt", "bank", Raw(f'"{large}"'.encode()))
    run.reply("a")
    assert run.context == {"paid": large}


def test_an_event_that_comes_early_may_bring_nothing():
    run = begun(step("a"), awaits(needs=["a"]))
    assert send(run)[0] == e.EventReceived(SECOND, "payment", "evt", "bank", Raw(b"null"))
    run.reply("a")
    ended = [event for event in map(e.decode, run.journal) if isinstance(event, e.WaitEnded)]
    assert ended == [e.WaitEnded(run.at_us, "pay", "evt", "bank")]


def test_an_event_is_kept_for_a_step_that_is_about_to_wait():
    run = Transcript(awaits(), roles=ANN)
    run.machine.apply(e.RunStarted(0, Raw(b"{}"), "team", "plan"))
    assert run.states == {"pay": "ready"}
    assert send(run) == (
        e.EventReceived(SECOND, "payment", "evt", "bank", Raw(b"null")),
        ["pay waits for payment", "pay waits no more, by evt", "succeeded"],
    )


def test_a_kept_event_stays_kept_for_a_later_step_that_it_fits():
    run = begun(
        step("a"),
        awaits("first", needs=["a"], writes=["one"], schema=whole("one")),
        awaits("other", needs=["first"], writes=["two"]),
    )
    send(run, "text")
    assert run.reply("a") == ["first waits for payment", "parked: first waits for payment"]
    assert send(run, 5, event_id="evt2")[1] == ["other waits for payment", "other waits no more, by evt", "succeeded"]


NO_WHOLE = e.Finding("schema", "paid: Expected `int`, got `str`", "paid")


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"5", e.WaitEnded(9, "pay", "evt", "bank", {"paid": Raw(b"5")})),
        (b'"text"', e.EventRefused(9, "payment", "evt", "bank", (NO_WHOLE,), "pay")),
    ],
)
def test_a_kept_event_ends_the_wait_of_its_step_or_is_refused_there(data, end):
    machine = begun(awaits(writes=["paid"], schema=whole("paid"))).machine
    kept = e.EventReceived(1, "payment", "evt", "bank", Raw(data))
    assert kept_arrival(machine, machine.number["pay"], kept, 9) == end


# --- what has not come in time ---


ZERO = {"default": {"x.paid": 0}}
NOT_TAKEN = (
    "payment has not come in time, and its default can't be taken: "
    "x.paid can't be written: x holds a value that is not an object"
)


@pytest.mark.parametrize(
    ("on_deadline", "request_", "end"),
    [
        ("dead", {}, e.WaitEnded(HOUR, "pay", then="dead")),
        ("skip", {}, e.WaitEnded(HOUR, "pay", then="skip")),
        ("continue", {}, e.WaitEnded(HOUR, "pay", then="continue")),
        (ZERO, {}, e.WaitEnded(HOUR, "pay", then="continue", writes={"x.paid": Raw(b"0")})),
        (ZERO, {"x": 1}, e.WaitEnded(HOUR, "pay", then="dead", reason=NOT_TAKEN)),
    ],
)
def test_how_a_wait_ends_whose_event_has_not_come_in_time(on_deadline, request_, end):
    run = begun(awaits(writes=["x.paid"], deadline="1h", on_deadline=on_deadline), request=request_)
    assert lapsed(run.machine, run.machine.number["pay"], HOUR) == end
