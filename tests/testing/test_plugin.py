"""The pytest plugin, in pytest: what each fixture gives, and what it says where it can't."""

import subprocess
import sys

import pytest

import interlock.testing.plugin  # noqa: F401 - so that pytester doesn't drop it after each test

TEAM = """
agents:
  ann:
    allowed_actions: [act]
    context_access: [seed]
    write_permissions: [word]
    use: desk_agents:ann
    schema: {required: [word], properties: {word: {type: string}}}
  bob:
    allowed_actions: [act]
    context_access: [word]
    write_permissions: [length]
    use: desk_agents:bob
    schema: {required: [length], properties: {length: {type: integer}}}
plan:
  - {id: a, agent: ann, action: act}
  - {id: b, agent: bob, action: act, needs: [a]}
"""
AGENTS = """
async def ann(job):
    return {"word": "about " + str(job.view["seed"])}

def bob(job):
    return {"length": len(job.view["word"])}
"""


@pytest.fixture
def desk(pytester, monkeypatch):
    """A folder with a team and its agents."""
    # A file that is changed within a second, and keeps its length, would be taken for the compiled one.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    pytester.path.joinpath("team.yaml").write_text(TEAM)
    pytester.path.joinpath("desk_agents.py").write_text(AGENTS)
    return pytester


def result(pytester, code, *args):
    pytester.makepyfile(test_desk=code)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers", *args)


def said(done):
    return "\n".join(done.outlines)


# --- team ---


def test_the_team_is_found_beside_the_test(desk):
    result(desk, "def test_it(team): assert [*team.agents] == ['ann', 'bob']").assert_outcomes(passed=1)


def test_the_team_is_found_above_the_test(desk):
    folder = desk.mkdir("deep")
    folder.joinpath("test_deep.py").write_text("def test_it(team): assert [*team.agents] == ['ann', 'bob']")
    desk.runpytest_inprocess("--rootdir", desk.path, folder).assert_outcomes(passed=1)


def test_a_test_without_a_team_is_told_how_to_name_one(pytester):
    done = result(pytester, "def test_it(team): pass")
    done.assert_outcomes(errors=1)
    assert f"there is no team.yaml in {pytester.path} or above it" in said(done)
    assert "put the test beside its team, or name it: @pytest.mark.interlock(team=" in said(done)
    assert "Traceback" not in said(done)


def test_a_marker_names_another_team(desk):
    desk.path.joinpath("team.yaml").rename(desk.mkdir("elsewhere") / "mine.yaml")
    code = """
        import pytest
        @pytest.mark.interlock(team="elsewhere/mine.yaml")
        def test_it(team): assert [*team.agents] == ['ann', 'bob']
    """
    result(desk, code).assert_outcomes(passed=1)


def test_a_setting_names_another_team(desk):
    desk.path.joinpath("team.yaml").rename(desk.mkdir("elsewhere") / "mine.yaml")
    desk.makeini("[pytest]\ninterlock_team = elsewhere/mine.yaml")
    result(desk, "def test_it(team): assert [*team.agents] == ['ann', 'bob']").assert_outcomes(passed=1)


def test_a_marker_may_hold_a_team_itself(pytester):
    code = """
        import interlock as il, pytest
        async def ann(job): return {"word": ""}
        async def bob(job): return {"length": 1}
        def agent(use, name, reads, writes): return il.Agent(name, use=use, scope=il.Scope(["act"], [reads], [writes]))
        team = il.Team([agent(ann, "ann", "seed", "word"), agent(bob, "bob", "word", "length")],
                       il.Plan([il.Step("a", "ann", "act"), il.Step("b", "bob", "act", needs=["a"])]))
        pytestmark = pytest.mark.interlock(team=team)
        def test_it(simulator): assert simulator.run({"seed": 1}).context["length"] == 1
        def test_pair(pair): pair.check()
    """
    result(pytester, code).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("team=7", "the interlock marker has a int for a team: give a path or a Team"),
        ("teem='x'", "the interlock marker takes team=... and requests=..., and nothing else"),
        ("'x'", "the interlock marker takes team=... and requests=..., and nothing else"),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused(desk, marker, message):
    code = f"import pytest\n@pytest.mark.interlock({marker})\ndef test_it(team): pass"
    done = result(desk, code)
    done.assert_outcomes(errors=1)
    assert message in said(done)


