"""A team as an agent of another: only what is mapped crosses the border, and a mapping that can't work is refused."""

import pytest

from interlock.core.budget import BudgetPolicy
from interlock.core.context import View
from interlock.core.gate import GatePolicy
from interlock.core.guardrail import Judge, Seat
from interlock.core.nested import MAPPINGS_MAX, Nested
from interlock.core.paths import Patterns
from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.core.supervision import SupervisorPolicy
from interlock.core.values import Limits
from interlock.errors import InputError, TeamError


def nested(inputs=None, outputs=None):
    return Nested("research", "h", inputs, outputs)


def view(**tree):
    return View.of(tree)


# --- what goes in ------------------------------------------------------------------------------------------------


def test_what_the_view_shows_goes_in_as_it_is():
    shown = view(ticket={"id": 7, "tags": []}, done=True)
    assert nested().request_of(shown) == b'{"ticket":{"id":7,"tags":[]},"done":true}'
    assert shown.reads == ("*",)


def test_a_plain_mapping_may_stand_for_a_view():
    assert nested().request_of({"a": 1}) == b'{"a":1}'


def test_inputs_put_what_the_parent_has_where_the_nested_team_looks_for_it():
    shown = view(ticket={"text": "lost", "iban": "DE12"}, customer={"tier": "gold"})
    mapped = nested({"question.text": "ticket.text", "question.tier": "customer.tier", "missing": "ticket.category"})
    assert mapped.request_of(shown) == b'{"question":{"text":"lost","tier":"gold"}}'
    assert set(shown.reads) == {"ticket.text", "customer.tier", "ticket.category"}


def test_a_source_with_several_targets_is_read_once_and_keys_may_be_quoted():
    assert nested({"a": "x", 'b."c.d"': "x"}).request_of(view(x=[1])) == b'{"a":[1],"b":{"c.d":[1]}}'


def test_the_item_of_a_for_each_goes_in_where_it_is_asked_for():
    mapped = nested({"document": "{item}", "rules": "rules"})
    assert mapped.takes_items
    assert not nested().takes_items
    assert mapped.request_of(view(rules="r"), item={"page": 1}) == b'{"document":{"page":1},"rules":"r"}'


def test_a_request_is_held_to_the_limits_of_the_nested_team():
    with pytest.raises(InputError, match="the nested team research can't be used: it is larger than 20"):
        nested({"a": "x"}).request_of(view(x="y" * 20), Limits(context_bytes_max=20))


# --- what comes out ----------------------------------------------------------------------------------------------


def test_what_the_nested_team_has_changed_comes_out_where_the_step_may_write():
    before = {"ticket": {"text": "lost", "priority": 1, "seen": 1.0}}
    after = view(ticket={"text": "lost", "priority": 2, "seen": 1, "answer": {"body": "b"}}, notes="inner")
    assert nested().writes_of(after, before, Patterns(("ticket",)), "s", 0) == {
        "ticket.priority": 2,
        "ticket.seen": 1,
        "ticket.answer.body": "b",
    }
    assert nested().writes_of(after, before, Patterns(("ticket.answer", "other")), "s", 0) == {
        "ticket.answer.body": "b"
    }


def test_outputs_name_what_comes_out_and_where_it_goes():
    mapped = nested(outputs={"ticket.answer": "draft.body", "ticket.sources": "sources", "ticket.none": "missing"})
    after = view(draft={"body": "b", "notes": "inner"}, sources=["s"])
    expected = {"ticket.answer": "b", "ticket.sources": ["s"]}
    assert mapped.writes_of(after, {"sources": ["s"]}, Patterns(("ticket",)), "s", 0) == expected


def test_the_outputs_of_a_copy_bear_its_name_and_number():
    mapped = nested(outputs={"results.{index}": "answer", "by.{step}": "answer"})
    found = mapped.writes_of(view(answer=1), {}, Patterns(("results.2", "by.read-2")), "read-2", 2)
    assert found == {"results.2": 1, "by.read-2": 1}


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "said", "place"),
    [
        (["a"], "the inputs of a nested team are not a mapping of up to 1,000 paths; write target: source", ()),
        (
            {f"a{n}": "b" for n in range(MAPPINGS_MAX + 1)},
            "the inputs of a nested team are not a mapping of up to 1,000 paths; write target: source",
            (),
        ),
        (
            {"a": "b", "c..d": "e"},
            (
                "the inputs of a nested team: 'c..d' is not a dotted path: it has an empty segment"
                "; write a key that is empty or holds . or * in double quotes"
            ),
            ("c..d",),
        ),
        (
            {"a": "b.*"},
            (
                "the inputs of a nested team: 'b.*' is not a dotted path: it has a *"
                "; write a key that is empty or holds . or * in double quotes"
            ),
            ("a",),
        ),
        ({"a": 3}, "the inputs of a nested team: '3' is not a dotted path of 1 to 1024 characters", ("a",)),
        ({"a": ["b"]}, "the inputs of a nested team: unhashable type: 'list'", ("a",)),
        (
            {"a": "x", "a.b": "y"},
            "the inputs of a nested team fill a.b, which is inside another of their paths; keep one of the two",
            ("a.b",),
        ),
        ({"a": "x", '"a"': "y"}, "the inputs of a nested team fill one path twice; keep one of the two", ()),
    ],
)
def test_a_mapping_that_is_none_is_refused(declared, said, place):
    with pytest.raises(TeamError) as refused:
        nested(inputs=declared)
    assert str(refused.value) == said
    assert refused.value.place == ("inputs", *place)


