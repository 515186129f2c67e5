"""Arguments are looked at before anything is done with them, and each error says what may stand there."""

import pytest

from interlock.core import given
from interlock.core.decision import decided, person
from interlock.errors import InputError

NO_TEXTS = (5, None, 1.5, b"x", True, [], {}, object())


@pytest.mark.parametrize("bad", NO_TEXTS)
def test_what_is_no_text_is_refused(bad):
    with pytest.raises(InputError, match=r'by is .*, not a text; write a text: by="..."'):
        given.texts(run_id="r", by=bad)


def test_a_text_that_cannot_be_stored_is_refused():
    with pytest.raises(InputError, match="reason can't be stored: it has a lone surrogate"):
        given.text("reason", "no \ud800")
    with pytest.raises(InputError, match="reason has 6 characters, more than 5; shorten it"):
        given.text("reason", "longer", 5)
    given.text("reason", "short", 5)


@pytest.mark.parametrize("bad", [*NO_TEXTS[:5], "one", ["one", 5]])
def test_what_is_no_list_of_texts_is_refused(bad):
    with pytest.raises(InputError, match=r"steps.* is .*, not a (list of texts; write a list: steps=|text)"):
        given.names("steps", bad)


def test_what_is_in_order_passes():
    given.names("steps", ("one", "two"))
    given.by_name("writes", {"a": 1}, "{}")
    given.whole("attempt", 0)
    given.one_of("verb", "retry", ("retry",))


@pytest.mark.parametrize("bad", [5, "usd=1", [("usd", 1)]])
def test_what_is_no_object_is_refused_with_an_example(bad):
    with pytest.raises(InputError, match=r'more is of type .*, not an object; such as more={"usd": 1}'):
        given.by_name("more", bad, '{"usd": 1}')


def test_a_name_is_a_text():
    with pytest.raises(InputError, match="a name in more is of type int, not a text"):
        given.by_name("more", {5: 1}, "{}")


@pytest.mark.parametrize(("bad", "shown"), [(-1, "-1"), (1.0, "of type float"), (True, "of type bool"), (None, "None")])
def test_what_is_no_whole_number_is_refused(bad, shown):
    with pytest.raises(InputError, match=f"attempt is {shown}, not a whole number from 0 on"):
        given.whole("attempt", bad)


@pytest.mark.parametrize(("bad", "shown"), [("x" * 99, "'x{40}'"), (5, "of type int"), (["retry"], "of type list")])
def test_what_is_none_of_those_is_refused(bad, shown):
    with pytest.raises(InputError, match=f"verb is {shown}, which is none; it is one of retry, reject"):
        given.one_of("verb", bad, ("retry", "reject"))


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
