"""What the audit finds, and that it never imports the code of the team."""

from pathlib import Path
from textwrap import dedent

import pytest

import interlock as il
from interlock.team import Agent, Team, audit

EXAMPLES = Path(__file__).parents[2] / "examples"


def findings(folder, text):
    file = folder / "team.yaml"
    file.write_text(dedent(text))
    return audit(file)


def codes(found):
    return [finding.code for finding in found.findings]


def one(found, code):
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return finding


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/team.yaml")), ids=lambda file: file.parent.name)
def test_the_examples_have_no_errors_and_no_warnings(file):
    found = audit(file)
    assert found.ok
    assert {finding.severity for finding in found.findings} == {"info"}


def test_a_scope_file_is_audited(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          none: {}
          idle: {context_access: [a]}
          greedy:
            allowed_actions: ["*"]
            context_access: ["*"]
            write_permissions: ["*"]
        """,
    )
    assert found.ok
    got = {(f.code, f.agents, f.line) for f in found.findings if f.severity == "warning"}
    assert got == {
        ("no_scope", ("none",), 2),
        ("no_actions", ("idle",), 3),
        ("literal_star", ("greedy",), 5),
        ("reads_everything", ("greedy",), 6),
        ("writes_everything", ("greedy",), 7),
    }
    assert one(found, "no_plan").message == "the team has no plan: it can be audited, not run"
    assert one(found, "no_code").agents == ("none", "idle", "greedy")


def test_two_owners_are_an_error_and_the_rest_is_audited_all_the_same(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          a: {allowed_actions: [x], write_permissions: [t]}
          b:
            allowed_actions: [x]
            write_permissions: [t.x]
            retries: 0
        """,
    )
    assert not found.ok
    assert found.findings[0].code == "two_owners"
    assert (found.findings[0].agents, found.findings[0].paths, found.findings[0].line) == (("a", "b"), ("t.x",), 5)
    assert one(found, "single_try").line == 3


def test_a_race_is_an_error_in_its_line(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents: {a: {allowed_actions: [x], write_permissions: [t]}}
        plan:
          - {id: s, agent: a, action: x}
          - {id: t, agent: a, action: x}
        """,
    )
    assert (found.findings[0].code, found.findings[0].agents, found.findings[0].line) == ("race", ("a",), 4)
    assert "no_plan" not in codes(found)


def test_a_file_that_is_no_team_and_none_at_all_are_errors(tmp_path):
    assert codes(findings(tmp_path, "agents: [")) == ["bad_team"]
    assert codes(audit(tmp_path / "none.yaml")) == ["bad_team"]
    assert findings(tmp_path, "agents: {a: {}}\nbudget: 1\n").findings[0].line == 2


def test_timeouts_and_ends(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          quick: {allowed_actions: [x], effort: simple, fallback: rules}
          slow:
            allowed_actions: [x]
            timeout: 2h
          rules: {allowed_actions: [x], retries: 0, isolation: thread}
        """,
    )
    assert one(found, "default_timeout").agents == ("rules",)
    assert (one(found, "long_timeout").agents, one(found, "long_timeout").line) == (("slow",), 5)
    assert one(found, "unstoppable").agents == ("rules",)
    assert one(found, "no_fallback").agents == ("slow",)
    assert "single_try" not in codes(found)
    assert "no_person" not in codes(found)


def test_where_nobody_stands_in_a_person_can_be_asked(tmp_path):
    message = one(findings(tmp_path, "agents: {a: {allowed_actions: [x]}}"), "no_person").message
    assert message == (
        "nobody is asked before a step is given up: it becomes a dead letter;"
        " an agent can ask one with Reply(ask=Question(...))"
    )


