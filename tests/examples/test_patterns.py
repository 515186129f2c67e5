"""Each pattern: its example runs through the command line and on bad days, and its page shows what it is."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from interlock.team import audit
from interlock.team.load import load
from interlock.testing import Simulator
from interlock.testing.injection.faults import Faults
from interlock.testing.simulation.campaign import Recipe
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .pattern_page import NAMES, PAGE, PATTERNS, PICTURE, drawn_into

TEXT = PAGE.read_text("utf-8")
SEEDS, SEEDS_SLOW = 12, 300
CHAPTERS = ["Ships", "Storms", "Whales", "Islands", "Pirates", "Maps", "Harbours"]
# Of each input: what its runs come to, in order. None is one that waits for a person.
ENDS = {
    "batches": [("total", 150)],
    "critic": [("draft", ["Lunch"]), ("review.done", True), ("review.done", False)],
    "debate": [("verdict.side", "against")],
    "hierarchical": [("reply", "Dear Ms Aydin, we pay 450 EUR."), None],
    "ladder": [("answer", "Paris"), ("answer", "27 K"), ("answer", "2"), None],
    "map": [("counts", {"good": 2, "bad": 2, "mixed": 2})],
    "map_reduce": [("notes", [f"{what} come first" for what in CHAPTERS])],
    "parallel": [("report", "parties: Acme Ltd, Brook Inc; dates: 2026-01-01, 2027-12-31; sums: 900 EUR")],
    "reconcile": [
        ("order", {"amount": "1,200.00", "due": "2026-03-01"}),
        ("order", {"amount": "540.00", "due": "2026-03-01"}),
        None,
    ],
    "router": [
        ("answers", {"billing": "A copy of the invoice is on its way."}),
        ("reply", "Somebody comes tomorrow to mend it."),
        ("reply", "Thank you for writing to us."),
    ],
    "select": [
        ("text", "Chess: all that you need to know, in an hour."),
        ("text", "Go: all that you need to know, in an hour."),
    ],
    "sequential": [("answer.facts", "from 12 EUR"), ("answer.text", "About our hours: 9 to 17 o'clock.")],
    "supervisor": [("longest", "Danube"), ("longest", "Elbe"), ("unknown", ["Styx"])],
    "vote": [("queue", "repairs"), None],
}


def requests(name):
    return [json.loads(line) for line in (PATTERNS / name / "input.jsonl").read_text("utf-8").splitlines()]


def test_every_pattern_is_tested_and_has_a_picture_in_the_page():
    assert list(ENDS) == NAMES
    assert sorted(name for _, name, _, _ in PICTURE.findall(TEXT)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_through_the_command_line(name, tmp_path):
    folder = PATTERNS / name
    command = ["run", str(folder), "--input", str(folder / "input.jsonl"), "--journal", str(tmp_path / "runs.db")]
    done = subprocess.run(
        [sys.executable, "-m", "interlock", *command, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == (3 if None in ENDS[name] else 0), done.stderr
    runs = sorted(map(json.loads, done.stdout.splitlines()), key=lambda run: run["input"])
    assert [run["status"] for run in runs] == ["succeeded" if end else "parked" for end in ENDS[name]]


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_to_what_it_should(name):
    simulator = Simulator(load(PATTERNS / name))
    for request, end in zip(requests(name), ENDS[name], strict=True):
        run = simulator.run(request)
        assert run.status == ("succeeded" if end else "parked"), run
        if end:
            assert run.context[end[0]] == end[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_audit_finds_nothing_to_mend(name):
    assert {finding.severity for finding in audit(PATTERNS / name).findings} <= {"info"}


def play(name, seeds, agents):
    given = {"requests": [json.dumps(one).encode() for one in requests(name)]} if agents == "real" else {}
    document = Faults.everything().document
    scenes = Recipe(team=str(PATTERNS / name), agents=agents, faults=document, **given).scenes()
    seen = Counter()
    for seed in range(seeds):
        episode = World(scenes.of(seed), seed).play()
        assert episode.broken is None, (seed, episode.broken)
        seen.update(struck.kind for struck in episode.struck)
    return seen


@pytest.mark.parametrize("agents", ["generated", "real"])
@pytest.mark.parametrize("name", NAMES)
def test_on_bad_days_every_promise_is_kept(name, agents):
    assert len(play(name, SEEDS, agents)) > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_on_many_bad_days_every_promise_is_kept(name):
    assert len(play(name, SEEDS_SLOW, "real")) > 15


def test_the_pictures_are_those_of_the_examples():
    assert drawn_into(TEXT) == TEXT, "draw them anew: python -m tests.examples.pattern_page"


def test_what_the_page_shows_of_a_team_file_is_in_it():
    for section in TEXT.split("\n## "):
        for name in re.findall(r"<!-- picture: (\w+) -->", section):
            team = (PATTERNS / name / "team.yaml").read_text("utf-8")
            shown = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
            assert shown
            assert all(block in team + "\n" for block in shown), name


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name):
    lines = (PATTERNS / name / "team.yaml").read_text("utf-8").splitlines()
    assert 10 <= len(lines) <= 50


# --- what the page says of a part that fails ---


async def failing(job):
    raise RuntimeError("it is down")


def failing_at(*steps, otherwise):
    async def work(job):
        if job.step in steps:
            raise RuntimeError("it is down")
        return await otherwise(job)

    return work


def run(name, row=0, **agents):
    return Simulator(load(PATTERNS / name)).run(requests(name)[row], agents=agents)


def test_a_chain_ends_where_a_step_is_given_up():
    done = run("sequential", clerk=failing)
    assert (done.status, done.steps["write"], done.context["letter.wish"]) == ("failed", "skipped", "prices")


def test_a_report_is_written_without_what_it_can_do_without():
    done = run("parallel", sums=failing)
    assert (done.status, done.steps["sums"]) == ("succeeded", "dead")
    assert done.context["report"] == "parties: Acme Ltd, Brook Inc; dates: 2026-01-01, 2027-12-31"
    assert run("parallel", dates=failing).status == "failed"


def test_the_other_batches_go_on():
    async def bill(job):
        return {"invoices": {"eur": len(job.item)}}

    done = run("batches", biller=failing_at("bill-1", otherwise=bill))
    assert (done.status, done.context["invoices"]) == ("failed", [{"eur": 2}, {"eur": 1}])


def test_an_item_that_cannot_be_done_is_left_out():
    async def label(job):
        return {f"labels.{job.index}": "good"}

    done = run("map", labeller=failing_at("label-1", otherwise=label))
    assert (done.status, done.steps["label-1"], done.context["counts"]) == ("succeeded", "dead", {"good": 5})


def test_a_draft_that_is_given_up_is_not_chosen_and_one_that_is_not_good_enough_neither():
    async def write(job):
        return {f"drafts.{job.step}": "x" * 40}

    async def scores_little(job):
        return {"scores": dict.fromkeys(job.view["drafts"], 0.1)}

    done = run("select", writer=failing_at("draft-1", otherwise=write))
    assert (done.status, sorted(done.context["drafts"])) == ("succeeded", ["draft-2", "draft-3"])
    done = run("select", judge=scores_little)
    assert (done.status, done.reason) == (
        "parked",
        "pick needs a person: the best of 3 candidates has 0.1, less than 0.2",
    )


def test_without_a_quorum_a_person_decides():
    done = run("vote", by_words=failing)
    assert (done.status, done.reason) == ("parked", "count needs a person: 2 votes at votes, and 3 are needed")


def test_where_all_must_agree_one_that_differs_is_enough_to_ask(tmp_path):
    for name in ("team.yaml", "work.py"):
        (tmp_path / name).write_text((PATTERNS / "vote" / name).read_text().replace("majority", "unanimity"))
    simulator = Simulator(load(tmp_path))
    assert simulator.run(requests("vote")[0]).status == "succeeded"

    async def differs(job):
        return {"votes.length": "general"}

    asked = simulator.run(requests("vote")[0], agents={"by_length": differs})
    assert asked.reason.startswith("count needs a person: 3 of 3 votes must agree")


def test_a_judge_that_finds_for_a_third_side_is_refused():
    async def decide(job):
        return {"verdict.side": "nobody", "verdict.since": "so it is"}

    done = run("debate", judge=decide)
    assert (done.status, "verdict" in done.context) == ("failed", False)


def test_the_draft_is_there_where_the_critic_fails():
    done = run("critic", critic=failing)
    assert (done.status, done.context["draft"]) == ("failed", ["Lunch"])


def test_a_kind_that_nobody_handles_is_refused():
    async def sort(job):
        return {"ticket.kind": "complaint"}

    done = run("router", sorter=sort)
    assert (done.status, "kind" in done.context["ticket"]) == ("failed", False)


def test_a_nested_team_that_fails_ends_the_run_and_nobody_is_paid():
    done = run("hierarchical", **{"assessors.chief": failing})
    assert (done.status, done.steps["assess"], "reply" in done.context) == ("failed", "dead", False)


def test_a_nested_team_sees_what_it_is_given_and_nothing_else():
    seen = []

    async def estimate(job):
        seen.append(job.view.to_dict())
        return {"opinions.builder": 300}

    assert run("hierarchical", **{"assessors.builder": estimate}).status == "succeeded"
    assert seen == [{"damage": "window"}]


def test_what_a_nested_team_would_have_paid_is_checked_as_any_reply():
    async def decide(job):
        return {"worth": 90_000}

    done = run("hierarchical", **{"assessors.chief": decide})
    assert (done.status, done.steps["assess"], "reply" in done.context) == ("failed", "dead", False)
    assert "offer.sum" in done.reason


def test_a_link_of_the_ladder_that_fails_hands_on():
    done = run("ladder", small=failing)
    assert (done.status, done.context["answer"], done.cost.calls) == ("succeeded", "Paris", 2)


def test_a_note_that_is_given_up_ends_the_run():
    async def note(job):
        return {"notes": "it is told"}

    done = run("map_reduce", reader=failing_at("note-3", otherwise=note))
    assert (done.status, len(done.context["notes"]), done.steps["merge"]) == ("failed", 6, "skipped")


def test_what_one_cannot_look_up_another_may():
    done = run("supervisor", almanac=failing)
    assert (done.status, done.steps["almanac-Rhine"], done.steps["archive-Rhine"]) == ("succeeded", "dead", "committed")
    assert (done.context["longest"], done.context["unknown"]) == ("none of them", ["Rhine", "Danube"])


def test_a_supervisor_that_gets_nowhere_asks_a_person():
    async def decide(job):
        return {"add": []}

    done = run("supervisor", lead=decide)
    assert (done.status, done.reason) == (
        "parked",
        "decide-3 needs a person: the last 2 decisions have come to nothing",
    )


def test_a_supervisor_is_killed_at_every_write_and_comes_to_the_same():
    for request in requests("supervisor"):
        given = [json.dumps(request).encode()]
        scenes = Recipe(team=str(PATTERNS / "supervisor"), agents="real", requests=given, runs=1).scenes()
        report = explore_crashes(scenes.of(0))
        assert report.ok, report.differences[0].message
        assert report.writes >= 5
