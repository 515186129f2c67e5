"""The commands, as processes of their own."""

import json
import subprocess
import sys

import msgspec
import pytest

from interlock.cli import looking
from interlock.cli.config import Settings
from interlock.cli.journals import find_run


def words(text):
    return " ".join(text.split())


# --- run ---


def test_one_request_is_shown_with_its_steps_and_its_context(desk):
    ended = desk.run("run", ".", "--input", "-", stdin='{"text": "hi"}')
    assert ended.code == 0, ended.err
    assert "✓ succeeded" in ended.out
    assert "✓ work   worker.work" in ended.out
    assert '"second": "HI"' in ended.out
    assert "2 calls · 15 tokens · $0.2500" in ended.out


def test_many_requests_are_summed_up(desk):
    desk.write("in.jsonl", "a", "b", "fail", "fail", "ask")
    ended = desk.run("run", "team.yaml", "--input", "in.jsonl", "--concurrency", "2")
    assert ended.code == 1
    assert words(ended.out).startswith("5 runs in ")
    for part in ("✓ succeeded 2 40.0 %", "? parked 1 20.0 %", "✗ failed 2 40.0 %", "2 work: RuntimeError: no"):
        assert part in words(ended.out)
    assert "worker 7 calls 4 failed, 2 committed, 1 asked" in words(ended.out)
    assert "no \\u001b[31mluck" in ended.out
    failed = next(line for line in ended.out.splitlines() if "interlock show" in line).split()[-1]
    assert desk.json("show", failed)["status"] == "failed"


def test_a_line_of_json_for_each_run(desk):
    desk.write("in.jsonl", "a", "fail", "ask")
    ended = desk.run("run", ".", "--input", "in.jsonl", "--json")
    assert ended.code == 1
    by_input = {run["input"]: run for run in ended.runs}
    assert by_input[0] == {
        "run_id": by_input[0]["run_id"],
        "status": "succeeded",
        "context": {"text": "a", "first": "a", "second": "A"},
        "steps": {"committed": 2},
        "cost": {"usd": 0.25, "tokens": 15, "calls": 2},
        "duration_ms": by_input[0]["duration_ms"],
        "input": 0,
    }
    assert by_input[1]["status"] == "failed"
    assert by_input[1]["reason"].startswith("work: RuntimeError: no \x1b[31mluck (agents.py:")
    assert by_input[2]["status"] == "parked"
    assert by_input[2]["reason"] == "work asks: may I?"


@pytest.mark.parametrize(("text", "code"), [("ask", 3), ("fail", 1), ("overreach", 0)])
def test_the_exit_code_says_how_it_ended(desk, text, code):
    assert desk.run("run", ".", "--input", desk.write("in.jsonl", text), "--json").code == code


def test_what_agents_print_does_not_get_between_the_results(desk):
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "print"), "--json")
    assert len(ended.runs) == 1
    assert "an agent prints" in ended.err


def test_columns_are_mapped_and_a_limit_is_kept(desk):
    (desk.folder / "in.csv").write_text("id,question\n1,a\n2,b\n3,c\n")
    ended = desk.run("run", ".", "--input", "in.csv", "--map", "question=text", "--limit", "2", "--json")
    assert ended.code == 0, ended.err
    assert sorted(run["context"]["second"] for run in ended.runs) == ["A", "B"]


def test_bad_input_starts_nothing(desk):
    (desk.folder / "in.jsonl").write_text('{"text": "a"}\n\n{"text": }\n')
    ended = desk.run("run", ".", "--input", "in.jsonl")
    assert ended.code == 2
    assert ended.err.startswith("error: in.jsonl:3: this is not JSON (column 10:")
    (desk.folder / "in.jsonl").write_text('{"text": "a"}\n{"text": 99999999999999999999}\n')
    ended = desk.run("run", ".", "--input", "in.jsonl")
    assert ended.code == 2
    assert ended.err.startswith("error: in.jsonl:2: the request can't be used: text is")
    assert desk.calls == []


def test_an_invalid_team_is_named_with_line_and_mend(desk):
    team = desk.folder / "team.yaml"
    team.write_text(team.read_text().replace("agent: closer", "agent: closr"))
    ended = desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))
    assert ended.code == 2
    assert "team.yaml:18: step close: there is no agent closr; did you mean closer?" in ended.err
    assert "Traceback" not in ended.err


def test_settings_come_from_the_environment_and_the_file(desk):
    desk.write("in.jsonl", "a")
    (desk.folder / "interlock.toml").write_text('journal = "runs.db"')
    assert desk.run("run", ".", "--input", "in.jsonl").code == 0
    assert desk.run("run", ".", "--input", "in.jsonl", env={"INTERLOCK_JOURNAL": "other.db"}).code == 0
    assert (desk.folder / "runs.db").exists()
    assert (desk.folder / "other.db").exists()
    assert not (desk.folder / ".interlock").exists()


def test_json_needs_no_rich(desk):
    program = "import sys; sys.modules['rich'] = None; from interlock.cli import main; main()"
    command = [sys.executable, "-c", program, "run", ".", "--input", desk.write("in.jsonl", "a"), "--json"]
    ended = subprocess.run(command, cwd=desk.folder, capture_output=True, text=True, check=False)
    assert (ended.returncode, json.loads(ended.stdout)["status"]) == (0, "succeeded"), ended.stderr


# --- runs, show ---


