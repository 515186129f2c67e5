"""Effects that need approval, in the inbox: shown before they are performed, and approved with a refused reply."""

import pytest

TEAM = """\
effects: {refund: {use: "bank:refund", approve: true}, tell: "bank:tell"}
agents:
  clerk:
    allowed_actions: [decide, refund, tell]
    context_access: [text]
    write_permissions: [first]
    retries: 0
    use: clerk:decide
plan: [{id: pay, agent: clerk, action: decide}]
"""
CLERK = """
import interlock as il

async def decide(job):
    wanted = [il.Effect("refund", {"usd": 12}, key="A7"), il.Effect("tell", {"to": "eve"})]
    return il.Reply(writes={"first": "refund"}, effects=wanted)
"""
BANK = """
from pathlib import Path

def noted(name, payload):
    with open(Path(__file__).with_name("bank.log"), "a") as log:
        log.write(f"{name} {payload}\\n")

async def refund(payload, key):
    noted("refund", payload)

async def tell(payload, key):
    noted("tell", payload)
"""


@pytest.fixture
def bank(desk):
    """A team whose refunds need approval; its log is what was performed."""
    (desk.folder / "team.yaml").write_text(TEAM)
    (desk.folder / "clerk.py").write_text(CLERK)
    (desk.folder / "bank.py").write_text(BANK)
    return desk


def log(bank):
    path = bank.folder / "bank.log"
    return path.read_text().splitlines() if path.exists() else []


def parked(bank):
    ended = bank.run("run", ".", "--input", bank.write("in.jsonl", "x"), "--json")
    assert ended.code == 3, ended.err
    return ended.runs[0]["run_id"]


def test_what_would_be_performed_is_shown_and_performed_when_it_is_approved(bank):
    run_id = parked(bank)
    assert "May the effect refund (A7) be performed?" in bank.run("inbox", "list").out
    out = bank.run("inbox", "show", "last").out
    for text in ("May the effect refund (A7) be performed?", "clerk.decide", '"usd": 12', "approve, reject"):
        assert text in out
    assert f"inbox approve {run_id} --effect A7" in out
    document = bank.json("inbox", "show", "last")
    assert document["effect"] == {"effect": "refund", "key": "A7", "payload": {"usd": 12}, "tries": 0}
    assert document["allowed"] == ["approve", "reject"]
    assert log(bank) == []
    other = bank.run("inbox", "approve", "last", "--effect", "A8")
    assert (other.code, log(bank)) == (2, [])
    assert "the question of pay is about its effect 'A7', not about 'A8'" in other.err

    ended = bank.run("inbox", "approve", "last", "--effect", "A7", "--by", "eve", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded")
    assert log(bank) == ["refund {'usd': 12}", "tell {'to': 'eve'}"]
    assert "refund (A7)  effect done  approved by person:eve" in bank.run("show", run_id).out
    assert bank.json("show", run_id)["effects"][0]["approved_by"] == "person:eve"
    assert "person:eve approves the effect A7" in bank.run("replay", run_id).out
    assert bank.run("replay", run_id).code == 0
    # What was approved is an effect: what was written is the clerk's.
    [origin] = bank.json("explain", run_id, "first")["origins"][:1]
    assert (origin["agent"], origin["value"]) == ("clerk", "refund")


def test_what_is_rejected_is_not_performed(bank):
    run_id = parked(bank)
    ended = bank.run("inbox", "reject", "last", "--by", "eve", "--reason", "fraud")

    assert (ended.code, log(bank)) == (0, [])
    for shown in (bank.run("show", run_id).out, bank.run("dlq", "show", run_id).out):
        assert "its effect refund (A7) was rejected by person:eve: fraud" in shown
        assert "refund (A7)  effect rejected by person:eve  fraud" in shown
    for document in (bank.json("show", run_id), bank.json("dlq", "show", run_id)):
        [refund, tell] = document["effects"]
        assert (refund["state"], refund["rejected_by"], refund["reason"]) == ("rejected", "person:eve", "fraud")
        assert tell["state"] == "requested"


def test_what_can_not_be_done_about_it_is_told(bank):
    parked(bank)
    ended = bank.run("inbox", "retry", "last")

    assert "pay can't be dealt with by retry: the question is whether its effect may be performed" in ended.err
    assert log(bank) == []


@pytest.mark.parametrize(
    ("command", "performed"), [(["approve"], 2), (["edit", "--set", "first=none"], 0)], ids=["approve", "edit"]
)
def test_who_decides_about_a_refused_reply_is_told_what_becomes_of_its_effects(bank, command, performed):
    text = TEAM.replace(
        "retries: 0\n", 'retries: 0\n    escalate: true\n    guardrails: [{forbidden: {words: ["refund"]}}]\n'
    )
    (bank.folder / "team.yaml").write_text(text)
    parked(bank)
    out = bank.run("inbox", "show", "last").out
    assert "its 2 effects will be performed" in out
    assert "none of them will be performed" in out
    assert '"usd": 12' in out
    effects = bank.json("inbox", "show", "last")["effects_to_approve"]
    assert [(one["effect"], one["payload"]) for one in effects] == [("refund", {"usd": 12}), ("tell", {"to": "eve"})]

    verb, *options = command
    ended = bank.run("inbox", verb, "last", *options, "--json")
    assert (ended.code, len(log(bank))) == (0, performed)


# --- what was judged ---

JUDGED = TEAM.replace(
    "    retries: 0\n", "    retries: 0\n    escalate: true\n    guardrails: [judge: {agent: eve}]\n"
).replace(
    "plan:",
    """\
  eve: {allowed_actions: [judge], context_access: [text], write_permissions: [], retries: 0, use: "clerk:judge"}
plan:""",
)
JUDGE = """
async def judge(job):
    return il.Reply(writes={"score": SCORE, "findings": ["too much"]})
"""


@pytest.mark.parametrize("score", [1.0, 0.1], ids=["committed", "refused"])
def test_of_what_was_judged_the_call_of_its_author_is_shown(bank, score):
    (bank.folder / "team.yaml").write_text(JUDGED)
    (bank.folder / "clerk.py").write_text(CLERK + JUDGE.replace("SCORE", str(score)))
    parked(bank)
    document = bank.json("inbox", "show", "last")

    assert (document["call"]["agent"], document["attempt"], document["call"]["attempt"]) == ("clerk", 1, 1)
    assert "clerk.decide · attempt 1 · asked" in bank.run("inbox", "show", "last").out
    assert bank.json("replay", "last/pay")["agent"] == "clerk"
    assert bank.json("replay", "last/pay/2")["agent"] == "eve"
    assert log(bank) == []
    if score < 1:
        assert document["effects_to_approve"] == [
            {"effect": "refund", "key": "A7", "payload": {"usd": 12}},
            {"effect": "tell", "key": "tell", "payload": {"to": "eve"}},
        ]
        out = bank.run("inbox", "show", "last").out
        for text in ("too much", "its 2 effects will be performed", '"usd": 12'):
            assert text in out
    ended = bank.run("inbox", "approve", "last", "--by", "eve", "--json")
    assert (ended.code, ended.runs[0]["status"]) == (0, "succeeded"), ended.err
    [clerks, eves] = bank.json("show", "last")["attempts"]
    assert (clerks["decided"]["by"], eves["judges"], eves.get("decided")) == ("person:eve", True, None)
    assert log(bank) == ["refund {'usd': 12}", "tell {'to': 'eve'}"]
