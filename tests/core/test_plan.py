"""A plan is a DAG of steps: how it is declared, what it is compiled to, and what is no plan."""

from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core import plan as plan_module
from interlock.core.plan import Phase, Plan, bits
from interlock.core.step import Condition, Step
from interlock.errors import PlanError


def step(id_, *needs, **more):
    return Step(id_, "agent", "act", needs=needs, **more)


def ids(plan):
    return [one.id for one in plan.steps[1:]]


def needs(plan):
    return {plan.steps[n].id: [plan.steps[need].id for need in plan.needs[n]] for n in range(1, len(plan.steps))}


# --- steps and conditions ----------------------------------------------------------------------------------------


# --- phases, samples, for_each -----------------------------------------------------------------------------------


def test_each_step_of_a_phase_needs_every_step_of_the_phase_before():
    plan = Plan(
        [Phase("one", [step("a"), step("b")]), Phase("two", [step("c", "a"), step("d")]), Phase("three", [step("e")])]
    )
    assert needs(plan) == {"a": [], "b": [], "c": ["a", "b"], "d": ["a", "b"], "e": ["c", "d"]}


def test_rounds_of_a_phase_follow_one_another_each_with_its_own_steps():
    plan = Plan([step("a"), Phase("talk", [step("hear", "a"), step("say", "hear")], rounds=2), step("z", "say-2")])
    assert needs(plan) == {
        "a": [],
        "hear-1": ["a"],
        "say-1": ["hear-1"],
        "hear-2": ["a", "hear-1", "say-1"],
        "say-2": ["hear-2", "hear-1", "say-1"],
        "z": ["say-2"],
    }
    assert needs(Plan([Phase("talk", [step("a")], rounds=1), Phase("end", [step("b")])]))["b"] == ["a-1"]
    branch = [Phase("talk", [step("say", on_request={"stop": "end"}), step("end", "say")], rounds=2)]
    assert {step.id: dict(step.on_request) for step in Plan(branch).declared}["say-2"] == {"stop": "end-2"}


@pytest.mark.parametrize("rounds", [-1, 101, "2", True])
def test_rounds_are_a_number_within_bounds(rounds):
    with pytest.raises(PlanError) as refused:
        Plan([Phase("talk", [step("a")], rounds=rounds)])
    assert str(refused.value) == f"the phase talk has {rounds!r} rounds; 1 to 100 are possible"
    assert refused.value.place == ("plan",)


def test_a_phase_may_have_as_many_rounds_as_the_limit_says():
    assert ids(Plan([Phase("talk", [step("a")], rounds=100)]))[-1] == "a-100"


def test_a_step_between_phases_has_its_own_needs_alone():
    plan = Plan([Phase("one", [step("a")]), step("alone"), step("b", "alone"), Phase("two", [step("c")])])
    assert needs(plan) == {"a": [], "alone": [], "b": ["alone"], "c": ["a"]}


def test_samples_are_independent_steps_and_needing_them_means_needing_all():
    plan = Plan(
        [
            step("start"),
            step("option", "start", samples=3, writes=["options.{step}", "n.{index}"]),
            step("end", "option"),
        ]
    )
    assert needs(plan) == {
        "start": [],
        "option-1": ["start"],
        "option-2": ["start"],
        "option-3": ["start"],
        "end": ["option-1", "option-2", "option-3"],
    }
    assert plan.steps[3].writes == ("options.option-2", "n.2")
    assert plan.groups == {"start": (1,), "option": (2, 3, 4), "end": (5,)}
    assert plan.declared_id["option-3"] == "option"
    assert plan.sample_index == {"option-1": 1, "option-2": 2, "option-3": 3}


def test_the_copies_of_a_step_have_their_numbers_in_whatever_order_steps_are_declared():
    plan = Plan([step("end", "option"), step("option", "start", samples=2), step("start")])
    assert plan.groups == {"end": (4,), "option": (2, 3), "start": (1,)}
    assert (plan.declared_id["option-2"], plan.number["option-2"]) == ("option", 3)


def test_one_sample_can_be_needed_by_its_own_name():
    assert needs(Plan([step("a", samples=2), step("b", "a-2")]))["b"] == ["a-2"]


def test_a_for_each_is_one_step_until_its_items_are_known():
    plan = Plan([step("row", for_each="rows", writes=["out.{step}", "n.{index}.x"]), step("end", "row")])
    assert ids(plan) == ["row", "end"]
    assert plan.steps[1].writes == ("out.row-{index}", "n.{index}.x")


