"""Faults: what may be declared, every refusal with its mend, and which of them strikes."""

import re
from pathlib import Path
from textwrap import dedent
from typing import get_args

import msgspec
import pytest

import interlock as il
from interlock.errors import FaultsError, TeamError
from interlock.testing.chance import Chance
from interlock.testing.injection import faults as room
from interlock.testing.injection.faults import (
    CALL,
    EFFECT,
    FAULTS_MAX,
    GARBAGE,
    KINDS,
    MOMENT,
    WRITE,
    Fault,
    Faults,
    Injection,
    faults_file_schema,
    seconds_of,
)

CALLED = {"run": "run-0", "agent": "triage", "step": "classify", "declared_step": "classify", "attempt": 1}


def call(faults, *, seed=1, reissue=0, **changed):
    return faults.of_call(Chance(seed), **{**CALLED, "reissue": reissue, **changed})


def load(folder, text):
    file = folder / "faults.yaml"
    file.write_text(dedent(text))
    return Faults.load(file)


def problems(folder, text):
    with pytest.raises(FaultsError) as caught:
        load(folder, text)
    return [(p.line, p.sentence, p.fix) for p in caught.value.problems]


def team():
    async def work(job):
        return {}

    def agent(name, fallback=None):
        return il.Agent(name, use=work, scope=il.Scope(["work"], ["*"], []), fallback=fallback)

    steps = [
        il.Step("classify", "triage", "work"),
        il.Step("option", "resolution", "work", samples=2),
        il.Step("each", "resolution", "work", for_each="items"),
    ]
    return il.Team([agent("triage", "rules"), agent("rules"), agent("resolution")], il.Plan(steps))


# --- the kinds ---


def test_every_kind_is_described_once():
    declared = [
        kind for names in (room.CallKind, room.WriteKind, room.MomentKind, room.EffectKind) for kind in _kinds(names)
    ]
    assert sorted(KINDS) == sorted(declared)
    assert sorted((*CALL, *WRITE, *MOMENT, *EFFECT)) == sorted(declared)
    assert all(sentence.endswith(".") and len(sentence) > 15 for sentence in KINDS.values())


def _kinds(names):
    for name in get_args(names):
        yield from (get_args(name) or (name,))


def test_the_schema_for_editors_knows_them():
    fault = faults_file_schema()["properties"]["faults"]["items"]
    assert fault["properties"]["fault"]["enum"] == [*KINDS]
    assert set(fault["properties"]) == set(Fault.__struct_fields__)
    assert msgspec.json.encode(fault)


# --- declaring in Python ---


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"fault": "timeot"}, "fault is 'timeot', not one of timeout, "),
        ({"fault": ["timeout"]}, "fault is a list, not one of "),
        ({"fault": "timeout", "agent": None}, "agent is nothing, not a name"),
        ({"fault": "timeout", "step": "a b"}, "step is 'a b', not a name"),
        ({"fault": "timeout", "attempt": -1}, "attempt is the number -1, not a whole number from 1 "),
        ({"fault": "timeout", "attempt": True}, "attempt is true, not a whole number"),
        ({"fault": "timeout", "probability": 1.1}, "probability is the number 1.1, not a number from 0 to 1"),
        ({"fault": "timeout", "probability": -0.1}, "probability is the number -0.1, not"),
        ({"fault": "timeout", "probability": float("nan")}, "probability is the number nan, not"),
        ({"fault": "timeout", "probability": "1"}, "probability is '1', not"),
        ({"fault": "timeout", "seconds": 1}, "seconds: timeout takes no seconds, only slow, late, clock_jump do"),
        ({"fault": "slow", "seconds": 0}, "seconds is the number 0; slow takes more than 0"),
        ({"fault": "late", "seconds": -1}, "seconds is the number -1; late takes more than 0"),
        ({"fault": "slow", "seconds": 10**10}, "seconds is the number 10000000000, not a number from -31,622,400 to"),
        ({"fault": "crash", "agent": "triage"}, "agent: crash doesn't belong to a call, so it has no agent"),
        ({"fault": "disk_full", "step": "classify"}, "step: disk_full doesn't belong to a call"),
        ({"fault": "cancel", "attempt": 2}, "attempt: cancel doesn't belong to a call"),
    ],
)
def test_what_makes_no_sense_is_refused(declared, sentence):
    with pytest.raises(FaultsError) as caught:
        Fault(**declared)
    (problem,) = caught.value.problems
    assert problem.sentence.startswith(sentence)
    assert (problem.code, problem.file, problem.line) == ("bad_faults", "", 0)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(FaultsError) as caught:
        Fault(fault="crash", agent="a", attempt=-1, seconds=3, probability=7)
    assert len(caught.value.problems) == 5


