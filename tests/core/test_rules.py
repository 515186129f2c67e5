"""The rules of a run: who may do what in each step; and every team that can't keep its promises is refused."""

import msgspec
import pytest

from interlock.core.budget import BudgetPolicy, for_run
from interlock.core.effects import EffectRule
from interlock.core.gate import GatePolicy
from interlock.core.nested import Nested
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.role import Role, role_problems, stand_ins
from interlock.core.rules import PROBLEMS_MAX, Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.step import Condition, Step
from interlock.core.values import Limits
from interlock.errors import InputError, OwnershipError, PlanError, RaceError, TeamError


def role(*writes, reads=(), actions=("act",), **more):
    return Role(Scope(actions, reads, writes), **more)


def step(id_, agent="a", *needs, **more):
    return Step(id_, agent, "act", needs=needs, **more)


def refusal(roles, *steps, **sharing):
    with pytest.raises(TeamError) as refused:
        Rules(Plan(steps), roles, Sharing(**sharing))
    return refused.value


# --- duties ------------------------------------------------------------------------------------------------------


def test_the_request_has_no_duty_and_each_step_has_one_per_agent_of_its_chain():
    rules = Rules(Plan([step("s")]), {"a": role("x", fallback="b"), "b": role("x", fallback="c"), "c": role("x")})
    assert rules.duties[0] == ()
    assert [duty.agent for duty in rules.duties[1]] == ["a", "b", "c"]
    assert rules.chain("b") == ("b", "c")
    assert rules.duty("s", "c") is rules.duties[1][2]
    with pytest.raises(KeyError, match="'d'"):
        rules.duty("s", "d")


def test_a_step_that_waits_asks_no_person_beside_one_that_does():
    asking = step("s", escalate={"deadline": "1h"})
    rules = Rules(Plan([asking, Step("w", wait="2h")]), {"a": role("x")})
    assert [escalation is None for escalation in rules.escalations] == [True, False, True]


def test_an_item_has_the_duty_and_the_number_of_its_for_each_step():
    rules = Rules(Plan([step("s", for_each="x", writes=["x.{index}"], stale_ok=True)]), {"a": role("x")})
    assert rules.duty("s-3", "a") is rules.duties[1][0]
    assert [rules.plan.number_of(name) for name in ("s", "s-3")] == [1, 1]
    with pytest.raises(KeyError):
        rules.plan.number_of("t-3")


def test_a_duty_is_the_whole_scope_of_the_agent_unless_the_step_narrows_it():
    roles = {"a": role("out", "log.*", reads=["ticket.*", "seed"])}
    wide, narrow = Rules(
        Plan([step("wide"), step("narrow", "a", "wide", reads=["ticket.category", "seed"], writes=["out.x"])]), roles
    ).duties[1:]
    assert wide[0].sight.patterns == ("ticket.*", "seed", "out", "log.*")
    assert wide[0].writable.patterns == ("out", "log.*")
    assert not wide[0].sight.narrowed
    assert narrow[0].sight.patterns == ("ticket.category", "seed")
    assert narrow[0].writable.patterns == ("out.x",)
    assert narrow[0].sight.narrowed


def test_a_narrowed_sight_is_what_both_the_step_and_the_agent_allow():
    roles = {"a": role(reads=["ticket.*", "ticket.metadata"])}
    [duty] = Rules(Plan([step("s", reads=["ticket", "ticket.metadata.x"])]), roles).duties[1]
    assert duty.sight.patterns == ("ticket.*", "ticket.metadata", "ticket.metadata.x")
    assert not duty.sight.can_read("ticket")


def test_a_step_overrides_the_policy_of_every_agent_of_its_chain():
    roles = {"a": role(policy=Policy(retries=7), fallback="b"), "b": role(policy=Policy(timeout_ms=9))}
    rules = Rules(Plan([step("own"), step("given", timeout="1.5s", backoff="2ms", retries=0)]), roles)
    assert [duty.policy for duty in rules.duties[1]] == [Policy(retries=7), Policy(timeout_ms=9)]
    assert [duty.policy for duty in rules.duties[2]] == [Policy(timeout_ms=1_500, backoff_ms=2, retries=0)] * 2