def test_a_team_file_with_a_mistake_is_named_with_its_line(desk):
    desk.path.joinpath("team.yaml").write_text(TEAM.replace("needs: [a]", "needs: [aa]"))
    done = result(desk, "def test_it(simulator): pass")
    done.assert_outcomes(errors=1)
    assert "team.yaml:17: step b needs aa" in said(done)
    assert "During handling" not in said(done)
    assert "did you mean a?" in said(done)


def test_a_user_s_own_team_fixture_is_used(desk):
    code = """
        import interlock as il, pytest
        @pytest.fixture
        def team(): return il.Team.load("team.yaml")
        def test_it(simulator, team): assert simulator.team is team
    """
    result(desk, code).assert_outcomes(passed=1)


# --- simulator and fakes ---


def test_the_simulator_runs_the_real_code(desk):
    code = "def test_it(simulator): assert simulator.run({'seed': 'x'}).context['length'] == 7"
    result(desk, code).assert_outcomes(passed=1)


def test_whoever_asks_for_fakes_calls_no_real_code(desk):
    desk.path.joinpath("desk_agents.py").write_text("raise RuntimeError('nobody may import me')")
    code = """
        def test_fakes(simulator, fake_agents):
            assert simulator.run({"seed": 1}).status == "succeeded"
        def test_one_of_mine(fake_agents, simulator):
            fake_agents["ann"] = lambda job: {"word": "mine"}
            assert simulator.run({"seed": 1}).context["word"] == "mine"
        def test_one_that_is_unknown(simulator, fake_agents):
            fake_agents["anne"] = lambda job: {}
            simulator.run({"seed": 1})
        def test_none(simulator):
            simulator.run({"seed": 1})
    """
    done = result(desk, code)
    done.assert_outcomes(passed=2, failed=2)
    assert "the team has no agent anne; did you mean ann?" in said(done)
    assert "nobody may import me" in said(done)


def test_a_broken_invariant_is_a_transcript_without_a_stack(desk):
    code = """
        def never(account, event):
            return "it must not start" if account.status == "running" else None

        def test_it(simulator):
            simulator.seeds(5, faults=(), invariants=[never])
    """
    done = result(desk, code)
    done.assert_outcomes(failed=1)
    text = said(done)
    assert "\nnever: it must not start\n(seed 0, made smaller in " in text
    assert "BROKEN  never: it must not start" in text
    assert "test_desk.py:5" in text
    assert "def seeds" not in text
    assert "FAILED test_desk.py::test_it - interlock.testing.SimulationFailed: " in text


def test_a_failing_test_shows_its_last_run(desk):
    code = """
        def test_it(simulator):
            run = simulator.run({"seed": 1}, agents={"bob": lambda job: {"length": "seven"}})
            assert run.status == "succeeded"
    """
    done = result(desk, code)
    done.assert_outcomes(failed=1)
    assert "the last simulated run" in said(done)
    assert "refused: length: Expected `int`, got `str`" in said(done)


def test_a_failing_test_of_something_else_shows_its_stack(desk):
    done = result(desk, "def test_it(simulator): assert 1 == 2\ndef test_other(): raise ValueError('mine')")
    done.assert_outcomes(failed=2)
    assert "the last simulated run" not in said(done)
    assert "assert 1 == 2" in said(done)
    assert "ValueError: mine" in said(done)


# --- pairs and contracts ---


def test_each_pair_is_a_test(desk):
    done = result(desk, "def test_pairs(pair): assert pair.check().reached == 10", "-v")
    done.assert_outcomes(passed=1)
    assert "test_pairs[ann->bob] PASSED" in said(done)


def test_a_pair_that_does_not_get_on_is_told_without_a_stack(desk):
    desk.path.joinpath("desk_agents.py").write_text(AGENTS.replace('"about "', "0 * "))
    done = result(desk, "def test_pairs(pair):\n    pair.check()")
    done.assert_outcomes(failed=1)
    assert "ann->bob, over word: 10 runs, 0 came through, 10 failed (seed 0)" in said(done)
    assert "test_desk.py:2" in said(done)
    assert "def check" not in said(done)


