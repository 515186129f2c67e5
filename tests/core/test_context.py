"""The bank and its views: what is written, who sees it, what it hashes to, where it came from."""

import pytest
from msgspec import Raw

from interlock.core import values
from interlock.core.context import EVERYTHING, Bank, Change, Origin, View
from interlock.core.plan import Plan
from interlock.core.scope import Sight
from interlock.core.step import Step
from interlock.core.values import Limits
from interlock.errors import BrokenPromise

# a and b run at the same time; c comes after a, d after both, e after d.
NEEDS = {"a": [], "b": [], "c": ["a"], "d": ["a", "b"], "e": ["d"]}
DIAMOND = Plan([Step(step, "ann", "act", needs=needs) for step, needs in NEEDS.items()])
A, B, C, D, E = 1, 2, 3, 4, 5
FROM_REQUEST = 1


def bank_of(request, reducers=None, limits=values.DEFAULT_LIMITS):
    bank = Bank(DIAMOND, reducers, limits)
    bank.commit_request(values.encode(request))
    return bank


def raw(writes):
    return {path: Raw(values.encode(value)) for path, value in writes.items()}


def write(bank, step, writes=None, deletes=(), **given):
    assert refusals(bank, writes or {}, deletes) == []
    bank.commit(step, raw(writes or {}), deletes, **given)


def refusals(bank, writes, deletes=()):
    return [f"{found.code} {found.path}" for found in bank.findings(raw(writes), deletes)]


def seen(bank, step, *patterns):
    return bank.view(step, Sight(patterns or ("*",))).to_dict()


# --- what a view shows ---


def test_a_view_shows_the_request_and_the_writes_of_ancestors():
    bank = bank_of({"q": {"n": 1}})
    write(bank, A, {"x": 1, "q.m": 2})
    write(bank, B, {"y": 1})

    assert seen(bank, A) == seen(bank, B) == {"q": {"n": 1}}
    assert seen(bank, C) == {"q": {"n": 1, "m": 2}, "x": 1}
    assert seen(bank, D) == {"q": {"n": 1, "m": 2}, "x": 1, "y": 1}


def test_the_writes_of_a_concurrent_step_stay_invisible_to_a_view_that_is_open():
    bank = bank_of({"x": 0})
    view = bank.view(B, EVERYTHING)
    before = bank.view_hash(B, EVERYTHING)
    write(bank, A, {"x": 1, "new": {"deep": 2}})

    assert view["x"] == 0
    assert "new" not in view
    assert "new.deep" not in view
    assert list(view) == ["x"]
    assert bank.view_hash(B, EVERYTHING) == before
    assert bank.whole(EVERYTHING).to_dict() == {"x": 1, "new": {"deep": 2}}


def test_what_a_reader_does_to_what_it_was_given_reaches_nobody():
    bank = bank_of({"q": {"list": [{"n": 1}], "leaf": [1]}})
    view, sibling = bank.view(A, EVERYTHING), bank.view(B, EVERYTHING)

    view["q.leaf"].append(2)
    view["q"]["list"][0]["n"] = 99
    view.get("q")["new"] = 1
    view.to_dict()["q"].clear()

    assert view.to_dict() == sibling.to_dict() == {"q": {"list": [{"n": 1}], "leaf": [1]}}


def test_a_view_cannot_be_written_to():
    view = bank_of({"q": 1}).view(A, EVERYTHING)

    with pytest.raises(TypeError):
        view["q"] = 2
    with pytest.raises(TypeError):
        del view["q"]
    with pytest.raises(AttributeError):
        view.anything = 1


def test_a_sight_hides_what_it_does_not_grant():
    bank = bank_of({"q": {"open": 1, "shut": {"deep": 2}}, "r": 3})
    view = bank.view(A, Sight(["q.open", "q.shut.*"]))

    assert view["q.open"] == 1
    assert view["q"] == {"open": 1, "shut": {"deep": 2}}
    assert list(view) == ["q.open", "q.shut.deep"]
    assert len(view) == 2
    for hidden in ("r", "q.shut.other", "nothing"):
        assert hidden not in view
        assert view.get(hidden, "none") == "none"
        with pytest.raises(KeyError, match="nothing there that this step may read"):
            view[hidden]
    assert bank.view(A, Sight([])).to_dict() == {}


