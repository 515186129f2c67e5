"""What a run waits for is told, and events are sent to it."""

import json
import shutil

TEAM = """\
agents:
  seller:
    allowed_actions: [offer, ship]
    context_access: [text, payment]
    write_permissions: [offer, parcel]
    use: "agents:seller"
plan:
  - {id: offer, agent: seller, action: offer, writes: [offer]}
  - {id: cool_off, wait: 2h, needs: [offer]}
  - id: paid
    await_event: payment_received
    deadline: 3d
    on_deadline: skip
    writes: [payment]
    schema: {required: [payment], properties: {payment: {type: integer}}}
    needs: [offer]
  - {id: bell, await_event: bell_rung, needs: [paid]}
  - {id: ship, agent: seller, action: ship, needs: [bell], writes: [parcel]}
"""
LAPSING = (
    TEAM.partition("plan:")[0]
    + """\
plan:
  - {id: paid, await_event: payment_received, deadline: 10ms, on_deadline: continue, writes: [payment]}
  - {id: offer, agent: seller, action: offer, needs: [paid], writes: [offer]}
"""
)
AGENTS = """

async def seller(job):
    note(job)
    return {"offer": 12} if job.action == "offer" else {"parcel": job.view["payment"]}
"""


def waiting(desk):
    """A run that waits; its id."""
    return desk.parked(TEAM, AGENTS)


def test_what_a_run_waits_for_is_told_everywhere(desk):
    run = waiting(desk)
    shown = desk.run("show", run).out
    assert "awaits payment_received  until 20" in shown
    assert "waits 2h  until 20" in shown
    assert f"interlock event {run} payment_received --data JSON" in shown
    shutil.copytree(desk.folder / ".interlock", desk.folder / "copy")
    elsewhere = desk.run("show", run, "--journal", "copy/journal.db").out
    assert f"interlock resume {run} --journal copy/journal.db   # when its time has come" in elsewhere
    assert "cool_off waits until 20" in desk.run("runs").out
    inbox = desk.run("inbox", "list").out
    assert "nothing waits for a person" in inbox
    assert "2 steps wait for a time or an event" in inbox
    assert f"{run}/paid  waits for payment_received until 20" in inbox
    assert "paid      waits for payment_received until 20" in desk.run("replay", run).out
    steps = {step["id"]: step for step in json.loads(desk.run("show", run, "--json").out)["plan"]}
    assert (steps["paid"]["waits_for"], steps["paid"]["state"]) == ("awaits payment_received", "awaiting")
    assert steps["paid"]["until"] > steps["paid"]["since"]
    waits = json.loads(desk.run("inbox", "list", "--json").out)["waits"]
    assert [(one["step"], one["event"]) for one in waits] == [("cool_off", None), ("paid", "payment_received")]
    told = desk.run("resume", run)
    assert "is not waiting for a driver: cool_off waits until 20" in told.err
    assert told.code == 3
    again = desk.run("retry", run, "paid").err
    assert "can't be tried again: it waits for payment_received until 20" in again
    assert (
        f"send its event: interlock event {run} payment_received, or go on without it: interlock skip {run} paid"
        in again
    )
    assert f"fix: go on without it: interlock skip {run} cool_off" in desk.run("retry", run, "cool_off").err
    assert desk.run("resume").err == "nothing to resume: 1 run parked, see interlock inbox list\n"
    skipped = desk.run("skip", run, "paid", "--by", "ada", "--reason", "in cash")
    assert (skipped.code, "person:ada has skipped it: in cash" in skipped.out) == (3, True), skipped.out


def test_what_has_not_come_in_time_is_no_event_that_came(desk):
    (desk.folder / "team.yaml").write_text(LAPSING)
    agents = desk.folder / "agents.py"
    agents.write_text(agents.read_text() + AGENTS)
    ran = desk.run("run", ".", "--input", desk.write("in.jsonl", "x"))
    forked = desk.run("fork", "last", "--at", "offer")
    assert (ran.code, forked.code) == (0, 0)
    for ended in (ran, forked):
        assert "awaits payment_received  payment_received has not come in time" in ended.out
    told = json.loads(desk.run("show", "last", "--json").out)["plan"][0]
    assert told["reason"] == "payment_received has not come in time"