def test_a_duty_is_all_that_the_agent_and_its_step_declare():
    team, own, mine = {"required": ["out.x"]}, {"required": ["out.y"]}, BudgetPolicy(calls=3)
    gate = GatePolicy(budget=BudgetPolicy(calls=9, daily=True))
    agent = role("out", actions=("act", "pay"), schema=team, gate=gate, budget=mine, tools={"send": EffectRule()})
    agent = msgspec.structs.replace(agent, immediate=True, on_dead="skip")
    plan = Plan([step("s", samples=1, schema=own, budget={"calls": 2}, retry_for="1m"), Step("w", wait="2h")])
    run = BudgetPolicy(calls=7)
    effects, shared = {"pay": EffectRule(), "refund": EffectRule()}, BudgetPolicy(usd=5, daily=True)
    rules = Rules(plan, {"a": agent}, gate=GatePolicy(budget=shared), budget=run, effects=effects)
    [duty] = rules.duties[1]
    assert duty.schema_texts == ('{"required":["out.x"]}', '{"required":["out.y"]}')
    assert (duty.gate, duty.immediate, duty.nested) == (gate, True, None)
    assert (duty.effects, duty.tools, [*rules.effects]) == (("pay",), ("a.send",), ["pay", "refund", "a.send"])
    assert duty.policy == Policy(retry_for_ms=60_000)
    assert duty.budgets == (
        ("run_budget", "", run),
        ("agent_budget", "agent a", mine),
        ("step_budget", "step s", BudgetPolicy(calls=2)),
    )
    assert rules.on_dead == ["fail_run", "skip", "fail_run"]
    assert rules.budget_at("budget", duty) == (gate.budget, "agent a")
    assert rules.budget_at("agent_budget", duty) == (mine, "agent a")
    assert rules.budget_at("team_budget", duty) == (shared, "")
    assert rules.budget_at("breaker", duty) == (None, "")


def test_a_duty_of_a_team_draws_on_the_budgets_of_the_run_by_its_share():
    nested, share, run = Nested("team.yaml", "f" * 64), BudgetPolicy(calls=3), BudgetPolicy(calls=7)
    rules = Rules(Plan([step("s")]), {"a": role("out", nested=nested, budget=share)}, budget=run)
    [duty] = rules.duties[1]
    assert (duty.nested, duty.budgets) == (nested, (("run_budget", "", for_run(run, share)),))


def test_the_writes_of_a_step_are_checked_against_the_schemas_of_agent_and_step():
    roles = {"a": role("out", schema={"required": ["out.x"]}), "b": role()}
    steps = [
        step("one", schema={"properties": {"out.y": {"type": "string"}}}),
        step("two", "a", "one"),
        step("three", "b"),
    ]
    one, two, three = Rules(Plan(steps), roles).duties[1:]
    assert [schema.paths for schema in one[0].schemas] == [("out.x",), ("out.y",)]
    assert [schema.paths for schema in two[0].schemas] == [("out.x",)]
    assert three[0].schemas == ()


def test_a_step_may_write_what_any_agent_of_its_chain_may():
    rules = Rules(
        Plan([step("s"), step("t", "b", "s", writes=["z"])]), {"a": role("x", "y", fallback="b"), "b": role("y", "z")}
    )
    assert rules.may_write(rules.plan.steps[1]) == ("x", "y", "z")
    assert rules.may_write(step("narrow", writes=["x.1"])) == ("x.1",)


# --- requests ----------------------------------------------------------------------------------------------------

REDUCERS = {"notes": "append", "total": "add", "seen.by": "merge"}


def accepting(limits=None):
    return Rules(Plan([step("s")]), {"a": role()}, Sharing(reducers=REDUCERS), limits or Limits())