def test_what_the_plan_leaves_idle(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          a: {allowed_actions: [x, y], context_access: [seed], write_permissions: [out], fallback: b}
          b: {allowed_actions: [x], write_permissions: [out]}
          c: {allowed_actions: [x]}
        plan: [{id: s, agent: a, action: x}]
        """,
    )
    assert (one(found, "unused_agent").agents, one(found, "unused_agent").line) == (("c",), 4)
    assert one(found, "unused_actions").message == "no step asks for these allowed actions: a: y"
    assert one(found, "from_request").paths == ("seed",)
    assert one(found, "never_read").paths == ("out",)


def test_what_the_result_is_made_of_is_read(tmp_path):
    team = """\
        agents:
          a: {allowed_actions: [x], write_permissions: [out]}
        plan: [{id: s, agent: a, action: x}]
        result: %s
        """
    found = findings(tmp_path, team % "{text: 'Dear {customer.name}, {out.text}'}")
    assert "never_read" not in codes(found)
    assert one(found, "from_request").paths == ("customer.name",)
    assert not findings(tmp_path, team % "{text: 'Dear {'}").ok


def test_a_nested_team_that_is_to_have_more_than_there_is_never_begins(tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "agents: {a: {allowed_actions: [x], write_permissions: [b], use: 'x:y'}}\n"
        "plan: [{id: s, agent: a, action: x}]\n"
    )
    team = """\
        budget: {calls: 5}
        agents:
          inner: {team: inner.yaml, allowed_actions: [x], write_permissions: [b], budget: {calls: %d}}
        plan: [{id: s, agent: inner, action: x}]
        """
    found = one(findings(tmp_path, team % 6), "share_too_large")
    assert (found.severity, found.agents, found.line) == ("warning", ("inner",), 3)
    assert found.fix == "give it at most 5 calls, or the run more"
    assert "share_too_large" not in codes(findings(tmp_path, team % 5))


def test_the_tools_of_a_model_are_actions_that_are_used(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          a:
            allowed_actions: [x, look_up, other]
            write_permissions: [out]
            llm: {model: "openai:m", tools: {look_up: {use: "m:f"}}}
        plan: [{id: s, agent: a, action: x}]
        """,
    )
    assert one(found, "unused_actions").message == "no step asks for these allowed actions: a: other"


BLIND = """\
agents:
  a: {allowed_actions: [x], context_access: [seed], write_permissions: [ticket.a]}
  b: {allowed_actions: [x], context_access: [ticket], write_permissions: [out]}
plan:
  - {id: writes, agent: a, action: x}
  - {id: reads, agent: b, action: x%s}
"""


def test_a_broad_scope_over_what_runs_meanwhile_is_a_warning(tmp_path):
    finding = one(findings(tmp_path, BLIND % ""), "blind_read")
    assert (finding.severity, finding.agents, finding.paths, finding.line) == ("warning", ("b", "a"), ("ticket",), 6)
    assert finding.message.startswith("step reads may read ticket, and writes may write there at the same time")


@pytest.mark.parametrize("mend", [", needs: [writes]", ", reads: [ticket.b]", ", stale_ok: true"])
def test_it_is_mended_by_need_narrower_reads_or_leave(tmp_path, mend):
    assert "blind_read" not in codes(findings(tmp_path, BLIND % mend))


def test_a_condition_over_what_runs_meanwhile_is_an_error(tmp_path):
    text = BLIND % ", reads: [ticket.b], when: {path: ticket.a, op: exists}"
    assert "reads ticket.a" in one(findings(tmp_path, text), "bad_plan").message


def test_copies_of_one_step_are_meant_not_to_see_each_other(tmp_path):
    text = """\
    agents: {a: {allowed_actions: [x], context_access: [out], write_permissions: [out]}}
    plan: [{id: s, agent: a, action: x, samples: 3, writes: ["out.{step}"]}]
    """
    assert "blind_read" not in codes(findings(tmp_path, text))


def test_the_code_is_never_imported(tmp_path):
    (tmp_path / "agents.py").write_text("raise SystemExit('imported')")
    found = findings(tmp_path, "agents: {a: {allowed_actions: [x], use: agents:work}}")
    assert found.ok
    assert "no_code" not in codes(found)


def test_a_team_of_python_is_audited_without_lines():
    scope = il.Scope(["x"], [], ["out"])
    plan = il.Plan([il.Step("s", "a", "x"), il.Step("t", "a", "x")])
    found = audit(Team([Agent("a", scope=scope)], plan))
    assert (found.findings[0].code, found.findings[0].line) == ("race", 0)
    assert audit(Team([Agent("a", scope=scope)])).ok


def test_it_comes_as_plain_data(tmp_path):
    document = findings(tmp_path, "agents: {a: {}}").to_dict()
    assert document["ok"] is True
    assert [*document["findings"][0]] == ["code", "severity", "agents", "paths", "message", "fix", "line"]


def test_a_condition_on_a_field_that_is_nearly_one_that_is_written_is_a_warning(tmp_path):
    text = """\
    agents: {a: {allowed_actions: [x], write_permissions: [claim.risky]}}
    plan:
      - {id: s, agent: a, action: x}
      - {id: t, agent: a, action: x, needs: [s], when: {path: claim.rsky, value: true}}
    """
    found = one(findings(tmp_path, text), "mistyped")
    assert (found.severity, found.line) == ("warning", 4)
    assert "depends on claim.rsky, which no agent writes; did you mean claim.risky?" in found.message
    assert "mistyped" not in codes(findings(tmp_path, text.replace("rsky", "risky")))