def test_a_mapping_may_have_as_many_paths_as_the_limit_says():
    assert len(nested({f"a{n}": "b" for n in range(MAPPINGS_MAX)}).inputs) == MAPPINGS_MAX


def problems(mapped, step=None, *, reads=("ticket", "list"), writes=("ticket.answer", "results.*")):
    """What is wrong with a team that has this nested one, in a step of it: where, what, and about whom and which."""
    step = step or Step("s", "a", "act")
    branch = Step("b", "p", "act", needs=["s"])
    roles = {"a": Role(Scope(["act"], reads, writes), nested=mapped), "p": Role(Scope(["act"]))}
    try:
        Rules(Plan([step, branch]), roles)
    except TeamError as error:
        return [(".".join(one.place), str(one), one.agents, one.paths) for one in error.problems]
    return []


def test_what_is_within_the_scope_of_the_agent_is_accepted():
    assert problems(nested()) == []
    assert problems(nested({"a": "ticket.text", "b": "ticket"}, {"ticket.answer.body": "body"})) == []
    step = Step("s", "a", "act", reads=["ticket.text"], writes=["results.s"])
    assert problems(nested({"a": "ticket.text"}, {"results.{step}": "body"}), step) == []


NOT_READ = "the input a of the team nested in a is customer.iban, which a may not read; context_access of a: "
NOT_WRITTEN = "the team nested in a has the output ticket, which a may not write; write_permissions of a: "


def test_an_input_that_the_agent_may_not_read_is_refused():
    mapped, place = nested({"a": "customer.iban"}), "agents.a.inputs.a"
    assert problems(mapped) == [(place, NOT_READ + "ticket, list", ("a",), ("customer.iban",))]
    assert problems(mapped, reads=()) == [(place, NOT_READ + "nothing", ("a",), ("customer.iban",))]


def test_an_output_that_the_agent_may_not_write_is_refused():
    mapped, place = nested(outputs={"ticket": "body"}), "agents.a.outputs.ticket"
    permitted = ("ticket.*", "results")
    assert problems(mapped, writes=permitted) == [(place, NOT_WRITTEN + "ticket.*, results", ("a",), ("ticket",))]
    assert problems(mapped, writes=()) == [(place, NOT_WRITTEN + "nothing", ("a",), ("ticket",))]


WITH_ITEM, NUMBERED = {"document": "{item}"}, {"results.{index}": "body"}
COPIES = Step("s", "a", "act", samples=1, writes=["results.{index}"])
ITEMS = Step("s", "a", "act", for_each="list", reads=["list"], writes=["results.{index}"])


