"""What a person decides: read strictly and within bounds, and laid over the writes of a refused reply."""

import msgspec
import pytest

from interlock.core import decision as d
from interlock.core.job import ADVICE, ADVISED, ANSWERED, DELETE, Question
from interlock.errors import InputError

ASKED = d.Asked(1, Question("Refund?"))
ESCALATED = d.Asked(3, Question("its replies were refused"), by_agent=False, reply={"x": 1})


def test_a_decision_travels_as_json_and_comes_back_as_it_was():
    given = d.decided("a", "write", writes={"x.y": {"deep": [1, "ü"]}, "z": DELETE}, attempt=2)

    assert given == d.Decision("a", "write", "", {"x.y": {"deep": [1, "ü"]}}, ("z",), 2)
    assert d.decoded(d.encoded(given)) == given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"writes": {"x": float("nan")}}, "nan, which JSON doesn't have"),
        ({"writes": {"x": {1, 2}}}, "a set, which is not JSON"),
        ({"writes": {"\ud800": 1}}, "lone surrogate"),
        ({"text": "\ud800"}, "lone surrogate"),
    ],
)
def test_what_is_no_plain_json_is_no_decision(given, said):
    with pytest.raises(InputError, match="can't be stored") as raised:
        d.decided("a", "write", **given)
    assert said in str(raised.value)


def test_a_decision_is_bounded_when_it_is_made_and_when_it_is_read(monkeypatch):
    monkeypatch.setattr(d, "BODY_BYTES_MAX", 60)
    with pytest.raises(InputError, match=r"is \d+ bytes, more than 60"):
        d.encoded(d.decided("a", "retry", text="x" * 40))
    with pytest.raises(InputError, match="a decision is 61 bytes, more than 60"):
        d.decoded(b" " * 61)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"step":"a"}',
        b'{"step":"a","verb":"delete_everything"}',
        b'{"step":"a","verb":"retry","also":1}',
        b'{"step":"a","verb":"retry","text":7}',
        b'{"step":"a","verb":"write","writes":' + b"[" * 20_000,
    ],
)
def test_what_is_no_decision_is_not_read(body):
    with pytest.raises(InputError, match="a decision can't be read"):
        d.decoded(body)


def test_who_decides_is_a_person():
    assert d.person("eve") == d.person("person:eve") == "person:eve"
    for name in ("", "person:", "x" * 201, "a\nb"):
        with pytest.raises(InputError, match="can't be recorded as who decides"):
            d.person(name)


def test_what_can_be_done_hangs_on_what_is_asked():
    assert ASKED.verbs == ("answer", "write", "retry", "reject")
    assert ESCALATED.verbs == ("approve", "edit", "write", "retry", "reject")


def test_the_next_attempt_is_told_what_the_person_said_and_about_what():
    assert d.told(ASKED, "answer", "yes", ("old",)) == (ANSWERED + "Refund?", "yes")
    assert d.told(ASKED, "retry", "look again", ("old",)) == (ADVISED + "Refund?", "look again")
    assert d.told(ASKED, "retry", "", ("old",)) == ()
    assert d.told(ESCALATED, "retry", "use euros", ("no dollars",)) == ("no dollars", ADVICE, "use euros")
    assert d.told(ESCALATED, "retry", "", ("no dollars",)) == ("no dollars",)


@pytest.mark.parametrize(
    ("writes", "changes", "after"),
    [
        ({"x": 1}, {"x": 2}, {"x": 2}),
        ({"x": 1}, {"y": 2}, {"x": 1, "y": 2}),
        ({"x": {"a": 1, "b": 2}}, {"x.a": 3}, {"x": {"a": 3, "b": 2}}),
        ({"x": {"a": 1, "b": 2}}, {"x.a": DELETE}, {"x": {"b": 2}}),
        ({"x": {"a": 1}}, {"x.b.c": 2}, {"x": {"a": 1, "b": {"c": 2}}}),
        ({"x": {"a": 1}}, {"x.a.c": 2}, {"x": {"a": {"c": 2}}}),
        ({"x.a": 1, "x.b": 2, "y": 3}, {"x": {"c": 4}}, {"y": 3, "x": {"c": 4}}),
        ({"x": [1]}, {"x.a": 2}, {"x": [1], "x.a": 2}),
        ({"x": {"a": 1}, "y": 2}, {"x": DELETE}, {"y": 2}),
        ({"x.a": 1, "x.b": 2, "y": 2}, {"x": DELETE}, {"y": 2}),
        ({"y": 2}, {"x": DELETE}, {"y": 2, "x": DELETE}),
        ({"x": 1}, {"x..": 2}, {"x": 1, "x..": 2}),
    ],
)
def test_an_edit_changes_what_was_written_and_nothing_beside_it(writes, changes, after):
    before = msgspec.json.encode(writes)
    assert d.laid_over(writes, changes) == after
    assert msgspec.json.encode(writes) == before


def test_what_is_no_bytes_is_no_decision():
    with pytest.raises(InputError, match="it is no bytes"):
        d.decoded(123)