def test_an_escalation_leads_to_a_person(tmp_path):
    agent = "{allowed_actions: [x], write_permissions: [t], escalate: true}"
    assert "no_person" not in codes(findings(tmp_path, f"agents: {{a: {agent}}}"))


def test_an_effect_is_an_action_that_no_step_asks_for(tmp_path):
    (tmp_path / "out.py").write_text("def mail(payload, key): pass\n")
    text = (
        "agents: {a: {allowed_actions: [x, mail], write_permissions: [t]}}\n"
        "effects: {mail: 'out:mail'}\nplan: [{id: s, agent: a, action: x}]\n"
    )
    assert "unused_actions" not in codes(findings(tmp_path, text))


def test_an_action_that_may_be_requested_is_used(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          a: {allowed_actions: [x, hand_over, other], write_permissions: [t]}
          b: {allowed_actions: [y], write_permissions: [u]}
        plan:
          - {id: s, agent: a, action: x, on_request: {hand_over: r}}
          - {id: r, agent: b, action: y, needs: [s]}
        """,
    )
    assert found.ok
    assert one(found, "unused_actions").message == "no step asks for these allowed actions: a: other"


@pytest.mark.parametrize(
    ("on_request", "needs", "message"),
    [
        ("{hand_over: z}", "[s]", "step s runs z on request, which is no step"),
        ("{hand_over: r}", "[]", "step s runs r on request, which does not come after it"),
        ("{hand_ower: r}", "[s]", "step s: a may not request hand_ower; did you mean hand_over?"),
        ("{hand_over: [r]}", "[s]", "plan[0].on_request.hand_over is a list, not a name of 1 to 80"),
        ("hand_over", "[s]", "plan[0].on_request is 'hand_over', not a mapping"),
    ],
)
def test_a_branch_that_could_never_run_is_found_in_its_line(tmp_path, on_request, needs, message):
    found = findings(
        tmp_path,
        f"""\
        agents:
          a: {{allowed_actions: [x, hand_over], write_permissions: [t]}}
          b: {{allowed_actions: [y], write_permissions: [u]}}
        plan:
          - id: s
            agent: a
            action: x
            on_request: {on_request}
          - {{id: r, agent: b, action: y, needs: {needs}}}
        """,
    )
    (error,) = [finding for finding in found.findings if finding.severity == "error"]
    assert (error.line, error.message.startswith(message)) == (8, True), error


JUDGED = """\
    agents:
      a:
        allowed_actions: [act]
        write_permissions: [x]
        guardrails: [judge: {agent: J}]
      judge: {allowed_actions: [judge], fallback: other, context_access: [A]}
      other: {allowed_actions: [judge]}
    plan: [{id: s, agent: a, action: act}]
    """


def test_a_judge_has_work_and_should_see_more_than_the_draft(tmp_path):
    text = JUDGED.replace("J}", "judge}")
    found = findings(tmp_path, text.replace("[A]", "[]"))
    assert one(found, "blind_judge").agents == ("judge",)
    assert one(found, "blind_judge").line == 6
    assert not {"unused_agent", "unused_actions"} & {*codes(found)}
    assert "blind_judge" not in codes(findings(tmp_path, text.replace("[A]", "[x]")))


@pytest.mark.parametrize(
    ("old", "new"),
    [("[A]", "[x], timeout: soon"), ("allowed_actions: [act]", "allowed_actions: act"), ("agent: a,", "agent: aa,")],
    ids=["the judge", "who is judged", "the plan"],
)
def test_what_is_wrong_elsewhere_makes_no_judge_idle(tmp_path, old, new):
    found = findings(tmp_path, JUDGED.replace("J}", "judge}").replace(old, new))
    assert not found.ok
    assert not {"unused_agent", "unused_actions"} & {*codes(found)}


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ("juge", "the judge of agent a is juge, which is no agent; did you mean judge?"),
        ("a", "the judge of agent a is a, so that a would judge replies of its own"),
    ],
)
def test_a_judge_that_cannot_judge_is_an_error_in_its_line(tmp_path, judge, message):
    found = findings(tmp_path, JUDGED.replace("J}", judge + "}"))
    error = next(finding for finding in found.findings if "judge of" in finding.message)
    assert (error.severity, error.message) == ("error", message)
    assert error.line == 5


WAITING = """
    agents:
      ann: {allowed_actions: [act], context_access: [order], write_permissions: [offer], use: "x:y"}
    plan:
      - {id: offer, agent: ann, action: act}
      - {id: paid, await_event: payment%s, writes: [payment], needs: [offer]}
      - {id: payday, wait: {until: "2026-12-01T09:00:00Z"}, needs: [offer]}
"""


def test_an_event_without_a_deadline_is_a_finding(tmp_path):
    found = one(findings(tmp_path, WAITING % ""), "no_deadline")
    assert (found.severity, found.paths, found.line) == ("warning", ("payment",), 6)
    assert found.message.startswith("step paid awaits payment without a deadline")
    assert "no_deadline" not in codes(findings(tmp_path, WAITING % ", deadline: 90d"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (", agent: ann", "plan[1].agent: a step that waits has no key agent"),
        (", deadline: soon", "plan[1].deadline is 'soon', not a duration, such as 3d"),
        (
            ", deadline: 3d, on_deadline: later",
            "plan[1].on_deadline: 'later' is nothing that becomes of a step whose event is late",
        ),
        (", deadline: 3d, on_deadline: 3", "plan[1].on_deadline is the number 3, not one of dead, skip, continue"),
        (", wait: 2h", "it has wait and await_event"),
    ],
)
def test_what_a_wait_can_not_say_is_told_with_its_place(tmp_path, given, message):
    found = findings(tmp_path, WAITING % given)
    assert not found.ok
    assert any(message in finding.message for finding in found.findings), [one.message for one in found.findings]


def test_whom_a_supervisor_may_give_steps_is_not_unused(tmp_path):
    found = findings(
        tmp_path,
        """\
        agents:
          reader: {allowed_actions: [look], write_permissions: [facts.*], use: desk:look}
          lead: {allowed_actions: [decide], context_access: [facts], write_permissions: [answer], use: desk:decide}
        supervisor: {agent: lead, action: decide}
        """,
    )
    assert found.ok
    assert not {"unused_agent", "unused_actions"} & {*codes(found)}


RECONCILING = """
    agents:
      ann: {allowed_actions: [act], context_access: [order], write_permissions: [said], use: "x:y"}
    plan:
      - {id: say, agent: ann, action: act, writes: [said.ann]}
      - {id: settle, needs: [say], %s}
"""


def test_candidates_that_nobody_writes_are_a_finding(tmp_path):
    given = "writes: [deal], reconcile: {among: [said.ann, told.bob], policy: first}"
    found = one(findings(tmp_path, RECONCILING % given), "no_candidates")
    assert (found.severity, found.paths, found.line) == ("warning", ("told.bob",), 6)
    given = "writes: [deal], reconcile: {among: said, policy: first}"
    assert "no_candidates" not in codes(findings(tmp_path, RECONCILING % given))


def test_where_a_person_settles_contradictions_somebody_is_asked(tmp_path):
    given = "writes: [deal], reconcile: {among: said, policy: %s}"
    assert "no_person" in codes(findings(tmp_path, RECONCILING % given % "first"))
    assert "no_person" not in codes(findings(tmp_path, RECONCILING % given % "person"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("writes: [a], reconcile: {among: said}", "plan[1].reconcile has no policy"),
        ("reconcile: {among: said, policy: first}", "plan[1] has no writes"),
        ("writes: [a], reconcile: {among: said, policy: luck}", "plan[1].reconcile.policy is 'luck'"),
        ("writes: [a], reconcile: {among: 3, policy: first}", "plan[1].reconcile.among is the number 3"),
        ("writes: [a], reconcile: {among: said, policy: first, otherwise: vote}", "first leaves nothing open"),
        (
            "writes: [a], samples: 2, reconcile: {among: said, policy: first}",
            "a step that reconciles has no key samples",
        ),
        ("writes: [a], reconcile: {among: said, policy: judge}", "step settle has no judge"),
        (
            "writes: [said.x], reconcile: {among: other, policy: first}",
            "step settle writes said.x, and agent ann owns it",
        ),
    ],
)
def test_what_a_reconciliation_can_not_say_is_told_with_its_place(tmp_path, given, message):
    found = [finding for finding in findings(tmp_path, RECONCILING % given).findings if finding.severity == "error"]
    assert any(message in finding.message for finding in found), found
    assert found[0].line == 6
