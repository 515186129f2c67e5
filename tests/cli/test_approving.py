"""`run --approve-plan`: nothing runs before a person has approved the plan, in the inbox."""

PLANNED = """\
agents:
  worker: {allowed_actions: [work], context_access: [text], write_permissions: ["out.*"], use: "planned:work"}
  lead: {allowed_actions: [plan], context_access: [text], write_permissions: [answer], use: "planned:plan"}
planner: {agent: lead, action: plan}
"""
CODE = """
async def work(job):
    return {f"out.{job.step}": 1}

async def plan(job):
    told = "Do it" + "".join(f"; {text}" for text in job.feedback[-1:])
    return {"add": [{"id": "x", "agent": "worker", "action": "work", "writes": ["out.x"], "instructions": told}]}
"""


def parked(desk, *more):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "x"), "--json", *more)
    assert ended.code == 3, ended.err
    return ended.runs[0]["run_id"]


def test_a_plan_is_shown_and_runs_when_it_is_approved(desk):
    run_id = parked(desk, "--approve-plan")
    assert "May this plan run? 2 steps: work (worker.work), close (closer.close)" in desk.run("inbox", "list").out
    out = desk.run("inbox", "show", run_id).out
    for text in ("a plan waits for approval", "closer.close", "approve, reject", f"inbox approve {run_id}"):
        assert text in out
    document = desk.json("inbox", "show", run_id)
    assert [step["id"] for step in document["plan"]["steps"]] == ["work", "close"]
    assert document["allowed"] == ["approve", "reject"]
    ended = desk.run("inbox", "approve", run_id, "--by", "eve", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded")
    assert "person:eve approves the plan" in desk.run("replay", run_id).out
    assert desk.run("replay", run_id).code == 0


def test_a_plan_that_is_rejected_never_runs(desk):
    run_id = parked(desk, "--approve-within", "2h")
    assert desk.json("inbox", "show", run_id)["due"] is not None
    assert desk.run("inbox", "reject", run_id, "--by", "eve", "--reason", "too dear").code == 0
    told = desk.json("show", run_id)
    assert (told["status"], told["attempts"]) == ("failed", [])
    assert told["reason"] == "its plan was not approved: rejected by person:eve: too dear"


def test_what_an_agent_proposes_is_approved_or_advised_about(desk):
    (desk.folder / "team.yaml").write_text(PLANNED)
    (desk.folder / "planned.py").write_text(CODE)
    run_id = parked(desk, "--approve-plan")
    out = desk.run("inbox", "show", run_id).out
    for text in ("the plan", "worker.work", "told: Do it", "approve, retry, reject"):
        assert text in out
    ended = desk.run("inbox", "retry", run_id, "Mind the cost.", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (3, "parked")
    assert desk.json("inbox", "show", run_id)["plan"]["steps"][0]["instructions"] == "Do it; Mind the cost."
    ended = desk.run("inbox", "approve", run_id, "--json")
    assert (ended.code, ended.runs[0]["context"]["out"]) == (0, {"x": 1})


def test_a_plan_that_begins_with_a_wait_is_shown(desk):
    text = (desk.folder / "team.yaml").read_text()
    text = text.replace("plan:\n", "plan:\n  - {id: pause, wait: 2h}\n")
    text = text.replace("action: work}", "action: work, needs: [pause]}")
    (desk.folder / "team.yaml").write_text(text)
    run_id = parked(desk, "--approve-plan")
    assert "pause" in desk.run("inbox", "show", run_id).out


def test_many_requests_have_no_plan_to_approve(desk):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "x", "y"), "--approve-plan")
    assert (ended.code, "there are 2 requests" in ended.err) == (2, True)