@pytest.mark.parametrize(
    ("request_", "raw"),
    [
        ({}, b"{}"),
        ({"total": 0.5}, b'{"total":0.5}'),
        ({"total": -(2**62)}, b'{"total":-4611686018427387904}'),
        ({"total": 1e307}, b'{"total":1e307}'),
        ({"seen": {"by": {"eve": 1}}, "notes": [1]}, b'{"seen":{"by":{"eve":1}},"notes":[1]}'),
        ({"seen": 5}, b'{"seen":5}'),
    ],
)
def test_a_request_is_stored_as_the_json_it_is(request_, raw):
    assert accepting().encode_request(request_) == raw


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ([("q", 1)], 'a request is an object, not list; such as {"ticket": {...}}'),
        ({"q": {1}}, "the request can't be used: q is a set, which is not JSON; convert it first"),
        ({"notes": "one"}, "the request has a str at notes, whose reducer is append"),
        ({"total": True}, "the request has a bool at total, whose reducer is add"),
        ({"total": 2**62 + 1}, "the request has 4611686018427387905 at total: with what is added it could leave"),
        ({"total": -2e307}, "the request has -2e+307 at total: with what is added it could leave JSON's range"),
        ({"seen": {"by": 5}}, "the request has a int at seen.by, whose reducer is merge"),
    ],
)
def test_a_request_that_no_run_could_start_from_is_refused(request_, complaint):
    with pytest.raises(InputError) as refused:
        accepting().encode_request(request_)
    assert str(refused.value).startswith(complaint)


def test_a_request_may_be_as_large_as_a_context_and_as_deep_as_a_value():
    rules = accepting(Limits(value_bytes_max=1, context_bytes_max=10, depth_max=2))
    assert rules.encode_request({"q": "12"}) == b'{"q":"12"}'
    with pytest.raises(InputError, match="it is 11 bytes of JSON, more than 10"):
        rules.encode_request({"q": "123"})
    with pytest.raises(InputError, match="nested deeper than 2"):
        rules.encode_request({"q": [[]]})


# --- fallbacks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fallbacks", "chains"),
    [
        ({"a": None}, {}),
        ({"a": "b", "b": None}, {"a": ("b",)}),
        ({"a": "b", "b": "c", "c": None}, {"a": ("b", "c"), "b": ("c",)}),
        ({"a": "gone"}, {}),
        ({"a": "a"}, {"a": ("a",)}),
        ({"a": "b", "b": "c", "c": "b"}, {"a": ("b", "c"), "b": ("c", "b"), "c": ("b", "c")}),
    ],
)
def test_fallbacks_form_chains_that_end_where_they_would_come_back(fallbacks, chains):
    assert stand_ins({name: role(fallback=fallback) for name, fallback in fallbacks.items()}) == chains


def test_a_fallback_that_is_no_agent_is_refused_with_a_guess():
    error = refusal({"triage": role(fallback="triage_rule"), "triage_rules": role()}, step("s", "triage"))
    assert str(error) == "the fallback of triage is triage_rule, which is no agent; did you mean triage_rules?"
    assert (error.place, error.agents) == (("agents", "triage", "fallback"), ("triage",))


def test_a_circle_of_fallbacks_is_refused_for_each_agent_in_it():
    error = refusal({"a": role(fallback="b"), "b": role(fallback="a"), "c": role(fallback="a")}, step("s"))
    assert [str(problem) for problem in error.problems] == [
        "agent a falls back to itself; end the chain",
        "agent b falls back to itself; end the chain",
    ]
    assert [problem.place for problem in error.problems] == [("agents", name, "fallback") for name in "ab"]
    assert [problem.agents for problem in error.problems] == [("a",), ("b",)]


def test_a_fallback_shares_the_fields_of_the_agent_it_stands_in_for():
    roles = {"a": role("x", fallback="b"), "b": role("x", fallback="c"), "c": role("x"), "d": role("x")}
    problems = list(role_problems(roles, Sharing(stand_ins=stand_ins(roles))))
    assert [problem.agents for problem in problems] == [("a", "d"), ("b", "d"), ("c", "d")]
    assert {type(problem) for problem in problems} == {OwnershipError}


# --- what a team is refused for ----------------------------------------------------------------------------------


def test_two_owners_of_one_field_are_refused():
    error = refusal({"triage": role("ticket.*"), "editor": role("ticket.draft")}, step("s", "triage"))
    assert isinstance(error, OwnershipError)
    assert str(error).startswith(
        "agents triage and editor both own ticket.draft: triage may write ticket.*, editor may"
    )
    assert error.fix.startswith("take it from one of them, or declare a reducer for ticket.draft")
    assert error.place == ("agents", "editor", "write_permissions")
    assert error.paths == ("ticket.draft",)