def test_the_id_of_a_step_stands_in_the_paths_it_writes():
    assert Plan([step("a", writes=["out.{step}.*"])]).steps[1].writes == ("out.a.*",)


# --- what a plan is compiled to ----------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    """Steps with needs that make no circle, declared in any order."""
    count = draw(st.integers(1, 9))
    names = [f"s{n}" for n in range(count)]
    made = [
        step(name, *draw(st.lists(st.sampled_from(names[:n]), max_size=3)) if n else ()) for n, name in enumerate(names)
    ]
    return draw(st.permutations(made))


def closure(declared):
    """Per id all that it needs, directly or not, by going round until nothing is added."""
    above = {one.id: set(one.needs) for one in declared}
    while any(above[far] - mine for mine in above.values() for near in mine for far in [near]):
        grown = {id_: mine.union(*(above[near] for near in mine)) for id_, mine in above.items()}
        if grown == above:
            break
        above = grown
    return above


@given(graphs())
def test_the_ancestors_of_a_step_are_all_that_it_needs_and_what_those_need(declared):
    plan, above = Plan(declared), closure(declared)
    for n, one in enumerate(plan.steps[1:], 1):
        assert set(bits(plan.ancestors[n])) == {0} | {plan.number[id_] for id_ in above[one.id]}


@given(graphs())
def test_the_ancestors_of_a_step_are_those_of_its_base_and_what_is_beyond_it(declared):
    plan = Plan(declared)
    for n in range(1, len(plan.steps)):
        base = set(bits(plan.ancestors[plan.base[n]]))
        assert base.isdisjoint(plan.beyond_base(n))
        assert base.union(plan.beyond_base(n)) == set(bits(plan.ancestors[n]))
        assert len(set(plan.beyond_base(n))) == len(list(plan.beyond_base(n))), "none is counted twice"
        assert len(base) == max([len(set(bits(plan.ancestors[need]))) for need in plan.needs[n]], default=0)


def test_steps_that_need_the_same_have_the_same_base_and_the_same_beyond_it():
    plan = Plan([step("a"), step("b"), step("c", "b"), step("d", "a", "c"), step("e", "a", "c"), step("f", "d", "e")])
    assert plan.base == [0, 0, 0, 2, 3, 3, 4]
    assert [[*plan.beyond_base(n)] for n in range(1, 7)] == [[0], [0], [2], [1, 3], [1, 3], [4, 5]]


def test_a_cycle_is_shown_whole_up_to_twenty_steps():
    names = [f"s{n}" for n in range(19)]
    with pytest.raises(PlanError) as refused:
        Plan([step(name, need) for name, need in zip(names, [*names[1:], names[0]], strict=True)])
    assert refused.value.sentence == f"the plan has a cycle: {' needs '.join([*names, 's0'])}"


def test_of_a_long_cycle_both_ends_are_shown():
    ring = [step(f"s{n}", f"s{(n + 1) % 1_000}") for n in range(1_000)]
    with pytest.raises(PlanError) as refused:
        Plan(ring)
    shown = refused.value.sentence.removeprefix("the plan has a cycle: ").split(" needs ")
    assert (shown[:2], shown[9:12], shown[-1], len(shown)) == (["s0", "s1"], ["s9", "...", "s991"], "s0", 21)


@given(graphs())
def test_related_steps_are_those_that_cannot_run_at_the_same_time(declared):
    plan, above = Plan(declared), closure(declared)
    for n in range(1, len(plan.steps)):
        related = plan.related_to(n)
        mine = plan.steps[n].id
        expected = {id_ for id_ in above if id_ == mine or id_ in above[mine] or mine in above[id_]}
        assert set(bits(related)) - {0} == {plan.number[id_] for id_ in expected}


@given(graphs())
def test_the_plan_order_is_that_of_declaration_wherever_the_needs_allow_it(declared):
    order = []
    while len(order) < len(declared):
        free = [one.id for one in declared if one.id not in order and set(one.needs) <= set(order)]
        order.append(free[0])
    assert ids(Plan(declared)) == order


@given(graphs())
def test_dependents_are_needs_the_other_way_round(declared):
    plan = Plan(declared)
    pairs = {(need, n) for n in range(len(plan.steps)) for need in plan.needs[n]}
    assert {(n, dependent) for n, dependents in enumerate(plan.dependents) for dependent in dependents} == pairs


