"""What people are told of a breaker: that it has opened, once, whatever it does while it is open."""

from interlock.core.breaker import Moved
from interlock.core.notice import TEXT_CHARS_MAX, Notice, decode, encode, opened


def moved(at_us, to, reason="bad"):
    return Moved(at_us, to, reason)


def test_a_breaker_that_opens_is_told():
    assert [*opened("ann", "closed", [moved(5, "open")])] == [Notice("breaker", 5, "ann", reason="bad")]


def test_one_that_tries_and_opens_again_is_not_told_again():
    assert [*opened("ann", "open", [moved(5, "half_open"), moved(6, "open")])] == []
    assert [*opened("ann", "half_open", [moved(6, "open")])] == []


def test_one_that_has_closed_meanwhile_is_told_again():
    moves = [moved(5, "half_open"), moved(6, "closed"), moved(7, "open"), moved(8, "half_open"), moved(9, "open")]
    assert [notice.at_us for notice in opened("ann", "open", moves)] == [7]


def test_of_a_long_reason_the_beginning_is_kept():
    [notice] = opened("ann", "closed", [moved(5, "open", "x" * 9_999)])
    assert notice.reason == "x" * TEXT_CHARS_MAX


def test_a_notice_comes_back_as_it_was():
    notice = Notice("question", 5, "ann", "r", "s", 2, "May I?", "why", ("answer",), ("yes", "no"), 9, "dead")
    assert decode(encode(notice)) == notice
    assert encode(Notice("dead", 5, "ann")) == b'{"kind":"dead","at_us":5,"agent":"ann"}'
