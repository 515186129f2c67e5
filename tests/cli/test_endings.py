"""The command ends when its work has ended, whatever agents leave behind."""

import subprocess
import sys

import pytest

TEAM = """
agents: {a: {allowed_actions: [act], write_permissions: [x], use: "agents:work", timeout: 200ms, retries: 0}}
plan: [{id: s, agent: a, action: act}]
"""
STUBBORN = """
import asyncio
async def work(job):
    while True:
        try:
            await asyncio.sleep(0.05)
        except BaseException:
            pass
"""
THREAD = """
import asyncio, time
async def work(job):
    await asyncio.to_thread(time.sleep, 3600)
"""


@pytest.mark.parametrize("code", [STUBBORN, THREAD], ids=["a stubborn task", "a thread that sleeps"])
@pytest.mark.parametrize("how", ["command", "program"])
def test_what_never_ends_holds_nobody_up(tmp_path, code, how):
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "agents.py").write_text(code)
    (tmp_path / "program.py").write_text(
        "import os, interlock as il\nprint(il.run(il.Team.load('.'), {}).reason, flush=True)\nos._exit(1)\n"
    )
    words = ["program.py"] if how == "program" else ["-m", "interlock", "run", ".", "--input", "-", "--json"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, input="{}", capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "s: timed out after 0.2 s" in done.stdout


PROGRAM = """
import asyncio, threading
import interlock as il
from interlock.engine import notifier, tasks
from agents import work

notifier.CLOSE_SECONDS = notifier.DELIVERY_SECONDS_MAX = 0.2

async def failing(job):
    raise il.AgentRefused("no")

async def main():
    use, notify = (failing, [{"name": "phone", "use": work, "on": ["dead"]}]) if WHO == "notify" else (work, None)
    ann = il.Agent("ann", use=use, scope=il.Scope(["act"], [], ["x"]), timeout="200ms", retries=0)
    team = il.Team([ann], il.Plan([il.Step("s", "ann", "act")]), notify=notify)
    async with il.Orchestrator(team, journal=":memory:") as orchestrator:
        print((await orchestrator.run({})).status, flush=True)
        await asyncio.sleep(0.5)

for _ in range(2):
    asyncio.run(main())
print("ended", len(tasks.LEFT_BEHIND), sum(thread.name == "interlock-left-behind" for thread in threading.enumerate()))
"""


@pytest.mark.parametrize("who", ["agent", "notify"])
def test_what_ignores_its_cancellation_keeps_no_loop_from_ending(tmp_path, who):
    (tmp_path / "agents.py").write_text(STUBBORN)
    (tmp_path / "program.py").write_text(f"WHO = {who!r}\n{PROGRAM}")
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "failed\nfailed\nended 2 1\n"
    assert "Traceback" not in done.stderr
    assert "destroyed" not in done.stderr


LEAVING = """
import asyncio, sys
LEFT = []
async def later():
    sys.exit(7)
async def work(job):
    LEFT.append(asyncio.create_task(later()))
    await asyncio.sleep(0.05)
    return {"x": 1}
"""


@pytest.mark.parametrize("how", ["command", "program"])
def test_no_agent_ends_the_program_by_a_task_that_it_leaves(tmp_path, how):
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "agents.py").write_text(LEAVING)
    (tmp_path / "program.py").write_text(
        "import interlock as il\nprint(il.run(il.Team.load('.'), {}).status, flush=True)\n"
    )
    words = ["program.py"] if how == "program" else ["-m", "interlock", "run", ".", "--input", "-", "--json"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, input="{}", capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "succeeded" in done.stdout
    said = "a task that an agent has left tried to end the program: SystemExit: 7 (agents.py:5 in later)"
    assert said in done.stderr
