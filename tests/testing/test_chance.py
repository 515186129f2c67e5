"""Chance by name. The draws are compatibility data: a seed that found a bug must find it again in a later version."""

from collections import Counter

import pytest

from interlock.testing.chance import Chance


@pytest.mark.parametrize(
    ("seed", "name", "share"),
    [
        (0, ("ties",), 0.7550225542982302),
        (0, ("fault", "timeout", "run-0", "s1", 1, 0), 0.5629430185818431),
        (7, ("fault", "timeout", "run-0", "s1", 1, 0), 0.9801896373343959),
        (-1, (), 0.12242465709327278),
        (2**64, ("é", 3), 0.4208520359824917),
    ],
)
def test_draws_are_pinned(seed, name, share):
    assert Chance(seed).share(*name) == share


def test_picks_and_streams_are_pinned():
    chance = Chance(11)
    assert [chance.pick("abcdefgh", "letter", n) for n in range(8)] == [*"acegeeac"]
    stream = chance.stream("dice")
    assert [stream.randrange(6) for _ in range(8)] == [0, 4, 0, 2, 0, 2, 3, 5]


def test_a_draw_hangs_on_its_name_and_seed_alone():
    one, other = Chance(3), Chance(3)
    names = [("call", step, attempt) for step in "abc" for attempt in range(3)]
    forwards = {name: one.share(*name) for name in names}
    other.stream("something else").random()
    backwards = {name: other.share(*name) for name in reversed(names)}
    assert forwards == backwards
    assert len({*forwards.values()}) == len(names)
    assert all(Chance(4).share(*name) != share for name, share in forwards.items())


def test_a_stream_is_new_each_time():
    chance = Chance(5)
    first = chance.stream("x")
    drawn = [first.random() for _ in range(3)]
    assert chance.stream("x").random() == drawn[0]
    assert chance.stream("y").random() != drawn[0]


def test_the_parts_of_a_name_are_kept_apart():
    chance = Chance(0)
    assert chance.share("ab", "c") != chance.share("a", "bc")
    assert chance.share("a", "") != chance.share("a")
    assert chance.share("a", 1) != chance.share("a", 11)


def test_shares_fill_the_unit_interval():
    shares = [Chance(1).share("n", n) for n in range(2_000)]
    assert all(0 <= share < 1 for share in shares)
    assert all(150 < count < 250 for count in Counter(int(share * 10) for share in shares).values())


def test_picks_are_fair():
    picks = Counter(Chance(2).pick("abcd", n) for n in range(2_000))
    assert {*picks} == {*"abcd"}
    assert min(picks.values()) > 400
    assert Chance(2).pick(["only"], "x") == "only"
