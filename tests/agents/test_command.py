"""Programs as agents: whatever they do, the call ends, and nothing of them stays behind."""

import asyncio
import json
import os
import stat
import sys
import textwrap

import pytest

import interlock as il
from interlock.agents import command
from interlock.agents.command import from_command
from interlock.core.values import Limits
from interlock.errors import (
    AccessDenied,
    AgentCrashed,
    AgentError,
    AgentRefused,
    BadRequest,
    Overloaded,
    ReplyRefused,
    TeamError,
    Unreachable,
)
from interlock.team.load import load

from .scenes import alive, children, job, pid_in, until

JOB = job(view={"ticket": {"text": "late"}}, writes=("ticket.category",))


def program(body):
    """A Python program."""
    start = "import json, os, subprocess, sys, time\n"
    return [sys.executable, "-S", "-I", "-c", start + textwrap.dedent(body)]


def call(run, given=JOB, **options):
    async def main():
        adapter = from_command(run, **options)
        try:
            return await adapter(given)
        finally:
            await adapter.close()

    before = children()
    try:
        return asyncio.run(main())
    finally:
        assert children() <= before


def fails(run, kind, **options):
    with pytest.raises(AgentError) as error:
        call(run, **options)
    assert type(error.value) is kind, error.value
    return error.value.message


# --- answers ---


def test_it_reads_the_job_and_writes_the_reply():
    reply = call(program("job = json.load(sys.stdin); print(json.dumps({'category': job['view']['ticket']['text']}))"))
    assert reply == il.Reply(writes={"ticket.category": "late"})


def test_it_need_not_read_the_job():
    given = job(view={"text": "x" * 3_000_000}, writes=("ticket.category",))
    assert call(["echo", '"cards"'], given).writes == {"ticket.category": "cards"}


def test_it_may_read_a_large_one_slowly():
    given = job(view={"text": "x" * 3_000_000}, writes=("ticket.n",), schemas=('{"properties":{"ticket.n":{}}}',))
    body = "sys.stderr.write('e' * 500_000); sys.stderr.flush(); print(len(json.load(sys.stdin)['view']['text']))"
    assert call(program(body), given).writes == {"ticket.n": 3_000_000}


def test_no_shell_reads_its_arguments():
    assert call(["echo", '"$HOME; *"']).writes == {"ticket.category": "$HOME; *"}


def test_it_runs_in_the_folder_that_is_given(tmp_path):
    script = tmp_path / "triage.sh"
    script.write_text('#!/bin/sh\nprintf \'"%s"\' "$(pwd)"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert call(["./triage.sh"], folder=tmp_path).writes == {"ticket.category": str(tmp_path)}


# --- its environment ---


def test_it_gets_little_of_the_environment_and_what_is_declared(monkeypatch):
    for name in [name for name in os.environ if name not in {"PATH", "HOME"}]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DESK_API_KEY", "sk-planted-5f1d0c7e9b3a4286")
    monkeypatch.setenv("DATABASE_URL", "postgres://ann:planted@db/desk")
    body = "print(json.dumps({'category': sorted(os.environ.items())}))"
    seen = dict(call(program(body), env={"MODE": "fast", "PATH": "/bin"}).writes["ticket.category"])
    assert seen.pop("LC_CTYPE", "") in {"", "C.UTF-8"}  # Python's own
    assert seen == {"HOME": os.environ["HOME"], "MODE": "fast", "PATH": "/bin"}


def test_a_secret_that_is_declared_is_handed_over(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", "sk-planted-5f1d0c7e9b3a4286")
    body = "print(json.dumps({'category': os.environ['KEY'][:6]}))"
    assert call(program(body), env={"KEY": "x ${DESK_API_KEY}"}).writes == {"ticket.category": "x sk-p"}


def test_a_secret_that_there_isnt_is_asked_for():
    assert "there is no NOBODYS_KEY" in fails(["true"], AccessDenied, env={"KEY": "${NOBODYS_KEY}"})


# --- failures ---


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, AgentError),
        (2, AgentError),
        (os.EX_USAGE, BadRequest),
        (os.EX_DATAERR, BadRequest),
        (os.EX_UNAVAILABLE, Unreachable),
        (os.EX_TEMPFAIL, Overloaded),
        (os.EX_NOPERM, AccessDenied),
        (os.EX_CONFIG, AgentRefused),
        (127, AgentRefused),
    ],
)
def test_an_exit_code_says_whether_to_try_again(code, kind):
    message = fails(program(f"print('\"cards\"'); sys.exit({code})"), kind)
    assert message == f"exit code {code}"


