"""Finding the code behind `use`, each team its own."""

import sys
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest

import interlock as il
from interlock.core.scope import Scope
from interlock.errors import TeamError
from interlock.team import Agent, Team, importable, registry, resolve
from interlock.team.load import load
from interlock.team.registry import code_of, resolve_all, resolve_guardrails


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch, tmp_path_factory):
    """What a test imports is gone after it, and the agents of an earlier test are out of its way, of any file."""
    nothing = tmp_path_factory.mktemp("nothing")
    registry._folders.activate(nothing)
    for name in [name for name in sys.modules if name.partition(".")[0] in {"desk", "other", "thing"}]:
        monkeypatch.delitem(sys.modules, name)
    before, path = dict(sys.modules), list(sys.path)
    monkeypatch.setattr(registry, "_folders", registry._Folders())
    yield
    registry._folders.activate(nothing)
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def folder(tmp_path):
    def make(name, **modules):
        for module, text in modules.items():
            file = tmp_path / name / f"{module.replace('__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text))
        return tmp_path / name

    return make


def refusal(reference, where):
    with pytest.raises(TeamError) as caught:
        resolve(reference, where)
    return str(caught.value)


def test_a_function_of_the_teams_folder(folder):
    work = resolve("agents:work", folder("one", agents="import rules\ndef work(): return rules.NAME", rules="NAME = 1"))
    assert work() == 1


def test_a_function_of_a_package_in_the_folder(folder):
    one = folder("one", support__agents="from .rules import NAME\ndef work(): return NAME", support__rules="NAME = 2")
    assert resolve("support.agents:work", one)() == 2


def test_a_function_of_the_standard_library_and_no_folder():
    assert resolve("json:loads")("1") == 1


def test_two_teams_may_both_have_a_module_called_agents(folder):
    text = "import rules\ndef work(): return rules.NAME"
    one, two = folder("one", agents=text, rules="NAME = 1"), folder("two", agents=text, rules="NAME = 2")
    first, second = resolve("agents:work", one), resolve("agents:work", two)
    assert (first(), second()) == (1, 2)
    assert str(one) not in sys.path
    assert resolve("agents:work", one) is first
    assert resolve("agents:work", two) is second


def test_a_module_that_the_other_team_lacks_is_not_borrowed(folder):
    one = folder("one", agents="def work(): pass", rules="NAME = 1")
    two = folder("two", agents="import rules\ndef work(): pass")
    resolve("agents:work", one)
    assert "No module named 'rules'" in refusal("agents:work", two)


def test_a_module_from_elsewhere_with_the_same_name_makes_room(folder, monkeypatch):
    elsewhere = folder("elsewhere", desk="def work(): return 'elsewhere'")
    monkeypatch.syspath_prepend(str(elsewhere))
    import desk

    assert desk.work() == "elsewhere"
    assert resolve("desk:work", folder("one", desk="def work(): return 'one'"))() == "one"


def test_a_module_that_made_room_comes_back_when_the_folder_is_left(folder, monkeypatch):
    elsewhere = folder("elsewhere", desk__tracing="", desk____init__="", other="")
    monkeypatch.syspath_prepend(str(elsewhere))
    import desk.tracing

    one = folder("one", desk="def work(): pass")
    for _ in range(2):  # asked for again, a folder makes room again
        work = resolve("desk:work", one)
        assert sys.modules["desk"] is not desk
        assert "desk.tracing" not in sys.modules
        resolve("rules:work", folder("two", rules="def work(): pass"))
        assert sys.modules["desk"] is desk
        assert sys.modules["desk.tracing"] is desk.tracing
        assert resolve("desk:work", one) is work


def test_a_module_of_the_folder_that_is_loaded_already_is_not_loaded_twice(folder, monkeypatch):
    one = folder("one", desk="def work(): pass")
    monkeypatch.syspath_prepend(str(one))
    import desk

    assert resolve("desk:work", one) is desk.work


