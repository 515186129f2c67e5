"""Names that people give, and what they may have meant by others."""

import pytest

from interlock.core.naming import hint, is_id, nearest


@pytest.mark.parametrize(
    ("name", "expected"),
    [("triag", "; did you mean triage?"), ("TRIAGE", ""), ("zzz", ""), ("judges", "; did you mean judge?")],
)
def test_a_hint_names_the_nearest_known_name(name, expected):
    assert hint(name, ["triage", "judge"]) == expected


def test_of_several_that_are_near_the_nearest_is_meant():
    assert nearest("triag", ["triages", "triage", "triad"]) == "triage"


@pytest.mark.parametrize(
    ("text", "expected"), [("a", True), ("A_-9" * 20, True), ("a" * 81, False), ("", False), ("a b", False), (7, False)]
)
def test_an_id_is_letters_digits_and_two_marks(text, expected):
    assert is_id(text) is expected