def test_owners_that_share_through_a_reducer_or_in_succession_are_fine():
    roles = {"a": role("notes", "draft"), "b": role("notes.*", "draft.text")}
    steps = [step("one", writes=["notes", "draft"]), step("two", "b", "one")]
    Rules(Plan(steps), roles, Sharing(reducers={"notes": "append"}, succession={"draft": ["a", "b"]}))


@pytest.mark.parametrize("pattern", ["out.{step}", "out.item-{index}.*"])
def test_templates_belong_in_steps_not_in_scopes(pattern):
    error = refusal({"a": role(pattern)}, step("s", for_each="rows", writes=[pattern]))
    assert str(error.problems[0]) == (
        f"agent a may write {pattern}, but {{step}} and {{index}} belong in the writes of a step;"
        " grant all that the steps may write, such as options.*, and narrow it in the steps"
    )
    assert error.problems[0].place == ("agents", "a", "write_permissions")
    assert error.problems[0].agents == ("a",)


ROLES = {"triage": role("ticket", reads=["customer.*"], actions=("classify", "escalate")), "mute": role(actions=())}


@pytest.mark.parametrize(
    ("wrong", "complaint", "place"),
    [
        (Step("s", "triag", "classify"), "step s: there is no agent triag; did you mean triage?", "agent"),
        (
            Step("s", "triage", "classfy"),
            "step s: triage may not do classfy; did you mean classify?; allowed_actions of triage: classify, escalate",
            "action",
        ),
        (Step("s", "mute", "dance"), "step s: mute may not do dance; allowed_actions of mute: nothing", "action"),
        (
            Step("s", "triage", "classify", writes=["ticket.category", "customer"]),
            "step s writes customer, which triage may not write; write_permissions of triage: ticket",
            "writes",
        ),
        (
            Step("s", "triage", "classify", writes=["*"]),
            "step s writes *, which triage may not write; write_permissions of triage: ticket",
            "writes",
        ),
        (
            Step("s", "triage", "classify", reads=["ticket.x", "customer", "order"]),
            "step s reads order, which triage may not read; context_access of triage: customer.*",
            "reads",
        ),
    ],
)
def test_a_step_asks_of_its_agent_only_what_the_agent_may_do(wrong, complaint, place):
    error = refusal(ROLES, wrong)
    assert isinstance(error, PlanError)
    assert (str(error), error.place) == (complaint, ("plan", "s", place))
    assert error.agents == (() if place == "agent" else (wrong.agent,))


def test_a_step_that_asks_for_more_is_told_all_that_its_agent_may():
    error = refusal({"a": role("x", "y", reads=["p", "q"])}, step("s", reads=["r"], writes=["z"]))
    assert [problem.fix for problem in error.problems] == [
        "write_permissions of a: x, y",
        "context_access of a: p, q",
    ]


def test_a_step_without_a_right_is_told_that_there_is_none():
    error = refusal({"mute": role()}, step("s", "mute", reads=["x"], writes=["y"]))
    assert [problem.fix for problem in error.problems] == [
        "write_permissions of mute: nothing",
        "context_access of mute: nothing",
    ]


def test_a_fallback_may_do_what_its_step_asks_of_it_too():
    roles = {"a": role("x", reads=["y"], fallback="b"), "b": role("x.z", actions=("other",))}
    error = refusal(roles, step("s", reads=["y"], writes=["x"]))
    assert [problem.sentence for problem in error.problems] == [
        "step s: b (fallback of a) may not do act",
        "step s writes x, which b (fallback of a) may not write",
        "step s reads y, which b (fallback of a) may not read",
    ]


def test_a_fallback_that_is_no_agent_is_one_problem_and_not_two():
    assert len(refusal({"a": role(fallback="gone")}, step("s")).problems) == 1


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"required": ["other.field"]}, "the schema names other.field, which a may not write"),
        (
            {"properties": {"out": {"type": "set"}}},
            "the schema of out has the type 'set', which JSON Schema doesn't have",
        ),
        (
            {"anyOf": []},
            "the schema of the schema uses anyOf, which is not supported there; supported: additionalProperties",
        ),
        ({"required": ["a..b"]}, "'a..b' is not a dotted path"),
    ],
)
def test_a_schema_is_refused_where_it_was_declared(schema, complaint):
    of_agent = refusal({"a": role("out", schema=schema)}, step("s"), step("t", "a", "s"))
    assert complaint in str(of_agent)
    assert of_agent.place == ("agents", "a", "schema")
    of_step = refusal({"a": role("out")}, step("s", schema=schema))
    assert complaint in str(of_step)
    assert of_step.place == ("plan", "s", "schema")


