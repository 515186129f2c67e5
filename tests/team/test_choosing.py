"""An agent that chooses: what it takes, when it takes none, and what a team file may say of it."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import interlock as il
from interlock.errors import AgentRefused, TeamError
from interlock.team import audit, code_of
from interlock.team.choosing import Chooser
from interlock.testing import Simulator

SCOPE = il.Scope(["choose"], ["in"], ["out"])


def chooser(**choose):
    declared = {"among": "in.options", "into": "out.chosen"} | choose
    return il.Agent("chooser", choose=declared, scope=SCOPE)


def team_of(agent, *others):
    return il.Team([agent, *others], il.Plan([il.Step("pick", "chooser", "choose")]))


def run(options, extra=None, **choose):
    request = {"in": {"options": options, **(extra or {})}}
    return Simulator(team_of(chooser(**choose))).run(request)


def chosen(options, extra=None, **choose):
    done = run(options, extra, **choose)
    assert done.status == "succeeded", done.reason
    return done.context["out.chosen"]


def refusal(options, extra=None, **choose):
    done = run(options, extra, **choose)
    assert (done.status, done.cost.calls) == ("failed", 1)  # asking once more would not help
    return done.reason.removeprefix("pick: ")


class TestVotes:
    def test_more_than_half_decide(self):
        assert chosen(["a", "b", "a"], vote="majority") == "a"
        assert (
            refusal(["a", "b", "c", "a"], vote="majority") == '3 of 4 votes must agree: "a" has 2, "b" has 1, "c" has 1'
        )

    def test_all_must_agree_on_what_is_unanimous(self):
        assert chosen({"x": 1, "y": 1}, vote="unanimity") == 1
        assert refusal([1, 1, 1.0], vote="unanimity") == "3 of 3 votes must agree: 1 has 2, 1.0 has 1"

    def test_so_many_must_agree_and_no_others_as_many(self):
        assert chosen(["a", "b", "b"], vote=2) == "b"
        assert refusal(["a", "a", "b", "b"], vote=2) == '2 of 4 votes must agree: "a" has 2, "b" has 2'

    def test_only_what_is_named_is_compared_and_the_first_of_those_that_agree_is_taken(self):
        options = [{"is": "b"}, {"is": "a", "why": 1}, {"is": "a", "why": 2}, "no object", {"else": "a"}]
        assert chosen(options, vote=2, of="is") == {"is": "a", "why": 1}
        assert refusal([1, 2], vote=1, of="is") == "1 of 2 votes must agree: none has what is compared"

    def test_too_few_decide_nothing(self):
        assert refusal(["a"], vote="majority") == "1 vote at in.options, and 2 are needed"
        assert chosen(["a"], vote="majority", quorum=1) == "a"

    def test_of_many_only_some_are_named(self):
        told = refusal([f"{n}" * 100 for n in range(9)], vote="majority")
        assert (told.count("has 1"), told[-5:], len(told) < 300) == (4, ", ...", True)


class TestScores:
    def test_the_highest_wins_and_of_equal_ones_the_first(self):
        options = [{"n": 1, "p": 0.2}, {"n": 2, "p": 0.9}, {"n": 3, "p": 0.9}, {"n": 4, "p": True}, {"n": 5}, 6]
        assert chosen(options, score="p") == {"n": 2, "p": 0.9}

    def test_scores_stand_elsewhere_under_the_same_keys_or_places(self):
        assert chosen({"x": "X", "y": "Y", "z": "Z"}, {"scores": {"y": 3, "x": 1}}, scores="in.scores") == "Y"
        assert chosen(["X", "Y"], {"scores": [1, 2]}, scores="in.scores") == "Y"

    def test_without_a_score_none_is_chosen(self):
        assert refusal(["X"], scores="in.scores") == "none of 1 candidates has a score at in.scores"
        assert refusal(["X"], score="p") == "none of 1 candidates has a score at in.options, as p"

    def test_the_best_may_not_be_good_enough(self):
        assert chosen([{"p": 2}], score="p", at_least=2) == {"p": 2}
        assert refusal([{"p": 1}], score="p", at_least=2) == "the best of 1 candidates has 1, less than 2"


@pytest.mark.parametrize(
    ("options", "what"), [([], "no candidate"), ({}, "no candidate"), ("ab", "a text"), (7, "the number 7")]
)
def test_from_what_is_no_list_nothing_is_chosen(options, what):
    assert refusal(options, vote=1) == f"there is {what} at in.options to choose from"


def test_nothing_there_is_said():
    done = Simulator(team_of(chooser(vote=1))).run({})
    assert done.reason.endswith("there is nothing at in.options to choose from")


def test_its_code_is_the_same_everywhere():
    with pytest.raises(AgentRefused):
        code_of(chooser(vote=1))._choose([], None)


WAYS = st.one_of(
    st.fixed_dictionaries(
        {"vote": st.sampled_from(["majority", "unanimity", 1, 2])}, optional={"of": st.just("a"), "quorum": st.just(1)}
    ),
    st.fixed_dictionaries({"score": st.just("a")}, optional={"at_least": st.integers(-2, 2)}),
    st.fixed_dictionaries({"scores": st.just("numbers")}, optional={"at_least": st.integers(-2, 2)}),
)
SOME = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["x", "y"]))
CANDIDATE = st.one_of(SOME, st.dictionaries(st.sampled_from(["a", "b"]), SOME, max_size=2))
MANY = st.one_of(CANDIDATE, st.lists(CANDIDATE, max_size=5), st.dictionaries(st.text("pqr", min_size=1), CANDIDATE))


@given(WAYS, MANY, MANY)
def test_what_it_writes_is_always_one_of_its_inputs(way, candidates, numbers):
    declared = {"among": "options", "into": "out", **way}
    job = SimpleNamespace(view={"options": candidates, "numbers": numbers})
    try:
        reply = asyncio.run(Chooser(declared)(job))
    except AgentRefused:
        return
    inputs = candidates if isinstance(candidates, list) else [*candidates.values()]
    assert any(reply.writes["out"] is candidate for candidate in inputs)


def test_where_votes_do_not_settle_it_the_fallback_does():
    async def judge(job):
        return {"out.chosen": job.view["in.options"][0]}

    agent = il.Agent(
        "chooser",
        choose={"among": "in.options", "into": "out.chosen", "vote": "unanimity"},
        scope=SCOPE,
        fallback="judge",
    )
    done = Simulator(team_of(agent, il.Agent("judge", use=judge, scope=SCOPE))).run({"in": {"options": ["a", "b"]}})
    assert (done.status, done.context["out.chosen"]) == ("succeeded", "a")


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        ({}, "agents.chooser.choose doesn't say how to choose; give it one of vote, score, scores"),
        ({"vote": 1, "score": "p"}, "agents.chooser.choose has vote and score; give it one of vote, score, scores"),
        ({"score": "p", "quorum": 2}, "agents.chooser.choose.quorum says nothing without vote; remove it"),
        ({"score": "p", "of": "x"}, "agents.chooser.choose.of says nothing without vote; remove it"),
        ({"vote": 1, "at_least": 2}, "agents.chooser.choose.at_least says nothing without score or scores; remove it"),
        (
            {"vote": "majorty"},
            "agents.chooser.choose.vote is 'majorty', not one of majority, unanimity; did you mean majority?",
        ),
        ({"vote": 0}, "agents.chooser.choose.vote is the number 0, not a whole number from 1 to 100,000"),
        (
            {"vote": 1, "among": "else.x"},
            "agents.chooser.choose.among is 'else.x', which the agent may not see; add it to context_access",
        ),
        (
            {"scores": "else"},
            "agents.chooser.choose.scores is 'else', which the agent may not see; add it to context_access",
        ),
        (
            {"vote": 1, "into": "in.x"},
            "agents.chooser.choose.into is 'in.x', which the agent may not write; add it to write_permissions",
        ),
    ],
)
def test_what_says_nothing_or_too_much_is_refused(choose, message):
    with pytest.raises(TeamError) as refused:
        chooser(**choose)
    assert str(refused.value) == message


def test_the_audit_names_a_choice_after_which_nobody_decides():
    def found(agent):
        return [f.code for f in audit(team_of(agent)).findings if f.severity == "warning"]

    declared = chooser(vote=1).choose
    assert found(chooser(vote=1)) == ["undecided"]
    assert found(il.Agent("chooser", choose=declared, scope=SCOPE, escalate=True)) == []
    plan = il.Plan([il.Step("pick", "chooser", "choose", escalate=True)])
    assert [f.code for f in audit(il.Team([chooser(vote=1)], plan)).findings if f.severity == "warning"] == []
