"""`breakers`, and how a step that waits at a gate is shown."""

import asyncio
import re
from contextlib import suppress
from io import StringIO

import pytest
from rich.console import Console

import interlock as il
from interlock.cli import paint_breakers, paint_lists, paint_run, screens
from interlock.cli.bar import _step_line
from interlock.cli.breakers import known_agents
from interlock.cli.config import Settings
from interlock.cli.screens import PlainLines
from interlock.cli.tally import Tally
from interlock.core import events as e
from interlock.core.breaker import Moved, move
from interlock.core.gate import AtGate, Gate
from interlock.errors import RunInterrupted
from interlock.history import Held, standing
from interlock.ports import RunRow
from interlock.team.gates import gate_of

GATES = """\
    retries: 0
    breaker: {trip_after: 1, cooldown: 1h}
    rate: {requests: 600/min}
    budget: {day: {usd: 5, call: {usd: 0.50}}}
"""
NOW_US = 1_800_000_000_000_000


def words(text):
    return " ".join(text.split())


@pytest.fixture
def tripped(desk):
    """A desk whose worker has failed once, so that its breaker is open for an hour."""
    text = (desk.folder / "team.yaml").read_text()
    (desk.folder / "team.yaml").write_text(text.replace("    retries: 1\n", GATES))
    assert desk.run("run", ".", "--input", "-", stdin='{"text": "fail"}').code == 1
    return desk


@pytest.fixture
def held(tripped, monkeypatch):
    """The same, with a run that waits for its breaker, and that nobody drives any more; its id."""
    monkeypatch.chdir(tripped.folder)

    async def main():
        waits = asyncio.Event()

        def tell(run_id, events):
            if any(isinstance(event, e.CallHeld) for event in events):
                waits.set()

        async with il.Orchestrator(il.Team.load("."), on_event=tell) as orchestrator:
            task = asyncio.create_task(orchestrator.run({"text": "hi"}, run_id="held"))
            await waits.wait()
        with suppress(RunInterrupted):
            await task

    asyncio.run(main())
    return "held"


def breaker_of(desk):
    [gate] = desk.json("breakers")["gates"]
    return gate["breaker"]


# --- the command ---


def test_what_a_journal_knows_of_its_gates(tripped):
    [gate] = tripped.json("breakers")["gates"]
    assert (gate["team"], gate["agent"]) == (str(tripped.folder / "team.yaml"), "worker")
    assert gate["breaker"]["state"] == "open"
    assert gate["breaker"]["reason"].startswith("a bad output: RuntimeError: no")
    assert [moved["to"] for moved in gate["breaker"]["moves"]] == ["open"]
    assert gate["rate"]["requests"] | {"free": 0} == {"amount": 600, "per": "min", "booked": 1, "later": 0, "free": 0}
    assert gate["budget"]["usd"] | {"left": 0} == {"limit": 5.0, "spent": 0.5, "reserved": 0.0, "left": 0}
    assert "✗ open" in tripped.run("breakers").out
    assert tripped.run("breakers", "list").out.startswith("rate of")


def test_a_breaker_is_reset_and_opened_by_hand(tripped):
    ended = tripped.run("breakers", "reset", "worker", "--reason", "prompt fixed", "--by", "Ada")
    assert (ended.code, ended.out) == (0, "worker of team.yaml is called again: its breaker is closed\n")
    after = breaker_of(tripped)
    assert (after["state"], after["reason"], after["moves"][0]["by"]) == ("closed", "prompt fixed", "Ada")
    assert tripped.run("run", ".", "--input", "-", stdin='{"text": "hi"}').code == 0
    after = tripped.json("breakers", "open", "worker", "--reason", "bad prompt", "--team", ".")
    assert (after["breaker"]["state"], after["breaker"]["until"]) == ("open", None)
    assert after["breaker"]["moves"][0]["by"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("open wroker --reason x", "has an agent wroker; did you mean worker? fix: agents with a breaker: worker"),
        ("reset closer --reason x", "agent closer has no breaker"),
        ("reset worker --reason x --team other", "no run in this journal is of the team other fix: teams in this"),
        ("open worker --reason=", "a reason is missing"),
        ("open worker", "Missing option '--reason'"),
        ("--json open worker --reason x", "write --journal and --json after open"),
        ("list --journal no.db", "there is no journal no.db"),
    ],
)
def test_what_is_refused_says_how_to_mend_it(tripped, command, message):
    ended = tripped.run("breakers", *command.split())
    assert ended.code == 2
    assert message in words(ended.err.replace("│", ""))
    assert breaker_of(tripped)["state"] == "open"


