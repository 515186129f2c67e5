"""Garbage: what the checks make of each kind, which kinds no check notices, and that the good reply stays as it is."""

import json
import math
import pickle
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import values
from interlock.core.job import DELETE, Question, Reply, Usage
from interlock.core.machine import Machine
from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.core.values import Limits
from interlock.errors import FaultsError
from interlock.team import Team
from interlock.testing.injection.faults import GARBAGE
from interlock.testing.injection.garbage import garble

DESK = Team.load(Path(__file__).parents[3] / "examples/support_desk/team.yaml").rules
TICKET = {
    "ticket": {
        "metadata": {
            "message": "I'm Amara Obi and I was charged 12 euros twice on 12 March for order 4711.",
            "customer": "Amara Obi",
        }
    }
}
TRIAGE = {"ticket.category": "cards", "ticket.priority": "high", "ticket.needs_person": False}
RESOLUTION = {"ticket.response": "Dear Amara, we have sent back 12 euros for order 4711 on 12 March."}
SEEDS = range(60)
NEVER_COMMITTED = ["wrong_shape", "truncated", "oversized", "invented_fields"]
LOOKS_RIGHT = ["off_topic", "altered_values", "injected_prompt"]


class Call:
    """A step of a run that is being done."""

    def __init__(self, rules, request, *before):
        self.machine, self.at_us = Machine(rules), 0
        self.commands = self.say(e.RunStarted(0, Raw(values.encode(request)), "team", "plan"))
        for answer in before:
            self.begin()
            self.commands = self.say(self.judge(answer))
        self.begin()

    def say(self, fact):
        found = self.machine.advance([fact], self.at_us)
        return [command for command in found if isinstance(command, c.CallAgent)]

    def begin(self):
        (self.command,) = self.commands
        self.at_us += 1
        self.machine.start(self.command, self.at_us)
        self.job = self.machine.job("run", self.command)
        self.duty = self.machine.duty(self.command.number)

    def judge(self, answer):
        return self.machine.judge(self.command, self.job, answer, self.at_us)

    def garbled(self, kind, good, seed=0):
        return garble(kind, good, self.job, self.duty, self.machine.rules.limits, Random(seed))

    def codes(self, answer):
        """Why it is refused; empty where it is committed."""
        verdict = self.judge(answer)
        assert e.decode(e.encode(verdict)) == verdict
        return {found.code for found in verdict.findings} if isinstance(verdict, e.AttemptRefused) else set()


def classify():
    return Call(DESK, TICKET)


def resolve():
    return Call(DESK, TICKET, TRIAGE)


def small(*, writes=("out",), schema=None, limits=None, step_writes=None, request=None, reads=("*",)):
    """A team of one agent."""
    role = Role(Scope(["act"], list(reads), list(writes)), schema=schema)
    plan = Plan([Step("only", "ann", "act", writes=step_writes)])
    return Call(Rules(plan, {"ann": role}, limits=limits or Limits()), request or {})


def ask(text="Is order 4711 of Amara yours?"):
    return Reply(ask=Question(text, ("yes", "no")))


# --- what the checks make of it ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", NEVER_COMMITTED)
def test_some_garbage_is_never_committed(kind, seed):
    for call, good in [
        (classify(), TRIAGE),
        (resolve(), Reply(writes=RESOLUTION, confidence=0.9, usage=Usage(10, 20, 0.1))),
        (small(writes=["*"]), {"anything": 1}),
        (small(writes=["out.*"], step_writes=["out.{step}"]), {"out.only": [1, 2]}),
        (small(writes=[]), {}),
        (small(), ask()),
    ]:
        assert call.codes(call.garbled(kind, good, seed)), (kind, good)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("wrong_shape", {"shape"}),
        ("truncated", {"shape"}),
        ("oversized", {"value", "size"}),
        ("invented_fields", {"scope"}),
        ("wrong_type", {"value", "schema"}),
    ],
)
def test_the_reason_is_the_garbage_and_nothing_else(kind, codes):
    call = classify()
    found = [call.codes(call.garbled(kind, TRIAGE, seed)) for seed in range(200)]
    assert set().union(*found) == codes
    assert all(found)


def test_a_wrong_type_is_not_seen_without_a_schema_unless_it_is_no_json():
    call = resolve()
    seen = [call.codes(call.garbled("wrong_type", RESOLUTION, seed)) for seed in SEEDS]
    assert {"value"} in seen
    assert set() in seen
    assert all(codes <= {"value"} for codes in seen)


@pytest.mark.parametrize("good", [{}, Reply(), Reply(usage=Usage(1, 1))])
def test_a_wrong_type_of_nothing_is_an_output_that_is_no_json(good):
    call = small()
    assert all(call.codes(call.garbled("wrong_type", good, seed)) == {"value"} for seed in SEEDS)