def test_pairs_start_from_the_requests_beside_the_team(desk):
    desk.path.joinpath("input.jsonl").write_text('{"seed": 1}\n\n{"seed": 22}\n')
    code = """
        import pytest
        def test_it(team_requests, pair): assert pair.requests == team_requests == [{"seed": 1}, {"seed": 22}]
        @pytest.mark.interlock(requests=[{"seed": 3}])
        def test_marked(pair): assert pair.requests == [{"seed": 3}]
        @pytest.mark.interlock(requests="one.jsonl")
        def test_file(team_requests): assert team_requests == [{"seed": 4}]
    """
    desk.path.joinpath("one.jsonl").write_text('{"seed": 4}')
    result(desk, code).assert_outcomes(passed=3)
    desk.makeini("[pytest]\ninterlock_requests = one.jsonl")
    result(desk, "def test_it(team_requests): assert team_requests == [{'seed': 4}]").assert_outcomes(passed=1)


def test_without_requests_there_are_none(desk):
    result(desk, "def test_it(team_requests): assert team_requests == []").assert_outcomes(passed=1)


def test_requests_that_can_t_be_read_are_named(desk):
    desk.path.joinpath("input.jsonl").write_text('{"seed": 1}\n[2]\n')
    code = """
        import pytest
        def test_broken(team_requests): pass
        @pytest.mark.interlock(requests="missing.jsonl")
        def test_missing(team_requests): pass
    """
    done = result(desk, code)
    done.assert_outcomes(errors=2)
    assert "input.jsonl:2 is no request" in said(done)
    assert "missing.jsonl can't be read: No such file or directory" in said(done)


def test_a_team_without_pairs_is_no_success(desk):
    desk.path.joinpath("team.yaml").write_text(TEAM.replace("context_access: [word]", "context_access: [seed]"))
    done = result(desk, "def test_pairs(pair): pair.check()")
    done.assert_outcomes(errors=1)
    assert "this team has no pairs: no agent reads what another one has written before it" in said(done)


NO_TEAM = "there is no team.yaml in "
NO_PLAN = "this team has no plan"
NO_PAIRS = "this team has no pairs: no agent reads what another one has written before it"


@pytest.mark.parametrize(
    ("team_file", "pair", "contract"),
    [
        (None, NO_TEAM, NO_TEAM),
        (TEAM.partition("plan:")[0], NO_PLAN, NO_PLAN),
        (TEAM.replace("needs: [a]", "needs: [aa]"), "did you mean a?", "did you mean a?"),
        (TEAM.replace("context_access: [word]", "context_access: [seed]"), NO_PAIRS, ""),
    ],
)
def test_only_those_fail_that_ask_for_what_is_not_there(desk, team_file, pair, contract):
    path = desk.path.joinpath("team.yaml")
    path.write_text(team_file) if team_file else path.unlink()
    code = """
        def test_pair(pair): raise AssertionError("called")
        def test_contract(agent_contract): assert agent_contract.agent in ("ann", "bob")
        def test_other(): pass
    """
    done = result(desk, code, "-v", "-rE")
    done.assert_outcomes(passed=1 + 2 * (not contract), errors=1 + bool(contract))
    assert "ERROR test_desk.py::test_pair[nothing] - " in said(done)
    assert pair in said(done)
    assert contract in said(done)
    assert "Traceback" not in said(done)
    assert "During handling" not in said(done)


def test_a_team_that_can_t_be_run_has_no_pairs(desk):
    desk.path.joinpath("team.yaml").write_text(TEAM.partition("plan:")[0])
    done = result(desk, "def test_pairs(pair): pair.check()")
    done.assert_outcomes(errors=1)
    assert "this team has no plan" in said(done)


def test_names_of_the_user_s_own_are_left_alone(pytester):
    code = """
        import pytest
        @pytest.mark.parametrize("pair", [(1, 2), (3, 4)])
        def test_param(pair): assert sum(pair) in (3, 7)
        @pytest.fixture
        def agent_contract(): return "mine"
        def test_fixture(agent_contract): assert agent_contract == "mine"
    """
    result(pytester, code).assert_outcomes(passed=3)


def test_each_agent_is_held_against_its_contract(desk):
    code = "def test_it(agent_contract): assert agent_contract.check(examples=3).accepted == 3"
    result(desk, code).assert_outcomes(passed=2)
    desk.path.joinpath("desk_agents.py").write_text(AGENTS.replace("len(", "str("))
    done = result(desk, "def test_it(agent_contract): agent_contract.check(examples=1)")
    done.assert_outcomes(passed=1, failed=1)
    assert "agent bob: 1 calls, 0 accepted, 1 failed" in said(done)
    assert "def check" not in said(done)