def test_a_mistyped_kind_gets_a_hint():
    with pytest.raises(FaultsError, match=r"; did you mean invented_fields\?"):
        Fault(fault="invented_field")


def test_equal_declarations_are_one_document():
    one = Fault(fault="slow", agent="", step="", attempt=0, probability=1, seconds=2)
    assert one == Fault(fault="slow", seconds=2.0)
    assert Faults([one]).document == b'{"faults":[{"fault":"slow","seconds":2.0}]}'
    # Equal text of another object is a default as well.
    assert Faults([Fault(fault="slow", step="".join([]), probability=float("1.0"))]).document == (
        b'{"faults":[{"fault":"slow"}]}'
    )


def test_a_clock_may_jump_back():
    assert Fault(fault="clock_jump", seconds=-60).seconds == -60.0


def test_faults_hold_faults():
    with pytest.raises(FaultsError, match="faults hold a dict, not a Fault"):
        Faults([{"fault": "timeout"}])
    with pytest.raises(FaultsError, match="there are 1,001 faults; at most 1,000 are possible"):
        Faults([Fault(fault="timeout")] * (FAULTS_MAX + 1))


def test_a_document_gives_the_same_faults():
    faults = Faults([Fault(fault="timeout", agent="triage", attempt=1), Fault(fault="clock_jump", seconds=-60)])
    fewer = faults.without(["0:run-0/classify/1/0:timeout"]).without(["b"])
    assert Faults.of_document(faults.document) == faults
    assert Faults.of_document(fewer.document) == fewer != faults
    assert fewer.suppressed == {"0:run-0/classify/1/0:timeout", "b"}
    assert hash(Faults.of_document(fewer.document)) == hash(fewer)
    assert repr(faults) == "<Faults: timeout, clock_jump>"
    assert repr(Faults()) == "<Faults: none>"
    assert Faults().document == b'{"faults":[]}'


def test_everything_is_every_kind():
    faults = Faults.everything()
    assert {fault.fault for fault in faults.faults} == KINDS.keys() - {"garbage"}
    assert {fault.fault: fault.probability for fault in faults.faults}.items() >= {
        ("timeout", 0.02),
        ("off_topic", 0.02),
        ("disk_full", 0.005),
        ("cancel", 0.04),
    }
    assert all(fault.probability == 0 for fault in Faults.everything(0.0).faults)
    with pytest.raises(FaultsError, match="from 0 to 1"):
        Faults.everything(-1)


# --- declaring in YAML ---


def test_a_file_loads(tmp_path):
    faults = load(
        tmp_path,
        """\
        faults:
          - {fault: timeout, agent: triage, attempt: 1}
          - {fault: invented_fields, step: resolve, probability: 0.1}
          - fault: clock_jump
            seconds: -60
        """,
    )
    assert faults.faults == (
        Fault(fault="timeout", agent="triage", attempt=1),
        Fault(fault="invented_fields", step="resolve", probability=0.1),
        Fault(fault="clock_jump", seconds=-60.0),
    )


