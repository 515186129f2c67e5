"""Whatever a system is like, its team file is read, proved and audited without an error."""

from hypothesis import given, settings
from hypothesis import strategies as st

import interlock as il
from interlock.survey.surveying import surveyed
from interlock.survey.system import END, START, Edge, Key, Route, Sign, Step, System, Worker
from interlock.team import audit

NAMES = [f"n{number}" for number in range(6)]
PATHS = ["a", "b", "items", "route", '"odd.key"', '"yes: no, [x] # \\u00e9"']
MERGINGS = ["none", "append", "add", "merge", "last", "first", "unknown"]
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["#", "a: b", "- x", "{", "yes", "null", "1", "\n  - bad", "\u2028x", "%"]
)


@st.composite
def routes(draw):
    values = tuple(draw(st.lists(st.sampled_from(["x", "y", True, 3]), max_size=2)))
    path = draw(st.sampled_from(["", *PATHS])) if values else ""
    spread = draw(st.sampled_from(["", "", *PATHS]))
    return Route(draw(TEXTS), path, values, spread, tuple(PATHS[:1]), draw(st.booleans()))


@st.composite
def systems(draw):
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    some = st.lists(st.sampled_from(PATHS), max_size=3, unique=True).map(tuple)
    workers = [
        Worker(
            name,
            draw(TEXTS),
            draw(TEXTS),
            tuple(draw(st.lists(st.sampled_from(["search", "send mail", 'a "tool"']), unique=True))),
            timeout_ms=draw(st.sampled_from([0, 1, 1_500, 60_000, 10**12])),
            retries=draw(st.sampled_from([None, 0, 3, 1_000])),
        )
        for name in names
    ]
    owners = names if draw(st.booleans()) else names[:1] * len(names)
    steps = [
        Step(
            name,
            owner,
            draw(TEXTS),
            draw(some),
            draw(some),
            tuple(draw(st.lists(TEXTS, max_size=1))),
            (Sign(draw(TEXTS), "f.py:1"),) if draw(st.booleans()) else (),
            asks=draw(st.booleans()),
            late=draw(st.booleans()),
            instructions=draw(TEXTS),
        )
        for name, owner in zip(names, owners, strict=True)
    ]
    ends = st.tuples(st.sampled_from([START, *names]), st.sampled_from([*names, END]))
    drawn = draw(st.lists(ends, max_size=12))
    edges = [Edge(one, other, draw(st.none() | routes()), draw(st.booleans())) for one, other in drawn]
    keys = {path: Key(path, draw(st.sampled_from(MERGINGS)), draw(TEXTS)) for path in PATHS}
    return System("langgraph", "m:graph", keys, workers, steps, edges, whole=draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(systems())
def test_the_team_file_of_any_system_loads(tmp_path_factory, system):
    found = surveyed(system)
    file = tmp_path_factory.mktemp("skeleton") / "team.yaml"
    file.write_text(found.skeleton, "utf-8")
    team = il.Team.load(file)
    assert {*team.agents} == {worker.id for worker in system.workers}
    assert audit(team).ok


def chain(*steps, edges=(), keys=()):
    """A system of these steps, one after another unless edges are given, each with a worker of its name."""
    names = [step.id for step in steps]
    following = edges or [Edge(one, other) for one, other in zip([START, *names], names, strict=False)]
    workers = [Worker(name, f"{name}()", "f.py:1") for name in names]
    paths = {path for step in steps for path in (*step.reads, *step.writes)} - {key.path for key in keys}
    every = {key.path: key for key in (*map(Key, sorted(paths)), *keys)}
    return System("langgraph", "m:graph", every, workers, steps, following)


def step(name, *writes, reads=(), **more):
    return Step(name, name, f"f.py:{name}", tuple(reads), writes, **more)


def team_of(system, folder):
    (folder / "team.yaml").write_text(surveyed(system).skeleton)
    return il.Team.load(folder)


def test_writers_in_order_are_owners_in_succession(tmp_path):
    team = team_of(chain(step("one", "draft"), step("two", "draft")), tmp_path)
    assert team.succession == {"draft": ("one", "two")}


def test_writers_in_no_order_have_a_field_each(tmp_path):
    edges = [Edge(START, "one"), Edge(START, "two")]
    team = team_of(chain(step("one", "draft"), step("two", "draft"), edges=edges), tmp_path)
    assert [agent.scope.write_permissions for agent in team.agents.values()] == [("draft.one",), ("draft.two",)]


def test_a_loop_is_cut_and_said(tmp_path):
    edges = [Edge(START, "one"), Edge("one", "two"), Edge("two", "one"), Edge("two", END, Route("f()"))]
    system = chain(step("one", "a"), step("two", "b"), edges=edges)
    assert "# to do: two led back to one" in surveyed(system).skeleton
    assert [(one.id, one.needs) for one in team_of(system, tmp_path).plan.declared] == [("one", ()), ("two", ("one",))]


def test_a_route_by_a_key_is_a_condition_and_any_other_is_one_that_its_source_answers(tmp_path):
    edges = [
        Edge(START, "one"),
        Edge("one", "two", Route("f()", path="kind", values=("x", "y"))),
        Edge("one", "three", Route("f()")),
    ]
    team = team_of(chain(step("one", "kind"), step("two"), step("three"), edges=edges), tmp_path)
    _, two, three = team.plan.declared
    assert (two.when.path, two.when.op, two.when.value) == ("kind", "in", ["x", "y"])
    assert (three.when.path, three.when.op, three.when.value) == ("route.one", "==", "three")
    assert "route.one" in team.agents["one"].scope.write_permissions


def test_a_condition_never_looks_at_what_may_be_written_meanwhile(tmp_path):
    by_key = Route("f()", path="kind", values=("x",))
    edges = [Edge(START, "one"), Edge(START, "late"), Edge("one", "two", by_key)]
    team = team_of(chain(step("one"), step("late", "kind"), step("two"), edges=edges), tmp_path)
    assert {one.id: one.when.path for one in team.plan.declared if one.when} == {"two": "route.one"}


def test_a_key_of_the_name_route_is_no_decision(tmp_path):
    edges = [Edge(START, "one"), Edge("one", "two", Route("f()"))]
    team = team_of(chain(step("one", "route"), step("two"), edges=edges), tmp_path)
    assert team.plan.declared[1].when.path == "route_.one"


def test_items_that_are_sent_are_a_step_for_each(tmp_path):
    edges = [Edge(START, "one"), Edge("one", "two", Route("f()", spread="items", brings=("item",), many=True))]
    keys = [Key("found", "append")]
    system = chain(step("one", "items"), step("two", "found", "own", reads=["item", "topic"]), edges=edges, keys=keys)
    team = team_of(system, tmp_path)
    two = team.plan.declared[1]
    assert (two.for_each, two.when) == ("items", None)
    assert dict(team.reducers) == {"found": "append", "own": "append"}
    assert team.agents["two"].scope.context_access == ("topic",)


def test_many_findings_are_told_up_to_a_bound():
    many = [step(f"s{number}", open=()) for number in range(200)]
    edges = [Edge(START, one.id) for one in many for _ in range(2)]
    effects = [Step(one.id, one.worker, one.where, effects=(Sign("pay()", "f.py:1"),)) for one in many]
    found = surveyed(chain(*effects, edges=edges))
    assert found.skeleton.count("# " + " " * 2 + "warning") == 100
    assert "and 100 more; --json has all of them" in found.skeleton


def test_a_scope_of_very_many_fields_is_all_of_them(tmp_path):
    many = [f"k{number}" for number in range(201)]
    assert team_of(chain(step("one", reads=many)), tmp_path).agents["one"].scope.context_access == ("*",)
    assert len(team_of(chain(step("one", reads=many[1:])), tmp_path).agents["one"].scope.context_access) == 200