# --- snapshots ---

SNAPSHOT = """
    def test_it(simulator, transcript_snapshot):
        run = simulator.run({"seed": SEED})
        transcript_snapshot(run)
        transcript_snapshot(run.transcript)
"""


def test_a_missing_snapshot_fails_and_says_how_to_write_it(desk):
    done = result(desk, SNAPSHOT.replace("SEED", "1"))
    done.assert_outcomes(failed=1)
    assert "there is no __snapshots__/test_desk.test_it.txt to compare this transcript with" in said(done)
    assert "pytest --interlock-update" in said(done)
    assert "committed: wrote word" in said(done)


def test_a_snapshot_is_written_and_compared(desk):
    result(desk, SNAPSHOT.replace("SEED", "1"), "--interlock-update").assert_outcomes(passed=1)
    kept = sorted(path.name for path in desk.path.joinpath("__snapshots__").iterdir())
    assert kept == ["test_desk.test_it-2.txt", "test_desk.test_it.txt"]
    result(desk, SNAPSHOT.replace("SEED", "1")).assert_outcomes(passed=1)


def test_another_transcript_is_shown_as_a_difference(desk):
    result(desk, SNAPSHOT.replace("SEED", "1"), "--interlock-update")
    desk.path.joinpath("desk_agents.py").write_text(AGENTS.replace("len(", "str("))
    done = result(desk, SNAPSHOT.replace("SEED", "1"))
    done.assert_outcomes(failed=1)
    assert "the transcript is not that of __snapshots__/test_desk.test_it.txt" in said(done)
    assert any(line.startswith("-") and "committed: wrote length" in line for line in done.outlines)
    assert any(line.startswith("+") and "refused: length: Expected `int`" in line for line in done.outlines)


def test_names_that_no_file_can_have_are_told_apart(desk):
    code = """
        import pytest
        @pytest.mark.parametrize("text", ["a/b", "a b"])
        def test_it(text, transcript_snapshot): transcript_snapshot(text)
    """
    result(desk, code, "--interlock-update").assert_outcomes(passed=2)
    assert len(list(desk.path.joinpath("__snapshots__").iterdir())) == 2
    result(desk, code).assert_outcomes(passed=2)


def test_what_differs_from_machine_to_machine_is_not_kept(desk):
    desk.path.joinpath("desk_agents.py").write_text(AGENTS.replace("len(", "open(__file__ + 'x', job.view and "))
    result(desk, SNAPSHOT.replace("SEED", "1"), "--interlock-update").assert_outcomes(passed=1)
    told = desk.path.joinpath("__snapshots__", "test_desk.test_it.txt").read_text()
    assert "(desk_agents.py in bob)" in told
    assert str(desk.path) not in told


# --- what it costs ---


def test_loading_the_plugin_loads_nothing_of_interlock():
    script = "import pytest, _interlock_pytest, sys; print(*(m for m in sys.modules if m.startswith('interlock')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_assertions_of_a_test_are_rewritten_and_those_of_interlock_are_not(pytester):
    pytester.makeconftest("import pytest; pytest.register_assert_rewrite('interlock', 'mine')")  # as pytest itself does
    code = """
        import mine
        import interlock.testing.simulator

        def test_it():
            loaders = [type(module.__loader__).__name__ for module in (mine, interlock.testing.simulator)]
            assert loaders == ["AssertionRewritingHook", "SourceFileLoader"]
            assert len(loaders) == 3
    """
    pytester.makepyfile(mine="", test_it=code)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.stdout.fnmatch_lines(["E * assert 2 == 3", "E * where 2 = len(*"])


@pytest.mark.parametrize("option", ["--fixtures", "--markers", "--help"])
def test_the_plugin_says_what_it_has(pytester, option):
    has = {
        "--fixtures": ["team", "team_requests", "fake_agents", "simulator", "pair", "agent_contract",
                       "transcript_snapshot"],
        "--markers": ["@pytest.mark.interlock(team, requests): "],
        "--help": ["--interlock-update", "interlock_team", "interlock_requests"],
    }  # fmt: skip
    text = said(pytester.runpytest_inprocess(option, "-p", "no:cacheprovider"))
    assert [name for name in has[option] if name not in text] == []