def test_every_problem_of_a_file_is_told_with_its_line(tmp_path):
    text = """\
        faults:
          - fault: timeot
          - fault: timeout
            agents: triage
          - {fault: crash, agent: triage}
          - {agent: triage}
          - {fault: slow, seconds: 2s, probability: 2}
        """
    found = problems(tmp_path, text)
    assert [(line, sentence.partition(",")[0]) for line, sentence, _ in found] == [
        (2, "faults[0].fault is 'timeot'"),
        (4, "faults[1].agents: a fault has no key agents; did you mean agent?"),
        (5, "faults[2].agent: crash doesn't belong to a call"),
        (6, "faults[3] has no fault"),
        (7, "faults[4].seconds is '2s'"),
        (7, "faults[4].probability is the number 2"),
    ]
    assert found[1][2].startswith("its keys: fault, agent, step")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 0, "the file is empty"),
        ("faults: [", 2, "this is not YAML: "),
        ("- {fault: timeout}", 1, "the file is a list, not a mapping with the keys of a faults file"),
        ("faults: []", 1, "faults has 0 items; at least 1 are needed"),
        ("{}", 1, "the file has no faults"),
        ("fault: [{fault: timeout}]\nfaults: [{fault: timeout}]", 1, "fault: a faults file has no key fault; did you"),
        ("faults:\n  - {fault: timeout, fault: slow}", 2, "the key fault stands here twice"),
        ("faults:\n" + "- {fault: timeout}\n" * (FAULTS_MAX + 1), 1, "there are 1,001 faults"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, line, sentence):
    (found,) = problems(tmp_path, text)
    assert found[0] == line
    assert found[1].startswith(sentence)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FaultsError, match=r"none\.yaml: it can't be read: No such file") as caught:
        Faults.load(tmp_path / "none.yaml")
    assert caught.value.file.endswith("none.yaml")
    assert isinstance(caught.value, TeamError)


# --- held against a team ---


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"agent": "triage"},
        {"agent": "rules", "step": "classify"},
        {"step": "option"},
        {"step": "option-2"},
        {"agent": "resolution", "step": "each-7"},
    ],
)
def test_faults_that_can_strike_a_team_pass(declared):
    faults = Faults([Fault(fault="timeout", **declared), Fault(fault="crash")])
    assert faults.checked(team()) is faults


@pytest.mark.parametrize(
    ("declared", "sentence", "fix"),
    [
        (
            {"agent": "triag"},
            "faults[0].agent: the team has no agent triag; did you mean triage?",
            "its agents: triage, rules, resolution",
        ),
        (
            {"step": "clasify"},
            "faults[0].step: the team has no step clasify; did you mean classify?",
            "its steps: classify, option, each",
        ),
        ({"step": "option-3"}, "faults[0].step: the team has no step option-3; did you mean option?", None),
        ({"step": "classify-1"}, "faults[0].step: the team has no step classify-1; did you mean classify?", None),
        (
            {"agent": "resolution", "step": "classify"},
            "faults[0].agent: resolution never does the step classify",
            "name triage or rules, or no agent",
        ),
    ],
)
def test_a_fault_that_can_never_strike_is_refused(declared, sentence, fix):
    with pytest.raises(FaultsError) as caught:
        Faults([Fault(fault="timeout", **declared)]).checked(team())
    assert caught.value.sentence == sentence
    assert fix is None or caught.value.fix == fix


def test_a_team_without_a_plan_has_no_steps():
    planless = il.Team([*team().agents.values()])
    with pytest.raises(FaultsError, match="the team has no step classify; give the team a plan"):
        Faults([Fault(fault="timeout", step="classify")]).checked(planless)


def test_what_does_not_fit_the_team_is_told_with_its_line(tmp_path):
    faults = load(tmp_path, "faults:\n  - fault: timeout\n    agent: nobody\n    step: nothing\n  - {fault: crash}\n")
    with pytest.raises(FaultsError) as caught:
        faults.without(["x"]).checked(team())
    assert [problem.line for problem in caught.value.problems] == [3, 4]
    assert "faults.yaml:3: faults[0].agent: the team has no agent nobody" in str(caught.value)


# --- what strikes ---


@pytest.mark.parametrize(
    ("declared", "strikes"),
    [
        ({}, True),
        ({"agent": "triage"}, True),
        ({"agent": "rules"}, False),
        ({"step": "classify"}, True),
        ({"step": "resolve"}, False),
        ({"attempt": 1}, True),
        ({"attempt": 2}, False),
        ({"agent": "triage", "step": "classify", "attempt": 1}, True),
        ({"agent": "triage", "step": "resolve", "attempt": 1}, False),
        ({"probability": 0.0}, False),
    ],
)
def test_a_fault_strikes_where_its_conditions_hold(declared, strikes):
    fault = Fault(fault="timeout", **declared)
    expected = Injection("timeout", fault, 0, "0:run-0/classify/1/0:timeout") if strikes else None
    assert call(Faults([fault])) == expected