def test_one_that_is_closed_is_not_reset(tripped):
    assert tripped.run("breakers", "reset", "worker", "--reason", "x").code == 0
    ended = tripped.run("breakers", "reset", "worker", "--reason", "x")
    assert (ended.code, "the breaker of worker is closed already" in ended.err) == (2, True)


def test_of_several_teams_one_must_be_named(tripped):
    text = (tripped.folder / "team.yaml").read_text()
    (tripped.folder / "other.yaml").write_text(f"name: other\n{text}")
    assert tripped.run("run", "other.yaml", "--input", "-", stdin='{"text": "hi"}').code == 0
    ended = tripped.run("breakers", "open", "worker", "--reason", "x")
    assert ended.code == 2
    assert "several teams have an agent worker: other, team.yaml" in ended.err
    assert tripped.run("breakers", "open", "worker", "--reason", "x", "--team", "other").code == 0
    gates = tripped.json("breakers")["gates"]
    assert {gate["team"].rpartition("/")[2]: gate["breaker"]["reason"][:3] for gate in gates} == {
        "other": "x",
        "team.yaml": "a b",
    }


def test_a_journal_without_gates_says_so(desk):
    assert desk.run("run", ".", "--input", "-", stdin='{"text": "hi"}').code == 0
    assert "no team of this journal declares one" in desk.run("breakers").out
    assert desk.json("breakers") == {"gates": []}
    ended = desk.run("breakers", "open", "nobody", "--reason", "x")
    assert "no agent in this journal has a breaker" in ended.err


def test_agents_are_completed_and_no_journal_is_made_for_it(desk, monkeypatch):
    monkeypatch.chdir(desk.folder)
    assert known_agents("") == []
    assert not (desk.folder / ".interlock").exists()


def test_agents_with_a_breaker_are_completed(tripped, monkeypatch):
    monkeypatch.chdir(tripped.folder)
    assert known_agents("wo") == [("worker", "open team.yaml")]
    assert known_agents("clo") == []


# --- drawn ---


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_reason_never_costs_a_breaker_its_state(width, monkeypatch):
    out = Console(width=width, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_breakers, "console", lambda: out)
    policy = gate_of(breaker={}, rate={"tokens": "5/s"}, budget={"day": {"usd": 2}})
    gates = []
    for name, to, stay_ms in (("one", "open", 9_000), ("two", "half_open", 9_000), ("three", "open", 0)):
        gate = Gate()
        moves = [move(gate.breaker, "open", "why " * 50, NOW_US - 5_000_000, stay_ms, "Ada\x1b[2J")]
        moves = [move(gate.breaker, to, "cooled", NOW_US, stay_ms), *moves] if to == "half_open" else moves
        gates.append(standing(f"desk/{name}", AtGate(gate, (), moves), policy, NOW_US))
    closed = Gate()
    closed.breaker.bad_in_a_row = 2
    gates.append(standing("desk/four", AtGate(closed, ()), policy, NOW_US))
    gates.append(standing("desk/", AtGate(Gate(), ()), gate_of(rate={"requests": "5/s"}), NOW_US))
    paint_breakers.show_gates(gates, NOW_US, Settings("x.db", flags=" --journal x.db"))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", out.file.getvalue())
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert all(len(line) <= width for line in lines)
    states = shown[shown.index("breaker of") :]
    assert re.findall(r"(\w+) +[✓✗?] ([\w-]+)", states) == [
        ("one", "open"), ("two", "half-open"), ("three", "open"), ("four", "closed"),
    ]  # fmt: skip
    for text in ("reset by hand", "0 of 3", "2 bad", "Ada", "(all agents)", "$2.00"):
        assert text in shown
    assert "interlock breakers reset one --reason TEXT --journal x.db" in words(shown)


def test_what_has_several_teams_names_them(monkeypatch):
    out = Console(width=80, file=StringIO())
    monkeypatch.setattr(paint_breakers, "console", lambda: out)
    at = {name: AtGate(Gate(), (), [Moved(NOW_US, "closed", "fixed")]) for name in ("a/one", "b/two")}
    paint_breakers.show_gates([standing(name, one, None, NOW_US) for name, one in at.items()], NOW_US, Settings("x"))
    assert re.findall(r"team (\w)$", out.file.getvalue(), re.MULTILINE) == ["a", "b"]


