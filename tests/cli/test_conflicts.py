"""What contradicts itself is told, a person settles it, and it is explained who said what and who decided."""

import json

TEAM = """\
agents:
  ann: {allowed_actions: [read], context_access: [text], write_permissions: [found.ann], use: "agents:ann"}
  bob: {allowed_actions: [read], context_access: [text], write_permissions: [found.bob], use: "agents:bob"}
plan:
  - phase: read
    steps: [{id: ann, agent: ann, action: read}, {id: bob, agent: bob, action: read}]
  - phase: settle
    steps:
      - id: settle
        reconcile: {among: found, policy: vote, otherwise: person}
        escalate: {deadline: 3d}
        writes: [deal]
"""
AGENTS = """

async def ann(job):
    return {"found.ann": {"sum": 1, "on": "may"}}


async def bob(job):
    return {"found.bob": {"sum": 2, "on": "may"}}
"""


def asked(desk):
    """A run that waits for a person; its id."""
    return desk.parked(TEAM, AGENTS)


def test_a_person_settles_it_and_all_of_it_is_told(desk):
    run = asked(desk)
    shown = desk.run("inbox", "show", run).out
    assert "step settle  reconciles" in shown
    assert "1. 1  (ann)" in shown
    assert f"interlock inbox answer {run} deal.sum=1" in shown
    assert "answer, reject" in shown
    wrong = desk.run("inbox", "answer", run, "deal.sum=3")
    assert wrong.code == 2
    assert "for deal.sum choose a number from 1 to 2" in wrong.err
    wrong = desk.run("inbox", "answer", run, "yes")
    assert (wrong.code, "the number of what is right; for instance: deal.sum=1" in wrong.err) == (2, True), wrong.err
    told = desk.run("inbox", "answer", run, "deal.sum=2", "--by", "eve")
    assert told.code == 0, told.err
    shown = desk.run("show", run).out
    assert "deal.sum 2 of bob by person:eve (no majority: 1 to 1), not 1 of ann" in shown
    assert "1 contradiction settled" in shown
    step = json.loads(desk.run("show", run, "--json").out)["plan"][-1]
    said = [{"steps": ["ann"], "value": 1}, {"steps": ["bob"], "value": 2}]
    how = {"taken": 1, "by": "person:eve", "why": "no majority: 1 to 1"}
    assert (step["contradictions"], step["agreed"]) == ([{"path": "deal.sum", "said": said, **how}], 1)
    explained = desk.run("explain", run, "deal.sum").out
    assert "settle  reconciled" in explained
    assert "2 of bob by person:eve (no majority: 1 to 1), not 1 of ann" in explained
    document = json.loads(desk.run("explain", run, "deal.sum", "--json").out)
    assert document["origins"][0]["contradiction"]["taken"] == 1
    assert "contradiction" not in json.loads(desk.run("explain", run, "deal.on", "--json").out)["origins"][0]
    replayed = desk.run("replay", run)
    assert replayed.code == 0
    assert "1 contradiction settled: deal.sum by person:eve; 1 field agreed" in replayed.out


def test_of_a_question_of_many_lines_lists_have_the_first(desk):
    run = asked(desk)
    first = "what was said contradicts itself about deal.sum ..."
    assert f"{first} \n" in desk.run("inbox", "list").out
    told = [line for line in desk.run("replay", run).out.splitlines() if "contradicts itself" in line]
    assert first in told[0]
    assert "Answer with" not in told[0]


def test_the_plan_tells_who_decides(desk):
    asked(desk)
    assert "settle  reconciles found: by vote, else by a person" in desk.run("plan", ".").out
    steps = json.loads(desk.run("plan", ".", "--json").out)["steps"]
    assert steps[-1]["reconciles"] == "reconciles found: by vote, else by a person"
    assert steps[-1]["calls_most"] == 0
    assert "reconciles found" in desk.run("plan", ".", "--format", "mermaid").out


def test_what_a_run_results_in_is_printed_last(desk):
    asked(desk)
    text = TEAM.replace("policy: vote, otherwise: person", "policy: first").replace(
        "        escalate: {deadline: 3d}\n", ""
    )
    (desk.folder / "team.yaml").write_text(text + 'result: {text: "It is {deal.sum}, {text}."}\n')
    given = desk.write("in.jsonl", "as I\u001b[31m said")
    shown = desk.run("run", ".", "--input", given).out
    assert shown.rstrip().endswith("result\n  It is 1, as I\\u001b[31m said.")
    ended = desk.run("run", ".", "--input", given, "--json")
    assert ended.runs[0]["result"] == "It is 1, as I\u001b[31m said."
    run = ended.runs[0]["run_id"]
    assert json.loads(desk.run("show", run, "--json").out)["result"] == ended.runs[0]["result"]
    (desk.folder / "team.yaml").write_text(text + "result: deal.nothing\n")
    ended = desk.run("run", ".", "--input", given, "--json").runs[0]
    assert "result" not in ended
    assert "no result: there is nothing at deal.nothing" in desk.run("show", ended["run_id"]).out
    (desk.folder / "team.yaml").write_text(text + "result: dale\n")
    wrong = desk.run("run", ".", "--input", given)
    assert wrong.code == 2
    assert "team.yaml:" in wrong.err
    assert "the result is dale, which no step writes; did you mean deal?" in wrong.err


def test_a_dead_letter_that_nobody_was_called_for_names_no_agent_and_no_job(desk):
    asked(desk)
    text = TEAM.replace(", otherwise: person", "").replace("        escalate: {deadline: 3d}\n", "")
    (desk.folder / "team.yaml").write_text(text)
    run = desk.run("run", ".", "--input", "in.jsonl", "--json").runs[0]["run_id"]
    shown = desk.run("dlq", "show", run).out
    assert shown.splitlines()[0].startswith(f"run {run}  step settle  0 calls")
    assert "contradicts itself about deal.sum" in shown
    assert "job" not in shown
