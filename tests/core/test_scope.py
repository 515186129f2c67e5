"""What an agent may do, see and write; and that no two agents own one field."""

from itertools import product

import pytest

from interlock.core import paths
from interlock.core.scope import Overlap, Scope, Sharing, Sight, overlaps
from interlock.errors import PathError, TeamError


def writer(*patterns):
    return Scope(write_permissions=patterns)


# --- scopes ------------------------------------------------------------------------------------------------------


def test_a_scope_keeps_its_patterns_in_their_one_spelling():
    scope = Scope(["classify"], ['"ticket".metadata', "*"], ['ticket."category"', "notes.*"])
    assert scope == Scope(("classify",), ("ticket.metadata", "*"), ("ticket.category", "notes.*"))


def test_who_may_write_a_field_may_read_it():
    assert Scope((), ["ticket.metadata"], ["ticket.category"]).readable == ("ticket.metadata", "ticket.category")


@pytest.mark.parametrize("name", ["allowed_actions", "context_access", "write_permissions"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("ticket", "is not a list; write [...] around it"),
        ({"ticket"}, "is not a list; write [...] around it"),
        (None, "is not a list; write [...] around it"),
        (["ticket", 7], "holds something that is not a string"),
    ],
)
def test_a_scope_is_made_of_lists_of_strings(name, value, complaint):
    with pytest.raises(TeamError) as refused:
        Scope(**{name: value})
    assert str(refused.value) == f"{name} {complaint}"


@pytest.mark.parametrize("name", ["context_access", "write_permissions"])
def test_a_scope_with_a_malformed_pattern_is_refused(name):
    with pytest.raises(PathError, match=r"'ticket\.\.category' is not a dotted path"):
        Scope(**{name: ["ticket..category"]})


def test_a_sight_reads_what_its_patterns_grant():
    sight = Sight(["ticket.metadata", "options.*"])
    readable = ("ticket.metadata", "ticket.metadata.message", "options.a", "ticket.category", "options", "ticket")
    assert [path for path in readable if sight.can_read(path)] == [
        "ticket.metadata",
        "ticket.metadata.message",
        "options.a",
    ]
    assert not Sight([]).can_read("ticket")


def test_the_key_of_a_sight_depends_on_its_patterns_alone():
    assert Sight(["b", "a", "b"]).key == Sight(["a", "b"], narrowed=True).key == b"a\nb"


# --- the ownership proof -----------------------------------------------------------------------------------------

NONE = Sharing()


def test_two_agents_with_fields_of_their_own_overlap_nowhere():
    scopes = {"triage": writer("ticket.category"), "resolution": writer("ticket.response", "ticket.cat")}
    assert list(overlaps(scopes, NONE)) == []


def test_one_agent_may_name_a_field_twice():
    assert list(overlaps({"triage": writer("ticket", "ticket.category")}, NONE)) == []


def test_an_overlap_names_both_agents_both_patterns_and_the_ways_out():
    [found] = overlaps({"triage": writer("ticket.*"), "editor": writer("ticket.draft")}, NONE)
    assert found == Overlap(("triage", "editor"), ("ticket.*", "ticket.draft"), "ticket.draft")
    assert found.message == (
        "agents triage and editor both own ticket.draft: triage may write ticket.*, editor may write ticket.draft"
    )
    assert found.fix == (
        "take it from one of them, or declare a reducer for ticket.draft,"
        " or the succession ticket.draft: [triage, editor], or make one the fallback of the other"
    )


def test_agents_that_share_everything_are_not_told_to_merge_everything():
    [found] = overlaps({"a": writer("*"), "b": writer("*")}, NONE)
    assert found.fix == "take it from one of them, or make one the fallback of the other"


PATTERNS = ["*", "a", "a.*", "a.b", "a.b.*", "a.b.c", "ab", '"a.b"']


def test_two_agents_overlap_exactly_where_their_patterns_meet():
    for one, other in product(PATTERNS, PATTERNS):
        shared = paths.intersection(one, other)
        found = [overlap.shared for overlap in overlaps({"x": writer(one), "y": writer(other)}, NONE)]
        assert found == ([] if shared is None else [shared])


@pytest.mark.parametrize(
    ("sharing", "shared", "permitted"),
    [
        (Sharing(reducers={"notes": "append"}), "notes", True),
        (Sharing(reducers={"notes": "append"}), "notes.*", True),
        (Sharing(reducers={"notes": "append"}), "notes.today", True),
        (Sharing(reducers={'"notes"': "append"}), "notes", True),
        (Sharing(reducers={"notes.today": "append"}), "notes", False),
        (Sharing(reducers={"notes": "append"}), "notes2", False),
        (Sharing(reducers={"notes": "append"}), "*", False),
        (Sharing(succession={"draft": ["a", "x", "b"]}), "draft.text", True),
        (Sharing(succession={'"draft"': ["b", "a"]}), "draft", True),
        (Sharing(succession={"draft": ["a", "x"]}), "draft", False),
        (Sharing(succession={"draft.text": ["a", "b"]}), "draft", False),
        (Sharing(stand_ins={"a": ["x", "b"]}), "anything", True),
        (Sharing(stand_ins={"b": ["a"]}), "*", True),
        (Sharing(stand_ins={"x": ["a", "b"]}), "anything", False),
    ],
)
def test_leave_to_share_a_field_covers_all_that_is_shared_or_nothing(sharing, shared, permitted):
    assert sharing.permits("a", "b", shared) is permitted
    assert sharing.permits("b", "a", shared) is permitted
    assert list(overlaps({"a": writer(shared), "b": writer(shared)}, sharing)) == (
        [] if permitted else [Overlap(("a", "b"), (shared, shared), shared)]
    )


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ({"reducers": {"notes.*": "append"}}, "'notes.*' is not a dotted path: it has a *"),
        ({"succession": {"": ["a"]}}, "'' is not a dotted path"),
    ],
)
def test_what_is_shared_is_a_path(declared, complaint):
    with pytest.raises(PathError) as refused:
        Sharing(**declared)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("declared", "complaint", "place"),
    [
        (
            {"reducers": {"notes": "sum"}},
            "the reducer of notes is 'sum'; use one of: append, add, merge",
            ("reducers", "notes"),
        ),
        (
            {"reducers": {"notes.today": "append", "notes": "merge"}},
            "notes.today has a reducer and lies inside notes, which is merged as a whole; keep one of the two reducers",
            ("reducers", "notes.today"),
        ),
        (
            {"reducers": {"out.{index}": "append"}},
            "reducers names out.{index}, but {step} and {index} belong in the writes of a step; name one field",
            ("reducers", "out.{index}"),
        ),
        (
            {"succession": {"out.{step}": ["a", "b"]}},
            "succession names out.{step}, but {step} and {index} belong in the writes of a step; name one field",
            ("succession", "out.{step}"),
        ),
    ],
)
def test_sharing_that_could_not_be_kept_is_refused_where_it_was_declared(declared, complaint, place):
    with pytest.raises(TeamError) as refused:
        Sharing(**declared)
    assert (str(refused.value), refused.value.place) == (complaint, place)
