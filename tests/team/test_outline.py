"""What is told of a plan before it runs: levels, what a request makes certain, bounds, and its drawings."""

import re

import pytest

import interlock as il
from interlock.errors import InputError
from interlock.team.drawing import EDGES_SHOWN_MAX, LABEL_CHARS_MAX, STEPS_SHOWN_MAX, dot, mermaid
from interlock.team.estimates import Cap, calls_of, estimated, most_ms_of
from interlock.team.outline import Outline


def agent(name="a", **given):
    scope = il.Scope(["do", "check", "more"], ["in", f"{name}.*"], [f"{name}.*", "list"])
    return il.Agent(name, **{"scope": scope, "timeout": "1s", "retries": 1, "backoff": "100ms"} | given)


def step(id_, who="a", **given):
    return il.Step(id_, who, given.pop("action", "do"), **{"writes": [f"{who}.{id_}"]} | given)


def team_of(*steps, agents=None, **given):
    return il.Team(agents or [agent()], il.Plan(steps), **given)


def outline_of(team, request=None):
    return {step.id: step for step in Outline.of(team.rules, request).steps}


def estimates_of(team, request=None):
    return estimated(Outline.of(team.rules, request), team.rules, team.agents)


DIAMOND = (step("s"), step("l", needs=["s"]), step("r", needs=["s"]), step("j", needs=["l", "r"]))


def test_steps_stand_at_the_level_to_which_the_longest_way_leads():
    outline = Outline.of(team_of(*DIAMOND, step("k", needs=["s", "j"])).rules)
    assert [[one.id for one in level] for level in outline.levels] == [["s"], ["l", "r"], ["j"], ["k"]]


def test_samples_are_one_step_that_needs_and_is_needed_as_it_was_declared():
    found = outline_of(
        team_of(step("o", samples=3, writes=["a.o{index}"]), step("p", needs=["o"]), step("q", needs=["o-2"]))
    )
    assert (found["o"].copies, found["p"].needs, found["q"].needs) == (3, ("o",), ("o",))


class TestForesight:
    when = {"path": "in.kind", "op": "==", "value": "x"}  # noqa: RUF012 - read by the tests alone

    def test_without_a_request_a_condition_may_hold_and_what_hangs_on_it_too(self):
        found = outline_of(team_of(step("s", when=self.when), step("t", needs=["s"]), step("u")))
        assert [(one.runs, one.why) for one in found.values()] == [
            ("maybe", 'in.kind == "x"'),
            ("maybe", "one that it needs runs"),
            ("yes", ""),
        ]

    @pytest.mark.parametrize(("kind", "runs", "after"), [("x", "yes", "yes"), ("y", "no", "no")])
    def test_a_request_that_nobody_overwrites_decides(self, kind, runs, after):
        found = outline_of(team_of(step("s", when=self.when), step("t", needs=["s"])), {"in": {"kind": kind}})
        assert (found["s"].runs, found["t"].runs) == (runs, after)

    def test_what_a_step_before_may_write_is_not_certain(self):
        when = {"path": "a.first", "op": "exists"}
        steps = step("first"), step("s", needs=["first"], when=when), step("t", when=when, stale_ok=True)
        found = outline_of(team_of(*steps), {"a": {}})
        assert (found["s"].runs, found["t"].runs) == ("maybe", "no")

    def test_samples_and_items_may_write_what_only_their_number_tells(self):
        listed = step("o", samples=2, writes=["a.o{index}"]), step("e", for_each="a.o2", needs=["o"], writes=[])
        assert outline_of(team_of(*listed), {"a": {"o2": [1]}})["e"].copies is None

    @pytest.mark.parametrize(("value", "items"), [([1, 2, 3], 3), ([], 0), ("text", 0), (None, 0)])
    def test_a_list_in_the_request_has_so_many_items(self, value, items):
        request = {"in": {}} if value is None else {"in": {"docs": value}}
        team = team_of(step("e", for_each="in.docs", writes=["a.{step}"]))
        assert outline_of(team, request)["e"].copies == items

    def test_a_branch_runs_only_if_it_is_requested(self):
        found = outline_of(team_of(step("s", on_request={"more": "b"}), step("b", action="more", needs=["s"])))
        assert (found["b"].runs, found["b"].why, found["b"].requested_by) == (
            "maybe",
            "s requests more",
            (("s", "more"),),
        )

    def test_a_request_that_is_none_is_refused(self):
        with pytest.raises(InputError):
            Outline.of(team_of(step("s")).rules, ["no", "object"])