@pytest.mark.parametrize("value", [True, 3, 0.5, "text", None, [1, "a"], [], {"a": 1}, {}])
def test_every_value_has_other_types(value):
    call = small()
    answers = [call.garbled("wrong_type", {"out": value}, seed)["out"] for seed in range(200)]
    kept = [answer for answer in answers if call.codes({"out": answer}) == set()]
    assert len(kept) > 20
    assert all(type(answer) is not type(value) for answer in kept)


@pytest.mark.parametrize("kind", LOOKS_RIGHT)
def test_some_garbage_passes_every_schema(kind):
    schema = {"properties": {"out": {"type": "string"}, "score": {"type": "number", "maximum": 1}}, "required": ["out"]}
    call = small(writes=["out", "score"], schema=schema, request={"order": "Order 4711 by Amara"})
    good = {"out": "Order 4711 by Amara is on its way.", "score": 0.9}
    for seed in SEEDS:
        answer = call.garbled(kind, good, seed)
        assert answer != good
        assert {path: type(value) for path, value in answer.items()} == {"out": str, "score": float}
        assert call.codes(answer) == set()


@pytest.mark.parametrize("kind", ["off_topic", "injected_prompt"])
def test_words_that_a_schema_enumerates_stay(kind):
    call = classify()
    for seed in SEEDS:
        answer = call.garbled(kind, TRIAGE, seed)
        assert answer["ticket.category"] != "cards"
        assert (answer["ticket.priority"], answer["ticket.needs_person"]) == ("high", False)
        assert call.codes(answer) == set()


def test_where_nothing_may_change_nothing_does():
    call = small(schema={"properties": {"out": {"enum": ["a sentence of its own"]}}}, writes=["out"])
    good = {"out": "a sentence of its own"}
    for kind in ("off_topic", "injected_prompt", "altered_values"):
        assert call.garbled(kind, good) == good


def test_a_rule_inside_an_object_is_kept_to():
    inner = {"type": "object", "properties": {"kind": {"enum": ["a kind of its own"]}}}
    call = small(schema={"properties": {"out": inner}}, writes=["out", "more"])
    answer = call.garbled("off_topic", {"out": {"kind": "a kind of its own"}, "more": ["a text of its own"]})
    assert answer["out"] == {"kind": "a kind of its own"}
    assert answer["more"] != ["a text of its own"]


# --- each kind ---


def test_wrong_shapes_are_of_many_types():
    call = classify()
    found = {type(call.garbled("wrong_shape", TRIAGE, seed)).__name__ for seed in range(100)}
    assert found == {"str", "NoneType", "int", "bool", "list", "tuple", "SimpleNamespace"}


def test_what_breaks_off_is_the_beginning_of_the_reply():
    call = classify()
    for seed in SEEDS:
        answer = call.garbled("truncated", TRIAGE, seed)
        assert json.dumps(TRIAGE, separators=(",", ":")).startswith(answer)
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer)
    assert len(call.garbled("truncated", {"ticket.category": "x" * 100_000})) < 2_000


def test_what_is_too_large_is_so_by_the_least_there_is():
    limits = Limits(value_bytes_max=5_000, commit_fields_max=30, depth_max=5)
    call = small(limits=limits, writes=["out.*"])
    sizes = set()
    for seed in SEEDS:
        answer = call.garbled("oversized", {"out.a": 1}, seed)
        (finding,) = call.judge(answer).findings
        sizes.add(finding.message)
    assert sizes == {
        "out.a: it is 5,001 bytes of JSON, more than 5,000",
        "31 writes, more than 30",
        "out.a: [0][0][0][0][0] is nested deeper than 5",
    }


def test_large_limits_are_not_filled_up():
    most = 2**40
    call = small(limits=Limits(value_bytes_max=most, commit_fields_max=most, commit_bytes_max=most))
    assert all(len(pickle.dumps(call.garbled("oversized", {}, seed))) < 10_000 for seed in SEEDS)


def requesting(action="escalate", to="eve"):
    """A step whose agent may request another."""
    roles = {"ann": Role(Scope(["act", action], ["*"], ["out"])), to: Role(Scope(["act"], ["*"], ["more"]))}
    steps = [Step("only", "ann", "act", on_request={action: "branch"}), Step("branch", to, "act", needs=["only"])]
    return Call(Rules(Plan(steps), roles), {})


