"""Paths have one spelling, and patterns grant exactly the paths they say."""

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.core import paths
from interlock.errors import PathError

unicode_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
awkward_text = st.text('ab.*"\\u0{}\n\0 é𝄞', max_size=6)
segments = st.lists(unicode_text | awkward_text, min_size=1, max_size=6).map(tuple)


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ticket", ("ticket",)),
        ("ticket.category", ("ticket", "category")),
        ("options.draft-1_b", ("options", "draft-1_b")),
        ("ключ.鍵 with spaces", ("ключ", "鍵 with spaces")),
        ('ticket."a.b"', ("ticket", "a.b")),
        ('"a.b".c', ("a.b", "c")),
        ('""', ("",)),
        ('"*"."\\""', ("*", '"')),
        ('"\\u0061."', ("a.",)),
        ("tab\there", ("tab\there",)),
    ],
)
def test_a_path_is_segments_joined_by_dots(path, expected):
    assert paths.parse(path) == expected


QUOTED = "write a key that is empty or holds . or * in double quotes"
LONG = ".".join("x" * 33)


@pytest.mark.parametrize(
    ("path", "message", "fix"),
    [
        ("", "'' is not a dotted path of 1 to 1024 characters", ""),
        (7, "'7' is not a dotted path of 1 to 1024 characters", ""),
        (None, "'None' is not a dotted path of 1 to 1024 characters", ""),
        ("x" * 1025, f"{'x' * 77 + '...'!r} is not a dotted path of 1 to 1024 characters", ""),
        (LONG, f"'{LONG}' has more than 32 segments", ""),
        ("a..b", "'a..b' is not a dotted path: it has an empty segment", QUOTED),
        (".a", "'.a' is not a dotted path: it has an empty segment", QUOTED),
        ("a.", "'a.' is not a dotted path: it has an empty segment", QUOTED),
        ("a.*", "'a.*' is not a dotted path: it has a *", QUOTED),
        ("a..*", "'a..*' is not a dotted path: it has a *", QUOTED),
        ("a\0b", r"'a\x00b' has a NUL", r"write the key as a JSON string, with \u0000 in it"),
        ('"a\0b"', r"""'"a\x00b"' has a NUL""", r"write the key as a JSON string, with \u0000 in it"),
        ("a\ud800", r"'a\ud800' has a lone surrogate, which is not Unicode", ""),
        ('"a\ud800"', r"""'"a\ud800"' has a lone surrogate, which is not Unicode""", ""),
        ("a\udfff", r"'a\udfff' has a lone surrogate, which is not Unicode", ""),
        ('"a', "'\"a' has an unclosed quote", ""),
        (r'"a\"', r"""'"a\\"' has an unclosed quote""", ""),
        ('"a\\', r"""'"a\\' has an unclosed quote""", ""),
        ('"a\\\n"', r"""'"a\\\n"' has a quoted segment that is not a JSON string""", ""),
        (r'"a\x"', r"""'"a\\x"' has a quoted segment that is not a JSON string""", ""),
        ('"a\nb"', r"""'"a\nb"' has a quoted segment that is not a JSON string""", ""),
        (r'"\ud800"', r"""'"\\ud800"' has a quoted segment that is not a JSON string""", ""),
        ('a"b', "'a\"b' has a segment that needs double quotes", ""),
        ('"a".', "'\"a\".' has a segment that needs double quotes", ""),
        ('"a".*', "'\"a\".*' has a segment that needs double quotes", ""),
        ('"a"b', "'\"a\"b' lacks a dot after a quoted segment", ""),
    ],
)
def test_what_is_not_a_path_is_refused_and_shown(path, message, fix):
    with pytest.raises(PathError) as refused:
        paths.parse(path)
    assert (refused.value.message, refused.value.fix) == (message, fix)


@pytest.mark.parametrize("path", ["\ud7ff.\ue000", "é.\uffff"])
def test_all_but_surrogates_is_unicode(path):
    assert paths.respelled(path) == path == paths.canonical(path)


def test_a_path_may_be_as_long_as_the_limits():
    assert paths.parse("x" * paths.PATH_CHARS_MAX) == ("x" * 1024,)
    assert len(paths.parse(".".join("x" * paths.SEGMENTS_MAX))) == 32