def test_a_step_and_an_item_have_the_number_of_their_step():
    plan = Plan([step("a"), step("b-1", for_each="x"), step("c", samples=2)])
    assert [plan.number_of(id_) for id_ in ("a", "b-1", "b-1-0", "b-1-12", "c-2")] == [1, 2, 2, 2, 4]
    for unknown in ("", "c", "gone", "gone-1"):
        with pytest.raises(KeyError):
            plan.number_of(unknown)


def test_the_request_is_an_ancestor_of_every_step():
    plan = Plan([step("a"), step("b", "a")])
    assert (plan.steps[0].id, [plan.ancestors[n] for n in range(3)]) == ("", [0b0, 0b1, 0b11])


@given(st.sets(st.integers(0, 200)))
def test_bits_are_the_numbers_in_a_bitset_in_rising_order(numbers):
    assert list(bits(sum(1 << number for number in numbers))) == sorted(numbers)


# --- hashes ------------------------------------------------------------------------------------------------------

FULL = Step(
    "b",
    "writer",
    "write",
    needs=["a"],
    reads=["ticket.*"],
    writes=["out.{step}"],
    stale_ok=True,
    instructions="Kürze.",
    samples=2,
    when=Condition("ticket.open", "!=", [1, 1.0]),
    join="any_outcome",
    timeout="2s",
    retries=0,
    backoff="1s",
    schema={"required": ["out"], "additionalProperties": False},
)


@pytest.mark.parametrize(
    ("declared", "golden"),
    [
        ([Step("a", "agent", "act")], "22a9f178be8efae9f3328344da8c65d19710a4d0e877f8547c055c4a38cab5ce"),
        (
            [Phase("one", [Step("a", "agent", "act")]), FULL, Step("c", "agent", "act", for_each="rows")],
            "4a4d7ef42c02248d13be21a7f5dc1b4ce46359f8f9ce8cc9cce1a39a69dfa87d",
        ),
    ],
)
def test_golden_plan_hashes(declared, golden):
    assert Plan(declared).hash == golden


def test_phases_are_sugar_to_the_hash():
    assert Plan([Phase("p", [step("a")]), Phase("q", [step("b")])]).hash == Plan([step("a"), step("b", "a")]).hash


def test_plans_that_differ_anywhere_differ_in_hash():
    changes = [
        {},
        {"needs": []},
        {"retries": 1},
        {"when": Condition("x")},
        {"writes": []},
        {"stale_ok": True},
        {"samples": 1},
    ]
    plans = [Plan([step("a"), Step("b", "agent", "act", **{"needs": ["a"]} | change)]) for change in changes]
    assert len({plan.hash for plan in plans}) == len(changes)


# --- what is no plan ---------------------------------------------------------------------------------------------

RENAME = "rename one of them"
UNCIRCLE = "remove one of these needs"


@pytest.mark.parametrize(
    ("declared", "place", "complaint"),
    [
        ([], (), "the plan has no steps; give it at least one"),
        ([Phase("empty", [])], (), "the phase empty has no steps; remove it or give it steps"),
        (["a"], (), "a plan holds steps and phases, not str"),
        ([Phase("outer", [Phase("inner", [step("a")])])], (), "the phase outer holds steps, not Phase"),
        ([step("a.b")], ("a.b",), "'a.b' is not a step id; use letters, digits, _ and -, at most 80"),
        ([step("x"), step("a"), step("a")], ("a",), f"two steps have the id a; {RENAME}"),
        ([step("a", samples=2), step("a-2")], ("a-2",), f"two steps have the id a-2; {RENAME}"),
        ([step("a", samples=2), step("a")], ("a",), f"two steps have the id a; {RENAME}"),
        ([step("a", samples=2), step("a", samples=1)], ("a-1",), f"two steps have the id a-1; {RENAME}"),
        ([step("a-1", samples=2), step("a", samples=2)], ("a-1",), f"two steps have the id a-1; {RENAME}"),
        (
            [step("a", for_each="x"), step("a-0")],
            ("a-0",),
            f"the id a-0 is that of an item of the for_each step a; {RENAME}",
        ),
        (
            [step("a-b", for_each="x"), step("a-b-0")],
            ("a-b-0",),
            f"the id a-b-0 is that of an item of the for_each step a-b; {RENAME}",
        ),
        (
            [step("a-7", samples=1), step("a", for_each="x")],
            ("a-7",),
            f"the id a-7 is that of an item of the for_each step a; {RENAME}",
        ),
        (
            [step("collect", "classfy"), step("classify")],
            ("collect", "needs"),
            "step collect needs classfy, which is no step; did you mean classify?",
        ),
        ([step("a", "zzz")], ("a", "needs"), "step a needs zzz, which is no step"),
        ([step("a", "a")], ("a", "needs"), f"the plan has a cycle: a needs a; {UNCIRCLE}"),
        (
            [step("late", "c"), step("a", "b"), step("b", "c"), step("c", "a"), step("free")],
            ("c", "needs"),
            f"the plan has a cycle: c needs a needs b needs c; {UNCIRCLE}",
        ),
        (
            [step("a", on_request={"act": "bb"}), step("b", "a")],
            ("a", "on_request", "act"),
            "step a runs bb on request, which is no step; did you mean b?",
        ),
        (
            [step("a", on_request={"act": "b"}), step("b")],
            ("a", "on_request", "act"),
            "step a runs b on request, which does not come after it; let b need a",
        ),
    ],
)
def test_what_is_no_plan_is_refused_with_the_fault_the_place_and_the_mend(declared, place, complaint):
    with pytest.raises(PlanError) as refused:
        Plan(declared)
    assert (str(refused.value), refused.value.place) == (complaint, ("plan", *place))