def test_a_null_is_there():
    view = bank_of({"q": None}).view(A, EVERYTHING)

    assert "q" in view
    assert view["q"] is None


def test_paths_are_read_in_any_spelling():
    bank = bank_of({"a.b": {"": 1}})
    view = bank.view(A, EVERYTHING)

    assert view['"a.b".""'] == view['"a\\u002eb".""'] == 1
    assert list(view) == ['"a.b".""']
    with pytest.raises(KeyError, match="empty segment"):
        view["a..b"]
    assert "a..b" not in view
    with pytest.raises(KeyError, match="has a NUL"):
        view["a\0"]
    assert view.get("", 7) == 7


def test_a_view_that_is_shown_is_read_as_a_whole():
    view = bank_of({"a": {"b": 1}}).view(A, EVERYTHING)
    assert f"{view}" == "View({'a': {'b': 1}})"
    assert (view.coarse, view.reads) == (True, ("*",))


def test_who_looks_on_reads_nothing_in_the_readers_name():
    view = bank_of({"a": {"b": 1}}).view(A, EVERYTHING)
    assert view.unread().to_dict() == {"a": {"b": 1}}
    assert (view.coarse, view.reads) == (False, ())


def test_keys_come_in_the_order_in_which_they_were_written():
    bank = bank_of({"z": 1, "gone": 0, "a": {"z": 1, "a": 2}})
    write(bank, B, {"m": {"2": 0, "1": 0}, "b": 0})
    write(bank, A, {"k": 0, "z": 2}, deletes=["gone"])

    assert list(bank.view(D, EVERYTHING)) == ["a.z", "a.a", "k", "z", "m.2", "m.1", "b"]
    assert repr(seen(bank, D)) == "{'a': {'z': 1, 'a': 2}, 'k': 0, 'z': 2, 'm': {'2': 0, '1': 0}, 'b': 0}"


def test_a_view_shows_itself_as_a_person_would_expect():
    assert repr(bank_of({"q": {"n": 1}}).view(A, EVERYTHING)) == "View({'q': {'n': 1}})"


def test_a_view_of_a_plain_tree_for_an_agent_in_another_process():
    view = View.of({"q": {"n": [1]}, "e": {}})

    assert view["q.n"] == [1]
    assert dict(view) == {"q.n": [1], "e": {}}


def test_keys_longer_than_any_declared_path_and_deep_trees_can_be_read_back():
    long, deep = "k" * 2_000, {}
    for _ in range(30):
        deep = {"d.d": deep}
    bank = bank_of({"q": {long: 1, long + ".": {"n": 2}}})
    write(bank, A, {"x": deep})
    write(bank, C, {"x.y": 1, "q.short": {long: 3}})
    view = bank.view(C, EVERYTHING)

    assert view["q"] == {long: 1, long + ".": {"n": 2}}
    assert view["x"] == deep
    assert [view[path] for path in view] == [1, 2, {}]
    assert bank.view_hash(D, EVERYTHING)


@pytest.mark.parametrize("segments", [32, 33, 60])
def test_a_leaf_deeper_than_any_declared_path_can_be_read_back(segments):
    bank = Bank(DIAMOND)
    bank.commit_request(b'{"k":' * segments + b"1" + b"}" * segments)
    view = bank.view(A, EVERYTHING)

    assert list(view) == [".".join("k" * segments)]
    assert [view[path] for path in view] == [1]


# --- replacing and deleting ---