@pytest.mark.parametrize("path", [".".join("x" * 100), 'a."' + "b." * 2_000 + '"'])
def test_the_path_of_a_leaf_may_be_longer_than_one_that_is_asked_for(path):
    with pytest.raises(PathError):
        paths.parse(path)
    assert paths.join(paths.split(path)) == path
    assert paths.prefixes(path)[-1] == path.split(".")[0]


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        ('"ticket"."category"', "ticket.category"),
        ('a."b.c"', 'a."b.c"'),
        ('"\\u0061\\u002e"', '"a."'),
        ('"\\/."', '"/."'),
        ('"é."', '"é."'),
        ('"\\u00e9."', '"é."'),
        ('"\\n"', "\n"),
        ('"\\n."', '"\\n."'),
        ('"\\u0000"', '"\\u0000"'),
    ],
)
def test_each_path_has_one_spelling(path, spelling):
    assert paths.canonical(path) == spelling


@given(segments)
def test_any_segments_survive_being_joined_and_parsed(keys):
    path = paths.join(keys)
    assume(len(path) <= paths.PATH_CHARS_MAX)
    assert paths.parse(path) == keys
    assert paths.split(path) == keys


@given(awkward_text | unicode_text | segments.map(paths.join))
def test_the_one_spelling_is_its_own_spelling(path):
    try:
        spelling = paths.canonical(path)
    except PathError:
        return
    assert paths.canonical(spelling) == spelling
    assert paths.parse(spelling) == paths.parse(path)
    assert len(spelling) <= len(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", ()),
        ("a.b.c", ("a.b", "a")),
        ('a."b.c".d', ('a."b.c"', "a")),
        ('"a.b".c', ('"a.b"',)),
    ],
)
def test_prefixes_are_the_ancestors_of_a_path_nearest_first(path, expected):
    assert paths.prefixes(path) == expected


@given(segments)
def test_prefixes_are_joined_beginnings(keys):
    assert paths.prefixes(paths.join(keys)) == tuple(paths.join(keys[:n]) for n in range(len(keys) - 1, 0, -1))


# --- patterns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "spelling", "base", "is_open"),
    [
        ("*", "*", "", True),
        ("ticket", "ticket", "ticket", False),
        ("ticket.*", "ticket.*", "ticket", True),
        ('"ticket".*', "ticket.*", "ticket", True),
        ('a."b.*"', 'a."b.*"', 'a."b.*"', False),
        ('"*"', '"*"', '"*"', False),
        ('"*".*', '"*".*', '"*"', True),
    ],
)
def test_a_pattern_is_a_subtree_or_all_below_a_path(pattern, spelling, base, is_open):
    assert paths.parse_pattern(pattern) == spelling
    assert paths.base(spelling) == base
    assert paths.is_open(spelling) is is_open


@pytest.mark.parametrize("pattern", ["", ".*", "**", "*.a", "a.*.b", "a.b*", "a.*.*", "*.*", None, 7])
def test_a_star_stands_alone_at_the_end_of_a_pattern(pattern):
    with pytest.raises(PathError, match=r"not a dotted path"):
        paths.parse_pattern(pattern)


# Keys that share beginnings, as strings and as spellings: `a`, `ab`, `"a.b"`.
KEYS = ("a", "ab", "a.b")
PLACES = [keys for depth in (1, 2, 3) for keys in product(KEYS, repeat=depth)]
PATTERNS = {"*": ((), True)} | {
    paths.join(keys) + tail: (keys, bool(tail)) for keys in PLACES if len(keys) < 3 for tail in ("", ".*")
}


def granted(pattern):
    """The places that a pattern grants, by the words of the definition."""
    keys, below_only = PATTERNS[pattern]
    return {place for place in PLACES if place[: len(keys)] == keys and not (below_only and place == keys)}


def test_a_pattern_covers_what_it_grants():
    for pattern, place in product(PATTERNS, PLACES):
        assert paths.covers(pattern, paths.join(place)) == (place in granted(pattern))


def test_a_path_is_inside_itself_and_inside_all_its_ancestors():
    for place, root in product(PLACES, PLACES):
        assert paths.inside(paths.join(place), paths.join(root)) == (place[: len(root)] == root)
        assert paths.inside(paths.join(place), "")


def test_the_intersection_of_two_patterns_grants_exactly_what_both_grant():
    for one, other in product(PATTERNS, PATTERNS):
        shared = paths.intersection(one, other)
        assert (granted(shared) if shared else set()) == granted(one) & granted(other), (one, other)
        assert shared in {one, other, None}


