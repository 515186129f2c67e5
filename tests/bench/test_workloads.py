import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from interlock.core import events as e
from interlock.testing.injection.faults import GARBAGE

ROOT = Path(__file__).resolve().parents[2]
EDITS = ("amount", "date", "id", "name", "unit", "negation", "swap")
FIGURES = {
    "chain_memory": {"step"},
    "chain_durable": {"step"},
    "fan_out": {"agent"},
    "many_runs": {"steps a second"},
    "growing_state": {"live", "closed"},
    "crash_recovery": {"restart to done", "committed steps called again"},
    "import_size": {"import"},
    "gates": {"added by gates", "added by gates and guardrails"},
    "guardrails": {"added to an attempt"},
    "grounded": {
        *(f"{kind}: recall" for kind in EDITS),
        *(f"{kind}: precision" for kind in EDITS[:5]),
        *("false findings", "check, view unseen", "check, view seen", "check, 95th percentile"),
    },
    "recovery": {
        *(f"{kind}: injected" for kind in ("garbage", "timeout", "altered_values")),
        *(f"{kind}: through" for kind in ("timeout", *GARBAGE)),
        *(f"unseen {kind}: through" for kind in ("wrong_label", "other_order", "negated")),
        *("steps that are lost", "runs without an end"),
        *("runs that succeeded", "runs that wait for a person", "runs with a dead letter"),
        *(f"writer's breaker: {move}" for move in ("opened", "probed", "closed again")),
    },
    "plainly": {
        "false refusals",
        *(f"mixed, 17%{what}" for what in ("", ": right", ", 3x slips", ", no slips")),
    },
    "proposals": {"20 steps", "200 steps", "chain", "adversarial: accepted", "adversarial: broken promises"},
    "scale": {
        *(f"{shape}, {steps}" for shape in ("wide", "deep", "random") for steps in (20, 200)),
        *(f"{shape}: growth{of}" for shape in ("wide", "deep", "random") for of in ("", ", deciding", ", memory")),
    },
    "critical_path": {"run", "asyncio", "langgraph"},
    "adapter_overhead": {"langgraph", "llm", "autogen", "openai_agents", "swarm", "http", "command"},
}
SLOW = {"adapter_overhead", "critical_path"}  # they import frameworks


def bench(*arguments, folder, **environment):
    command = [sys.executable, "-m", "bench", "--folder", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tiny(*workloads, folder, **environment):
    small = ("--json", "--quick", "--repetitions", "1", "--scale", "0.02")
    return [json.loads(line) for line in bench(*workloads, *small, folder=folder, **environment).splitlines()]


@pytest.mark.parametrize(
    "workload", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FIGURES]
)
def test_prints_one_json_line(workload, tmp_path):
    (result,) = tiny(workload, folder=tmp_path)

    assert result["workload"] == workload
    assert {figure["name"] for figure in result["figures"]} == FIGURES[workload]
    assert all(figure["ok"] is None for figure in result["figures"]), "goals hold at full scale only"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_measures_what_is_on_topic(tmp_path):
    pytest.importorskip("wordllama")

    (result,) = tiny("on_topic", folder=tmp_path)

    kinds = [f"{kind}{with_sources}" for kind in ("questions", "orders") for with_sources in ("", ", sources")]
    others = ("another of its kind", "of the other kind", "junk")
    expected = {
        *(f"{kind}: false" for kind in kinds),
        *(f"{kind}: {what}: recall" for kind in kinds for what in others),
    }
    named = {figure["name"] for figure in result["figures"] if not figure["name"].endswith("precision")}
    assert named == {*expected, "check, view unseen", "loading the model"}


def test_repeats_no_committed_step_after_a_kill(tmp_path):
    (result,) = tiny("crash_recovery", folder=tmp_path)

    (trial,) = result["details"]["trials"]
    assert trial["called_before"] > 0
    assert trial["called_after"] > 0
    assert trial["committed_called_again"] == 0


@pytest.mark.slow
def test_runs_the_support_desk_on_its_own_input(tmp_path):
    (result,) = tiny("support_desk", folder=tmp_path)

    assert "own input" in result["note"]
    assert {figure["name"] for figure in result["figures"]} >= {"succeeded", "parked", "peak memory"}