def test_an_iterator_of_steps_is_a_plan_too():
    assert ids(Plan(iter([step("a")]))) == ["a"]


def test_ids_that_only_look_like_those_of_items_are_fine():
    Plan([step("a", for_each="x"), step("a-b"), step("b-1"), step("c", samples=1)])


@pytest.mark.parametrize(
    "path",
    [
        "x.{index}1",
        "x.{index}-1.y",
        "x.{index}{index}",
        'x."{index}.1"',
        "x.{step}2",
        "{step}{index}.*",
        '"{index}\\n.1"',
    ],
)
def test_no_digit_follows_the_index_of_an_item_in_one_segment(path):
    with pytest.raises(PlanError) as refused:
        Plan([step("row", for_each="rows", writes=[path])])
    assert str(refused.value).startswith(
        f"step row writes {path}: in one segment no digit may follow the index of an item; put"
    )
    assert refused.value.place == ("plan", "row", "writes")


@pytest.mark.parametrize("path", ["*", "x", "x.1{index}", "x.{index}.1", "x.{step}.7.*", "x.{index}-a", "x1.{step}"])
def test_digits_before_the_index_or_in_other_segments_are_fine(path):
    Plan([step("row", for_each="rows", writes=[path])])


def test_a_sample_knows_its_number_so_that_digits_may_follow():
    assert Plan([step("a", samples=2, writes=["x.{index}5", "{step}0"])]).steps[2].writes == ("x.25", "a-20")


def test_a_plan_has_a_limit_of_steps_and_samples_count():
    Plan([step("a", samples=3)], steps_max=3)
    with pytest.raises(PlanError, match="the plan has 4 steps, more than 3") as refused:
        Plan([step("a", samples=3), step("b")], steps_max=3)
    assert refused.value.place == ("plan",)


@pytest.mark.parametrize(
    "declared",
    [
        [Phase("one", [step("a"), step("b")]), Phase("two", [step("c"), step("d")])],
        [step("a", samples=2), step("b", "a", samples=2)],
    ],
)
def test_a_plan_has_a_limit_of_needs(monkeypatch, declared):
    monkeypatch.setattr(plan_module, "NEEDS_MAX", 4)
    Plan(declared)
    monkeypatch.setattr(plan_module, "NEEDS_MAX", 3)
    with pytest.raises(PlanError) as refused:
        Plan(declared)
    assert str(refused.value) == "the plan has more than 3 needs; join the steps of a wide phase in one step"
    assert refused.value.place == ("plan",)


def test_things_that_merely_look_like_steps_are_not_steps():
    with pytest.raises(PlanError, match="not SimpleNamespace"):
        Plan([SimpleNamespace(id="a", needs=())])


def test_a_default_that_is_written_out_changes_no_hash():
    written = {"op": str(b"==", "ascii"), "value": 1, "path": "x"}
    bare = Plan([Step("s", "a", "act", when={"path": "x", "value": 1})])
    nothing = MappingProxyType({})
    assert Plan([Step("s", "a", "act", when=written, join=str(b"all", "ascii"), on_request=nothing)]).hash == bare.hash
