"""Several plans in a team file: which a request has, why, and how its run goes on."""

import pytest

TEAM = """\
agents:
  worker:
    allowed_actions: [work]
    context_access: [text]
    write_permissions: [first]
    use: agents:work
    retries: 0
  closer:
    allowed_actions: [close]
    context_access: [text, first]
    write_permissions: [second]
    use: agents:close
plans:
  short: [{id: work, agent: worker, action: work}]
  careful:
    - {id: work, agent: worker, action: work}
    - {id: close, agent: closer, action: close, needs: [work]}
planner:
  rules:
    - {plan: careful, when: {path: text, op: ==, value: ask}}
    - {plan: careful, when: [{path: text, op: exists}, {path: text, op: ==, value: fail}]}
  default: short
"""


@pytest.fixture
def planned(desk):
    desk.write_team = (desk.folder / "team.yaml").write_text
    desk.write_team(TEAM)
    return desk


def test_a_request_chooses_its_plan_and_the_journal_says_why(planned):
    ended = planned.run("run", ".", "--input", planned.write("in.jsonl", "x"), "--json")
    assert (ended.code, ended.runs[0]["steps"]) == (0, {"committed": 1})
    told = planned.run("replay", "last").out
    assert "started under the plan short (no rule fits: the default)" in told
    assert planned.run("replay", "last").code == 0
    assert "\nplan short (no rule fits: the default)\n" in planned.run("show", "last").out
    document = planned.json("show", "last")
    assert (document["chosen"], document["why"]) == ("short", "no rule fits: the default")


def test_the_plan_is_shown_with_the_rule_that_chooses_it(planned):
    name = planned.write("in.jsonl", "ask")
    out = planned.run("plan", ".", "--input", name).out
    assert 'chosen: careful (rule 1: text == "ask")' in out
    document = planned.json("plan", ".", "--input", name)
    assert (document["chosen"], len(document["steps"])) == ("careful", 2)
    ended = planned.run("plan", ".")
    said = "give it the request: --input FILE; or name one: --plan short or careful"
    assert (ended.code, said in " ".join(ended.err.split())) == (2, True)


def test_a_plan_is_shown_without_a_request_where_it_is_named(planned):
    assert "chosen: careful (as you named it)" in planned.run("plan", ".", "--plan", "careful").out
    document = planned.json("plan", ".", "--plan", "short")
    assert (document["chosen"], document["why"], document["request"]) == ("short", "as you named it", None)
    # The request is shown under the named plan, whichever it has.
    name = planned.write("in.jsonl", "ask")
    assert planned.json("plan", ".", "--plan", "short", "--input", name)["chosen"] == "short"
    ended = planned.run("plan", ".", "--plan", "shirt")
    assert (ended.code, "the team has no plan 'shirt'; did you mean short?" in ended.err) == (2, True)


def test_many_requests_run_under_the_plans_that_they_have(planned):
    ended = planned.run("run", ".", "--input", planned.write("in.jsonl", "x", "ask", "y"), "--json")
    assert ended.code == 3
    assert sorted(run["status"] for run in ended.runs) == ["parked", "succeeded", "succeeded"]
    heads = [line for line in planned.run("run", ".", "--input", "in.jsonl").out.splitlines() if " runs/s" in line]
    assert [head.rpartition("  ")[2] for head in heads] == ["plan short", "plan careful"]


def test_a_run_goes_on_under_the_plan_that_it_has(planned):
    parked = planned.run("run", ".", "--input", planned.write("in.jsonl", "ask"), "--json").runs[0]["run_id"]
    # Another plan is of no concern to it.
    planned.write_team(TEAM.replace("  short: [{id: work", "  short: [{id: other"))
    ended = planned.run("inbox", "answer", parked, "--set", "first=yes", "--json")
    assert (ended.code, ended.runs[0]["steps"]) == (0, {"committed": 2})


def test_a_plan_that_is_gone_or_changed_is_a_difference_of_versions(planned):
    parked = planned.run("run", ".", "--input", planned.write("in.jsonl", "ask"), "--json").runs[0]["run_id"]
    changed = TEAM.replace("id: close", "id: end")
    planned.write_team(changed.replace("careful", "thorough"))
    planned.run("inbox", "answer", parked, "--set", "first=yes", "--no-resume")
    ended = planned.run("resume", parked)
    assert (ended.code, "was started under the plan careful, which is not there any more" in ended.err) == (2, True)
    planned.write_team(changed)
    ended = planned.run("resume", parked)
    assert (ended.code, "was started under another version" in ended.err) == (2, True)
    # Another name changes nothing.
    planned.write_team(TEAM.replace("careful", "thorough"))
    assert planned.run("resume", parked).code == 0