@pytest.mark.parametrize(
    ("writes", "deletes", "expected"),
    [
        ({"q": 5}, [], {"q": 5}),
        ({"q": {"m": {"x": 9}, "k": 8}}, [], {"q": {"m": {"x": 9}, "k": 8}}),
        ({"q": {}}, [], {"q": {}}),
        ({"q.m": [1]}, [], {"q": {"n": 1, "m": [1]}}),
        ({"q.m": {}}, [], {"q": {"n": 1, "m": {}}}),
        ({"q.m.z": 3}, [], {"q": {"n": 1, "m": {"x": 1, "y": 2, "z": 3}}}),
        ({}, ["q.m"], {"q": {"n": 1}}),
        ({}, ["q.m.x", "q.n"], {"q": {"m": {"y": 2}}}),
        ({}, ["q"], {}),
        ({}, ["nothing", "q.nothing"], {"q": {"n": 1, "m": {"x": 1, "y": 2}}}),
    ],
)
def test_a_write_replaces_the_whole_subtree_for_descendants_alone(writes, deletes, expected):
    bank = bank_of({"q": {"n": 1, "m": {"x": 1, "y": 2}}})
    before = seen(bank, B)
    write(bank, A, writes, deletes)

    fresh = bank_of(expected)
    assert seen(bank, C) == expected
    assert bank.view(C, EVERYTHING).get("q") == expected.get("q")
    assert sorted(bank.view(C, EVERYTHING)) == sorted(fresh.view(C, EVERYTHING))
    assert bank.view_hash(C, EVERYTHING) == fresh.view_hash(C, EVERYTHING)
    assert seen(bank, B) == before


def test_what_was_deleted_can_be_written_again_in_another_shape():
    bank = bank_of({"q": {"n": 1}})
    write(bank, A, deletes=["q"])
    write(bank, D, {"q": 7})
    assert seen(bank, E) == {"q": 7}
    assert "q" not in bank.view(D, EVERYTHING)

    bank = bank_of({"q": 1})
    write(bank, A, deletes=["q"])
    write(bank, D, {"q.n": 7})
    assert seen(bank, E) == {"q": {"n": 7}}
    assert seen(bank, B) == {"q": 1}


def test_a_leaf_that_was_deleted_is_not_there():
    bank = bank_of({"q": 1})
    write(bank, A, deletes=["q"])
    view = bank.view(C, EVERYTHING)

    assert "q" not in view
    assert view.get("q", "none") == "none"


def test_an_empty_object_can_be_filled_and_stays_when_emptied():
    bank = bank_of({"q": {}, "r": {"s": {}}})
    assert bank.view(A, EVERYTHING)["q"] == {}
    assert "q" in bank.view(A, EVERYTHING)
    assert "q.n" not in bank.view(A, EVERYTHING)
    write(bank, A, {"q.n": 1, "r.s": 2})
    write(bank, D, deletes=["q.n"])

    assert bank.view(C, EVERYTHING)["q"] == {"n": 1}
    assert bank.view(B, EVERYTHING)["q"] == {}
    assert bank.view(E, EVERYTHING)["q"] == {}
    assert bank.view(B, Sight(["q.*"])).get("q") is None
    assert seen(bank, E) == {"q": {}, "r": {"s": 2}}


def test_nothing_is_written_below_a_value_that_is_not_an_object():
    bank = bank_of({"q": 1, "l": [{}], "n": None, "o": {}})

    assert refusals(bank, {"q.x": 1, "l.x.y": 1, "n.x": 1, "o.x": 1, "new.x": 1}) == [
        "not_an_object q.x",
        "not_an_object l.x.y",
        "not_an_object n.x",
    ]


def test_two_unordered_writers_of_one_field_are_a_bug_that_is_caught():
    bank = bank_of({"q": 1})
    bank.commit(A, raw({"q": 2}))

    with pytest.raises(BrokenPromise, match="two unordered steps have written q"):
        bank.commit(B, raw({"q": 3}))


# --- limits ---


def test_a_context_does_not_grow_past_its_limit_and_shrinks_when_things_are_deleted():
    bank = bank_of({"q": "x" * 50}, limits=Limits(context_bytes_max=100))
    assert refusals(bank, {"r": "x" * 47}) == ["size "]
    write(bank, A, {"r": "x" * 46})
    assert refusals(bank, {"s": 1}) == ["size "]
    write(bank, D, deletes=["q"])
    write(bank, E, {"s": "x" * 50})


def test_a_commit_is_not_cut_into_too_many_fields():
    bank = bank_of({}, limits=Limits(commit_fields_max=3))

    assert refusals(bank, {"q": {"a": 1, "b": {"c": 2, "d": {}}}}) == []
    assert refusals(bank, {"q": {"a": 1, "b": {"c": 2, "d": {}}}, "r": 1}) == ["size "]
    assert refusals(bank, {"q": [1, 2, 3, 4, 5]}) == []


