"""What is told of a team with others in it before it runs: their plans, and what these take."""

import pytest

import interlock as il
from interlock.team.drawing import EDGES_SHOWN_MAX, STEPS_SHOWN_MAX, dot, mermaid
from interlock.team.estimates import Cap, Way
from interlock.team.prospect import Prospect


def worker(name="w", **given):
    scope = il.Scope(["do"], ["in"], [f"{name}.*"])
    return il.Agent(name, **{"scope": scope, "timeout": "1s", "retries": 0} | given)


def step(id_, who="w", **given):
    return il.Step(id_, who, "do", **{"writes": [f"{who}.{id_}"]} | given)


INNER = (step("a"), step("b"), step("c", needs=["a", "b"]))


def outer(inner=INNER, *, agents=None, plan=None, budget=None, **given):
    """A team whose second step is a team."""
    nested = il.Team(agents or [worker()], il.Plan(inner), name="inner", budget=budget)
    scope = il.Scope(["do"], ["in"], ["t.*"])
    team = il.Agent("t", use=nested, scope=scope, outputs={"t.{step}": "w.c"}, **given)
    return il.Team([worker(), team], il.Plan(plan or (step("x"), step("y", "t", needs=["x"]), step("z", needs=["y"]))))


def prospect(*args, **given):
    return Prospect.of(outer(*args, **given))


def test_a_step_of_a_nested_team_has_the_plan_of_that_team():
    steps = {step.id: step for step in prospect().outline.steps}
    assert [step.id for step in steps["y"].nested["t"].steps] == ["a", "b", "c"]
    assert steps["x"].nested == {}


def test_it_takes_what_the_plan_of_that_team_takes():
    found = prospect()
    assert found.estimates.calls == Cap(5)
    assert found.estimates.calls_least == 5
    assert found.estimates.way == Way(("x", "y", "z"), 4_000)
    again = prospect(retries=1, backoff="1s")
    assert again.estimates.calls == Cap(8)
    assert again.estimates.way.most_ms == 2_000 + 2 * 2_000 + 1_000
    assert again.estimates.calls_least == 5


def test_its_timeout_and_its_budget_bound_that():
    found = prospect(timeout="500ms", budget={"calls": 2, "usd": 0.25, "tokens": 100})
    assert found.estimates.way.most_ms == 2_500
    assert found.estimates.calls == Cap(4)
    assert found.calls_of(found.outline.steps[1]) == 2
    assert found.estimates.usd.unbounded == ("w",)
    alone = prospect(plan=[step("y", "t")], budget={"usd": 0.25, "tokens": 100})
    assert (alone.estimates.usd.most, alone.estimates.tokens.most) == (0.25, 100)
    with_one_of_its_own = prospect(plan=[step("y", "t")], budget={"usd": 0.25}, agents=[worker(budget={"calls": 9})])
    assert with_one_of_its_own.estimates.usd.most == 0.25
    assert prospect(timeout="5s").estimates.way.most_ms == 4_000


def test_what_nobody_knows_of_a_nested_team_nobody_knows_of_the_whole():
    items = step("c", for_each="in", writes=["w.c.{index}"])
    found = prospect([items, il.Step("d", wait={"until": "in"}, needs=["c"])])
    inner = found.outline.steps[1]
    assert found.calls_of(inner) is None
    assert found.is_open(inner)
    assert found.estimates.calls == Cap(None, unbounded=("t",))
    assert found.estimates.calls_besides == 2
    assert found.estimates.way.open == ("y",)
    bounded = prospect([items, il.Step("d", wait={"until": "in"}, needs=["c"])], timeout="1m", budget={"calls": 7})
    assert bounded.estimates.calls == Cap(9)
    assert bounded.estimates.way == Way(("x", "y", "z"), 62_000)


def test_a_nested_team_is_drawn_as_a_frame():
    outline = prospect().outline
    assert mermaid(outline) == (
        "flowchart TD\n"
        '    s1["x<br/>w"]\n'
        '    subgraph s2["y<br/>t"]\n'
        '        s2_s1["a<br/>w"]\n'
        '        s2_s2["b<br/>w"]\n'
        '        s2_s3["c<br/>w"]\n'
        "        s2_s1 --> s2_s3\n"
        "        s2_s2 --> s2_s3\n"
        "    end\n"
        '    s3["z<br/>w"]\n'
        "    s1 --> s2\n"
        "    s2 --> s3\n"
    )
    drawn = dot(outline)
    assert '    subgraph cluster_s2 {\n        label="y\\nt"; fontname="sans-serif";\n' in drawn
    assert '    s1 -> s2_s1 [label="", lhead=cluster_s2];' in drawn
    assert '    s2_s3 -> s3 [label="", ltail=cluster_s2];' in drawn
    assert drawn.count("{") == drawn.count("}")


def test_an_arrow_to_a_frame_within_a_frame_leads_to_a_node():
    middle = outer(plan=[step("y", "t")])
    agent = il.Agent("o", use=middle, scope=il.Scope(["do"], ["in"], ["o.*"]), outputs={"o.{step}": "t.y"})
    team = il.Team([worker(), agent], il.Plan([step("x"), step("y", "o", needs=["x"])]))
    drawn = dot(Prospect.of(team).outline)
    assert '    s1 -> s2_s1_s1 [label="", lhead=cluster_s2];' in drawn


@pytest.mark.parametrize("steps", [STEPS_SHOWN_MAX - 3, STEPS_SHOWN_MAX + 40])
def test_what_is_drawn_is_bounded_over_all_plans(steps):
    wide = [step(f"n{n}", needs=["a"]) for n in range(steps - 1)]
    outline = prospect([step("a"), *wide]).outline
    for drawn in (mermaid(outline), dot(outline)):
        assert (f"and {steps + 3 - STEPS_SHOWN_MAX:,} more steps" in drawn) == (steps > STEPS_SHOWN_MAX - 3)
        assert len([line for line in drawn.splitlines() if "->" in line]) <= EDGES_SHOWN_MAX


def test_where_there_is_no_room_for_a_plan_its_step_is_drawn_as_any():
    many = [step(f"n{n}") for n in range(STEPS_SHOWN_MAX - 1)]
    outline = prospect(plan=[step("y", "t"), *many]).outline
    assert "subgraph" not in mermaid(outline)
    assert "cluster" not in dot(outline)
