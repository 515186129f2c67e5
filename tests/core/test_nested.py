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
    assert nested().writes_of(after, before, Patterns(("ticket",))) == {
        "ticket.priority": 2,
        "ticket.seen": 1,
        "ticket.answer.body": "b",
    }
    assert nested().writes_of(after, before, Patterns(("ticket.answer", "other"))) == {"ticket.answer.body": "b"}


def test_outputs_name_what_comes_out_and_where_it_goes():
    mapped = nested(outputs={"ticket.answer": "draft.body", "ticket.sources": "sources", "ticket.none": "missing"})
    after = view(draft={"body": "b", "notes": "inner"}, sources=["s"])
    expected = {"ticket.answer": "b", "ticket.sources": ["s"]}
    assert mapped.writes_of(after, {"sources": ["s"]}, Patterns(("ticket",))) == expected


def test_the_outputs_of_a_copy_bear_its_name_and_number():
    mapped = nested(outputs={"results.{index}": "answer", "by.{step}": "answer"})
    found = mapped.writes_of(view(answer=1), {}, Patterns(("results.2", "by.read-2")), "read-2", 2)
    assert found == {"results.2": 1, "by.read-2": 1}


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (["a"], "the inputs of a nested team are not a mapping of up to 1,000 paths"),
        ({f"a{n}": "b" for n in range(MAPPINGS_MAX + 1)}, "not a mapping of up to 1,000 paths"),
        ({"a..b": "c"}, "the inputs of a nested team: 'a..b' is not a dotted path"),
        ({"a": "b.*"}, "'b.*' is not a dotted path"),
        ({"a": 3}, "'3' is not a dotted path"),
        ({"a": ["b"]}, "unhashable"),
        ({"a": "x", "a.b": "y"}, "fill a.b, which is inside another of their paths"),
        ({"a": "x", '"a"': "y"}, "fill one path twice"),
    ],
)
def test_a_mapping_that_is_none_is_refused(declared, said):
    with pytest.raises(TeamError) as refused:
        nested(inputs=declared)
    assert said in str(refused.value)
    assert refused.value.place[0] == "inputs"


def problems(mapped, step=None, *, reads=("ticket", "list"), writes=("ticket.answer", "results.*")):
    """What is wrong with a team that has this nested one, in a step of it."""
    step = step or Step("s", "a", "act")
    try:
        Rules(Plan([step]), {"a": Role(Scope(["act"], reads, writes), nested=mapped)})
    except TeamError as error:
        return [(".".join(problem.place), problem.message) for problem in error.problems]
    return []


def test_what_is_within_the_scope_of_the_agent_is_accepted():
    assert problems(nested()) == []
    assert problems(nested({"a": "ticket.text", "b": "ticket"}, {"ticket.answer.body": "body"})) == []
    step = Step("s", "a", "act", reads=["ticket.text"], writes=["results.s"])
    assert problems(nested({"a": "ticket.text"}, {"results.{step}": "body"}), step) == []


def test_an_input_that_the_agent_may_not_read_is_refused():
    [(place, message)] = problems(nested({"a": "customer.iban"}))
    assert place == "agents.a.inputs.a"
    assert "the input a of the team nested in a is customer.iban, which a may not read" in message


def test_an_output_that_the_agent_may_not_write_is_refused():
    [(place, message)] = problems(nested(outputs={"ticket": "body"}), writes=("ticket.*",))
    assert place == "agents.a.outputs.ticket"
    assert "has the output ticket, which a may not write" in message
    [(_, message)] = problems(nested(outputs={"x": "body"}), writes=())
    assert "which a may not write" in message


def test_a_step_that_lets_no_output_through_is_refused():
    step = Step("s", "a", "act", writes=["results.s"])
    [(place, message)] = problems(nested(outputs={"ticket.answer": "body"}), step)
    assert place == "plan.s.writes"
    assert "step s does not write ticket.answer, which the team nested in a has as an output" in message


def test_a_step_that_does_not_read_an_input_is_refused():
    step = Step("s", "a", "act", reads=["list"])
    [(place, message)] = problems(nested({"x": "ticket.text", "y": "ticket.text"}), step)
    assert place == "plan.s.reads"
    assert "step s does not read ticket.text, which is an input of the team nested in a" in message