def test_the_paths_of_a_commit_together_are_at_most_twice_as_long_as_its_values_may_be():
    bank = bank_of({}, limits=Limits(commit_fields_max=3, commit_bytes_max=20))
    longest = {"q": {"a" * 18: 1, "b" * 18: 2}}

    assert refusals(bank, longest) == []
    (found,) = bank.findings(raw({"q": {"a" * 18: 1, "b" * 19: 2}}), ())
    assert found.message == "the writes hold more than 3 fields or 40 characters of paths"


# --- reducers ---

REDUCERS = {"log": "append", "sum": "add", "facts.known": "merge"}


def test_contributions_are_folded_in_plan_order_and_by_ancestors_alone():
    bank = bank_of({"log": ["request"], "sum": 10}, REDUCERS)
    write(bank, B, {"log": "b", "sum": 2, "facts.known": {"b": {"deep": 1}}})
    write(bank, A, {"log": ["a"], "sum": 0.5, "facts.known": {"a": 1}})

    assert seen(bank, A) == {"log": ["request"], "sum": 10}
    assert seen(bank, C) == {"log": ["request", ["a"]], "sum": 10.5, "facts": {"known": {"a": 1}}}
    assert seen(bank, D) == {
        "log": ["request", ["a"], "b"],
        "sum": 12.5,
        "facts": {"known": {"a": 1, "b": {"deep": 1}}},
    }


def test_items_of_a_for_each_contribute_in_the_order_of_the_list():
    bank = bank_of({}, REDUCERS)
    write(bank, A, {"log": "second"}, writer=7, index=1)
    write(bank, A, {"log": "first"}, writer=8, index=0)

    assert seen(bank, C) == {"log": ["first", "second"]}


def test_inside_a_merged_field_paths_can_be_read_but_not_written():
    bank = bank_of({"facts": {"other": 1}}, REDUCERS)
    write(bank, A, {"facts.known": {"x": {"y.z": [1]}}})
    view = bank.view(C, EVERYTHING)

    assert view["facts.known.x"] == {"y.z": [1]}
    assert view['facts.known.x."y.z"'] == [1]
    for path in ("facts.known.y", 'facts.known.x."y.z".0', "log.0"):
        assert path not in view
    assert "facts.known.x" not in bank.view(B, EVERYTHING)
    assert "facts.known.x" not in bank.view(C, Sight(["facts.known.*"]))
    assert refusals(bank, {"facts.known.x": 1, "facts": {}, "facts.other": 2}) == [
        "reducer facts.known.x",
        "reducer facts",
    ]
    for path in ("facts.known.x", "facts"):
        (found,) = bank.findings(raw({path: 1}))
        assert found.message == f"{path} can't be written: write facts.known itself, which is merged as a whole"
    assert refusals(bank, {}, ["facts", "facts.known", "facts.known.x", "facts.other"]) == [
        "reducer facts",
        "reducer facts.known",
        "reducer facts.known.x",
    ]


def test_a_contribution_of_the_wrong_kind_or_against_another_is_refused():
    bank = bank_of({"facts": {"known": {"x": 1}}}, REDUCERS)
    write(bank, A, {"facts.known": {"y": 2}})

    assert refusals(bank, {"sum": "many"}) == ["reducer sum"]
    assert refusals(bank, {"facts.known": ["y"]}) == ["reducer facts.known"]
    assert refusals(bank, {"facts.known": {"y": 3}}) == ["reducer facts.known"]
    assert refusals(bank, {"facts.known": {"x": 2}}) == ["reducer facts.known"]
    assert refusals(bank, {"facts.known": {"y": 2, "z": 3}, "log": {}}) == []


def test_a_scalar_above_a_field_with_a_reducer_is_in_its_way():
    assert refusals(bank_of({"facts": 1}, REDUCERS), {"facts.known": {}}) == ["not_an_object facts.known"]


