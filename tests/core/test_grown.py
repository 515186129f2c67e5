"""A plan that has grown: all numbers are kept, and where there are no items it is the plan that declares it all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.grown import NOBODYS, GrownPlan
from interlock.core.plan import Plan
from interlock.core.values import hash_of
from interlock.errors import PlanError

from .test_plan import graphs, step


@given(graphs(), st.data())
def test_a_grown_plan_is_the_plan_that_declares_it_all_and_keeps_every_number(declared, data):
    """Plan order takes the first free step, and while an older one is left, an older one is free."""
    cut = data.draw(st.integers(0, len(declared)))
    known = {one.id for one in declared[:cut]}
    older = [one for one in declared[:cut] if set(one.needs) <= known]
    while len(older) < len(known):
        known = {one.id for one in older}
        older = [one for one in older if set(one.needs) <= known]
    newer = [one for one in declared if one.id not in known]
    plan, whole = Plan(older, may_be_empty=True), Plan([*older, *newer])
    grown = GrownPlan(plan, newer, len(plan.steps))
    assert grown.steps[: len(plan.steps)] == plan.steps
    for name in ("steps", "number", "groups", "needs", "declared_id", "sample_index", "dependents", "base"):
        assert getattr(grown, name) == getattr(whole, name), name
    assert all(grown.ancestors[n] == whole.ancestors[n] for n in range(len(whole.steps)))


def test_numbers_of_items_are_nobodys():
    plan = Plan([step("a"), step("each", "a", for_each="x")])
    grown = GrownPlan(plan, [step("c", "b"), step("b", "each", samples=2)], 6)
    assert grown.number == {"a": 1, "each": 2, "b-1": 6, "b-2": 7, "c": 8}
    assert grown.steps[3:6] == (NOBODYS,) * 3
    assert grown.needs[3:] == [(), (), (), (2,), (2,), (6, 7)]
    assert grown.ancestors[8] == 0b11000111
    assert (grown.groups["b"], grown.declared_id["b-2"], grown.sample_index["b-2"]) == ((6, 7), "b", 2)
    assert [one.id for one in grown.declared] == ["a", "each", "c", "b"]
    assert grown.hash == hash_of([plan.hash, *grown.declared[2:]])


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ([step("a")], "two steps have the id a"),
        ([step("each-7")], "the id each-7 is that of an item of the for_each step each"),
        ([step("b", "nobody")], "step b needs nobody, which is no step"),
        ([step("b", "c"), step("c", "b")], "the plan has a cycle: b needs c needs b"),
        ([step("b", samples=101)], "step b wants 101 samples; 1 to 100 are possible"),
    ],
)
def test_what_no_plan_may_have_can_not_be_added(added, told):
    plan = Plan([step("a"), step("each", "a", for_each="x")])
    with pytest.raises(PlanError) as refused:
        GrownPlan(plan, added, 5)
    assert refused.value.message == told