def test_the_name_of_a_step_stands_for_its_copies():
    faults = Faults([Fault(fault="timeout", step="option")])
    assert call(faults, step="option-2", declared_step="option").name == "0:run-0/option-2/1/0:timeout"
    alone = Faults([Fault(fault="timeout", step="option-1")])
    assert call(alone, step="option-1", declared_step="option") is not None
    assert call(alone, step="option-2", declared_step="option") is None


def test_the_first_that_fits_strikes():
    faults = Faults(
        [
            Fault(fault="crash"),
            Fault(fault="slow", agent="rules"),
            Fault(fault="late", probability=0),
            Fault(fault="exception"),
            Fault(fault="timeout"),
        ]
    )
    injection = call(faults, reissue=2)
    assert (injection.kind, injection.number) == ("exception", 3)
    assert injection.name == "3:run-0/classify/1/2:exception"


def test_garbage_is_one_of_its_kinds():
    faults = Faults([Fault(fault="garbage")])
    found = [call(faults, run=f"run-{n}").kind for n in range(400)]
    assert set(found) == set(GARBAGE)
    assert found == [call(faults, run=f"run-{n}").kind for n in range(400)]


def test_what_a_file_says_wrong_and_what_the_team_does_not_have_are_told_at_once(tmp_path):
    text = """\
        faults:
          - {fault: timeuot, agent: triage}
          - {fault: timeout, agent: traige}
          - {fault: crash, agent: nobody, step: [1]}
          - {fault: slow, step: clasify, probability: 7}
          - {fault: late, agent: resolution, step: classify}
          - just a text
          - {fault: late, agent: "no name"}
    """
    file = tmp_path / "faults.yaml"
    file.write_text(dedent(text))
    with pytest.raises(FaultsError) as caught:
        Faults.load(file, team())
    assert sorted({(p.line, *p.place[2:]) for p in caught.value.problems}) == [
        (2, "fault"),
        (3, "agent"),
        (4, "agent"),
        (4, "step"),
        (5, "probability"),
        (5, "step"),
        (6, "agent"),
        (7,),
        (8, "agent"),
    ]
    assert "no agent no name" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "faults: {}", "7", "faults: [1, [], null]", "fautls: []"])
def test_a_file_of_another_shape_is_refused_for_that_alone(tmp_path, text):
    file = tmp_path / "faults.yaml"
    file.write_text(text)
    told = []
    for of in (None, team()):
        with pytest.raises(FaultsError) as caught:
            Faults.load(file, of)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_probability_is_a_share_of_calls():
    faults = Faults([Fault(fault="timeout", probability=0.25)])
    struck = [call(faults, run=f"run-{n}") is not None for n in range(4_000)]
    assert 900 < sum(struck) < 1_100
    # Each part of the name counts.
    for part in ({"step": "x"}, {"attempt": 2}, {"reissue": 1}, {"seed": 2}):
        assert [call(faults, run=f"run-{n}", **part) is not None for n in range(200)] != struck[:200]


def test_two_equal_faults_are_drawn_apart():
    faults = Faults([Fault(fault="timeout", probability=0.5)] * 2)
    numbers = [injection and injection.number for injection in (call(faults, run=f"run-{n}") for n in range(100))]
    assert set(numbers) == {None, 0, 1}


def test_luck_does_not_hang_on_other_faults_that_did_not_strike():
    rare = Fault(fault="timeout", probability=0.3)
    alone, beside = Faults([Fault(fault="slow", probability=0), rare]), Faults([Fault(fault="late", agent="x"), rare])
    assert [call(alone, run=f"{n}") for n in range(100)] == [call(beside, run=f"{n}") for n in range(100)]


def test_a_suppressed_injection_does_not_strike_and_nothing_else_in_its_place():
    faults = Faults([Fault(fault="timeout"), Fault(fault="slow"), Fault(fault="crash_before_write")])
    name = call(faults).name
    fewer = faults.without([name, "2:p/1:crash_before_write"])
    assert call(fewer) is None
    assert call(fewer, attempt=2).kind == "timeout"
    assert fewer.of_write(Chance(1), "p", 1) is None
    assert fewer.of_write(Chance(1), "p", 2).name == "2:p/2:crash_before_write"
    assert call(faults) is not None