@pytest.mark.slow
def test_measures_the_support_desk_against_labels(tmp_path):
    data, scratch = tmp_path / "data", tmp_path / "scratch"
    data.mkdir()
    messages = ["How do I locate my card?,card_arrival", "Where is my new card?,card_arrival", "Hello,change_pin"]
    for name in ("train", "test"):
        (data / f"{name}.csv").write_text("\n".join(["text,category", *messages]) + "\n", encoding="utf-8")

    result = json.loads(bench("support_desk", "--json", folder=scratch, INTERLOCK_BENCH_BANKING77=str(data)))

    (accuracy,) = [figure for figure in result["figures"] if figure["name"] == "test: accuracy"]
    assert 0 <= accuracy["value"] <= 1
    assert accuracy["reference_name"] == "always card_arrival"
    assert accuracy["reference"] == pytest.approx(2 / 3)


def test_says_what_could_not_be_measured_and_goes_on(tmp_path):
    (result,) = tiny("support_desk", folder=tmp_path / "scratch", INTERLOCK_BENCH_BANKING77=str(tmp_path / "none"))

    assert result["figures"] == []
    assert result["note"].startswith("not measured: ")


def test_ends_with_a_table_and_a_line_about_the_goals(tmp_path):
    small = ("--quick", "--repetitions", "1", "--scale", "0.02")

    *_, header, rule, row, blank, closing_line = bench("chain_memory", *small, folder=tmp_path).splitlines()

    assert header.split() == ["workload", "figure", "result", "reference", "ratio", "goal"]
    assert set(rule) == {"-", " "}
    assert row.split()[:2] == ["chain_memory", "step"]
    assert (blank, closing_line) == ("", "No goal was judged.")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1, 2], "0 of 2 goals fall short."),
        ([1, 9], "1 of 2 goals falls short: w: f1."),
        ([8, 9], "2 of 2 goals fall short: w: f0, w: f1."),
    ],
)
def test_the_last_line_counts_and_names_the_goals_that_fall_short(values, line, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # the bench is not installed
    from bench.figures import Figure, Goal, Result
    from bench.report import closing

    figures = [
        Figure(name=f"f{number}", value=value, unit="s", goal=Goal("value", at_most=5))
        for number, value in enumerate(values)
    ]
    for figure in figures:
        figure.judge()

    assert closing([Result("w", [*figures, Figure(name="without a goal", value=1, unit="s")])]) == line


def test_help_tells_how_to_bring_messages(tmp_path):
    assert "INTERLOCK_BENCH_BANKING77" in bench("--help", folder=tmp_path)


def test_profiles_what_runs_in_this_process(tmp_path):
    text = bench("--profile", "chain_memory", "--repetitions", "1", "--scale", "0.02", folder=tmp_path)

    assert "--- event loop" in text
    assert "machine.py" in text


def test_a_column_that_nothing_stands_in_is_left_out(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.figures import Figure, Result
    from bench.report import table

    assert table([Result("w", [Figure(name="f", value=1, unit="s")])]).splitlines() == [
        "workload  figure  result",
        "--------  ------  ------",
        "w         f       1 s",
    ]


# --- the order desk: what the bench would say if something got through, or got lost ---


@pytest.fixture
def recovery(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench.workloads import recovery

    return recovery


def test_what_gets_through_is_counted_without_asking_the_guardrails(recovery, tmp_path, monkeypatch):
    from bench import order_desk
    from bench.figures import Settings

    bare = tmp_path / "bare"
    shutil.copytree(order_desk.EXAMPLE, bare)
    team = yaml.safe_load((bare / "team.yaml").read_text())
    for agent in team["agents"].values():
        del agent["guardrails"]
    (bare / "team.yaml").write_text(yaml.safe_dump(team))
    monkeypatch.setattr(order_desk, "EXAMPLE", bare)

    result = recovery.measure(Settings(1, 0.02, True, tmp_path))

    through = {figure.name.removesuffix(": through"): figure.value for figure in result.figures}
    assert all(through[kind] > 0 for kind in ("altered_values", "off_topic", "injected_prompt"))
    assert through["invented_fields"] == through["timeout"] == 0


def test_a_step_of_which_nothing_becomes_is_lost_and_its_run_has_no_end(recovery):
    finding = e.Finding("schema", "no")
    refused = e.AttemptRefused(1, step="a", attempt=1, findings=(finding,))
    failed = e.RunFinished(2, status="failed")
    committed = e.AttemptCommitted(2, step="a", attempt=2)
    told = {"lost": [refused, failed], "lettered": [refused, failed], "mended": [refused, committed, failed]}
    told |= {"waits": [refused], "fine": [refused, committed, e.RunFinished(3, status="succeeded")]}
    day = recovery.Day([], 0, {}, told, {("lettered", "a")}, {("waits", "a")}, [])

    assert recovery.unaccounted(day) == (5, [("lost", "a")])
    assert recovery.unended(day) == ["lost", "mended"]
