"""`stats`: as a process on a journal of SQLite, and what it draws."""

import asyncio
import json
import re
import signal
import sqlite3
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from interlock.cli import counting, paint_stats
from interlock.cli.config import Settings
from interlock.cli.counting import Choice, Count
from interlock.core import events as e
from interlock.core.job import Usage
from interlock.core.plan import Plan
from interlock.core.step import Step
from interlock.errors import InputError, JournalUnavailable
from interlock.history import Figures
from interlock.journal.memory import MemoryJournal
from interlock.ports import RunRow

HOUR_US = 3_600_000_000
SETTINGS = Settings("runs.db")


@pytest.fixture
def counted(desk):
    """A desk where a run went well, one failed, one reached too far and one asks."""
    desk.run("run", ".", "--input", desk.write("in.jsonl", "hi", "fail", "overreach", "ask"), "--json")
    return desk


def words(text):
    return " ".join(text.split())


def test_the_figures_of_a_journal(counted):
    of = counted.json("stats")
    assert of["complete"] is True
    assert of["runs"] == {"read": 4, "succeeded": 2, "failed": 1, "parked": 1}
    worker, closer, total = of["agents"]["worker"], of["agents"]["closer"], of["total"]
    assert (worker["attempts"], worker["committed"], worker["refused"], worker["failed"]) == (6, 2, 1, 2)
    assert (worker["questions"], worker["dead_letters"], worker["errors"]) == (1, 1, {"error": 2})
    assert (worker["refusals"], worker["context_corruption"]["prevented"]) == ({"scope": 1}, 1)
    assert (worker["steps"], worker["retries"]) == (4, {"total": 2, "per_step": 0.5, "max": 1})
    assert (closer["attempts"], closer["success_rate"]) == (2, 1.0)
    assert (total["attempts"], total["usd"], total["tokens"]["input"]) == (8, 0.5, 20)
    assert total["per_run"]["usd"] == {"count": 3, "p50": 0.25, "p95": 0.25, "max": 0.25, "exact": True}
    assert worker["recovery_ms"]["count"] == 1


def test_they_are_drawn_in_tables(counted):
    ended = counted.run("stats")
    assert ended.code == 0, ended.err
    told = words(ended.out)
    assert told.startswith("4 runs ✓ 2 succeeded ? 1 parked ✗ 1 failed calls agent calls committed")
    assert "worker 6 2 33.3 % 1 2 - 1" in told
    assert "total 8 4 50.0 % 1 2 - 1" in told
    assert "refused because of worker 1 scope failed by worker 2 error" in told
    assert ended.err == ""


def test_runs_can_be_chosen(counted):
    rows = counted.json("runs")["runs"]
    by_input = {row["input"]: row for row in rows}
    one = by_input[1]["run_id"]
    assert counted.json("stats", one, "last", one)["runs"]["read"] == len({one, rows[0]["run_id"]})
    assert counted.json("stats", one)["agents"]["worker"]["errors"] == {"error": 2}
    assert counted.json("stats", "--limit", "3")["runs"]["read"] == 3
    assert counted.json("stats", "--since", "1h")["runs"]["read"] == 4
    assert counted.json("stats", "--batch", rows[0]["batch"])["runs"]["read"] == 4
    assert counted.json("stats", "--batch", "nobody")["runs"]["read"] == 0
    assert counted.json("stats", "--team", ".")["runs"]["read"] == 4
    assert counted.json("stats", "--team", "./team.yaml")["runs"]["read"] == 4
    assert counted.json("stats", "--team", "elsewhere.yaml")["runs"]["read"] == 0
    only = counted.json("stats", "--agent", "closer")
    assert [*only["agents"]] == ["closer"]
    assert only["total"]["attempts"] == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--agent", "workr"], "no agent workr was called in these runs"),
        (["--since", "yesterday"], "--since is 'yesterday', which is no time"),
        (["nobody"], "there is no run nobody in this journal"),
        (["--journal", "none.db"], "there is no journal none.db"),
        (["--limit", "0"], "Invalid value for '--limit'"),
    ],
)
def test_a_choice_that_can_not_be_made_is_refused(counted, flags, said):
    ended = counted.run("stats", *flags)
    assert ended.code == 2
    assert said in words(ended.err.replace("│", " "))


def test_a_run_that_cannot_be_read_is_named_and_the_rest_counted(counted):
    with sqlite3.connect(counted.folder / ".interlock/journal.db") as db:
        db.execute("UPDATE event SET data = ? WHERE run = 1 AND seq = 1", (b'{"t":"news_of_tomorrow","at_us":1}',))
    db.close()
    of = counted.json("stats")
    assert of["runs"]["read"] == 3
    assert of["unreadable"]["runs"] == 1
    assert "news_of_tomorrow" in of["unreadable"]["first"]
    ended = counted.run("stats")
    assert ended.code == 0
    assert "1 of the runs can't be read and are not counted; the first: event 1 of run" in ended.err


