"""The public face: what `import interlock` gives, and what it costs."""

import subprocess
import sys

import interlock as il

HEAVY = {"typer", "click", "rich", "yaml", "sqlite3", "multiprocessing", "concurrent.futures.process", "pydantic"}


def loaded_after(statements):
    script = f"import sys; {statements}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_all_is_sorted_and_there():
    assert il.__all__ == sorted(il.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(il, name) for name in il.__all__)


def test_nothing_public_is_forgotten():
    modules = {
        "agents",
        "cli",
        "core",
        "doctor",
        "engine",
        "errors",
        "guardrails",
        "history",
        "ids",
        "journal",
        "planning",
        "ports",
        "prices",
        "survey",
        "team",
        "testing",
        "wiring",
    }
    public = {name for name in vars(il) if not name.startswith("_")}
    assert public - modules - {"version"} <= set(il.__all__)


def test_the_names_users_write_are_there():
    assert {
        "DELETE", "Agent", "Condition", "InterlockError", "Job", "Limits", "Orchestrator", "Phase", "Plan", "Question",
        "Reply", "Run", "Scope", "Step", "Team", "Usage", "agent", "run",
    } <= set(il.__all__)  # fmt: skip


def test_every_adapter_is_looked_up_when_it_is_asked_for():
    kinds = {"autogen", "command", "crewai", "http", "langgraph", "openai_agents", "swarm"}
    assert {name for name in il.__all__ if name.startswith("from_")} == {f"from_{kind}" for kind in kinds}
    for kind in kinds:
        assert getattr(il, f"from_{kind}").__module__ == f"interlock.agents.{kind}"
    loaded = loaded_after("import interlock")
    assert loaded.isdisjoint({f"interlock.agents.{kind}" for kind in kinds})


def test_what_is_public_is_documented():
    for name in il.__all__:
        assert (getattr(il, name).__doc__ or "").strip(), name


def test_the_version_is_the_package_s():
    assert il.__version__.count(".") == 2


def test_importing_it_loads_nothing_heavy():
    loaded = loaded_after("import interlock")
    assert not loaded & HEAVY
    assert "interlock.cli" not in loaded


def test_yaml_comes_with_a_team_file_only(tmp_path):
    declared = "agents: {ann: {allowed_actions: [act], context_access: [a], write_permissions: [b]}}\n"
    (tmp_path / "team.yaml").write_text(declared)
    loaded = loaded_after(f"import interlock; interlock.Team.load({str(tmp_path)!r})")
    assert "yaml" in loaded
    assert not loaded & (HEAVY - {"yaml"})
    in_python = "import interlock as il; il.Team([il.Agent('ann', scope=il.Scope(['act'], ['a'], ['b']))])"
    assert "yaml" not in loaded_after(in_python)


def test_a_worker_loads_neither_the_engine_nor_a_journal():
    loaded = loaded_after("import interlock.agents.worker")
    assert not loaded & (HEAVY | {"yaml", "interlock.cli"})


def test_the_testing_room_has_a_public_face():
    import interlock.testing as room

    assert room.__all__ == sorted(room.__all__, key=lambda name: (name[0].islower(), name))
    for name in set(room.__all__) - {"Invariant"}:  # the name of a type, and not a class
        assert (getattr(room, name).__doc__ or "").strip(), name
    loaded = loaded_after("import interlock.testing")
    assert not loaded & {"pytest", "typer", "rich", "sqlite3", "interlock.cli"}
    assert "interlock.testing" not in loaded_after("import interlock")