def test_the_end_of_what_it_complains_of_is_told(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", "sk-planted-5f1d0c7e9b3a4286")
    body = "sys.stderr.write('x' * 9_000 + ' no entry for ' + os.environ['K'] + '\\n'); sys.exit(3)"
    message = fails(program(body), AgentError, env={"K": "${DESK_API_KEY}"})
    assert message.endswith("xxx no entry for [DESK_API_KEY]")
    assert len(message) < 2_100


def test_a_program_that_is_killed_has_crashed():
    assert fails(program("os.kill(os.getpid(), 11)"), AgentCrashed) == "killed by SIGSEGV"


@pytest.mark.parametrize(
    ("said", "why"), [("", "the answer is empty"), ("print('two')", "no JSON"), ("print('{}{}')", "no JSON")]
)
def test_what_is_not_one_document_of_json_is_refused(said, why):
    assert why in fails(program(said), ReplyRefused)


def test_an_answer_without_an_end_is_cut_off():
    limits = Limits(commit_bytes_max=1_000, value_bytes_max=500)
    assert fails(["yes"], ReplyRefused, limits=limits) == "the answer is larger than 2,000 bytes"


def test_a_complaint_without_an_end_is_not_kept():
    body = "for _ in range(200): sys.stderr.write('x' * 100_000)\nprint('\"cards\"')"
    assert call(program(body)).writes == {"ticket.category": "cards"}


# --- what can't be run ---


@pytest.mark.parametrize("run", [["no-such-program"], ["./no-such-program"], ["/etc/passwd"], ["a\0b"], [""]])
def test_what_is_no_program_is_told_before_anything_runs(run):
    with pytest.raises(TeamError, match="there is no program"):
        from_command(run)


@pytest.mark.parametrize("env", [{"KEY": "${"}, {"": "x"}, {"A=B": "x"}, {"A": "\0"}])
def test_an_environment_that_cant_be_is_told_too(env):
    with pytest.raises(TeamError) as error:
        from_command(["true"], env=env)
    assert error.value.place[0] == "env"


def test_a_program_that_has_gone_since_is_no_reason_to_try_again(tmp_path):
    script = tmp_path / "here"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    adapter = from_command(["./here"], folder=tmp_path)
    script.unlink()
    with pytest.raises(AgentRefused, match="can't be started: No such file"):
        asyncio.run(adapter(JOB))


# --- its end ---


def test_what_it_leaves_behind_ends_with_it(tmp_path):
    marker = tmp_path / "pid"
    body = f"""
        child = subprocess.Popen(["sleep", "60"])
        open({str(marker)!r}, "w").write(f"{{child.pid}}\\n")
        print('"cards"')
    """
    assert call(program(body)).writes == {"ticket.category": "cards"}
    assert not alive(pid_in(marker))


def test_what_has_left_its_session_holds_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "END_SECONDS_MAX", 0.2)
    marker = tmp_path / "pid"
    body = f"""
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        open({str(marker)!r}, "w").write(f"{{child.pid}}\\n")
        print('"cards"')
    """
    try:
        assert call(program(body)).writes == {"ticket.category": "cards"}
    finally:
        os.kill(pid_in(marker), 9)


def test_a_call_that_is_cancelled_takes_all_along(tmp_path):
    markers = [tmp_path / "program", tmp_path / "child"]
    body = f"""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "60"])
        open({str(markers[1])!r}, "w").write(f"{{child.pid}}\\n")
        open({str(markers[0])!r}, "w").write(f"{{os.getpid()}}\\n")
        time.sleep(60)
    """

    async def main():
        adapter = from_command(program(body))
        task = asyncio.ensure_future(adapter(JOB))
        pids = [await until(lambda marker=marker: pid_in(marker)) for marker in markers]
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await until(lambda: not any(map(alive, pids)))
        await adapter.close()

    asyncio.run(main())


def test_calls_at_once_are_bounded_by_the_processors():
    assert from_command(["true"]).slots == max(2, os.cpu_count() or 1)


def test_it_can_be_declared_in_a_team_file(tmp_path):
    (tmp_path / "triage.py").write_text(
        "import json, sys\nprint(json.dumps({'writes': json.load(sys.stdin)['view']}))\n"
    )
    (tmp_path / "team.yaml").write_text(
        textwrap.dedent(f"""
        agents:
          triage:
            allowed_actions: [sort]
            write_permissions: [ticket]
            timeout: 20s
            command: [{json.dumps(sys.executable)}, triage.py]
        plan:
          - {{id: sort, agent: triage, action: sort}}
        """)
    )
    run = il.run(load(tmp_path), {"ticket": {"text": "late"}})
    assert (run.status, run.context["ticket.text"]) == ("succeeded", "late")


def test_a_mistake_is_told_with_its_place(tmp_path):
    (tmp_path / "team.yaml").write_text(
        "agents:\n  triage:\n    allowed_actions: [sort]\n    command: [./nothing]\n"
        "plan:\n  - {id: sort, agent: triage, action: sort}\n"
    )
    with pytest.raises(TeamError, match=r"agent triage: there is no program '\./nothing'") as error:
        il.Orchestrator(load(tmp_path))
    assert error.value.line == 4