def test_nobody_who_looks_makes_a_journal(desk):
    assert desk.run("stats").code == 2
    assert not (desk.folder / ".interlock").exists()


# --- reading ---


def a_row(run_id, started_us, batch="", source=""):
    return RunRow(run_id, "succeeded", "", "t", "p", source, batch, 0, started_us, started_us)


class Listing(MemoryJournal):
    """A journal of runs without events, that notes which pages were asked for."""

    def __init__(self, rows):
        super().__init__()
        self.store.rows = {row.run_id: row for row in rows}
        self.asked = []

    async def runs(self, **given):
        self.asked.append(given["before"])
        return await super().runs(**given)


def listed(rows, choice):
    journal = Listing(rows)

    async def read():
        return [row.run_id async for row in counting._rows(journal, choice)]

    return asyncio.run(read()), journal.asked


def test_runs_are_read_page_by_page(monkeypatch):
    monkeypatch.setattr(counting, "PAGE_RUNS", 2)
    assert listed([a_row(f"r{n}", n) for n in range(5)], Choice()) == (
        ["r4", "r3", "r2", "r1", "r0"],
        ["", "r3", "r1", "r0"],
    )


def test_reading_ends_where_runs_began_long_before_but_not_because_two_clocks_differ(monkeypatch):
    monkeypatch.setattr(counting, "PAGE_RUNS", 2)
    began = [0, 1 * HOUR_US, 9 * HOUR_US, 11 * HOUR_US, 9.5 * HOUR_US, 12 * HOUR_US]
    rows = [a_row(f"r{n}", int(at)) for n, at in enumerate(began)]
    assert listed(rows, Choice(since_us=10 * HOUR_US)) == (["r5", "r3"], ["", "r4", "r2"])
    assert listed(rows, Choice(since_us=12 * HOUR_US)) == (["r5"], [""])


def test_plans_are_kept_but_not_without_bound(monkeypatch):
    monkeypatch.setattr(counting, "PLANS_KEPT_MAX", 2)
    read = []

    class Blobs:
        async def blob(self, key):
            read.append(key)
            return b"{}"

    class Document:
        def of_document(self, document):
            return self

        @property
        def rules(self):
            return self

        plan = Plan([Step("s", "ann", "act")])

    monkeypatch.setattr(counting, "Team", Document())
    plans = counting._Plans(Blobs())

    async def look():
        for team in "aababcaca":
            await plans.of(RunRow("r", "", "", team, "", "", "", 0, 0, 0))

    asyncio.run(look())
    assert "".join(read) == "abca"


def test_a_journal_that_is_gone_meanwhile_is_an_error_and_no_lack_of_figures(counted, monkeypatch):
    monkeypatch.chdir(counted.folder)
    seen = []

    async def fails(self, run_id):
        seen.append(run_id)
        raise JournalUnavailable("it was replaced")

    monkeypatch.setattr("interlock.journal.sqlite.SqliteJournal.load", fails)
    with pytest.raises(JournalUnavailable):
        counting.stats(Settings(".interlock/journal.db"), Choice(), json=True)
    assert seen


def test_whoever_interrupts_it_is_told_of_the_newest_runs(counted, monkeypatch, capfdbinary):
    monkeypatch.chdir(counted.folder)
    monkeypatch.setattr(counting, "RUNS_AT_ONCE", 1)
    add = Figures.add

    def interrupted(self, *given):
        add(self, *given)
        if self.runs == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Figures, "add", interrupted)
    assert counting.stats(Settings(".interlock/journal.db"), Choice(), json=True) == 130
    told = capfdbinary.readouterr()
    of = json.loads(told.out)
    assert (of["complete"], of["runs"]["read"]) == (False, 2)
    assert told.err == b"interrupted: these are the newest runs only\n"


def test_an_agent_that_is_met_nowhere_is_no_error_where_there_are_no_runs():
    counting._refuse_unknown(Choice(agents=("ann",)), Figures())
    figures = Figures(["ann"])
    figures.add(a_row("r", 0), Plan([Step("s", "ann", "act")]), [])
    with pytest.raises(InputError, match="no agent ann"):
        counting._refuse_unknown(Choice(agents=("ann",)), figures)


# --- drawing ---


def figures_of(*events, agents=("ann",), runs=1):
    made = Figures()
    steps = [Step(f"s{n}", agent, "act") for n, agent in enumerate(agents)]
    for _ in range(runs):
        made.add(a_row("r", 0), Plan(steps), [e.RunStarted(0, b"{}", "t", "p"), *events])
    return made


