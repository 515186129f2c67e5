"""`choice` refuses the fifth summary."""

import pytest

from interlock.core.job import DELETE

from .drafts import draft, made, refusal, says

AMONG_VIEW = {"choice": {"path": "best", "among": "options"}}
VIEW = {"options": {"option-1": "Yes.", "option-2": "No."}}


def test_a_candidate_passes_word_for_word():
    assert says(AMONG_VIEW, draft({"best": "No."}, view=VIEW)) == []
    assert says(AMONG_VIEW, draft({"best": "No."}, view={"options": ["Yes.", "No."]})) == []
    assert says({"choice": {"path": "best", "among": ["Yes.", "No."]}}, draft({"best": "No."})) == []


@pytest.mark.parametrize("best", ["No", "no.", " No.", "Yes. No.", None, ["No."], "options.option-2", {}])
def test_whatever_else_is_refused(best):
    assert says(AMONG_VIEW, draft({"best": best}, view=VIEW)) == [
        "best is not one of the 2 at options, word for word: copy one of them as it stands"
    ]


def test_the_candidates_that_are_given_are_told():
    among = [*"abcdefg", "x" * 100]
    [told] = says({"choice": {"path": "best", "among": among}}, draft({"best": "z"}))
    assert told.startswith("best is not one of a, b, c, d, e, ..., word for word")


def test_candidates_of_any_type_are_compared_as_json():
    among = [1, {"a": [1.5], "b": None}, False]
    for best in (1, {"b": None, "a": [1.5]}, False):
        assert says({"choice": {"path": "best", "among": among}}, draft({"best": best})) == []
    for best in (1.0, True, "1", 0, {"a": [1.5]}):
        assert says({"choice": {"path": "best", "among": among}}, draft({"best": best}))


@pytest.mark.parametrize("view", [{}, {"options": []}, {"options": {}}, {"options": "No."}])
def test_where_there_are_no_candidates_nothing_can_be_chosen(view):
    [told] = says(AMONG_VIEW, draft({"best": "No."}, view=view))
    assert "one of the 0 at options" in told


@pytest.mark.parametrize("writes", [{}, {"best": DELETE}, {"other": "No."}])
def test_not_to_choose_is_refused_unless_that_is_allowed(writes):
    assert says(AMONG_VIEW, draft(writes, view=VIEW)) == ["best is missing: choose one of the 2 at options"]
    assert says({"choice": {**AMONG_VIEW["choice"], "required": False}}, draft(writes, view=VIEW)) == []


def test_what_is_written_above_or_below_is_no_way_around_it():
    inside = {"choice": {"path": "best.text", "among": "options"}}
    assert says(inside, draft({"best": {"text": "No."}}, view=VIEW)) == []
    assert says(inside, draft({"best": {"text": "Perhaps."}}, view=VIEW))
    assert says(inside, draft({"best": DELETE}, view=VIEW))
    assert says(AMONG_VIEW, draft({"best.text": "No."}, view=VIEW)) == [
        "best.text is a part of what is checked as a whole: write best itself"
    ]


def test_each_of_several_is_a_candidate():
    each = {"choice": {"path": "best.*", "among": "options"}}
    assert says(each, draft({"best.a": "No.", "best.b": "Yes."}, view=VIEW)) == []
    assert len(says(each, draft({"best.a": "No.", "best.b": "Perhaps.", "best.c": DELETE}, view=VIEW))) == 1


def test_what_makes_no_choice_is_refused():
    assert "among is empty" in refusal({"choice": {"path": "x", "among": []}})
    assert "is not a dotted path" in refusal({"choice": {"path": "x", "among": "a..b"}})


def test_it_says_what_it_watches_and_consults():
    assert (made(AMONG_VIEW).watches, made(AMONG_VIEW).consults) == (("best",), ("options",))
    assert made({"choice": {"path": "best", "among": ["a"]}}).consults == ()