def test_an_empty_merged_field_is_there():
    bank = bank_of({"facts": {"known": {}}}, REDUCERS)

    assert bank.view(A, EVERYTHING)["facts.known"] == {}


# --- hashes ---


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize("patterns", [["*"], ["q"], ["q.*", "x"], ["x"], []])
def test_the_hash_of_a_view_is_that_of_a_bank_built_from_what_it_shows(patterns, narrowed):
    bank = bank_of({"q": {"n": 1, "gone": {"deep": 1}}, "r": 0})
    sight = Sight(patterns, narrowed=narrowed)
    bank.view_hash(B, sight)
    write(bank, A, {"x": {"y": [1, {"b": 1, "a": 2}]}, "q.n": 2}, ["q.gone"])
    write(bank, B, {"z": 5})
    write(bank, C, {"invisible": 1})
    bank.view_hash(D, sight)
    write(bank, D, {"x": {"y": 3}})

    fresh = bank_of(seen(bank, E))
    assert bank.view_hash(E, sight) == fresh.view_hash(A, sight)
    assert bank.view_hash(E, sight) == bank.view_hash(E, Sight(patterns, narrowed=not narrowed))


def test_the_hash_tells_values_places_and_sights_apart():
    def hash_of(request, *patterns):
        return bank_of(request).view_hash(A, Sight(patterns or ["*"]))

    different = [{}, {"q": 1}, {"q": 1.0}, {"q": "1"}, {"q": [1]}, {"r": 1}, {"q": {"r": 1}}, {"q": {}}, {"q": None}]
    assert len({hash_of(request) for request in different}) == len(different)
    assert hash_of({"a": 1, "b": [{"x": 1, "y": 2}]}) == hash_of({"b": [{"y": 2, "x": 1}], "a": 1})
    assert hash_of({"q": 1, "hidden": 2}, "q") == hash_of({"q": 1}, "q") != hash_of({"q": 1})


def test_a_hash_does_not_change_with_what_comes_after():
    bank = bank_of({"q": 1}, REDUCERS)
    sights = [EVERYTHING, Sight(["q", "log"], narrowed=True)]
    before = [bank.view_hash(step, sight) for step in (A, B) for sight in sights]
    write(bank, A, {"q": 2, "log": "a"})
    write(bank, B, {"log": "b"})

    assert [bank.view_hash(step, sight) for step in (A, B) for sight in sights] == before
    wide, narrow = (bank.view_hash(D, Sight(["log"], narrowed=narrowed)) for narrowed in (False, True))
    assert wide == narrow != bank.view_hash(C, Sight(["log"]))


@pytest.mark.parametrize(
    ("narrowed", "patterns", "golden"),
    [
        (False, ["*"], "487f0c3b177624238a8cc94106f5e48b68e08fa98418b6b2afc1464dabe2d151"),
        (True, ["*"], "487f0c3b177624238a8cc94106f5e48b68e08fa98418b6b2afc1464dabe2d151"),
        (False, ["log", "q.*"], "f77e9294ac895f260f228deabdf3bfeeb536665782748bfe57c60eccce455cd5"),
    ],
)
def test_golden_view_hashes(narrowed, patterns, golden):
    bank = bank_of({"q": {"n": 1, "m": {"x": 1}}, "r": 0, "log": ["request"]}, REDUCERS)
    write(bank, A, {"q.n": 2, "x": {"y": [1], "z": {}}, "sum": 1, "log": "a"}, ["q.m", "r"])
    write(bank, B, {"log": "second", "sum": 0.5}, writer=8, index=1)
    write(bank, B, {"log": "first", "facts.known": {"b": 1}}, writer=7, index=0)

    assert bank.view_hash(E, Sight(patterns, narrowed=narrowed)) == golden


def test_the_hash_tells_who_contributed_what():
    first, second = bank_of({}, REDUCERS), bank_of({}, REDUCERS)
    for bank, of_a, of_b in ((first, "x", "y"), (second, "y", "x")):
        write(bank, A, {"log": of_a})
        write(bank, B, {"log": of_b})

    assert (seen(first, D), seen(second, D)) == ({"log": ["x", "y"]}, {"log": ["y", "x"]})
    for narrowed in (False, True):
        sight = Sight(["log"], narrowed=narrowed)
        assert first.view_hash(D, sight) != second.view_hash(D, sight)


