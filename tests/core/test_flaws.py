"""What is told of a refused proposal: few words, where they belong, and nothing that could harm who reads them."""

import pytest

from interlock.core.bounds import Bounds
from interlock.core.flaws import NAME_CHARS_SHOWN, NAMES_SHOWN, Flaw, Flaws, listed, shown
from interlock.errors import PlanError, ProposalRefused, RaceError, TeamError


def told(flaws):
    return [str(flaw) for flaw in flaws.found]


def test_a_refusal_lists_all_that_was_found():
    flaws = Flaws(Bounds(flaws_max=3))
    flaws.raise_if_any()
    flaws.add("$.steps[0].id", "it is no id", "letters", "a")
    flaws.add("$", "it is too large")
    with pytest.raises(ProposalRefused) as refused:
        flaws.raise_if_any()
    assert str(refused.value) == (
        "the proposed plan is not valid:\n$.steps[0].id (step a): it is no id; letters\n$: it is too large"
    )
    assert refused.value.flaws == (
        Flaw("$.steps[0].id", "it is no id", "letters", "a"),
        Flaw("$", "it is too large"),
    )


def test_of_many_the_first_are_told_and_that_there_may_be_more():
    flaws = Flaws(Bounds(flaws_max=2))
    for number in range(3):
        flaws.add(f"$[{number}]", "it is wrong")
    assert str(flaws.refusal()) == (
        "the proposed plan is not valid:\n$[0]: it is wrong\n$[1]: it is wrong\nthere may be more"
    )


def test_a_flaw_is_one_line_of_what_can_be_printed():
    flaws = Flaws(Bounds())
    flaws.add("$", "it says \x1b[2J\nné", "say\tless", "a b")
    assert told(flaws) == ["$: it says ?[2J?né; say?less"]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (PlanError("it is wrong", fix="mend it", place=("plan", "b", "writes")),
         "$.steps[1].writes (step b): it is wrong; mend it"),
        (PlanError("it is wrong", place=("plan", "a")), "$.steps[0] (step a): it is wrong"),
        (PlanError("it is wrong", place=("plan", "a", "when", "op")), "$.steps[0].when (step a): it is wrong"),
        (PlanError("it is wrong", place=("plan", "old", "writes")), "$.steps: it is wrong"),
        (PlanError("it is wrong", place=("plan",)), "$.steps: it is wrong"),
        (TeamError("it is wrong", place=("agents", "a", "writes")), "$.steps: it is wrong"),
        (TeamError("it is wrong"), "$.steps: it is wrong"),
        (PlanError("it reads x", fix="let a need b, or mark it stale_ok: true", place=("plan", "a", "reads")),
         "$.steps[0].reads (step a): it reads x; let a need b"),
        (RaceError("both write x", fix="declare a reducer for x", place=("plan", "a", "writes")),
         ("$.steps[0].writes (step a): both write x; "
          "let one need the other, or give them different writes")),
    ],
)  # fmt: skip
def test_a_problem_of_the_plan_is_told_at_its_step_with_what_its_author_can_do(problem, said):
    flaws = Flaws(Bounds())
    flaws.add_problems([problem], {"a": 0, "b": 1})
    assert told(flaws) == [said]


def test_a_name_is_shown_as_far_as_it_can_be_one_and_is_short():
    most = "x" * NAME_CHARS_SHOWN
    assert [shown(name) for name in ("a.{step}.*", most, f"{most}x", "a b", "")] == [
        "a.{step}.*",
        most,
        "a text of 41 characters",
        "a text of 3 characters",
        "a text of 0 characters",
    ]


def test_of_many_names_the_first_are_listed():
    names = [f"n{number}" for number in range(NAMES_SHOWN)]
    assert listed([]) == "none"
    assert listed(iter(names)) == "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11"
    assert listed([*names, "b", "c"]) == "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11 and 2 more"
