"""Sets of steps that are made when they are asked for are those that a naive walk finds, whatever is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import reach
from interlock.core.paths import bits
from interlock.core.reach import Reach


@st.composite
def needs(draw):
    """Per step the steps before it that it needs; several need the same. The request needs nothing."""
    count = draw(st.integers(1, 40))
    made = [(), ()]
    for n in range(2, count + 1):
        mine = draw(st.lists(st.integers(1, n - 1), max_size=4, unique=True))
        made.append(draw(st.sampled_from([*made[1:], tuple(mine), (n - 1,)])))
    return made


def walked(near, n):
    """All that is reached, by going on until nothing is new."""
    found, pending = set(), [n]
    while pending:
        new = set(near[pending.pop()]) - found
        found |= new
        pending += new
    return found


def turned(near):
    """The same the other way round."""
    return [[far for far, mine in enumerate(near) if n in mine] for n in range(len(near))]


@pytest.fixture(params=[(0, 1), (300, 2), (900, 4), (1 << 20, 256)], ids=str, scope="module")
def bounds(request):
    """So little is kept that sets are forgotten between two questions, or much, or all."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("KEPT_BYTES_MAX", "STRIDE"), request.param, strict=True):
            patch.setattr(reach, name, value)
        yield


@pytest.mark.usefixtures("bounds")
@given(needs(), st.data())
def test_what_is_reached_is_what_a_walk_finds_in_whatever_order_one_asks(near, data):
    numbers = range(1, len(near))
    asked = data.draw(st.one_of(st.just([*numbers]), st.just([*numbers][::-1]), st.permutations([*numbers, *numbers])))
    before, after = Reach(near, start=1), Reach(turned(near))
    for n in asked:
        assert set(bits(before[n])) == {0} | walked(near, n)
        assert set(bits(after[n])) == walked(turned(near), n)
    assert (before[0], after[0]) == (0, 0)


def test_steps_that_need_the_same_share_one_set():
    before = Reach([(), *[()] * 99, *[tuple(range(1, 100))] * 2, (100, 101), (100, 101)], start=1)
    assert before.first[98:] == [1, 1, 100, 100, 102, 102]
    assert before[102] is before[103]


def test_as_many_sets_are_kept_as_there_is_room_for_and_once_as_many_older_ones(monkeypatch):
    """Each of these sets takes 62 bytes."""
    monkeypatch.setattr(reach, "KEPT_BYTES_MAX", 2 * (reach.ENTRY_BYTES + 62))
    before = Reach([(), *[()] * 500, *(tuple(range(1, 501 - n)) for n in range(5))], start=1)
    made, kept = {}, []
    for n in range(501, 506):
        made[n] = before[n]
        kept.append([*before])
    assert kept == [[501], [501, 502], [503], [503, 504], [505]]
    assert before[504] is made[504]


@pytest.mark.parametrize("near", ["before", "after"])
@pytest.mark.parametrize("last_first", [False, True])
def test_of_a_long_chain_little_is_kept_and_few_long_walks_are_taken(near, last_first, monkeypatch):
    count, kept, walked_by = 3_000, 64 * 1_024, [0]
    monkeypatch.setattr(reach, "KEPT_BYTES_MAX", kept)
    chain = [(), (), *((n,) for n in range(1, count))]
    sets = Reach(chain, start=1) if near == "before" else Reach([*((n + 1,) for n in range(count)), ()])
    walk = sets._walk

    def counted(n):
        found, unknown = walk(n)
        walked_by[0] += len(unknown)
        return found, unknown

    monkeypatch.setattr(sets, "_walk", counted)
    for n in sorted(range(1, count + 1), reverse=last_first):
        expected = (1 << n) - 1 if near == "before" else (1 << count + 1) - (1 << n + 1)
        assert sets[n] == expected
        both = (*sets.items(), *sets._older.items())
        assert sum(found.bit_length() / 8 + reach.ENTRY_BYTES for _, found in both) < 2.1 * kept
    assert walked_by[0] < count * reach.STRIDE
