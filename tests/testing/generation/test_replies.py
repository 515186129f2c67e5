"""What is made fits: values their schemas, requests their team, replies all that a reply is assessed by."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

import interlock as il
import interlock.core.commands as c
import interlock.core.events as e
from interlock.core.machine import Machine
from interlock.core.moments import time_us
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.schema import WritesSchema
from interlock.core.scope import Scope, Sharing
from interlock.core.values import encode
from interlock.errors import TeamError
from interlock.testing.generation.free import SIMULATED_US, TIMED_SECONDS
from interlock.testing.generation.replies import ReplyMaker, RequestMaker, maker
from interlock.testing.simulation.loop import START_US
from tests.core.strategies import scenarios

EXAMPLES = Path(__file__).parents[3] / "examples"


# --- values for a schema ---


@st.composite
def ranges(draw, low, high, numbers):
    one, other = sorted((draw(numbers), draw(numbers)))
    return {key: value for key, value in ((low, one), (high, other)) if draw(st.booleans())}


counts = st.integers(0, 4)
strings = st.builds(
    lambda bounds, more: {"type": "string", **bounds, **more},
    ranges("minLength", "maxLength", st.integers(0, 12)),
    st.sampled_from([{}, {}, {"title": "T"}]),
)
integers = st.builds(
    lambda bounds, more: {"type": "integer", **bounds, **more},
    ranges("minimum", "maximum", st.integers(-(2**60), 2**60) | st.integers(-5, 5)),
    st.just({}),
)
numbers = st.builds(
    lambda bounds: {"type": "number", **bounds},
    ranges("minimum", "maximum", st.floats(-1e9, 1e9) | st.integers(-3, 3)),
)
fixed = st.sampled_from(
    [
        {},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "integer", "minimum": 1, "exclusiveMaximum": 4, "multipleOf": 3},
        {"type": "integer", "multipleOf": 7},
        {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 0.75},
        {"type": "number", "multipleOf": 0.1},
        {"type": "number", "multipleOf": 0.25, "minimum": 3, "maximum": 5},
        {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        {"type": "string", "pattern": "x", "minLength": 4, "maxLength": 6},
        {"type": "string", "pattern": "a(?=b)", "examples": ["ab"]},
        {"enum": ["billing", 2, None]},
        {"const": "yes"},
        {"type": ["string", "null"], "minLength": 3, "default": None},
        {"type": ["integer", "number", "array", "object"], "minimum": 2, "minItems": 1},
        {"type": "object"},
        {"type": "object", "additionalProperties": False},
    ]
)
names = st.sampled_from(["a", "b", "é", "a.b", "*"])
schemas = st.recursive(
    strings | integers | numbers | fixed,
    lambda inner: (
        st.builds(
            lambda items, bounds: {"type": "array", "items": items, **bounds},
            inner,
            ranges("minItems", "maxItems", counts),
        )
        | st.builds(
            lambda properties, required, closed: {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": not closed,
            },
            st.dictionaries(names, inner, max_size=3),
            st.lists(names, unique=True, max_size=2),
            st.booleans(),
        )
        | st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner)
    ),
    max_leaves=6,
)


@given(schemas, st.integers(0, 2**32))
@settings(max_examples=200)
def test_a_value_fits_its_schema(schema, seed):
    make, random, checked = maker(schema, "x"), Random(seed), WritesSchema({"properties": {"x": schema}})
    for _ in range(20):
        value = make(random)
        assert checked.findings({"x": value}) == []
        assert encode(value)


def test_examples_and_defaults_are_used_most_of_the_time_and_copied():
    make, random = maker({"type": "array", "examples": [["one"]], "default": ["two"]}), Random(1)
    made = [make(random) for _ in range(400)]
    assert 200 < sum(value in (["one"], ["two"]) for value in made) < 390
    for value in made:
        value.append("spoilt")
    assert ["one"] in [make(random) for _ in range(20)]


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "string", "minLength": 5, "maxLength": 2}, "at least 5 and at most 2 characters; mend its bounds"),
        ({"type": "array", "minItems": 5, "maxItems": 2}, "at least 5 and at most 2 items; mend its bounds"),
        ({"type": "integer", "minimum": 4, "maximum": 5, "multipleOf": 7}, "no multiple of 7 lies between 4 and 5"),
        ({"type": "number", "minimum": 4, "exclusiveMaximum": 4}, "no number lies between"),
        ({"type": "number", "multipleOf": 0.7, "minimum": 0.1, "maximum": 0.2}, "no multiple of 0.7"),
        ({"type": "string", "minLength": 10**9}, "more than 100,000 characters or items; lower minLength"),
        ({"type": "array", "minItems": 10**9}, "more than 100,000 characters or items; lower minLength"),
        ({"type": "integer", "examples": ["x"]}, "an example that does not fit it: Expected `int`"),
        ({"default": {1, 2}}, "an example that does not fit it: it is a set"),
        ({"examples": "x"}, "no list; write"),
        ({"type": "string", "format": "date"}, "uses format, which is not supported"),
        ({"type": "string", "pattern": "a(?=b)"}, "add examples"),
    ],
)
def test_what_cannot_be_made_is_said_with_the_path(schema, sentence):
    with pytest.raises(TeamError) as caught:
        maker(schema, "ticket.id")
    assert sentence in str(caught.value)
    assert "ticket.id" in str(caught.value)


def test_nested_lists_that_must_be_large():
    schema = {"type": "string"}
    for _ in range(6):
        schema = {"type": "array", "items": schema, "minItems": 50}
    with pytest.raises(TeamError, match="100,000"):
        maker(schema, "x")


# --- requests and replies ---


def driven(rules, seed, started=None):
    """A run of a team in which every agent gives a good reply: the machine at its end, and all the facts."""
    random = Random(seed)
    request = RequestMaker(rules)(random)
    machine, makers = Machine(rules), {}
    facts = [e.RunStarted(0, Raw(rules.encode_request(request)), "team", "plan")]
    commands = machine.advance(facts, 0)
    while commands:
        command = commands.pop(0)
        if not isinstance(command, c.CallAgent):
            continue
        facts.append(machine.start(command, 0))
        job = machine.job("run", command)
        step = machine.step(command.number)
        make = makers.setdefault((step.id, command.agent), None) or ReplyMaker(rules, step, command.agent)
        makers[step.id, command.agent] = make
        fact = machine.judge(command, job, make(job, random), 0)
        news = [fact]
        commands += machine.advance(news, 0)
        facts += news
    return machine, facts


def of_kind(facts, kind):
    return [fact for fact in facts if isinstance(fact, kind)]


@given(scenarios(), st.integers(0, 2**32))
@settings(max_examples=200)
def test_replies_for_any_team_are_accepted(scenario, seed):
    machine, facts = driven(scenario.rules, seed)
    assert of_kind(facts, e.AttemptRefused) == []
    # What a skipped step did not write can't be expanded, and what many have added to is too long for these limits.
    hopeless = "skipped" in machine.state or "log holds" in machine.reason
    assert machine.status == "succeeded" or hopeless, machine.reason


@pytest.mark.parametrize("example", ["document_pipeline", "support_desk"])
def test_replies_for_the_examples_are_accepted(example):
    rules = il.Team.load(EXAMPLES / example).rules
    for seed in range(100):
        machine, facts = driven(rules, seed)
        refused = of_kind(facts, e.AttemptRefused)
        # What a guardrail says of the values is not what a reply is generated for.
        assert {finding.code for fact in refused for finding in fact.findings} <= {"choice"}
        assert machine.status == "succeeded" or refused


def team_of(*steps, schema=None, writes=("a.*",), reads=(), reducers=None, fallback=None):
    roles = {"ann": Role(Scope(["act"], reads, writes), schema=schema, fallback=fallback)}
    if fallback:
        roles[fallback] = Role(Scope(["act"], reads, writes))
    return Rules(il.Plan(steps), roles, Sharing(reducers=reducers or {}))


def step(id_="s", **given):
    return il.Step(id_, "ann", "act", **given)


def replies(rules, n=1, count=300, agent="ann"):
    make, random = ReplyMaker(rules, rules.plan.steps[n], agent), Random(5)
    job = il.Job(
        view={}, run_id="r", step=rules.plan.steps[n].id, agent=agent, action="act", attempt=1, idempotency_key="k"
    )
    return [make(job, random) for _ in range(count)]


@given(
    st.dictionaries(st.sampled_from(["a", "a.b", "a.b.c", "a.d", "e", "log"]), schemas, max_size=4),
    st.lists(st.sampled_from(["a", "a.b", "a.d", "e"]), unique=True, max_size=2),
    st.booleans(),
    st.sampled_from([["*"], ["a", "e", "log"], ["a.*", "a", "e", "log"]]),
    st.integers(0, 2**32),
)
@settings(max_examples=100)
def test_replies_for_any_schema_are_accepted_or_said_to_be_impossible(properties, required, closed, writes, seed):
    schema = {"properties": properties, "required": required, "additionalProperties": not closed}
    try:
        rules = team_of(step(), schema=schema, writes=writes, reducers={"log": "append"})
    except TeamError:
        assert closed
        assert not set(required) <= set(properties)
        return
    if _is_impossible(rules):
        # Nested paths whose schemas contradict each other, or a required path that a closed schema leaves out.
        named = (*properties, *required)
        nested = any(other.startswith(f"{path}.") for path in named for other in named)
        assert nested or (closed and not set(required) <= set(properties))
        return
    for turn in range(3):
        _, facts = driven(rules, seed + turn)
        assert of_kind(facts, e.AttemptRefused) == []


places = st.sampled_from(["a", "a.b", "a.b.c", "a.x", "b", "log", "log.x", "q", 'a."k.k"'])
patterns = places | st.sampled_from(["*", "a.*", "a.b.*", "a.x.*", "b.*"])
conditions = st.builds(
    il.Condition,
    places,
    st.sampled_from(["==", "exists", "absent", "in", "contains", "<"]),
    st.sampled_from([1, "x", True]),
)


@given(
    st.lists(
        st.tuples(
            st.lists(patterns, max_size=3),
            st.lists(patterns, max_size=2) | st.none(),
            conditions | st.none(),
            st.none() | st.none() | places,
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 2**32),
)
@settings(max_examples=200)
def test_replies_of_steps_that_write_above_and_below_one_another_are_accepted(chain, seed):
    steps = []
    for number, (writes, reads, when, items) in enumerate(chain):
        before = [f"s{number - 1}"] if number else []
        given = {"for_each": items, "writes": [f"f{number}.{{step}}", "log"]} if items else {"writes": writes}
        steps.append(step(f"s{number}", needs=before, reads=reads, when=when, **given))
    rules = team_of(*steps, writes=["*"], reads=["*"], reducers={"log": "append"})
    for turn in range(5):
        assert of_kind(driven(rules, seed + turn)[1], e.AttemptRefused) == []


def _is_impossible(rules):
    try:
        ReplyMaker(rules, rules.plan.steps[1], "ann")
    except TeamError as error:
        return "can be accepted" in error.sentence
    return False


def test_paths_described_inside_one_another():
    parts = {"type": "object", "properties": {"n": {"type": "integer"}}}
    properties = {"a": parts, "a.n": {"maximum": 3, "type": "integer"}, "a.word": {"type": "string"}}
    made = replies(team_of(step(), schema={"required": ["a", "a.word"], "properties": properties}, writes=["a"]))
    assert all(list(reply) == ["a"] and type(reply["a"]["word"]) is str for reply in made)
    assert all(reply["a"].get("n", 0) <= 3 for reply in made)


def test_a_step_with_nothing_to_write_gives_nothing():
    assert replies(team_of(step(writes=[])), count=3) == [{}, {}, {}]
    assert replies(team_of(step(), writes=()), count=1) == [{}]


def test_a_pattern_gives_some_children_and_a_reply_writes_at_least_one():
    made = replies(team_of(step(), writes=["a.*"]))
    assert {key for reply in made for key in reply} == {"a.x", "a.y"}
    assert all(made)
    assert {len(reply) for reply in made} == {1, 2}


def test_required_paths_are_always_written_and_others_often():
    schema = {"required": ["a.id"], "properties": {"a.id": {"type": "integer"}, "a.note": {"type": "string"}}}
    made = replies(team_of(step(), schema=schema))
    assert all("a.id" in reply for reply in made)
    assert 200 < sum("a.note" in reply for reply in made) < 280


def test_two_schemas_over_one_path_both_hold():
    agent = {"properties": {"a.n": {"type": "integer", "minimum": 1_000_000}}}
    step_schema = {"required": ["a.n"], "properties": {"a.n": {"type": "number", "maximum": 1_000_010}}}
    made = replies(team_of(step(schema=step_schema), schema=agent))
    assert all(type(reply["a.n"]) is int and 1_000_000 <= reply["a.n"] <= 1_000_010 for reply in made)


def test_of_two_schemas_one_that_can_be_made_is_enough():
    hard, easy = {"type": "string", "pattern": "^a(?=b)b$"}, {"type": "string", "examples": ["ab", "x"]}
    made = replies(
        team_of(step(schema={"required": ["a.n"], "properties": {"a.n": easy}}), schema={"properties": {"a.n": hard}})
    )
    assert {reply["a.n"] for reply in made} == {"ab"}
    rules = team_of(step(schema={"properties": {"a.n": hard}}), schema={"properties": {"a.n": hard}})
    with pytest.raises(TeamError, match="add examples"):
        ReplyMaker(rules, rules.plan.steps[1], "ann")


def test_two_schemas_that_contradict_each_other():
    rules = team_of(step(schema={"properties": {"a.n": {"const": 1}}}), schema={"properties": {"a.n": {"const": 2}}})
    with pytest.raises(TeamError, match=r"a\.n: no value was found.*mend the schemas"):
        ReplyMaker(rules, rules.plan.steps[1], "ann")


def test_an_agent_that_does_not_do_the_step():
    rules = team_of(step())
    with pytest.raises(TeamError, match=r"bob does not do the step s.*rules\.plan\.steps"):
        ReplyMaker(rules, rules.plan.steps[1], "bob")
    with pytest.raises(TeamError, match="does not do the step other"):
        ReplyMaker(rules, step("other"), "ann")


def test_a_fallback_replies_for_itself():
    rules = team_of(step(), schema={"properties": {"a.id": {"type": "integer"}}}, fallback="bob")
    assert {type(reply["a.id"]) for reply in replies(rules)} == {int}
    assert {type(reply["a.id"]) for reply in replies(rules, agent="bob")} == {str}


@pytest.mark.parametrize(
    "when",
    [
        {"path": "a.n", "op": "==", "value": True},
        {"path": "a.n", "op": "!=", "value": "urgent"},
        {"path": "a.n", "op": ">=", "value": 0.8},
        {"path": "a.n", "op": "==", "value": 2**63 - 1},
        {"path": "a.n", "op": "<", "value": "m"},
        {"path": "a.n", "op": "in", "value": ["x", "y"]},
        {"path": "a.n", "op": "contains", "value": "x"},
        {"path": "a.n", "op": "exists"},
        {"path": "a.n", "op": "absent"},
        {"path": "a.n.deep.inside", "op": "==", "value": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("writes", [["a"], ["a.*"], ["a.n"], ["*"]], ids=str)
def test_a_condition_holds_about_every_second_time(when, writes):
    rules = team_of(step("s"), step("t", needs=["s"], when=when, writes=[]), writes=writes)
    held = sum(driven(rules, seed)[0].state[2] == "committed" for seed in range(100))
    assert 15 < held < 85


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"type": "boolean"}, True),
        ({"enum": ["low", "normal", "high"]}, "high"),
        ({"type": "string", "minLength": 3}, "urgent"),
        ({"type": "object", "properties": {"level": {"type": "integer"}}}, None),
    ],
    ids=str,
)
def test_a_condition_holds_about_every_second_time_where_the_schema_allows_it(kind, value):
    path, value = ("a.n", value) if value is not None else ("a.n.level", 12_345)
    schema = {"required": ["a.n"], "properties": {"a.n": kind}}
    rules = team_of(
        step("s", schema=schema), step("t", needs=["s"], when={"path": path, "op": "==", "value": value}, writes=[])
    )
    held = sum(driven(rules, seed)[0].state[2] == "committed" for seed in range(100))
    assert 30 < held < 80


def test_a_condition_that_its_schema_forbids_is_left_alone():
    schema = {"required": ["a.n"], "properties": {"a.n": {"enum": ["x", "y"]}}}
    rules = team_of(
        step("s", schema=schema), step("t", needs=["s"], when={"path": "a.n", "op": "==", "value": "z"}, writes=[])
    )
    assert {driven(rules, seed)[0].state[2] for seed in range(50)} == {"skipped"}


@pytest.mark.parametrize(
    "kind", [None, {}, {"type": ["string", "array"]}, {"type": "array", "items": {"type": "integer"}}]
)
def test_a_for_each_finds_a_list(kind):
    schema = None if kind is None else {"required": ["a.items"], "properties": {"a.items": kind}}
    rules = team_of(
        step("s", schema=schema, writes=["a.items"]),
        step("t", needs=["s"], for_each="a.items", writes=["a.{step}"]),
        step("u", needs=["t"], for_each="wanted", writes=["b.{index}.n"]),
        writes=["a.*", "b.*"],
    )
    widths = set()
    for seed in range(100):
        machine, facts = driven(rules, seed)
        assert of_kind(facts, e.StepBuried) == []
        widths.add(len(machine.context.get("a.items")))
    assert widths == {0, 1, 2, 3, 4, 5}


def test_an_item_writes_its_own_path():
    rules = team_of(step("s", for_each="list", writes=["a.{index}", "b.{step}"]), writes=["a.*", "b.*"])
    make, random = ReplyMaker(rules, rules.plan.steps[1], "ann"), Random(1)
    job = il.Job(view={}, run_id="r", step="s-3", agent="ann", action="act", attempt=1, idempotency_key="k", index=3)
    assert {path for _ in range(50) for path in make(job, random)} == {"a.3", "b.s-3"}


def test_where_others_write_below_there_is_an_object():
    rules = team_of(step("s", writes=["a"]), step("t", needs=["s"], writes=["a.b.c"]), writes=["a"])
    for seed in range(100):
        assert of_kind(driven(rules, seed)[1], e.AttemptRefused) == []


MERGED = {"log": "append", "sum": "add", "facts": "merge"}


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {
            "required": ["facts"],
            "properties": {"facts": {"type": "object", "additionalProperties": {"type": "integer"}}},
        },
        {
            "required": ["facts", "sum", "log"],
            "properties": {
                "facts": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "required": ["n"],
                    "additionalProperties": False,
                },
                "sum": {"type": "integer"},
                "log": {"type": "array"},
            },
        },
    ],
)
def test_fields_with_a_reducer(schema):
    rules = team_of(
        step("s", samples=4), step("t", for_each="list"), writes=list(MERGED), reducers=MERGED, schema=schema
    )
    initial = set()
    for seed in range(60):
        machine, facts = driven(rules, seed)
        assert of_kind(facts, e.AttemptRefused) == []
        initial.update(RequestMaker(rules)(Random(seed)))
        assert type(machine.context.get("sum", 0)) in {int, float}
    assert initial == {"list"}


def test_a_request_has_what_is_read_and_never_written():
    rules = team_of(
        step("s", reads=["q.word", "a.x"]),
        step("t", needs=["s"], for_each="q.items", when={"path": "mode", "op": "==", "value": 1}, writes=["a.{step}"]),
        reads=["q", "whole", "b.*"],
    )
    requests = [RequestMaker(rules)(Random(seed)) for seed in range(50)]
    assert {tuple(request) for request in requests} == {("q", "whole", "b", "mode")}
    assert all(type(request["q"]["items"]) is list and type(request["q"]["word"]) is str for request in requests)
    assert all(type(request["whole"]) is str for request in requests)
    assert {request["mode"] for request in requests} >= {1}
    assert all("a" not in request for request in requests)


def test_what_earlier_steps_fill_is_not_made_up_in_the_request():
    rules = team_of(
        step("s", reads=[], writes=["a.one"]), step("t", needs=["s"], reads=["a"], writes=["a.two"]), reads=["a"]
    )
    assert RequestMaker(rules)(Random(1)) == {}
    first = team_of(step("s", reads=["a"], writes=["a.one"]), reads=["a"])
    assert list(RequestMaker(first)(Random(1))["a"]) == ["details"]


def test_the_same_in_every_process():
    script = """
