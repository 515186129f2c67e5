"""What a team declares, as a document: what it is hashed and compared by."""

import json
from pathlib import Path

import pytest

import interlock as il
from interlock.team import Agent, Team, difference

EXAMPLES = Path(__file__).parents[2] / "examples"


def work(job):
    return {}


def team(plan=("a", "b"), writes=("x",), **agent):
    declared = Agent("one", scope=il.Scope(["act"], ["seed"], writes), **agent)
    return Team([declared], il.Plan([il.Step(step, "one", "act", writes=["x"]) for step in plan]) if plan else None)


def changes(old, new):
    return difference(old.document, new.document)


def test_the_document_is_json_that_names_callables():
    declared = json.loads(team(use=work).document)
    assert declared["agents"]["one"] == {
        "allowed_actions": ["act"],
        "context_access": ["seed"],
        "effort": "simple",
        "retries": 2,
        "use": f"{__name__}:work",
        "write_permissions": ["x"],
    }
    assert [step["id"] for step in declared["plan"]] == ["a", "b"]


def test_an_object_is_named_by_its_type():
    class Worker:
        def __call__(self, job):
            return {}

    assert b"Worker" in team(use=Worker()).document


def test_a_team_comes_back_from_its_document():
    one = Agent("one", use=work, scope=il.Scope(["act"], ["seed"], ["x", "log"]), fallback="two", timeout="2s")
    two = Agent("two", scope=il.Scope(["act"], [], ["x", "log", "y"]), effort="complex", schema={"required": ["x"]})
    steps = [il.Step("a", "one", "act", writes=["x"], when=il.Condition("seed", ">", 1)), il.Step("b", "two", "act")]
    declared = Team(
        [one, two],
        il.Plan([il.Phase(step.id, [step]) for step in steps]),
        reducers={"log": "append"},
        succession={"x": ["one", "two"]},
        limits=il.Limits(steps_max=9),
        name="desk",
    )
    again = Team.of_document(declared.document)
    assert (again.document, again.hash) == (declared.document, declared.hash)
    assert again.rules.plan.hash == declared.rules.plan.hash
    assert again.agents["two"].role == two.role


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/team.yaml")), ids=lambda file: file.parent.name)
def test_the_examples_come_back_from_their_documents(file):
    declared = Team.load(file)
    again = Team.of_document(declared.document)
    assert (again.name, again.roles, again.sharing) == (declared.name, declared.roles, declared.sharing)
    assert (again.plan.declared, again.limits) == (declared.plan.declared, declared.limits)


def test_a_team_without_a_plan_comes_back_without_one():
    assert Team.of_document(team(plan=None).document).plan is None


def test_code_that_nothing_can_import_does_not_come_back():
    again = Team.of_document(team(use=lambda job: {}).document)
    assert again.agents["one"].use is None
    assert again.document == team().document


def test_the_hash_is_that_of_the_declarations_not_of_the_place(tmp_path: Path):
    text = "agents: {a: {allowed_actions: [x], use: m:f}}"
    hashes = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "team.yaml").write_text(text + "\n" if folder == "one" else f"# {folder}\n{text}")
        hashes.add(Team.load(tmp_path / folder).hash)
    in_python = Team([Agent("a", use="m:f", scope=il.Scope(["x"]))])
    assert hashes == {in_python.hash}


def test_the_hash_covers_the_version_and_the_plan():
    assert len({team().hash, team(version="2").hash, team(plan=("a",)).hash, team(plan=None).hash}) == 4


def test_the_order_of_agents_does_not_matter_and_that_of_steps_does():
    one, two = Agent("one"), Agent("two")
    assert Team([one, two]).hash == Team([two, one]).hash
    assert team(plan=("a", "b")).hash != team(plan=("b", "a")).hash


def test_nothing_changed():
    assert changes(team(), team()) == []


def test_changes_are_named_by_their_place():
    assert changes(team(retries=2), team(retries=3)) == ["agents.one.retries: 2 -> 3"]
    assert changes(team(), team(timeout="2s")) == ["agents.one.timeout: not set -> 2s"]
    assert changes(team(), team(writes=("x", "y"))) == ['agents.one.write_permissions: ["x"] -> ["x","y"]']
    assert changes(team(plan=("a", "b")), team(plan=("b",))) == ["plan.a: removed"]
    assert changes(team(plan=("a",)), team(plan=("c", "a"))) == ["plan.c: added"]
    assert changes(team(), team(plan=None)) == ["plan: removed"]
    assert changes(team(plan=("a", "b")), team(plan=("b", "a"))) == [
        'plan: the order of the steps: ["a","b"] -> ["b","a"]'
    ]
    assert changes(team(), team(schema={"required": ["x"]})) == ["agents.one.schema: added"]


def test_long_values_are_cut():
    (line,) = changes(team(), team(version="v" * 500))
    assert len(line) < 150


# --- guardrails ---


def praise(draft):
    return None


def test_guardrails_come_back_from_a_document():
    nested = lambda draft: None  # noqa: E731 - a name that can't be imported
    guardrails = [praise, "confidence", {"bounds": {"path": "x", "max": 5, "weight": 2}}, nested]
    declared = team(["a"], guardrails=guardrails, threshold=0.5)
    again = Team.of_document(declared.document)

    assert again.document == declared.document
    assert again.rules.plan.hash == declared.rules.plan.hash
    panel = again.rules.duty("a", "one").panel
    assert [(name, seat.weight) for name, seat in panel.seats] == [
        ("confidence", 1.0),
        ("bounds", 2.0),
        ("praise", 1.0),
        ("<lambda>", 1.0),
    ]
    assert panel.threshold == 0.5


def test_guardrails_of_a_step_come_back_too():
    steps = [il.Step("a", "one", "act", guardrails=[praise, {"confidence": {"min": 0.9}}], threshold=0.5)]
    declared = Team([Agent("one", scope=il.Scope(["act"], [], ["x"]))], il.Plan(steps))
    again = Team.of_document(declared.document)

    assert (again.document, again.rules.plan.hash) == (declared.document, declared.rules.plan.hash)


def test_guardrails_are_part_of_the_hash():
    hashes = {team(**given).hash for given in ({}, {"guardrails": ["confidence"]}, {"guardrails": [praise]})}
    assert len(hashes) == 3
    assert team(guardrails=["confidence"], threshold=0.5).hash not in hashes


def test_changes_of_guardrails_are_named():
    bounds = {"bounds": {"path": "x", "max": 5}}
    old = team(guardrails=[praise, bounds, {"use": praise}], threshold=0.5)
    new = team(guardrails=[{"bounds": {"path": "x", "max": 6}}, {"use": praise, "weight": 2}, "confidence"])

    assert [line.replace(f"{__name__}:", "") for line in changes(old, new)] == [
        "agents.one.guardrails.praise.weight: not set -> 2",
        "agents.one.guardrails.bounds.max: 5 -> 6",
        "agents.one.guardrails.praise': removed",
        "agents.one.guardrails.confidence: added",
        "agents.one.threshold: 0.5 -> not set",
        'agents.one: the order of the guardrails: ["praise","bounds"] -> ["bounds","praise"]',
    ]
