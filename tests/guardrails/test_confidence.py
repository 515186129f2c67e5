"""`confidence` refuses what the agent itself wasn't sure of."""

import pytest

from .drafts import draft, made, refusal, says


def score(options, confidence):
    return made({"confidence": options}).check(draft(confidence=confidence)).score


def test_an_estimate_below_the_least_is_the_score():
    assert [score({"min": 0.8}, told) for told in (0, 0.25, 0.79, 0.8, 1)] == [0, 0.25, 0.79, 1, 1]
    [finding] = made("confidence").check(draft(confidence=0.25)).findings
    assert finding.message == "a confidence of 0.25 is less than 0.5: look again, and say what you are sure of"


def test_a_missing_one_scores_nothing_unless_told():
    assert says("confidence", draft()) == ["the reply has no confidence: give one, from 0 to 1"]
    assert score({"missing": 0.5}, None) == 0.5
    assert says({"confidence": {"missing": 1}}, draft()) == []


@pytest.mark.parametrize("options", [{"min": 1.5}, {"missing": -1}, {"min": "high"}])
def test_what_is_no_share_is_refused(options):
    assert ", not a number from 0 and up to 1" in refusal({"confidence": options})