def test_what_has_changed_goes_on_as_it_was_where_somebody_says_so(planned):
    parked = planned.run("run", ".", "--input", planned.write("in.jsonl", "ask"), "--json").runs[0]["run_id"]
    planned.write_team(TEAM.replace("careful", "thorough").replace("id: close", "id: end"))
    planned.run("inbox", "answer", parked, "--set", "first=yes", "--no-resume")
    assert planned.run("resume", "--as-pinned").code == 0
    assert planned.json("show", parked)["status"] == "succeeded"


def test_a_dead_letter_is_redriven_under_its_plan(planned):
    failed = planned.run("run", ".", "--input", planned.write("in.jsonl", "fail"), "--json").runs[0]["run_id"]
    ended = planned.run("dlq", "redrive", failed, "--set", "text=x", "--json")
    assert (ended.code, ended.runs[0]["steps"]) == (0, {"committed": 2})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{plan: careful, when: {", "{plan: carefull, when: {", "there is no plan 'carefull'; did you mean careful?"),
        ("default: short", "default: long", "there is no plan 'long'"),
        ("needs: [work]", "needs: [wrok]", "plan careful: step close needs wrok, which is no step"),
        ("agent: closer", "agent: worker", "plan careful: step close: worker may not do close"),
        ("planner:", "plan: [{id: w, agent: worker, action: work}]\nplanner:", "the team has a plan, and rules"),
        ("  rules:", "  rulez:", "planner.rulez: a planner of rules has no key rulez"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(planned, old, new, message):
    planned.write_team(TEAM.replace(old, new, 1))
    ended = planned.run("run", ".", "--input", planned.write("in.jsonl", "x"))
    assert (ended.code, message in ended.err) == (2, True), ended.err
    assert "team.yaml" in ended.err


def test_rules_that_never_choose_and_plans_that_nothing_chooses_are_found(planned):
    text = TEAM.replace("default: short", "default: careful")
    planned.write_team(text.replace("op: ==, value: ask}}", "op: exists}}"))
    found = {one["code"]: one for one in planned.json("audit", ".")["findings"]}
    assert found["idle_rule"]["message"].startswith('rule 2 (text exists and text == "fail") never chooses: rule 1')
    assert (found["idle_rule"]["line"], found["idle_plan"]["message"]) == (21, "nothing chooses the plan short")


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ('{path: size, op: ">", value: 1000}', '{path: size, op: ">", value: 2000}', True),
        ('{path: size, op: ">", value: 2000}', '{path: size, op: ">", value: 1000}', False),
        ('{path: size, op: ">", value: 1000}', '{path: length, op: ">", value: 2000}', False),
        ("{path: kind, op: in, value: [a, b]}", '[{path: size, op: ">", value: 1}, {path: kind, value: b}]', True),
    ],
)
def test_a_rule_is_found_that_asks_for_more_than_an_earlier_one(planned, first, second, found):
    rules = f"[{{plan: short, when: {first}}}, {{plan: careful, when: {second}}}]"
    head, _ = TEAM.split("planner:")
    planned.write_team(f"{head}planner:\n  rules: {rules}\n  default: careful\n")
    messages = [one["message"] for one in planned.json("audit", ".")["findings"] if one["code"] == "idle_rule"]
    assert len(messages) == found


def test_a_simulation_is_of_one_of_the_plans(planned):
    ended = planned.run("simulate", ".", "--seeds", "3")
    assert (ended.code, "the team has several plans" in ended.err) == (2, True)
    assert "name one: short, careful" in ended.err
    assert planned.run("simulate", ".", "--seeds", "3", "--plan", "careful").code == 0
    ended = planned.run("simulate", ".", "--seeds", "3", "--plan", "carful")
    assert (ended.code, "did you mean careful?" in ended.err) == (2, True)


def test_who_decides_at_the_bounds_is_told_what_a_decision_is(planned):
    planned.write_team("""\
agents:
  lead: {allowed_actions: [decide], context_access: [text], write_permissions: [answer], use: "agents:leading"}
supervisor: {agent: lead, action: decide, decisions_max: 1, then: escalate}
""")
    agents = planned.folder / "agents.py"
    agents.write_text(agents.read_text() + "\n\nasync def leading(job):\n    return {'add': []}\n")
    run = planned.run("run", ".", "--input", planned.write("in.jsonl", "x"), "--json").runs[0]["run_id"]
    shown = planned.run("inbox", "show", run).out
    assert f"""interlock inbox answer {run} --set 'finish={{"PATH": VALUE}}'""" in shown
    assert "new steps: [{id, agent, action," in shown
    assert "properties" not in shown
    ended = planned.run("inbox", "answer", run, "--set", 'finish={"answer": 5}', "--json")
    assert (ended.code, ended.runs[0]["context"]["answer"]) == (0, 5)