def test_writes_and_moments_have_faults_of_their_own():
    rare = Fault(fault="write_error", probability=0)
    faults = Faults([rare, Fault(fault="timeout"), Fault(fault="disk_full"), Fault(fault="clock_jump", seconds=5)])
    chance = Chance(3)
    assert faults.of_write(chance, "run-0", 7) == Injection("disk_full", faults.faults[2], 2, "2:run-0/7:disk_full")
    assert faults.of_moment(chance, "clock_jump", "p").name == "3:p:clock_jump"
    assert Faults([Fault(fault="timeout")]).of_write(chance, "p") is None
    assert Faults([Fault(fault="timeout")]).of_moment(chance, "crash", "p") is None


def test_a_moment_is_of_one_kind():
    faults = Faults([Fault(fault="crash"), Fault(fault="cancel")])
    assert faults.of_moment(Chance(1), "cancel", "run-0").name == "1:run-0:cancel"
    assert faults.of_moment(Chance(1), "clock_jump", "run-0") is None


def test_only_some_injections_may_be_left():
    faults = Faults([Fault(fault="timeout"), Fault(fault="slow"), Fault(fault="crash")])
    name = call(faults).name
    alone = faults.only([name])
    assert call(alone).name == name
    assert call(alone, attempt=2) is None
    assert alone.of_moment(Chance(1), "crash", "p") is None
    assert call(alone.without([name])) is None
    assert Faults.of_document(alone.document) == alone != faults
    assert call(Faults.of_document(faults.only([]).document)) is None


def test_a_call_that_no_fault_is_about_costs_next_to_nothing(monkeypatch):
    monkeypatch.setattr(Chance, "share", None)  # no draw at all
    others = [Fault(fault=kind, agent="rules") for kind in CALL] + [Fault(fault=kind) for kind in (*WRITE, *MOMENT)]
    assert call(Faults(others)) is None


# --- how long ---


def seconds(kind, declared=None, run="run-0"):
    faults = Faults([Fault(fault=kind, seconds=declared)])
    injection = faults.of_moment(Chance(1), kind, run) if kind == "clock_jump" else call(faults, run=run)
    return seconds_of(injection, Chance(1), timeout=10.0)


@pytest.mark.parametrize("kind", ["slow", "late", "clock_jump"])
def test_declared_seconds_are_taken(kind):
    assert seconds(kind, 7) == 7.0


@pytest.mark.parametrize(("kind", "least", "most"), [("slow", 5, 15), ("late", 0, 5), ("clock_jump", -3_600, 3_600)])
def test_otherwise_they_are_drawn(kind, least, most):
    drawn = [seconds(kind, run=f"run-{n}") for n in range(200)]
    middle = (least + most) / 2
    assert all(least <= value <= most for value in drawn)
    assert min(drawn) < middle < max(drawn)
    assert drawn == [seconds(kind, run=f"run-{n}") for n in range(200)]


def test_names_and_draws_outlive_the_process():
    # Compatibility data: a journal or a report names injections, and they are repeated by seed and name.
    faults = Faults.everything(0.2)
    struck = [call(faults, run=f"run-{n}", seed=7) for n in range(6)]
    assert [injection and injection.name for injection in struck] == [
        "4:run-0/classify/1/0:duplicate",
        "2:run-1/classify/1/0:slow",
        "2:run-2/classify/1/0:slow",
        "1:run-3/classify/1/0:exception",
        "3:run-4/classify/1/0:late",
        "8:run-5/classify/1/0:oversized",
    ]


# --- the page ---


PAGE = Path(__file__).parents[3].joinpath("docs/inject-faults.md").read_text("utf-8")


def test_the_page_says_of_every_kind_what_the_code_says():
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z][^|]*\.) \|", PAGE, re.MULTILINE)
    assert dict(rows) == KINDS
    assert len(rows) == len(KINDS)


def test_the_page_tells_every_key():
    assert re.findall(r"^\| `(\w+)` \| (?![A-Z])", PAGE, re.MULTILINE) == [*Fault.__struct_fields__]


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    (file,) = re.findall(r"^<!-- file: faults.yaml -->\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "faults.yaml").write_text(file)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 3
    exec("\n".join(blocks), {"__name__": "__main__"})
