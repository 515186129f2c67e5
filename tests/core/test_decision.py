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
    given = d.decided("a", "approve", text="yes", more={"usd": 0.1}, effect="k", asked_us=7)
    assert given == d.Decision("a", "approve", "yes", more={"usd": 0.1}, effect="k", asked_us=7)
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


@pytest.mark.parametrize(
    "given", [{"writes": {"x": "y" * 100}}, {"text": "y" * 100}, {"more": {"y" * 100: 1}}, {"effect": "y" * 100}]
)
def test_each_part_of_a_decision_is_bounded(monkeypatch, given):
    monkeypatch.setattr(d, "BODY_BYTES_MAX", 60)
    with pytest.raises(InputError, match=r"^the decision about a can't be stored: it .*larger than 60|more than 60$"):
        d.decided("a", "edit", **given)


MORE = '{"usd": 0.10}, {"tokens": 4000} or {"calls": 5}'


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"step": None}, 'step is None, not a text; write a text: step="..."'),
        ({"text": 5}, 'text is of type int, not a text; write a text: text="..."'),
        ({"effect": 5}, 'effect is of type int, not a text; write a text: effect="..."'),
        ({"writes": 5}, 'writes is of type int, not an object; such as writes={"ticket.category": "billing"}'),
        ({"more": 5}, f"more is of type int, not an object; such as more={MORE}"),
        ({"attempt": -1}, "attempt is -1, not a whole number from 0 on; write one"),
        ({"asked_us": -1}, "asked_us is -1, not a whole number from 0 on; write one"),
        (
            {"verb": "drop"},
            "verb is 'drop', which is none; it is one of answer, retry, approve, edit, write, reject, skip",
        ),
    ],
)
def test_a_part_that_is_none_is_refused_by_its_name(given, said):
    with pytest.raises(InputError) as refused:
        d.decided(**({"step": "a", "verb": "approve"} | given))
    assert str(refused.value) == said


@pytest.mark.parametrize("verb", ["answer", "retry", "approve", "reject", "skip"])
def test_what_is_written_is_never_left_out_in_silence(verb):
    with pytest.raises(InputError, match=f"^to {verb} is to write nothing; write does so in the agent's place"):
        d.decided("a", verb, text="yes", writes={"x": 1})
    assert d.decided("a", verb, text="yes", writes={}).writes == {}
    assert d.decided("a", "edit", writes={"x": 1}).writes == {"x": 1}


def test_who_writes_says_what_even_if_it_is_nothing():
    with pytest.raises(InputError, match=r"^to write is to say what; name it, such as writes=\{"):
        d.decided("a", "write", text="5")
    assert d.decided("a", "write", writes={}).writes == {}


def test_a_decision_is_bounded_when_it_is_made_and_when_it_is_read(monkeypatch):
    monkeypatch.setattr(d, "BODY_BYTES_MAX", 60)
    with pytest.raises(InputError, match=r"is \d+ bytes, more than 60"):
        d.encoded(d.decided("a", "retry", text="x" * 40))
    with pytest.raises(InputError, match="a decision is 61 bytes, more than 60"):
        d.decoded(b" " * 61)
    body = d.encoded(d.decided("a", "retry", text="x" * 23))
    assert len(body) == 60
    assert d.decoded(body).text == "x" * 23


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
    assert d.person("x" * 200) == "person:" + "x" * 200
    for name, shown in (("", "''"), ("person:", "''"), ("x" * 201, "'" + "x" * 99), ("a\nb", r"'a\nb'")):
        with pytest.raises(InputError) as refused:
            d.person(name)
        assert str(refused.value) == f"{shown} can't be recorded as who decides; name a person, such as eve"


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
        ({"x": {"a": {"b": 1, "c": 2}}}, {"x.a.b": 3}, {"x": {"a": {"b": 3, "c": 2}}}),
        ({"x": {"a": 1}}, {"x.b": DELETE}, {"x": {"a": 1}}),
        ({"x": {"a": 1}}, {"x.b.c": DELETE}, {"x": {"a": 1, "b": {}}}),
        ({"x.a": 1, "x.b": 2, "y": 3}, {"x": {"c": 4}}, {"y": 3, "x": {"c": 4}}),
        ({"x": [1]}, {"x.a": 2}, {"x": [1], "x.a": 2}),
        ({"x": {"a": 1}, "y": 2}, {"x": DELETE}, {"y": 2}),
        ({"x.a": 1, "x.b": 2, "y": 2}, {"x": DELETE}, {"y": 2}),
        ({"y": 2}, {"x": DELETE}, {"y": 2, "x": DELETE}),
        ({"x": 1}, {"x..": 2}, {"x": 1, "x..": 2}),
        ({"x": 1}, {"x..": 2, "x": 3}, {"x": 3, "x..": 2}),
        ({"x": 1}, {"x": DELETE, "y": 2}, {"y": 2}),
    ],
)
def test_an_edit_changes_what_was_written_and_nothing_beside_it(writes, changes, after):
    before = msgspec.json.encode(writes)
    assert d.laid_over(writes, changes) == after
    assert msgspec.json.encode(writes) == before


def test_what_is_no_bytes_is_no_decision():
    with pytest.raises(InputError, match=r"^a decision can't be read: it is no bytes$"):
        d.decoded(123)