def test_a_virtual_environment_below_the_folder_is_no_part_of_it(folder):
    one = folder("one", agents="def work(): pass", venv__lib__thing="")
    sys.path.append(str(one / "venv" / "lib"))
    import thing

    resolve("agents:work", one)
    resolve("agents:work", folder("two", agents="def work(): pass"))
    assert sys.modules["thing"] is thing


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("agent:work", "there is no module agent; did you mean agents?"),
        ("agents.inner:work", "there is no module agents.inner"),
        ("agents:wrok", "the module agents has no function wrok; did you mean work?"),
        ("agents:LIMT", "the module agents has no function LIMT; did you mean LIMIT?"),
        ("agents:LIMIT", "agents:LIMIT is a int, not a function"),
        ("agents:Worker", "agents:Worker is a class, not a function"),
        ("agents", "use is 'agents', not module:function"),
        ("broken:work", "importing broken failed in rules.py:2: ValueError: no luck"),
        ("syntax:work", "importing syntax failed in syntax.py:1: SyntaxError"),
        ("needy:work", "importing needy failed in needy.py:1: ModuleNotFoundError: No module named 'not_installed'"),
        ("leaving:work", "importing leaving failed in leaving.py:2: SystemExit: 3"),
        ("queue:work", "the module queue of the team has the name of one of Python's own"),
    ],
)
def test_what_is_refused(folder, reference, part):
    one = folder(
        "one",
        agents="LIMIT = 1\nclass Worker: pass\ndef work(): pass",
        broken="import rules",
        rules="import json\nraise ValueError('no luck')",
        syntax="def work(:\n",
        needy="import not_installed",
        leaving="import sys\nsys.exit(3)",
        queue="def work(): pass",
    )
    assert part in refusal(reference, one)


def test_a_decorator_that_names_another_agent_is_refused(folder):
    one = folder("one", agents="import interlock as il\n@il.agent('triage')\ndef work(job): return {}\n")
    assert code_of(Agent("triage", use="agents:work"), one)("job") == {}
    with pytest.raises(TeamError, match="agent other uses agents:work, which is decorated as agent triage"):
        code_of(Agent("other", use="agents:work"), one)


def test_the_code_of_a_team_is_found_whole_or_every_fault_is_told(folder):
    one = folder("one", agents="def work(job): return {}")
    file = one / "team.yaml"
    file.write_text("agents:\n  a: {use: agents:work}\n  b: {}\n  c:\n    use: agents:wrok\n")
    with pytest.raises(TeamError) as caught:
        resolve_all(Team.load(file))
    assert [(problem.line, problem.agents) for problem in caught.value.problems] == [(3, ("b",)), (5, ("c",))]
    file.write_text("agents:\n  a: {use: agents:work}\n")
    assert resolve_all(Team.load(file))["a"]("job") == {}


def test_the_code_of_a_team_of_python_is_what_it_was_given():
    def work(job):
        return {}

    assert resolve_all(Team([Agent("a", use=work, scope=Scope())])) == {"a": work}


# --- importable ---


def top_level():
    pass


def test_what_another_process_can_import(folder, monkeypatch):
    module = type(sys)("a_module")
    module.top_level = top_level
    monkeypatch.setitem(sys.modules, "a_module", module)
    monkeypatch.setattr(top_level, "__module__", "a_module")
    assert importable(top_level) == "a_module:top_level"
    assert importable(dedent) == "textwrap:dedent"


def test_what_no_other_process_can_import(monkeypatch):
    def nested():
        pass

    for function in (nested, lambda: None, Path("x").exists, Path.exists, object(), partial(top_level)):
        assert importable(function) is None
    monkeypatch.setattr(top_level, "__module__", "__main__")
    assert importable(top_level) is None
    monkeypatch.setattr(top_level, "__module__", "textwrap")
    assert importable(top_level) is None


def test_a_function_whose_module_is_aside_is_still_importable(folder):
    one, two = folder("one", agents="def work(): pass"), folder("two", agents="def work(): pass")
    first = resolve("agents:work", one)
    resolve("agents:work", two)
    assert importable(first) == "agents:work"


# --- guardrails ---


GUARDED = """\
agents:
  one: {allowed_actions: [act], write_permissions: [x], guardrails: [{use: 'checks:%s'}]}
plan:
  - {id: a, agent: one, action: act, guardrails: [{use: 'checks:late'}, confidence]}
"""


def test_the_code_of_guardrails_is_found_before_a_run(tmp_path):
    (tmp_path / "checks.py").write_text("def strict(draft): ...\nasync def late(draft): ...\n")
    (tmp_path / "team.yaml").write_text(GUARDED % "strct")

    with pytest.raises(TeamError) as caught:
        resolve_guardrails(load(tmp_path))
    assert [(problem.line, problem.sentence) for problem in caught.value.problems] == [
        (2, "a guardrail of one: the module checks has no function strct; did you mean strict?"),
        (4, "a guardrail of a: the guardrail checks:late is async, which is not part of this version"),
    ]


def test_an_orchestrator_finds_it_before_it_makes_a_journal(tmp_path):
    (tmp_path / "team.yaml").write_text(GUARDED.replace("guardrails", "use: 'checks:work', guardrails", 1) % "strict")
    (tmp_path / "checks.py").write_text("async def work(job): return {}\ndef strict(draft): ...\nlate = 5\n")

    with pytest.raises(TeamError, match="checks:late is no function"):
        il.Orchestrator(load(tmp_path), tmp_path / "runs.db")
    assert not (tmp_path / "runs.db").exists()