class TestCalls:
    def test_each_agent_of_the_chain_has_its_attempts(self):
        agents = [agent(fallback="b"), agent("b", retries=2, scope=il.Scope(["do"], [], ["a.*", "list"]))]
        found = estimates_of(team_of(*DIAMOND, agents=agents))
        assert (found.calls_least, found.calls.most) == (4, 4 * (2 + 3))

    def test_a_judge_may_be_called_for_each_reply(self):
        judge = agent("j", retries=2, scope=il.Scope(["check"], ["in"], []))
        guarded = agent(guardrails=[{"judge": {"agent": "j", "action": "check"}}])
        team = team_of(step("s"), agents=[guarded, judge])
        assert estimates_of(team).calls.most == 2 * (1 + 3)
        assert most_ms_of(Outline.of(team.rules).steps[0], team.rules) == 2 * (1_000 + 3 * 1_000 + 300) + 100

    def test_unknown_items_are_said_to_be_unknown_and_known_ones_counted(self):
        team = team_of(step("s"), step("e", for_each="in.docs", writes=["a.{step}"]))
        found = estimates_of(team)
        assert (found.calls.most, found.calls_besides, found.calls_per_copy) == (None, 2, {"e": 2})
        assert (found.calls_least, found.copies_max) == (1, 1_000)
        found = estimates_of(team, {"in": {"docs": [1, 2, 3]}})
        assert (found.calls_least, found.calls.most, found.calls_per_copy) == (4, 8, {})

    def test_what_is_skipped_takes_none(self):
        when = {"path": "in.kind", "op": "==", "value": "x"}
        steps = step("s", when=when), step("e", for_each="a.s", needs=["s"], writes=["a.{step}"])
        found = estimates_of(team_of(*steps), {"in": {}})
        assert (found.calls_least, found.calls.most, found.way.most_ms) == (0, 0, 0)

    @pytest.mark.parametrize("where", ["run", "agent", "step"])
    def test_a_budget_bounds_what_nothing_else_does(self, where):
        budget = {"calls": 5}
        one = agent(budget=budget) if where == "agent" else agent()
        given = {"budget": budget} if where == "step" else {}
        team = team_of(
            step("e", for_each="in.docs", writes=["a.{step}"], **given),
            agents=[one],
            budget=budget if where == "run" else None,
        )
        by = "the budget of the run" if where == "run" else ""
        assert estimates_of(team).calls == Cap(5, by)

    def test_a_budget_of_which_a_person_may_approve_more_bounds_nothing(self):
        team = team_of(step("s"), budget={"calls": 1, "when_spent": "ask"})
        assert estimates_of(team).calls.most == 2


class TestTime:
    def test_the_longest_way_counts_attempts_and_waits(self):
        slow = step("r", needs=["s"], timeout="3s")
        found = estimates_of(team_of(DIAMOND[0], DIAMOND[1], slow, DIAMOND[3])).way
        assert (found.steps, found.most_ms) == (("s", "r", "j"), 2 * 2_100 + 2 * 3_000 + 100)

    def test_retry_for_bounds_when_the_last_attempt_begins(self):
        team = team_of(step("s", retries=50, retry_for="2s"))
        assert most_ms_of(Outline.of(team.rules).steps[0], team.rules) == 3_000

    def test_items_that_run_one_after_another_take_as_long_as_all_of_them(self):
        team = team_of(step("e", for_each="in.docs", width=2, batch=3, writes=["a.{step}"]))
        (one,) = Outline.of(team.rules, {"in": {"docs": [0] * 14}}).steps
        assert one.copies == 5
        assert estimates_of(team, {"in": {"docs": [0] * 14}}).way.most_ms == 3 * 2_100
        assert estimates_of(team, {"in": {"docs": []}}).way.most_ms == 0
        assert estimates_of(team).way.grows == ("e",)


class TestCost:
    def test_without_a_budget_it_is_unknown_and_whose_is_said(self):
        assert estimates_of(team_of(step("s"))).usd == Cap(None, unbounded=("a",))

    def test_the_budget_of_the_run_bounds_it_and_may_be_exceeded_by_a_call_that_reserves_nothing(self):
        assert estimates_of(team_of(step("s"), budget={"usd": 0.5})).usd == Cap(0.5, "the budget of the run", False)
        strict = {"usd": 0.5, "call": {"usd": 0.01}}
        assert estimates_of(team_of(step("s"), budget={**strict, "usd": 0.015})).usd == Cap(
            0.015, "the budget of the run"
        )
        assert estimates_of(team_of(step("s"), budget=strict)).usd == Cap(0.02)

    def test_tokens_of_a_call_at_the_declared_price(self):
        llm = {"model": "openai:m", "price": {"input": 1, "output": 10}}
        priced = agent(llm=llm, budget={"tokens": 100_000, "call": {"tokens": 1_000}})
        team = team_of(step("s"), agents=[priced])
        assert (estimates_of(team).tokens, estimates_of(team).usd) == (Cap(2_000), Cap(0.02))
        assert estimates_of(team_of(step("s"), agents=[agent(llm=llm)])).usd.most is None
        free = agent(llm={"model": "local:m", "price": {"input": 0, "output": 0}})
        assert estimates_of(team_of(step("s"), agents=[free])).usd == Cap(0.0)

    def test_a_daily_budget_bounds_a_run_too(self):
        day = {"day": {"usd": 2, "call": {"usd": 0.5}}}
        assert estimates_of(team_of(step("s"), step("t"), step("u"), agents=[agent(budget=day)])).usd.most == 2
        assert estimates_of(team_of(step("s"), budget=day)).usd == Cap(1.0)