@pytest.mark.parametrize(
    ("mapped", "given", "key", "said"),
    [
        pytest.param(
            nested(outputs={"ticket.answer": "body"}),
            {"writes": ["results.s"]},
            "writes",
            (
                "step s does not write ticket.answer, which the team nested in a has as an output"
                "; add ticket.answer to its writes"
            ),
            id="an output that the step does not write",
        ),
        pytest.param(
            nested(outputs={"results.{step}": "body"}),
            {"writes": ["results.s"], "samples": 2},
            "writes",
            (
                "step s does not write results.{step}, which the team nested in a has as an output"
                "; add results.{step} to its writes"
            ),
            id="an output that bears the name of a copy",
        ),
        pytest.param(
            nested({"x": "ticket.text", "y": "ticket.text"}),
            {"reads": ["list"]},
            "reads",
            "step s does not read ticket.text, which is an input of the team nested in a; add ticket.text to its reads",
            id="an input that the step does not read",
        ),
        pytest.param(
            nested(outputs=NUMBERED),
            {},
            "agent",
            (
                "step s: the output results.{index} of the team nested in a has an {index}"
                "; write {step} in its place, or declare another agent for this step, which has no copies"
            ),
            id="an index without copies",
        ),
        pytest.param(
            nested(),
            {"samples": 1, "writes": ["results.{index}"]},
            "agent",
            "step s has copies, and the team nested in a has no outputs that tell them apart"
            '; give a outputs such as "results.{index}": answer',
            id="copies without outputs",
        ),
        pytest.param(
            nested({"a": "list"}, NUMBERED),
            {"for_each": "list", "writes": ["results.{index}"]},
            "for_each",
            "step s runs the team nested in a for each item, and none of its inputs is the item"
            '; give a an input such as item: "{item}"',
            id="items that nothing takes",
        ),
        pytest.param(
            nested(WITH_ITEM),
            {},
            "agent",
            "step s is no for_each, and an input of the team nested in a is its {item}; name a path in the inputs",
            id="an item without a for_each",
        ),
        pytest.param(
            nested(),
            {"on_request": {"act": "b"}},
            "on_request",
            (
                "step s has branches that are requested, and a is a team, which requests nothing"
                "; give the other steps a when"
            ),
            id="branches",
        ),
        pytest.param(
            nested(),
            {"reconcile": {"among": "list", "policy": "judge"}, "writes": ["results.s"]},
            "agent",
            "step s has a as its judge, which is a team, and does not say which candidate is right; name another agent",
            id="a judge of contradictions",
        ),
    ],
)
def test_a_step_that_its_team_cannot_do_is_refused(mapped, given, key, said):
    assert problems(mapped, Step("s", "a", "act", **given)) == [(f"plan.s.{key}", said, ("a",), ())]


@pytest.mark.parametrize(("mapped", "step"), [(nested(outputs=NUMBERED), COPIES), (nested(WITH_ITEM, NUMBERED), ITEMS)])
def test_each_copy_of_a_team_may_write_in_a_place_of_its_own(mapped, step):
    assert problems(mapped, step) == []


def test_a_fallback_that_is_a_team_is_held_to_the_same():
    roles = {
        "a": Role(Scope(["act"], [], ["x"]), fallback="b"),
        "b": Role(Scope(["act"], [], ["x"]), nested=nested({"doc": "{item}"})),
    }
    with pytest.raises(TeamError, match="step s is no for_each, and an input of the team nested in b"):
        Rules(Plan([Step("s", "a", "act")]), roles)


# --- what bounds it ----------------------------------------------------------------------------------------------


def bounded(own, **over):
    roles = {"a": Role(Scope(["act"], [], ["x"]), nested=nested(), budget=own)}
    return Rules(Plan([Step("s", "a", "act")]), roles, **over)


def refused(error):
    """All that is wrong: where, what, and about whom."""
    return [(".".join(one.place), str(one), one.agents) for one in error.problems]


def test_a_budget_over_a_nested_team_needs_one_of_its_own_which_is_set_aside():
    run = BudgetPolicy(usd=500_000, calls=10)
    with pytest.raises(TeamError) as caught:
        bounded(None, budget=run)
    assert refused(caught.value) == [
        (
            "agents.a",
            (
                f"the budget of the run bounds {amount}, and no budget says how much of that the team a may have"
                f"; give a a budget with {amount}: it is set aside when the team's run begins"
            ),
            ("a",),
        )
        for amount in ("calls", "usd")
    ]
    with pytest.raises(TeamError, match="the budget of the run bounds usd"):
        bounded(BudgetPolicy(calls=3), budget=run)
    assert bounded(None, gate=GatePolicy(budget=BudgetPolicy(tokens=9, daily=True)))  # each call draws on that
    assert bounded(BudgetPolicy(calls=3, usd=100), budget=run)
    assert bounded(None)


def test_a_team_neither_decides_about_the_plan_nor_judges():
    why, mend = "and a team can't be asked: it has a run", "name an agent that is no team"
    with pytest.raises(TeamError) as caught:
        bounded(None, supervisor=SupervisorPolicy("a", "act"))
    assert refused(caught.value) == [("supervisor.agent", f"the supervisor is a, {why}; {mend}", ("a",))]
    roles = {
        "a": Role(Scope(["act"], [], ["x"]), guardrails=["judged"]),
        "j": Role(Scope(["act"]), fallback="t"),
        "t": Role(Scope(["act"]), nested=nested()),
    }
    with pytest.raises(TeamError) as caught:
        Rules(Plan([Step("s", "a", "act")]), roles, guard=lambda _: Seat(Judge(agent="j", action="act")))
    assert refused(caught.value) == [("agents.a.guardrails.0.judge", f"the judge of a is t, {why}; {mend}", ("t",))]