@given(st.lists(st.sampled_from(sorted(PATTERNS)), max_size=4))
def test_compiled_patterns_cover_what_one_of_them_grants(chosen):
    compiled = paths.Patterns(tuple(chosen))
    expected = set().union(*map(granted, chosen))
    assert {place for place in PLACES if compiled.cover(paths.join(place))} == expected


@given(st.lists(st.sampled_from(sorted(PATTERNS)), max_size=6), st.sampled_from(sorted(PATTERNS)))
def test_an_index_finds_exactly_the_holders_of_patterns_that_overlap(held, wanted):
    index = paths.PatternIndex()
    for holder, pattern in enumerate(held):
        index.add(pattern, holder)
    overlapping = [n for n, pattern in enumerate(held) if paths.intersection(wanted, pattern) is not None]
    assert list(paths.bits(index.meeting(wanted))) == overlapping


@pytest.mark.parametrize(
    ("held", "wanted", "meets"),
    [
        ("a.b.c.d", "a.b", True),
        ("a.b", "a.b.c.d", True),
        ('a."b.c".d', 'a."b.c"', True),
        ('a."b.c"', 'a."b.c".d', True),
        ('"b.c"', '"b.d"', False),
        ('a."b.c"', "a.b", False),
        ("a.*", "*", True),
        ("*", '"a.b".c', True),
    ],
)
def test_an_index_finds_what_lies_far_above_or_below(held, wanted, meets):
    index = paths.PatternIndex()
    index.add(held, 3)
    assert index.meeting(wanted) == (0b1000 if meets else 0)


@pytest.mark.parametrize(
    "numbers", [[], [0], [4_095], [4_096], [8_191, 8_192], range(0, 20_000, 3_001), range(4_090, 4_100)]
)
def test_the_numbers_in_a_large_bitset_are_found_in_order(numbers):
    assert paths.bits(sum(1 << number for number in numbers)) == list(numbers)


@given(st.sets(st.integers(0, 2_000)))
def test_numbers_become_bits_and_bits_numbers(numbers):
    bitset = paths.bitset_of(sorted(numbers))
    assert bitset == sum(1 << number for number in numbers)
    assert list(paths.bits(bitset)) == sorted(numbers)


def test_an_index_that_was_asked_already_knows_who_came_later():
    index = paths.PatternIndex()
    for holder in range(10):
        index.add("out", holder)
        assert index.meeting("out.x") == (2 << holder) - 1


@given(st.lists(st.sampled_from(sorted(PATTERNS)), max_size=4), st.sampled_from(sorted(PATTERNS)))
def test_compiled_patterns_contain_what_one_of_them_grants_whole(chosen, pattern):
    compiled = paths.Patterns(tuple(chosen))
    assert compiled.contain(pattern) == any(paths.intersection(pattern, one) == pattern for one in chosen)
    starts = any(paths.inside(paths.base(pattern), paths.base(one)) for one in chosen)
    assert compiled.reach(pattern) == starts


def test_compiled_patterns_are_kept_once_each_in_order():
    assert paths.Patterns(("b", "a.*", "b")).patterns == ("b", "a.*")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("\ud800" + "x" * 2_000, rf"'\ud800{'x' * 76}...'"),
        ("x\0" + "y" * 2_000, rf"'x\x00{'y' * 75}...'"),
        ("x." * 1_000 + "\udfff", f"'{'x.' * 38}x...'"),
        (".".join("x" * 39) + "\ud900", rf"'{'x.' * 38}x\ud900'"),
        (".".join("x" * 39) + "\udfff", rf"'{'x.' * 38}x\udfff'"),
    ],
)
def test_a_long_path_with_what_no_path_may_hold_is_refused_and_shown_by_its_beginning(path, shown):
    with pytest.raises(PathError) as refused:
        paths.respelled(path)
    assert refused.value.message == f"{shown} has a NUL or a lone surrogate"


@pytest.mark.parametrize(
    "path",
    [
        "x" * 2_000,
        ".".join("x" * 32),
        ".".join("x" * 33),
        "\ud7ff\ue000" * 600,
        r'"\u0061".' + "y" * 2_000,
        r'"\u0061".b',
    ],
)
def test_a_path_of_any_length_has_one_spelling(path):
    assert paths.respelled(path) == path.replace(r'"\u0061"', "a")