# --- waiting at gates ---


def test_a_step_that_waits_is_shown_with_its_gate_and_until_when(tripped, held):
    [row] = [row for row in tripped.json("runs")["runs"] if row["run_id"] == held]
    [wait] = row["held"]
    assert (wait["step"], wait["agent"], wait["gate"], wait["times"]) == ("work", "worker", "breaker", 1)
    assert wait["until"] > wait["since"]
    assert re.search(r"held until .*\d\d:\d\d:\d\d: work, worker: its breaker is open", tripped.run("runs").out)
    [step, _] = tripped.json("show", held)["plan"]
    assert (step["state"], step["held"]) == ("backing_off", [{k: v for k, v in wait.items() if k != "step"}])
    shown = words(tripped.run("show", held).out)
    assert "worker.work waits at a gate" in shown
    assert re.search(r"↻ held worker its breaker is open: a bad .* until (\S+ )?\d\d:\d\d:\d\d", shown)
    replayed = words(tripped.run("replay", held).out)
    assert re.search(r"worker not called: its breaker is open: .* until (3\d\d\d\.\d+ s|1 h 00 m)", replayed)
    [event] = [one for one in tripped.json("replay", held)["events"] if one["event"] == "call_held"]
    assert (event["gate"], event["until_us"] > 0) == ("breaker", True)


def test_runs_say_what_waits_longest(monkeypatch):
    out = Console(width=200, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_lists, "console", lambda: out)
    more = {"agent": "ann", "gate": "team_rate", "reason": "its rate is taken up until then", "at_us": NOW_US}
    steps = [Held(step=name, until_us=NOW_US + seconds, **more) for name, seconds in (("a", 1), ("b", 9), ("c", 5))]
    rows = [RunRow(name, "running", "", "t", "p", "", "", 0, NOW_US, 0) for name in ("r0", "r1")]
    paint_lists.show_runs(rows, NOW_US, {"r1": steps})
    assert "b and 2 other steps, ann: the team's rate is taken up" in out.file.getvalue()


def test_of_what_waits_for_other_calls_no_time_is_told(monkeypatch):
    out = Console(width=200, force_terminal=True, no_color=True, file=StringIO())
    monkeypatch.setattr(paint_lists, "console", lambda: out)
    waits = Held(step="a", until_us=0, agent="ann", gate="run_reservation", reason="too little for now", at_us=NOW_US)
    paint_lists.show_runs([RunRow("r0", "running", "", "t", "p", "", "", 0, NOW_US, 0)], NOW_US, {"r0": [waits]})
    assert "held: a, ann: too little for now" in out.file.getvalue()
    assert paint_run._held_line(waits).plain.endswith("held  ann  too little for now")
    tally = Tally(1)
    tally.happened("r0", [e.CallHeld(1, "a", "ann", "run_reservation", "too little for now", 9)])
    assert (tally.waiting, tally.until_us) == (1, 0)


def test_a_run_that_cannot_be_read_hides_no_other(tripped, held, monkeypatch):
    from interlock.cli import looking
    from interlock.errors import JournalError

    async def damaged(self, run_id):
        raise JournalError("damaged")

    monkeypatch.setattr("interlock.journal.sqlite.SqliteJournal.load", damaged)
    assert looking.runs(Settings(".interlock/journal.db"), "", "", 0, json=True) == 0


def test_a_single_run_says_what_it_waits_for():
    states = {"a": "done", "b": "held", "c": "running"}
    assert _step_line(states, "its breaker is\nopen") == (
        "1 steps done, running: c, waiting at a gate: b (its breaker is open)"
    )
    assert _step_line({"a": "done"}, "its breaker is open") == "1 steps done"


def test_a_batch_that_only_waits_is_not_silent(monkeypatch):
    said, now = [], [0.0]
    monkeypatch.setattr(screens.clock, "monotonic", lambda: now[0])
    monkeypatch.setattr(screens.exits, "say", said.append)
    lines = PlainLines(Tally(5))
    wait = e.CallHeld(1, "work", "ann", "breaker", "its breaker is open", 9)
    lines.happened("r", [wait])
    now[0] = 6.0
    lines.happened("r", [e.BackoffEnded(2, "work"), wait])
    assert said[0].startswith("0 of 5 runs after 6.0 s: 1 step waiting at gates until ")