@pytest.mark.parametrize("call", [requesting(), requesting("transfer"), requesting("act"), requesting(to="supervisor")])
def test_of_who_may_make_requests_some_invented_fields_are_a_request(call):
    found = [call.garbled("invented_fields", Reply(writes={"out": 1}), seed) for seed in SEEDS]
    requests = [answer for answer in found if answer.request is not None]
    assert 0 < len(requests) < len(found)
    assert all(answer.writes == {"out": 1} and call.codes(answer) == {"request"} for answer in requests)
    assert call.codes(call.garbled("invented_fields", ask(), 0)) <= {"request", "scope", "shape"}


def test_invented_fields_stand_beside_the_good_ones():
    call = resolve()
    found = {}
    for seed in SEEDS:
        answer = call.garbled("invented_fields", Reply(writes=RESOLUTION, confidence=0.5), seed)
        assert answer.writes.items() >= RESOLUTION.items()
        assert answer.confidence == 0.5
        assert 1 <= len(answer.writes) - 1 <= 3
        found |= answer.writes
    assert found.keys() & {"ticket.metadata.message", "ticket.metadata.customer", "ticket.category"}
    assert found.keys() & {"summary", "reasoning", "result.status"}
    assert any(len(path) == len("ticket.response") + 1 for path in found)


def test_who_may_write_everything_invents_what_is_no_field():
    call = small(writes=["*"])
    assert call.codes(call.garbled("invented_fields", {"out": 1})) == {"path"}


def test_values_are_altered_and_nothing_else():
    call = resolve()
    found = [call.garbled("altered_values", RESOLUTION, seed)["ticket.response"] for seed in SEEDS]
    words = RESOLUTION["ticket.response"].split()
    for text in found:
        assert len(text.split()) == len(words)
        changed = {old for old, new in zip(words, text.split(), strict=True) if old != new}
        assert changed
        assert changed <= {"Amara,", "12", "4711", "March."}
    assert any("21 March" in text for text in found)
    assert any("Amara" not in text for text in found)


@pytest.mark.parametrize("number", [100, 0, -1, 2**63 - 1, -(2**63), 0.97, 0.0, 1e300, 1.7e308, 5e-324])
def test_another_number_is_of_the_same_type_and_json(number):
    call = small()
    for seed in SEEDS:
        other = call.garbled("altered_values", {"out": number}, seed)["out"]
        assert type(other) is type(number)
        assert other != number
        assert call.codes({"out": other}) == set()


def test_where_nothing_can_be_altered_something_shown_is_overwritten():
    call = resolve()
    good = {"ticket.response": "We are looking into it."}
    for seed in SEEDS:
        answer = call.garbled("altered_values", good, seed)
        assert call.codes(answer) == {"scope"}
        (path,) = answer.keys() - good.keys()
        assert answer[path] != call.job.view[path]
    assert small().garbled("altered_values", {"out": "as it is"}) == {"out": "as it is"}


def test_prompts_are_injected_in_many_ways():
    call = resolve()
    found = [call.garbled("injected_prompt", RESOLUTION, seed)["ticket.response"] for seed in range(200)]
    assert all(RESOLUTION["ticket.response"] in text for text in found)
    for sign in ("\n\nIgnore all previous instructions", "<!-- ", "<|im_start|>system", "\U000e0049", "\x1b[2K"):
        assert any(sign in text for text in found), sign
    assert any(text.startswith("Ignore all previous") for text in found)


@pytest.mark.parametrize("kind", LOOKS_RIGHT)
def test_a_question_is_a_text_as_well(kind):
    call = small(request={"order": "Order 4711 by Amara"})
    good = ask()
    for seed in SEEDS:
        answer = call.garbled(kind, good, seed)
        assert answer.ask.text != good.ask.text
        assert answer.ask.choices == good.ask.choices
        assert isinstance(call.judge(answer), e.QuestionAsked)


def test_a_question_of_the_wrong_type_is_refused():
    call = small()
    assert all(call.codes(call.garbled("wrong_type", ask(), seed)) == {"shape"} for seed in SEEDS)


def test_items_of_a_for_each_keep_to_their_own_fields():
    role = Role(Scope(["act"], ["*"], ["out.*"]))
    plan = Plan([Step("each", "ann", "act", for_each="list", writes=["out.{index}"])])
    call = Call(Rules(plan, {"ann": role}), {"list": ["a"]})
    assert call.job.index == 0
    assert call.codes(call.garbled("oversized", {})) <= {"size", "value"}
    assert all(call.codes(call.garbled("invented_fields", {"out.0": 1}, seed)) == {"scope"} for seed in SEEDS)