def test_the_schema_of_a_step_names_what_each_agent_of_its_chain_may_write():
    error = refusal({"a": role("x", fallback="b"), "b": role()}, step("s", schema={"required": ["x"]}))
    assert str(error) == "the schema names x, which b may not write"


def test_every_problem_is_listed_at_once_and_a_flood_is_cut():
    error = refusal({"a": role("x")}, Step("w", wait="2h"), step("s", "b"), step("t", "c"))
    assert str(error).splitlines()[0] == "2 problems:"
    assert [problem.place for problem in error.problems] == [("plan", "s", "agent"), ("plan", "t", "agent")]
    racing = refusal({"a": role("x")}, step("s", samples=100))
    assert len(racing.problems) == PROBLEMS_MAX
    lost = refusal({"a": role("x")}, *(step(f"s{number}", "b") for number in range(PROBLEMS_MAX + 1)))
    assert len(lost.problems) == PROBLEMS_MAX


# --- races and unordered reads -----------------------------------------------------------------------------------


def test_a_race_names_both_steps_the_field_and_the_ways_out():
    error = refusal({"a": role("ticket")}, step("one", writes=["ticket.*"]), step("two", writes=["ticket.draft"]))
    assert isinstance(error, RaceError)
    assert str(error) == (
        "steps one and two may run at the same time and may both write ticket.draft;"
        " let one need the other, give them different writes, or declare a reducer for ticket.draft"
    )
    assert error.place == ("plan", "two", "writes")
    assert (error.agents, error.paths) == (("a",), ("ticket.draft",))


def test_a_race_for_everything_is_not_answered_with_a_reducer_for_everything():
    error = refusal({"a": role("*")}, step("one"), step("two"))
    assert error.fix == "let one need the other, give them different writes"


def test_a_race_between_samples_is_found_at_their_declaration():
    error = refusal({"a": role("x")}, step("s", samples=2))
    assert error.sentence == "steps s-1 and s-2 may run at the same time and may both write x"
    assert error.place == ("plan", "s", "writes")


def test_a_race_between_items_says_where_the_index_belongs():
    error = refusal({"a": role("out")}, step("s", for_each="rows", writes=["out.all"]))
    assert str(error) == (
        "steps s-0 and s-1 may run at the same time and may both write out.all;"
        " put {index} into all that it writes, always beside the same text, or declare a reducer for out.all"
    )
    assert error.place == ("plan", "s", "writes")
    hyphened = refusal({"a": role("out")}, step("do-it", for_each="rows", writes=["out.all"]))
    assert hyphened.sentence == "steps do-it-0 and do-it-1 may run at the same time and may both write out.all"
    assert hyphened.place == ("plan", "do-it", "writes")


def test_agents_race_too_where_one_stands_in():
    error = refusal({"a": role("x", fallback="b"), "b": role("x", "y")}, step("s"), step("t", "b", writes=["y"]))
    assert error.sentence == "steps s and t may run at the same time and may both write y"
    assert error.agents == ("a", "b")


READS = {"a": role("x", reads=["y"]), "b": role("y")}


@pytest.mark.parametrize(
    "decided", [{"when": Condition("x", "exists")}, {"for_each": "x", "writes": ["y.{index}"]}, {"reads": ["x"]}]
)
def test_what_decides_over_a_step_is_read_by_it_too(decided):
    roles = {"a": role("y.*", reads=["x"]), "b": role("x")}
    with pytest.raises(PlanError, match="step reader reads x, which step writer may write at the same time"):
        Rules(Plan([step("writer", "b"), step("reader", **decided)]), roles)
    Rules(Plan([step("writer", "b"), step("reader", "a", "writer", **decided)]), roles)
    Rules(Plan([step("writer", "b"), step("reader", stale_ok=True, **decided)]), roles)