def test_runs_are_listed_newest_first(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a", "fail", "ask"), "--concurrency", "1")
    listed = desk.json("runs")["runs"]
    assert [run["status"] for run in listed] == ["parked", "failed", "succeeded"]
    assert [run["input"] for run in listed] == [2, 1, 0]
    assert listed[2]["team"] == str(desk.folder / "team.yaml")
    assert listed[2]["duration_ms"] > 0
    assert listed[0]["ended"] is None
    assert desk.json("runs", "--status", "failed")["runs"] == [listed[1]]
    assert desk.json("runs", "--batch", listed[0]["batch"], "--limit", "1")["runs"] == [listed[0]]
    shown = desk.run("runs").out.splitlines()
    assert shown[0].split() == ["run", "status", "started", "took", "team", "reason"]
    assert shown[1].endswith("work asks: may I?")


def test_a_run_is_shown_from_the_journal_alone(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "overreach"))
    for name in ("team.yaml", "agents.py"):
        (desk.folder / name).unlink()
    told = desk.json("show", "last")
    assert told["status"] == "succeeded"
    assert [(a["step"], a["attempt"], a["outcome"]) for a in told["attempts"]] == [
        ("work", 1, "refused"),
        ("work", 2, "committed"),
        ("close", 1, "committed"),
    ]
    assert told["attempts"][0]["findings"][0]["path"] == "second"
    assert [(step["id"], step["needs"], step["state"]) for step in told["plan"]] == [
        ("work", [], "committed"),
        ("close", ["work"], "committed"),
    ]
    assert told["context"] == {"text": "overreach", "first": "overreach", "second": "OVERREACH"}
    assert told["cost"] == {"usd": 0.25, "tokens": 15, "calls": 3}
    assert desk.json("show", told["run_id"][:-2]) == told
    shown = desk.run("show", "last")
    assert "1 refused after" in shown.out
    assert "worker may not write second" in shown.out


def test_a_run_that_is_not_there_or_not_the_only_one(desk):
    ended = desk.run("show", "last")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: there is no journal .interlock/journal.db\n  fix: ")
    assert not (desk.folder / ".interlock").exists()
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a", "b"))
    batch = desk.json("runs")["runs"][0]["batch"]
    assert desk.json("show", f"{batch}-1")["input"] == 1
    ended = desk.run("show", batch)
    assert ended.code == 2
    assert f"2 runs begin with {batch}: " in ended.err
    assert desk.run("show", "nope").code == 2


# --- cancel ---


def test_a_parked_run_is_cancelled_for_good(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "ask"))
    row = desk.json("cancel", "last", "--reason", "a test")
    assert row["status"] == "cancelled"
    assert row["reason"].endswith(": a test")
    assert desk.run("cancel", "last").code == 0
    assert desk.json("show", "last")["plan"][0]["state"] == "cancelled"


def test_a_run_that_has_ended_is_not_cancelled(desk):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))
    ended = desk.run("cancel", "last")
    assert ended.code == 1
    assert "can't be cancelled any more: it has succeeded" in ended.err


def test_a_run_that_ends_before_it_can_be_cancelled_is_told_by_its_end(desk, monkeypatch, capsys):
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))

    async def found_while_it_ran(journal, name):
        return msgspec.structs.replace(await find_run(journal, name), status="running")

    monkeypatch.setattr(looking, "find_run", found_while_it_ran)
    settings = Settings(str(desk.folder / ".interlock" / "journal.db"))
    assert looking.cancel(settings, "last", "", json=False) == 1
    assert "can't be cancelled any more: it has succeeded" in capsys.readouterr().err


def test_a_run_that_another_process_drives_is_cancelled_there(desk):
    driver = desk.start("run", ".", "--input", desk.write("in.jsonl", "hang"), "--json")
    desk.until("waiting", driver)
    assert desk.json("cancel", "last")["status"] == "cancelled"
    ended = desk.finish(driver)
    assert (ended.code, ended.runs[0]["status"]) == (1, "cancelled")


# --- audit, schema, and the rest ---


def test_an_audit_finds_what_is_wrong_without_importing_anything(desk):
    (desk.folder / "agents.py").write_text("raise SystemExit('imported')")
    assert desk.json("audit", ".")["ok"] is True
    team = desk.folder / "team.yaml"
    team.write_text(team.read_text().replace("write_permissions: [second]", "write_permissions: [first]"))
    found = desk.json("audit", ".", code=2)
    assert found["ok"] is False
    assert found["findings"][0]["severity"] == "error"
    assert found["findings"][0]["agents"] == ["worker", "closer"]
    shown = desk.run("audit", ".")
    assert shown.code == 2
    assert "✗ .: not valid (1 error" in shown.out


def test_the_schema_is_one_of_team_files(desk):
    assert json.loads(desk.run("schema").out)["title"] == "Interlock team file"


def test_version_and_help(desk):
    assert desk.run("--version").out.startswith("interlock ")
    assert "resume" in desk.run("--help").out


@pytest.mark.parametrize("command", [["run"], ["run", ".", "--inputt", "x"], ["runs", "--status", "odd"], ["nope"]])
def test_bad_usage_has_a_code_of_its_own(desk, command):
    ended = desk.run(*command)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


def test_ids_are_completed_and_no_journal_is_made_for_it(desk, monkeypatch):
    from interlock.cli.looking import recent_runs

    monkeypatch.chdir(desk.folder)
    assert recent_runs("") == []
    assert not (desk.folder / ".interlock").exists()
    desk.run("run", ".", "--input", desk.write("in.jsonl", "a"))
    [(run_id, about)] = recent_runs("")
    assert about == "succeeded team.yaml"
    assert recent_runs(run_id[:5])
    assert not recent_runs("nope")