# --- reads, lineage, differences ---


def test_the_reads_that_happen_are_remembered():
    view = bank_of({"q": {"n": 1}}).view(A, EVERYTHING)
    assert view.reads == ()

    view["q.n"]
    view.get("absent")
    assert "q" in view
    view["q.n"]
    assert view.reads == ("q.n", "absent", "q")
    assert not view.coarse


@pytest.mark.parametrize("look", [list, len, dict, View.to_dict, lambda view: view == {}])
def test_looking_at_everything_is_reading_everything(look):
    view = bank_of({"q": 1}).view(A, EVERYTHING)
    look(view)

    assert view.coarse
    assert view.reads == ("*",)


def test_lineage_leads_back_to_the_request():
    bank = bank_of({"q": {"n": 1}, "r": 2})
    write(bank, A, {"x": 1}, reads=("q.n",))
    write(bank, B, {"y": 1}, reads=("*",))
    write(bank, D, {"z.deep": 1}, reads=("x", "absent", "y"))

    assert bank.lineage("z") == [
        Origin("z.deep", D, ("x", "absent", "y")),
        Origin("x", A, ("q.n",)),
        Origin("y", B, ("*",)),
        Origin("q.n", 0, ()),
        Origin("r", 0, ()),
    ]
    assert bank.lineage("x", FROM_REQUEST) == []
    assert bank.lineage("absent") == []
    assert bank_of({}, REDUCERS).lineage("log") == []


def test_the_lineage_of_a_merged_field_names_every_contribution():
    bank = bank_of({"facts": {"known": {"x": 0}}}, REDUCERS)
    write(bank, A, {"facts.known": {"a": 1}}, reads=("facts.known.x",))
    write(bank, B, {"facts.known": {"b": 1}})

    expected = [
        Origin("facts.known", 0, ()),
        Origin("facts.known", A, ("facts.known.x",)),
        Origin("facts.known", B, ()),
    ]
    assert bank.lineage("facts.known.a") == bank.lineage("facts") == expected
    assert bank.lineage("facts", FROM_REQUEST) == expected[:1]


def test_diff_tells_what_differs_between_two_versions():
    bank = bank_of({"q": {"n": 1, "gone": 2, "same": 3}})
    write(bank, A, {"q.n": 5, "new": [1]}, ["q.gone"])
    write(bank, B, {"other": 1})

    assert bank.diff(FROM_REQUEST, FROM_REQUEST | 1 << A) == [
        Change("new", None, b"[1]"),
        Change("q.gone", b"2", None),
        Change("q.n", b"1", b"5"),
    ]
    assert bank.diff(-1, -1) == []


def test_the_runtime_reads_past_any_scope():
    bank = bank_of({"q": {"n": 1}})

    assert bank.value("q", FROM_REQUEST) == {"n": 1}
    with pytest.raises(KeyError):
        bank.value("q.m", -1)


def test_a_hash_over_many_steps_counts_what_one_of_them_has_written_since_the_last():
    wide = [Step(f"s{n}", "ann", "act", for_each="rows", writes=["*"]) for n in range(20)]
    needing = {"f": 19, "g": 20}
    joins = [Step(name, "ann", "act", needs=[f"s{n}" for n in range(many)]) for name, many in needing.items()]
    plan, sight = Plan([*wide, *joins]), Sight(["out.*"])
    bank, fresh = Bank(plan), Bank(plan)
    for one in (bank, fresh):
        one.commit_request(b'{"out":{"asked":1}}')
    for index in (0, 1):
        for n in range(1, 21):
            writes = raw({f"out.s{n}-{index}": n, f"hidden.s{n}-{index}": n})
            bank.commit(n, writes, index=index)
            fresh.commit(n, writes, index=index)
        bank.view_hash(plan.number["g" if index else "f"], sight)
    expected = fresh.view_hash(plan.number["g"], sight)
    assert bank.view_hash(plan.number["g"], sight) == expected
    assert bank.view_hash(plan.number["g"], Sight(["out.*"], narrowed=True)) == expected
