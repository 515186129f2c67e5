"""The race proof, held against the definition: every pair of items, every path.

The definition is computed the slow way: each step that can run (each item of a for_each, up to ITEMS) with its own
paths, and for each pair that isn't ordered, whether one path is granted by both.
"""

import re
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core import paths
from interlock.core.plan import Plan
from interlock.core.races import Race, Writers, races, unordered_reads
from interlock.core.step import INDEX, Step

ITEMS = 13  # so that item 11 of one pattern can meet item 1 of another

CONCRETE = (
    "*",
    "out",
    "out.*",
    "out.5",
    "out.5.x",
    "out.a7",
    "out.a11",
    "out.a1",
    "out.a3b.c",
    "out.s1-3",
    'out."s1-3.x"',
    "n1.a2",
    "n2.a2",
    "log",
    "log.x",
    "other",
    '"o.x"',
    "-o",
)
TEMPLATES = (
    "out.{index}",
    "out.{index}.x",
    "out.{index}.*",
    "out.{step}",
    'out."{step}.x"',
    "out.a{index}",
    "out.a1{index}",
    "out.a{index}b.*",
    "n1.a{index}",
    "log.{index}",
)


@st.composite
def steps(draw, kinds=("plain", "plain", "samples", "for_each")):
    declared = []
    for n in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(kinds))
        pool = CONCRETE if kind == "plain" else TEMPLATES + CONCRETE
        before = [step.id for step in declared]
        needs = draw(st.lists(st.sampled_from(before), max_size=2)) if before else ()
        declared.append(
            Step(
                f"s{n}",
                "agent",
                "act",
                needs=needs,
                writes=draw(st.lists(st.sampled_from(pool), max_size=2, unique=True)),
                reads=draw(st.lists(st.sampled_from(CONCRETE), max_size=1)),
                samples=draw(st.integers(1, 3)) if kind == "samples" else 0,
                for_each="items" if kind == "for_each" else None,
            )
        )
    return declared


reducers = st.sampled_from([{}, {}, {"log": "append"}, {"out.5": "merge", "n1": "add"}])


def ancestors(plan):
    """Per id all that it needs, and what those need."""
    closure = {step.id: set() for step in plan.steps}
    for n, step in enumerate(plan.steps):
        for need in plan.needs[n]:
            closure[step.id] |= {plan.steps[need].id} | closure[plan.steps[need].id]
    return closure


def calls(plan, writes):
    """Everything that will run: pairs of the step's id in the plan, and the paths of this one copy."""
    return [
        (step.id, tuple(pattern.replace(INDEX, str(index)) for pattern in writes[n]))
        for n, step in enumerate(plan.steps)
        for index in range(ITEMS if step.for_each else 1)
    ]


def meet(one, other, merged):
    """Whether there is a path that both grant and no reducer merges."""
    tries = [path for root in map(paths.base, (one, other)) for path in (root, f"{root}.z".lstrip("."))]
    granting = [paths.Patterns((one,)).cover, paths.Patterns((other,)).cover]
    return any(
        all(grants(path) for grants in granting) and not any(paths.inside(path, field) for field in merged)
        for path in tries
        if path
    )


def definition(plan, writes, merged):
    """The pairs of ids that race, by the words of the promise; an item that races with another, as its step twice."""
    above = ancestors(plan)
    found = set()
    for (one, mine), (other, theirs) in combinations(calls(plan, writes), 2):
        if one in above[other] or other in above[one] or (one, other) in found:
            continue
        if any(meet(first, second, merged) for first in mine for second in theirs):
            found.add((one, other))
    return found


def proved(plan, writes, merged):
    pairs = [race.steps for race in races(plan, writes, Writers(writes, merged))]
    known = set(plan.number)
    return {(one, other) if other in known else (one.removesuffix("-0"),) * 2 for one, other in pairs}


def blurred(pattern):
    return re.sub(r"\d*\{index\}|\d+", "#", pattern)


def blurs_meet(plan, writes, pair):
    mine, theirs = (writes[plan.number[id_]] for id_ in pair)
    return any(paths.intersection(blurred(one), blurred(other)) for one in mine for other in theirs)


def writes_of(plan):
    return [step.writes or () for step in plan.steps]


@settings(max_examples=150)
@given(steps(), reducers)
def test_a_race_is_found_wherever_there_is_one_and_else_only_where_digits_are_blurred(declared, merged):
    plan = Plan(declared)
    writes = writes_of(plan)
    real, found = definition(plan, writes, merged), proved(plan, writes, merged)
    assert real <= found
    for pair in found - real:
        assert any(INDEX in pattern for id_ in pair for pattern in writes[plan.number[id_]])
        assert blurs_meet(plan, writes, pair)