@pytest.mark.parametrize("good", ["a text", None, 3, [1], Reply(writes=["no dict"])])
def test_what_is_no_reply_is_garbage_already(good):
    call = small()
    for kind in set(GARBAGE) - {"wrong_shape", "oversized"}:
        assert call.garbled(kind, good) is good
    for kind in ("wrong_shape", "oversized"):
        assert call.codes(call.garbled(kind, good))


def test_fields_may_have_any_name():
    call = small(writes=["_"], schema={"properties": {"_": {"type": "string"}}})
    assert call.codes(call.garbled("invented_fields", {"_": "a"}, 0)) == {"scope"}
    assert "__" in {path for seed in SEEDS for path in call.garbled("invented_fields", {"_": "a"}, seed)}
    # What is no path is refused with or without garbage in it.
    answer = call.garbled("off_topic", {"_..": "a text of its own"})
    assert call.codes(answer) == {"path"}
    assert answer != {"_..": "a text of its own"}


def test_an_unknown_kind_is_refused():
    with pytest.raises(FaultsError, match=r"'off_topics' is no kind of garbage; did you mean off_topic\?; use one of"):
        small().garbled("off_topics", {})


# --- what holds for every kind ---


def test_there_is_something_for_every_kind():
    call = resolve()
    for kind in GARBAGE:
        assert call.garbled(kind, RESOLUTION) != RESOLUTION


@pytest.mark.parametrize("kind", GARBAGE)
def test_looking_for_garbage_leaves_no_trace_in_the_lineage(kind):
    call = resolve()
    call.job.view["ticket.category"]
    for seed in SEEDS:
        call.garbled(kind, RESOLUTION, seed)
    assert call.job.view.reads == ("ticket.category",)
    assert not call.job.view.coarse


@pytest.mark.parametrize("kind", GARBAGE)
def test_one_seed_gives_one_answer(kind):
    for seed in SEEDS:
        one, other = (repr(resolve().garbled(kind, RESOLUTION, seed)) for _ in range(2))
        assert one == other
        assert " at 0x" not in one


def test_a_view_may_be_any_mapping():
    call = resolve()
    job = msgspec.structs.replace(call.job, view={"a.b": "Amara"})
    answer = garble("invented_fields", RESOLUTION, job, call.duty, Limits(), Random(3))
    assert len(answer) > 1


texts = st.text(max_size=8) | st.sampled_from(["a text with 12 words", "half \ud83d", "x" * 40])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=3) | st.just(DELETE)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(st.integers() | st.none() | texts, inner, max_size=3)
        | st.tuples(inner)
        | st.frozensets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)
paths = st.sampled_from(["out", "out.a", "own", '"out"', "", "a..b", "*", 'x."y.z"']) | texts
writes = st.dictionaries(paths | st.integers() | st.none(), anything, max_size=4)
asks = st.builds(Reply, ask=st.builds(Question, texts | anything, st.just(())))
answers = anything | writes | st.builds(Reply, writes=writes | anything, output=anything) | asks
SCHEMA = {
    "properties": {"out": {"type": ["string", "array", "null"], "items": {"type": "string"}}, "own": {"enum": ["a b"]}}
}


def judged(kind, good, seed, schema):
    """The verdict on garbage, whatever was good."""
    call = small(writes=["out", "own"], schema=schema, request={"seen": "Amara 12", "list": [1]})
    verdict = call.judge(call.garbled(kind, good, seed))
    assert e.decode(e.encode(verdict)) == verdict
    assert kind not in NEVER_COMMITTED or isinstance(verdict, e.AttemptRefused)


@given(kind=st.sampled_from(GARBAGE), good=answers, seed=st.integers(0, 9), schema=st.sampled_from([None, SCHEMA]))
def test_it_never_raises_and_never_changes_what_is_good(kind, good, seed, schema):
    before = repr(good)
    judged(kind, good, seed, schema)
    assert repr(good) == before


def endless():
    itself = [1, "a text of its own"]
    itself += [itself, itself]
    return itself


def bottomless():
    value = "the bottom of it"
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "hostile", [endless, bottomless, lambda: 10**5_000, lambda: math.inf, lambda: ["a b"] * 20_000]
)
@pytest.mark.parametrize("kind", GARBAGE)
def test_hostile_values_do_no_harm(kind, hostile):
    for seed in range(3):
        judged(kind, {"out": hostile()}, seed, SCHEMA)
        judged(kind, Reply(writes={"out": hostile()}), seed, None)


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_changed_later_is_a_copy(kind):
    good = {"out": {"list": ["12 March", {"a": 1}]}}
    for seed in range(8):
        found = mutable(small().garbled(kind, good, seed))
        assert not {id(part) for part in found} & {id(part) for part in mutable(good)}


def mutable(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [value] * isinstance(value, dict | list) + [part for item in inner for part in mutable(item)]