def drawn(monkeypatch, figures, columns):
    out = Console(file=StringIO(), width=columns, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(paint_stats, "console", lambda: out)
    paint_stats.show_stats(figures)
    return out.file.getvalue()


BUSY = [
    event
    for n, agent in enumerate(("a-name-that-is-much-too-long-for-a-column", "bob\x1b[31m"))
    for event in (
        e.AttemptStarted(0, f"s{n}", 1, agent, "v"),
        e.AttemptRefused(754_000_000, f"s{n}", 1, (e.Finding("grounded", "no"), e.Finding("scope", "no"))),
        e.AttemptStarted(754_000_000, f"s{n}", 2, agent, "v"),
        e.AttemptFailed(3_999_000_000, f"s{n}", 2, "rate_limited", "no"),
        e.AttemptStarted(3_999_000_000, f"s{n}", 3, agent, "v"),
        e.AttemptCommitted(93_000_000_000, f"s{n}", 3, usage=Usage(12_345_678, 9_876_543, 1_234.5, requests=123_456)),
    )
]


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal_or_moves_its_cursor(monkeypatch, columns):
    made = figures_of(*BUSY, agents=("a-name-that-is-much-too-long-for-a-column", "bob\x1b[31m"), runs=600)
    told = drawn(monkeypatch, made, columns)
    assert max(map(len, told.splitlines())) <= columns
    assert not re.search("[\x00-\x09\x0b-\x1f]", told)
    assert "bob\\u001b[31m" in told
    for part in ("1 d 0 h", "rate limited", "grounded", "percentiles of more than 1,000 values are within 1 %"):
        assert part in told


def test_without_runs_there_is_nothing_to_draw(monkeypatch):
    assert drawn(monkeypatch, Figures(), 80) == "no runs\n"


def test_one_agent_has_no_total_and_what_costs_nothing_no_costs(monkeypatch):
    begun = e.AttemptStarted(0, "s0", 1, "ann", "v")
    told = drawn(monkeypatch, figures_of(begun, e.AttemptCommitted(1_000, "s0", 1)), 80)
    assert "total" not in told
    assert "cost" not in told
    assert "refused because of" not in told


@pytest.mark.parametrize(("usage", "said"), [(Usage(5, usd=0.5), "$0.5000"), (Usage(5), "unknown"), (None, "")])
def test_a_price_that_is_unknown_is_said_to_be(monkeypatch, usage, said):
    begun = e.AttemptStarted(0, "s0", 1, "ann", "v")
    told = drawn(monkeypatch, figures_of(begun, e.AttemptCommitted(1_000, "s0", 1, usage=usage)), 80)
    assert said in told
    late = e.ReplyArrivedLate(2_000, "s0", 1, Usage(1, usd=0.25))
    told = drawn(monkeypatch, figures_of(begun, e.AttemptCommitted(1_000, "s0", 1, usage=usage), late), 80)
    if said == "unknown":
        assert "> $0.2500" in told


def test_gates_and_the_waiting_at_them_are_told(monkeypatch):
    held = e.CallHeld(0, "s0", "ann", "rate", "no", 2_000_000)
    begun = e.AttemptStarted(2_000_000, "s0", 1, "ann", "v")
    told = drawn(monkeypatch, figures_of(held, begun, e.AttemptCommitted(2_001_000, "s0", 1)), 80)
    assert "held back by\nann  1 rate; waited p50 2.0 s, p95 2.0 s\n" in told
    assert "held back by\nann  1 rate\n" in drawn(monkeypatch, figures_of(held), 80)


def test_replies_that_nobody_could_judge_are_told_apart(monkeypatch):
    judge = e.AttemptStarted(0, "s0", 2, "eve", "v"), e.AttemptFailed(1_000, "s0", 2, "timeout", "slow")
    verdict = e.AttemptRefused(1_000, "s0", 1, (e.Finding(e.UNJUDGED, "eve could not judge it: slow"),))
    begun = e.AttemptStarted(0, "s0", 1, "ann", "v")
    told = drawn(monkeypatch, figures_of(begun, e.ReplyDrafted(0, "s0", 1), *judge, verdict), 80)
    assert "refused because nobody could judge\nann  1 call\n" in told
    assert "refused because of" not in told


def test_a_count_says_what_is_left_out():
    assert Count(Figures(), unreadable=2, why="damaged", left=True).to_dict()["unreadable"] == {
        "runs": 2,
        "first": "damaged",
    }


def test_the_team_of_runs_may_be_gone(tmp_path):
    assert counting._source(tmp_path / "gone.yaml") == str(tmp_path.resolve() / "gone.yaml")
    assert Path(counting._source(tmp_path)).name == "team.yaml"