class TestDrawings:
    def test_mermaid(self):
        when = {"path": "in.kind", "op": "<", "value": 3}
        branch = step("b", action="more", needs=["s"])
        steps = step("s", on_request={"more": "b"}), branch, step("t", needs=["s", "b"], when=when)
        assert mermaid(Outline.of(team_of(*steps).rules)) == (
            "flowchart TD\n"
            '    s1["s<br/>a"]\n'
            '    s2("b<br/>a")\n'
            '    s3["t<br/>a"]\n'
            '    s1 -.->|"requests more"| s2\n'
            '    s1 -->|"if in.kind #60; 3"| s3\n'
            '    s2 -->|"if in.kind #60; 3"| s3\n'
        )

    def test_who_decides_comes_after_all_that_there_is(self):
        lead = agent("lead", scope=il.Scope(["decide"], ["a"], ["end"]))
        decides = {"agent": "lead", "action": "decide"}
        team = team_of(step("s"), step("t", needs=["s"]), agents=[agent(), lead], supervisor=decides)
        assert mermaid(Outline.of(team.rules)).splitlines()[3:] == [
            '    d1["decides<br/>lead<br/>20 times at most"]',
            '    d2[["what is added<br/>100 steps at most"]]',
            "    s1 --> s2",
            "    s2 --> d1",
            '    d1 -.->|"adds"| d2',
            "    d2 --> d1",
        ]
        drawn = mermaid(Outline.of(il.Team([agent(), lead], planner=decides).rules))
        assert "lead<br/>once" in drawn
        assert "d2 --> d1" not in drawn

    def test_a_wide_phase_after_a_wide_phase_is_joined_at_a_point(self):
        wide = [il.Phase(name, [step(f"{name}{n}") for n in range(3)]) for name in "xy"]
        drawn = mermaid(Outline.of(team_of(*wide).rules))
        assert drawn.count("-->") == 6
        assert '    j1((" "))\n' in drawn

    def test_items_say_how_many_run_at_a_time(self):
        team = team_of(step("e", for_each="in.docs", width=2, batch=3, writes=["a.{step}"]))
        assert 's1[["e<br/>a<br/>for each 3 of in.docs<br/>2 at a time"]]' in mermaid(Outline.of(team.rules))

    def test_a_large_plan_is_cut(self):
        outline = Outline.of(team_of(*(step(f"s{n}") for n in range(STEPS_SHOWN_MAX + 5))).rules)
        assert mermaid(outline).count("\n") == STEPS_SHOWN_MAX + 2
        assert "and 5 more steps" in dot(outline)

    def test_more_arrows_than_can_be_drawn_are_cut(self):
        steps = [step(f"s{n}", needs=[f"s{before}" for before in range(n)]) for n in range(40)]
        drawn = mermaid(Outline.of(team_of(*steps).rules))
        assert drawn.count("-->") == EDGES_SHOWN_MAX
        assert "and 280 more arrows" in drawn

    def test_nothing_in_a_team_file_is_taken_for_the_language_of_the_drawing(self):
        evil = '"]; click s1 "javascript:x"; \\l </script> `x` %% {#}\u2028' + "x" * 10_000
        scope = il.Scope(["do"], ["in"], ["a.*"])
        team = il.Team([agent(scope=scope)], il.Plan([step("s", when={"path": "in.kind", "op": "==", "value": evil})]))
        for drawn in (mermaid(Outline.of(team.rules)), dot(Outline.of(team.rules))):
            label = next(line for line in drawn.splitlines() if "click" in line)
            inside = re.search(r'(?:\["|label=")(.*?)"\];?$', label)[1]
            assert not set('"`<>\\{}[]').intersection(inside.replace("<br/>", "").replace("\\n", ""))
            assert len(inside) < 8 * LABEL_CHARS_MAX


def test_each_copy_counts_its_own_calls():
    team = team_of(step("o", samples=3, writes=["a.o{index}"]))
    one = Outline.of(team.rules).steps[0]
    assert (calls_of(one, team.rules), estimates_of(team).calls.most) == (2, 6)