def test_an_index_needs_copies():
    [(place, message)] = problems(nested(outputs={"results.{index}": "body"}))
    assert place == "plan.s.agent"
    assert "the output results.{index} of the team nested in a has an {index}" in message
    copies = Step("s", "a", "act", samples=2, writes=["results.{index}"])
    assert problems(nested(outputs={"results.{index}": "body"}), copies) == []


def test_copies_of_a_nested_team_say_where_the_result_of_each_goes():
    copies = Step("s", "a", "act", samples=2, writes=["results.{index}"])
    [(place, message)] = problems(nested(), copies)
    assert place == "plan.s.agent"
    assert "step s has copies, and the team nested in a has no outputs that tell them apart" in message


def test_an_item_goes_into_the_copies_of_a_for_each_and_into_no_other_step():
    with_item, outputs = {"document": "{item}"}, {"results.{index}": "body"}
    step = Step("s", "a", "act", for_each="list", reads=["list"], writes=["results.{index}"])
    assert problems(nested(with_item, outputs), step) == []
    [(place, message)] = problems(nested({"a": "list"}, outputs), step)
    assert (place, "none of its inputs is the item" in message) == ("plan.s.for_each", True)
    [(place, message)] = problems(nested(with_item))
    assert (place, "step s is no for_each" in message) == ("plan.s.agent", True)


def test_a_fallback_that_is_a_team_is_held_to_the_same():
    roles = {
        "a": Role(Scope(["act"], [], ["x"]), fallback="b"),
        "b": Role(Scope(["act"], [], ["x"]), nested=nested({"doc": "{item}"})),
    }
    with pytest.raises(TeamError, match="step s is no for_each, and an input of the team nested in b"):
        Rules(Plan([Step("s", "a", "act")]), roles)


def test_a_team_requests_no_other_step():
    branch = Step("b", "p", "act", needs=["s"])
    asking = Step("s", "a", "act", on_request={"act": "b"})
    roles = {"a": Role(Scope(["act"], [], ["x"]), nested=nested()), "p": Role(Scope(["act"]))}
    with pytest.raises(TeamError, match="a is a team, which requests nothing"):
        Rules(Plan([asking, branch]), roles)


# --- what bounds it ----------------------------------------------------------------------------------------------


def bounded(own, **over):
    roles = {"a": Role(Scope(["act"], [], ["x"]), nested=nested(), budget=own)}
    return Rules(Plan([Step("s", "a", "act")]), roles, **over)


def test_a_budget_over_a_nested_team_needs_one_of_its_own_which_is_set_aside():
    run = BudgetPolicy(usd=500_000, calls=10)
    with pytest.raises(TeamError) as refused:
        bounded(None, budget=run)
    assert [problem.message for problem in refused.value.problems] == [
        "the budget of the run bounds calls, and no budget says how much of that the team a may have",
        "the budget of the run bounds usd, and no budget says how much of that the team a may have",
    ]
    with pytest.raises(TeamError, match="the budget of the run bounds usd"):
        bounded(BudgetPolicy(calls=3), budget=run)
    with pytest.raises(TeamError, match="the team's daily budget bounds tokens"):
        bounded(None, gate=GatePolicy(budget=BudgetPolicy(tokens=9, daily=True)))
    assert bounded(BudgetPolicy(calls=3, usd=100), budget=run)
    assert bounded(None)


def test_a_team_neither_decides_about_the_plan_nor_judges():
    with pytest.raises(TeamError, match="the supervisor is a, and a team can't be asked") as refused:
        bounded(None, supervisor=SupervisorPolicy("a", "act"))
    assert refused.value.place == ("supervisor", "agent")
    roles = {
        "a": Role(Scope(["act"], [], ["x"]), guardrails=["judged"]),
        "j": Role(Scope(["act"]), fallback="t"),
        "t": Role(Scope(["act"]), nested=nested()),
    }
    with pytest.raises(TeamError, match="the judge of a is t, and a team can't be asked") as refused:
        Rules(Plan([Step("s", "a", "act")]), roles, guard=lambda _: Seat(Judge(agent="j", action="act")))
    assert refused.value.place == ("agents", "a", "guardrails", "0", "judge")