@given(steps(), reducers)
def test_the_pattern_of_a_race_is_what_both_steps_may_write(declared, merged):
    plan = Plan(declared)
    writes = writes_of(plan)
    for race in races(plan, writes, Writers(writes, merged)):
        for id_ in race.steps:
            of_step = writes[plan.number.get(id_) or plan.number[id_.rpartition("-")[0]]]
            assert any(paths.intersection(blurred(race.path), blurred(pattern)) for pattern in of_step)
        assert not any(paths.inside(paths.base(race.path), field) for field in merged)


@given(steps(kinds=("plain", "samples")))
def test_a_read_is_unordered_exactly_where_an_unordered_step_may_write_it(declared):
    plan = Plan(declared)
    writes, reads = writes_of(plan), [step.reads or () for step in plan.steps]
    above = ancestors(plan)
    expected = {
        (reader.id, writer.id, pattern)
        for n, reader in enumerate(plan.steps)
        for m, writer in enumerate(plan.steps)
        for pattern in reads[n]
        if n != m and writer.id not in above[reader.id] and reader.id not in above[writer.id]
        if any(meet(pattern, written, ()) for written in writes[m])
    }
    found = unordered_reads(plan, reads, Writers(writes, {}))
    assert {(*race.steps, race.path) for race in found} == expected


# --- examples worth reading --------------------------------------------------------------------------------------


def step(id_, *writes, needs=(), **more):
    return Step(id_, "agent", "act", needs=needs, writes=writes, **more)


def found(*declared, merged=()):
    plan = Plan(declared)
    writes = writes_of(plan)
    return [(*race.steps, race.path) for race in races(plan, writes, Writers(writes, dict.fromkeys(merged)))]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ([step("a", "x"), step("b", "y")], []),
        ([step("a", "x"), step("b", "x")], [("a", "b", "x")]),
        ([step("a", "x"), step("b", "x", needs=["a"])], []),
        ([step("a", "x"), step("b", "y", needs=["a"]), step("c", "x", needs=["b"])], []),
        ([step("a", "x.*"), step("b", "x.y.z")], [("a", "b", "x.y.z")]),
        ([step("a", "x", "y"), step("b", "y", "x")], [("a", "b", "x"), ("a", "b", "y")]),
        ([step("a", "out.{step}", samples=3)], []),
        ([step("a", "out", samples=2)], [("a-1", "a-2", "out")]),
        ([step("a", "out.{step}", for_each="items")], []),
        ([step("a", "out.{step}", "out.{step}.note", for_each="items")], []),
        ([step("a", "out", for_each="items")], [("a-0", "a-1", "out")]),
        # Item 11 writes out.a11 by the first pattern, item 1 by the second.
        ([step("a", "out.a{index}", "out.a1{index}", for_each="items")], [("a-0", "a-1", "out.a{index}")]),
        ([step("a", "out.a{index}", "out.a1{index}.x", for_each="items")], [("a-0", "a-1", "out.a{index}")]),
        ([step("a", "out.item-{index}", for_each="items"), step("b", "out.item-7")], [("a", "b", "out.item-{index}")]),
        (
            [step("a", "out.item-{index}", for_each="items"), step("b", "out.item-123.x")],
            [("a", "b", "out.item-{index}")],
        ),
        (
            [step("a", "out.item-1{index}", for_each="items"), step("b", "out.item-123")],
            [("a", "b", "out.item-1{index}")],
        ),
        # Item 11 of one writes what item 1 of the other does.
        (
            [step("a", "out.a{index}", for_each="items"), step("b", "out.a1{index}", for_each="items")],
            [("a", "b", "out.a{index}")],
        ),
        ([step("a", "out.{index}-v.*", for_each="items"), step("b", "*")], [("a", "b", "out.{index}-v.*")]),
        ([step("a", "out.item-{index}", for_each="items"), step("b", "out.other-7")], []),
        ([step("a", "out.item-{index}", for_each="items"), step("b", "out.item")], []),
        ([step("b", "out.item-7"), step("a", "out.item-{index}", for_each="items")], [("b", "a", "out.item-7")]),
    ],
)
def test_steps_race_where_nothing_orders_them_and_a_path_is_granted_to_both(declared, expected):
    assert found(*declared) == expected


def test_what_a_reducer_merges_cannot_race():
    racing = [step("a", "notes", "notes.x", "out"), step("b", "notes.*", "out.y")]
    assert found(*racing, merged=["notes"]) == [("a", "b", "out.y")]
    assert found(step("a", "*"), step("b", "notes", "x"), merged=["notes"]) == [("a", "b", "x")]
    assert found(step("a", "*"), step("b", "notes.x"), merged=["notes"]) == []


def test_each_read_of_a_step_is_looked_at():
    plan = Plan([step("a", "x"), step("b", reads=["z", "x", "y"]), step("c", "y", needs=["b"])])
    reads = [one.reads or () for one in plan.steps]
    assert [*unordered_reads(plan, reads, Writers(writes_of(plan), {}))] == [Race(("b", "a"), "x")]


def test_a_race_is_a_fact_that_can_be_compared():
    assert Race(("a", "b"), "x") == Race(("a", "b"), "x")