def test_a_field_with_a_reducer_may_have_unordered_writers_but_not_unordered_readers():
    roles = {"a": role(reads=["x"]), "b": role("x")}
    steps = [step("one", "b"), step("two", "b"), step("reader", "a", "one", reads=["x"])]
    with pytest.raises(PlanError, match="step reader reads x, which step two may write"):
        Rules(Plan(steps), roles, Sharing(reducers={"x": "append"}))


def test_a_schema_that_no_reply_of_a_step_could_fit_is_refused():
    roles = {"a": msgspec.structs.replace(role("x", "y"), schema={"required": ["y"]})}
    error = refusal(roles, step("s", samples=1, writes=["x"]))
    assert str(error) == (
        "step s-1 does not let a write y, which its schema requires;"
        " add y to the step's writes, or move the schema from the agent to its other steps"
    )
    assert error.place == ("plan", "s", "writes")
    Rules(Plan([step("s", writes=["y"])]), roles)


def test_a_schema_of_a_step_that_no_reply_could_fit_is_refused():
    roles, schema = {"a": role("x", "y")}, {"required": ["y"]}
    error = refusal(roles, step("s", samples=1, writes=["x"], schema=schema))
    assert str(error) == "step s-1 may not write y, which its schema requires; add y to its writes"
    assert error.place == ("plan", "s", "schema")
    Rules(Plan([step("s", writes=["x", "y"], schema=schema)]), roles)
    Rules(Plan([step("s", schema=schema)]), roles)


def test_a_declared_read_of_what_an_unordered_step_may_write_is_refused():
    error = refusal(READS, step("reader", reads=["y"]), step("writer", "b"))
    assert isinstance(error, PlanError)
    assert str(error) == (
        "step reader reads y, which step writer may write at the same time;"
        " let reader need writer, or mark it stale_ok: true to read what was there before"
    )
    assert error.place == ("plan", "reader", "reads")


@pytest.mark.parametrize(
    "reader", [step("reader"), step("reader", reads=["y"], stale_ok=True), step("reader", "a", "writer", reads=["y"])]
)
def test_a_read_that_is_ordered_or_meant_or_merely_possible_is_fine(reader):
    Rules(Plan([reader, step("writer", "b")]), READS)


# --- succession --------------------------------------------------------------------------------------------------

OWNERS = {"first": role("draft"), "second": role("draft.text", "other"), "idle": role()}
SUCCESSION = {"draft": ["first", "idle", "second"]}


def test_a_field_passes_from_owner_to_owner():
    steps = [step("one", "first"), step("two", "second", "one"), step("aside", "second", "two", writes=["other"])]
    Rules(Plan(steps), OWNERS, Sharing(succession=SUCCESSION))


def test_an_owner_out_of_turn_is_refused():
    error = refusal(OWNERS, step("two", "second", samples=1), step("one", "first", "two"), succession=SUCCESSION)
    assert str(error) == (
        "step two-1 of second may write draft before its earlier owners are done with it;"
        " let two-1 need every step of first, idle that may write it"
    )
    assert error.place == ("plan", "two")


def test_an_owner_waits_for_every_step_of_the_owners_before_it():
    earlier = [step(id_, "first", writes=[f"draft.{id_}"]) for id_ in ("one", "two")]
    for needs in (["one"], ["two"]):
        with pytest.raises(PlanError, match="step late of second may write draft before its earlier owners are done"):
            Rules(Plan([*earlier, step("late", "second", *needs)]), OWNERS, Sharing(succession=SUCCESSION))
    Rules(Plan([*earlier, step("late", "second", "one", "two")]), OWNERS, Sharing(succession=SUCCESSION))


def test_a_succession_names_agents():
    error = refusal(OWNERS | {"second": role()}, step("s", "first"), succession={"draft": ["first", "secnd"]})
    assert str(error) == "the succession of draft names secnd, which is no agent; did you mean second?"
    assert (error.place, error.paths) == (("succession", "draft"), ("draft",))


def test_an_earlier_owner_does_not_come_back_as_a_stand_in():
    roles = {"writer": role("draft"), "editor": role("draft"), "x": msgspec.structs.replace(role(), fallback="writer")}
    steps = [step("one", "writer"), step("two", "editor", "one"), step("later", "x", "two")]
    with pytest.raises(PlanError, match="step two of editor may write draft before its earlier owners are done"):
        Rules(Plan(steps), roles, Sharing(succession={"draft": ["writer", "editor"]}))