def test_events_are_sent_kept_taken_and_refused(desk):
    run = waiting(desk)
    kept = desk.run("event", run, "bell_rung", "--by", "door")
    assert kept.out == f"run {run} has bell_rung, and keeps it until a step waits for it: it is parked\n"
    assert "kept: bell_rung" in desk.run("show", run).out
    assert json.loads(desk.run("show", run, "--json").out)["events_kept"][0]["by"] == "door"

    wrong = desk.run("event", run, "payment_recieved")
    assert wrong.code == 2
    assert "nothing in this run waits for payment_recieved" in wrong.err
    assert "Did you mean payment_received?" in wrong.err
    bad = desk.run("event", run, "payment_received", "--data", '"much"')
    assert bad.code == 2
    assert "payment: Expected `int`, got `str`" in bad.err
    assert "--data is no JSON" in desk.run("event", run, "payment_received", "--data", "much").err
    assert "can't be read" in desk.run("event", run, "payment_received", "--data", "@nowhere").err

    (desk.folder / "data.json").write_text("7")
    sent = desk.run("event", run, "payment_received", "--data", "@data.json", "--by", "stripe", "--id", "evt_1")
    assert sent.code == 3, sent.err  # it still cools off
    assert f"run {run} has payment_received" in sent.err
    again = desk.run("event", run, "payment_received", "--data", "7", "--id", "evt_1", "--json")
    assert (again.code, json.loads(again.out)["status"]) == (0, "parked")
    document = json.loads(desk.run("show", run, "--json").out)
    assert document["context"]["parcel"] == 7
    assert "paid  stripe" in desk.run("explain", run, "payment").out
    assert desk.run("replay", run).code == 0


def test_an_event_may_be_left_to_somebody_else(desk):
    run = waiting(desk)
    left = desk.run("event", run, "payment_received", "--data", "7", "--no-resume")
    assert left.code == 0
    assert f"it is running; go on with it: interlock resume {run}" in left.out
    assert desk.run("resume", run).code == 3
    assert f"interlock event {run} bell_rung\n" in desk.run("show", run).out


def test_an_event_reaches_the_run_that_goes_on_in_the_place_of_its_own(desk):
    run = waiting(desk)
    (desk.folder / "team.yaml").write_text(TEAM.replace("wait: 2h", "wait: 3h"))
    heir = desk.run("resume", run, "--migrate", "--json").runs[0]["run_id"]
    assert heir != run
    sent = desk.run("event", run, "payment_received", "--data", "7")
    assert sent.code == 3, sent.err
    assert f"run {run} goes on as run {heir}" in sent.err
    assert f"run {heir} has payment_received" in sent.err
    assert f"name that one: interlock skip {heir} cool_off" in desk.run("skip", run, "cool_off").err


def test_an_id_that_is_empty_is_that_of_no_run(desk):
    waiting(desk)
    for words in (("event", "", "bell_rung"), ("cancel", ""), ("skip", "", "cool_off"), ("show", "")):
        ended = desk.run(*words)
        assert (ended.code, "the id of the run is empty" in ended.err) == (2, True), ended.err


def test_what_would_mend_an_event_is_told_and_one_that_is_recorded_is_no_mistake(desk):
    run = waiting(desk)
    mends = {
        ("payment_received",): f"interlock event {run} payment_received --data JSON",
        ("payment_received", "--data", '"much"'): f"interlock event {run} payment_received --data JSON",
        ("bell_rung", "--data", "1"): f"send it without: interlock event {run} bell_rung",
        ("nobody",): f"see what the run waits for: interlock show {run}",
    }
    for words, mend in mends.items():
        ended = desk.run("event", run, *words)
        assert (ended.code, mend in ended.err) == (2, True), ended.err
    (desk.folder / "team.yaml").write_text(TEAM.replace("wait: 2h", "wait: 3h"))
    sent = desk.run("event", run, "payment_received", "--data", "7", "--json")
    assert (sent.code, json.loads(sent.out)["status"]) == (0, "running")
    assert "the event is recorded, but the run can't go on here" in sent.err
    assert "was started under another version of this team" in sent.err
    assert desk.run("cancel", run).code == 0
    assert f"see how it has ended: interlock show {run}" in desk.run("event", run, "bell_rung").err