import sys
from random import Random
import interlock as il
from interlock.core.job import Job
from interlock.testing.generation.free import SIMULATED_US, TIMED_SECONDS
from interlock.testing.generation.replies import ReplyMaker, RequestMaker
rules = il.Team.load(sys.argv[1]).rules
random = Random(7)
made = [RequestMaker(rules)(random)]
for step in [step for step in rules.plan.steps[1:] if step.agent]:
    job = Job(view={}, run_id="r", step=step.id, agent=step.agent, action="", attempt=1, idempotency_key="")
    made += [ReplyMaker(rules, step, step.agent)(job, random) for _ in range(20)]
print(ascii(made))
"""
    said = set()
    for hash_seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(EXAMPLES / "document_pipeline")],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        said.add(done.stdout)
    assert len(said) == 1


def test_where_a_wait_lasts_until_a_time_of_the_context_a_time_stands_there():
    rules = team_of(
        step(writes=["a.due"]),
        il.Step("mine", wait={"until": "a.due"}, needs=["s"]),
        il.Step("given", wait={"until": "order.at"}),
        writes=("a.due",),
    )
    assert SIMULATED_US == START_US
    found = [RequestMaker(rules)(Random(seed))["order"]["at"] for seed in range(50)]
    found += [made["a.due"] for made in replies(rules, count=50)]
    assert {time_us(one) - START_US for one in found} == {seconds * 1_000_000 for seconds in TIMED_SECONDS}
