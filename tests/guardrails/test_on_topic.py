"""`on_topic` refuses texts that have nothing to do with what their agent was told and shown."""

import logging

import pytest

import interlock as il
from interlock.errors import MissingExtra, TeamError
from interlock.guardrails import embedding
from interlock.guardrails.declared import seat_of

from .drafts import draft, made, nothing, refusal

TICKET = {
    "ticket": {
        "message": "My credit card was stolen at the station yesterday. Somebody has paid with it already. Please "
        "block the card and tell me how I get a new one, and whether the bank pays the money back."
    },
    "shop": {"news": "Fresh bread, croissants and cakes from our bakery, every morning from six o'clock."},
}
ABOUT_CARDS = (
    "We have blocked your credit card, so that nobody can pay with it any more. A new card is on its way to you; the "
    "payments that were made after the theft are refunded by the bank within ten days."
)
ABOUT_BAKING = (
    "Preheat the oven, mix flour, sugar, butter and eggs into a smooth dough, add chocolate and raisins, and bake the "
    "cookies for a quarter of an hour until they are golden brown."
)
STRICT = {"on_topic": {"sources": ["ticket"], "min": 0.15}}


def says(declared, given):
    return [finding.message for finding in made(declared).check(given).findings]


@pytest.fixture(autouse=True)
def _with_wordllama():
    pytest.importorskip("wordllama")


def test_a_text_about_something_else_is_refused_and_the_finding_says_what_to_do():
    [told] = says(STRICT, draft({"answer.text": ABOUT_BAKING}, view=TICKET))
    assert told.startswith('answer.text ("Preheat the oven, mix flour, ')
    assert "has nothing to do with what stands at ticket: write about that (similarity " in told
    assert told.endswith("; 0.15 is needed)")


def test_a_text_about_the_job_passes():
    assert says(STRICT, draft({"answer.text": ABOUT_CARDS}, view=TICKET)) == []
    assert says("on_topic", draft({"answer.text": ABOUT_CARDS}, view=TICKET, instructions="Answer.")) == []


def test_by_default_the_instructions_are_a_topic_as_well():
    asked = {"instructions": "Invent a recipe for cookies, with flour, butter and eggs."}
    told = says("on_topic", draft({"a": ABOUT_BAKING}, view={"ticket": TICKET["ticket"]}, action="bake", **asked))
    assert told == []
    finding = says({"on_topic": {"min": 0.9}}, draft({"a": ABOUT_BAKING}, action="make_a_recipe", **asked))
    assert "has nothing to do with the job, make_a_recipe" in finding[0]


@pytest.mark.parametrize("shown", [{"item": {"text": ABOUT_CARDS}}, {"answer": ABOUT_CARDS}])
def test_what_it_was_shown_otherwise_is_a_topic_as_well(shown):
    given = draft({"a": ABOUT_CARDS}, **shown)
    assert says({"on_topic": {"min": 0.5}}, given) == []
    assert says({"on_topic": {"min": 0.5}}, draft({"a": ABOUT_CARDS})) != []


def test_each_text_is_compared_by_itself_and_the_lowest_score_counts():
    given = draft({"answer": {"text": ABOUT_CARDS, "more": [ABOUT_BAKING]}, "n": 5}, view=TICKET)
    opinion = made(STRICT).check(given)
    assert [finding.path for finding in opinion.findings] == ["answer.more"]
    assert 0 <= opinion.score < 0.15


def test_only_chosen_paths_are_compared():
    options = {**STRICT["on_topic"], "paths": ["answer.text"]}
    assert says({"on_topic": options}, draft({"note": ABOUT_BAKING}, view=TICKET)) == []
    assert says({"on_topic": options}, draft({"answer": {"text": ABOUT_BAKING}}, view=TICKET)) != []


def test_short_texts_say_too_little():
    brief = "Preheat the oven and bake the cookies."
    assert says(STRICT, draft({"a": brief}, view=TICKET)) == []
    assert says({"on_topic": {**STRICT["on_topic"], "words_min": 7}}, draft({"a": brief}, view=TICKET)) != []


def test_where_there_is_no_topic_nothing_is_off_it():
    assert says(STRICT, draft({"a": ABOUT_BAKING}, view={"other": 5})) == []


def test_deleting_says_nothing():
    assert says(STRICT, draft({"a": il.DELETE}, view=TICKET)) == []


def test_it_says_the_same_again():
    given = draft({"a": ABOUT_BAKING}, view=TICKET)
    first = made(STRICT).check(given)
    embedding.embedded.cache_clear()
    assert made(STRICT).check(given) == first


@pytest.mark.parametrize("text", ["a b " * 500_000, "😀 " * 500_000, "\u200b x" * 100_000])
def test_a_huge_text_is_compared_in_bounded_time(text):
    given = draft({f"a{n}": text for n in range(5)}, view={"ticket": text})
    assert made("on_topic").check(given).score in {0, 1}


def test_wordllama_sets_up_no_logging(monkeypatch):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    embedding._model.cache_clear()
    made("on_topic").resolve()
    assert (root.handlers, root.level) == before


def test_without_the_extra_a_team_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    embedding._model.cache_clear()
    with pytest.raises(MissingExtra) as caught:
        made("on_topic").resolve()
    assert caught.value.fix == "pip install 'interlock[topic]'"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"min": 2}, "on_topic: min is 2, not a number from -1 and up to 1"),
        ({"words_min": 0}, "on_topic: words_min is 0, not a whole number from 1 and up to"),
        ({"paths": []}, "it looks at nothing"),
        ({"threshold": 0.1}, "on_topic has no option threshold"),
    ],
)
def test_wrong_options_are_refused(options, part):
    assert part in refusal({"on_topic": options})


def test_paths_that_are_none_are_refused():
    with pytest.raises(TeamError):
        seat_of({"on_topic": {"sources": ["a..b"]}}, nothing)


def test_a_team_with_it_refuses_a_reply_about_something_else_and_commits_the_next():
    async def answer(job: il.Job) -> dict:
        return {"answer.text": ABOUT_CARDS if job.feedback else ABOUT_BAKING}

    scope = il.Scope(["answer"], ["ticket"], ["answer.text"])
    desk = il.Agent("desk", use=answer, scope=scope, guardrails=[STRICT])
    run = il.run(il.Team([desk], il.Plan([il.Step("reply", "desk", "answer")])), {"ticket": TICKET["ticket"]})
    assert run.context["answer.text"] == ABOUT_CARDS
    assert run.cost.calls == 2
