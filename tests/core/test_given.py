"""Arguments are looked at before anything is done with them, and each error says what may stand there."""

import pytest

from interlock.core import given
from interlock.core.decision import decided, person
from interlock.errors import InputError


def refusal(look, *given_):
    """What is said of arguments that are refused, and the mend."""
    with pytest.raises(InputError) as caught:
        look(*given_)
    return caught.value.message, caught.value.fix


KINDS = [(5, "of type int"), (None, "None"), (b"x", "of type bytes"), (True, "of type bool"), ({}, "of type dict")]


@pytest.mark.parametrize(
    ("bad", "kind"), [*KINDS, ([], "of type list"), (type("x" * 99, (), {})(), f"of type {'x' * 40}")]
)
def test_what_is_no_text_is_refused(bad, kind):
    assert refusal(given.text, "by", bad) == (f"by is {kind}, not a text", 'write a text: by="..."')


def test_of_several_texts_it_is_told_which_is_none():
    with pytest.raises(InputError, match=r"^by is of type int, not a text"):
        given.texts(run_id="r", by=5)


def test_a_text_that_cannot_be_stored_is_refused():
    assert refusal(given.text, "reason", "no \ud800") == ("reason can't be stored: it has a lone surrogate", "")
    assert refusal(given.text, "reason", "x" * 5_001, 5_000) == (
        "reason has 5,001 characters, more than 5,000",
        "shorten it",
    )
    given.text("reason", "short", 5)
    given.text("reason", "x" * 5_001)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [*KINDS[:2], (True, "of type bool"), ("one", "of type str"), (iter(["one"]), "of type list_iterator")],
)
def test_what_is_no_list_of_texts_is_refused(bad, kind):
    assert refusal(given.names, "steps", bad) == (
        f"steps is {kind}, not a list of texts",
        'write a list: steps=["..."]',
    )


def test_of_a_list_of_texts_it_is_told_which_is_none():
    assert refusal(given.names, "steps", ["one", 5]) == (
        "steps[1] is of type int, not a text",
        'write a text: steps[1]="..."',
    )


def test_what_is_in_order_passes():
    given.names("steps", ("one", "two"))
    given.by_name("writes", {"a": 1}, "{}")
    given.whole("attempt", 0)
    given.whole("attempt", 2, 2)
    given.one_of("verb", "retry", ("retry",))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (5, "more is of type int, not an object"),
        ([("usd", 1)], "more is of type list, not an object"),
        ({5: 1}, "a name in more is of type int, not a text"),
    ],
)
def test_what_is_no_object_is_refused_with_an_example(bad, message):
    assert refusal(given.by_name, "more", bad, '{"usd": 1}') == (message, 'such as more={"usd": 1}')


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        (-1, "-1"),
        (1.0, "of type float"),
        (True, "of type bool"),
        (None, "None"),
        (-(10**99), f"-1{'0' * 38}"),
    ],
)
def test_what_is_no_whole_number_is_refused(bad, shown):
    assert refusal(given.whole, "attempt", bad) == (f"attempt is {shown}, not a whole number from 0 on", "write one")


def test_a_whole_number_may_have_to_be_more_than_0():
    assert refusal(given.whole, "runs", 0, 1) == ("runs is 0, not a whole number from 1 on", "write one")


@pytest.mark.parametrize(
    ("bad", "shown"), [("x" * 99, f"'{'x' * 40}'"), (5, "of type int"), (["retry"], "of type list")]
)
def test_what_is_none_of_those_is_refused(bad, shown):
    assert refusal(given.one_of, "verb", bad, ("retry", "reject")) == (
        f"verb is {shown}, which is none",
        "it is one of retry, reject",
    )


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"more": 5}, r"more is of type int, not an object; such as more=\{\"usd\": 0\.10\}, .* or \{\"calls\": 5\}"),
        ({"more": [("usd", 1)]}, "more is of type list"),
        ({"more": 0}, "more is of type int"),
        ({"writes": 5}, "writes is of type int, not an object; such as writes="),
        ({"writes": {5: 1}}, "a name in writes is of type int"),
        ({"text": 5}, "text is of type int"),
        ({"effect": None}, "effect is None, not a text"),
        ({"attempt": "1"}, "attempt is of type str, not a whole number"),
        ({"asked_us": 1.5}, "asked_us is of type float, not a whole number"),
        ({"step": 5}, "step is of type int"),
        ({"verb": "aprove"}, "verb is 'aprove', which is none; it is one of answer, retry, approve"),
    ],
)
def test_a_decision_that_is_none_says_what_may_stand_there(argument, said):
    with pytest.raises(InputError, match=said):
        decided(**({"step": "a", "verb": "approve"} | argument))


def test_who_decides_is_a_text():
    with pytest.raises(InputError, match="by is of type int, not a text"):
        person(5)
