"""Every guard refuses, says why in a way that can be journaled, and harms nothing else."""

import collections
import datetime as dt
import decimal
import enum
import time
import tracemalloc

import msgspec
import pytest

import interlock.core.events as e
from interlock.core import assess
from interlock.core.job import DELETE, Effect, Question, Reply, Usage
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.values import Limits
from interlock.errors import ReplyRefused

from .transcripts import Transcript, step

OWN = ["out.*", "x", "log", "sum", "facts"]
REQUEST = {"x": {"y": 1}, "scalar": 5, "out": {"scalar": 5}}
REDUCERS = {"log": "append", "sum": "add", "facts": "merge"}


def working(schema=None, step_schema=None, limits=None, writes=None):
    """A run whose one step is being done, with a retry left."""
    role = Role(Scope(["act"], ["*"], OWN), Policy(retries=1), schema)
    doing = step("a", schema=step_schema, writes=writes)
    run = Transcript(doing, roles={"ann": role}, request=REQUEST, reducers=REDUCERS, limits=limits or Limits())
    run.begin()
    run.start("a")
    return run


def refused(answer, run=None):
    """The findings, as `code path`; and a proof that the refusal did no harm and can be journaled."""
    run = run or working()
    before = run.machine.context.to_dict()
    verdict = run.judge("a", answer)
    assert isinstance(verdict, e.AttemptRefused)
    assert e.decode(e.encode(verdict)) == verdict
    assert run.say(verdict) == ["call ann for a #2"]
    assert run.machine.context.to_dict() == before
    assert 0 < len(verdict.findings) <= assess.FINDINGS_MAX
    assert all(len(found.message) <= assess.FINDING_CHARS_MAX for found in verdict.findings)
    return [f"{found.code} {found.path}".strip() for found in verdict.findings]


def why(answer, run=None):
    """The one sentence that the agent is told."""
    (found,) = (run or working()).judge("a", answer).findings
    return found.message


def accepted(answer, run=None):
    run = run or working()
    verdict = run.judge("a", answer)
    assert isinstance(verdict, e.AttemptCommitted), verdict
    assert e.decode(e.encode(verdict)) == verdict
    run.say(verdict)
    return verdict


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __bool__ = __len__ = __repr__


class Garbled:
    def __repr__(self):
        return "no Unicode: \ud800"


class Colour(enum.StrEnum):
    RED = "red"


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


# --- what passes ---


def test_a_good_reply_is_committed_whole():
    run = working()
    run.jobs["a"].view["x.y"]
    answer = Reply(
        writes={"out.a": {"z": 1, "a": [None]}, '"x"': DELETE, "sum": 2},
        output={"kept": True},
        usage=Usage(1, 2, 0.5),
        confidence=1,
    )
    verdict = accepted(answer, run)

    assert {path: bytes(raw) for path, raw in verdict.writes.items()} == {"out.a": b'{"z":1,"a":[null]}', "sum": b"2"}
    assert (verdict.deletes, verdict.reads, verdict.coarse) == (("x",), ("x.y",), False)
    assert (bytes(verdict.output), verdict.usage, verdict.confidence) == (b'{"kept":true}', Usage(1, 2, 0.5), 1)
    assert run.context == {"scalar": 5, "out": {"scalar": 5, "a": {"z": 1, "a": [None]}}, "sum": 2}


@pytest.mark.parametrize("answer", [{}, Reply()])
def test_a_reply_may_write_nothing(answer):
    verdict = accepted(answer)

    assert e.encode(verdict) == b'{"t":"attempt_committed","at_us":2000000,"step":"a","attempt":1}'


def test_reads_of_everything_are_marked():
    run = working()
    run.jobs["a"].view.to_dict()
    verdict = accepted({}, run)

    assert (verdict.reads, verdict.coarse) == (("*",), True)


def test_many_reads_are_journaled_as_one():
    run = working()
    for number in range(assess.READS_MAX):
        run.jobs["a"].view.get(f"q.n{number}")
    assert len(run.judge("a", {}).reads) == assess.READS_MAX
    run.jobs["a"].view.get("one.more")

    assert accepted({}, run).reads == ("*",)


# --- shape ---


@pytest.mark.parametrize(
    "answer", [None, [], "I am sorry", 5, ("out.a", 1), {1, 2}, b"bytes", collections.OrderedDict(), Hostile(), Reply]
)
def test_an_answer_that_is_no_reply_is_refused(answer):
    assert refused(answer) == ["shape"]


def test_the_refusal_says_what_came_instead_of_a_reply():
    assert why(None) == "the agent returned nothing; return a dict of writes or an interlock.Reply"
    assert why([]) == "the agent returned a list; return a dict of writes or an interlock.Reply"


def test_an_answer_that_an_adapter_could_not_read_is_refused_in_its_words():
    assert why(ReplyRefused("no JSON \ud800")) == "no JSON ?"
    assert refused(ReplyRefused("no JSON")) == ["shape"]


def test_what_it_could_not_read_is_kept_and_charged():
    verdict = working().judge("a", ReplyRefused("no JSON", said="Sure! Here it is \ud800", usage=Usage(3, 4)))
    assert bytes(verdict.reply) == b'"Sure! Here it is ?"'
    assert verdict.usage == Usage(3, 4)


def test_what_was_answered_instead_of_a_reply_is_kept():
    assert bytes(working().judge("a", "I am sorry").reply) == b"\"'I am sorry'\""


@pytest.mark.parametrize("writes", [None, [], "out.a", [("out.a", 1)], Hostile()])
def test_writes_that_are_no_dict_are_refused(writes):
    assert refused(Reply(writes=writes)) == ["shape"]
    assert why(Reply(writes=writes)) == f"writes is a {type(writes).__name__}, not a dict of dotted paths"


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan"), float("inf"), 10**400, True, "0.5", Hostile()])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    assert refused(Reply(confidence=confidence)) == ["shape"]
    assert why(Reply(confidence=confidence)) == "confidence is not a number from 0 to 1"


@pytest.mark.parametrize("confidence", [0, 0.5, 1])
def test_a_confidence_is_a_share(confidence):
    assert accepted(Reply(confidence=confidence)).confidence == confidence


class CustomUsage(Usage):
    """Its extra field would make the journal unreadable."""

    extra: int = 0


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 1},
        Usage(-1),
        Usage(True),
        Usage(1.0),
        Usage(0, 2**53 + 1),
        Usage(0, 0, -0.01),
        Usage(0, 0, assess.USD_MAX + 1),
        Usage(0, 0, float("nan")),
        Usage(0, 0, float("inf")),
        Usage(0, 0, 10**400),
        Usage(0, 0, "1"),
        CustomUsage(1, 2, 0.5, extra=3),
    ],
)
def test_a_usage_that_cannot_be_is_refused_and_not_charged(usage):
    run = working()

    assert why(Reply(usage=usage)) == "usage is not an interlock.Usage with counts and a price from 0 up"
    assert refused(Reply(usage=usage), run) == ["shape"]
    assert (run.machine.cost.usd, run.machine.cost.tokens) == (0, 0)


LONGEST_MODEL = Usage(model="m" * assess.MODEL_CHARS_MAX)


@pytest.mark.parametrize(
    "usage", [Usage(), Usage(2**53, 0, 0), Usage(1, 1, 0.001), Usage(0, 0, assess.USD_MAX), LONGEST_MODEL]
)
def test_a_usage_at_its_bounds_is_taken(usage):
    assert accepted(Reply(usage=usage)).usage == usage


def test_what_a_late_reply_used_is_told_without_assessing_it():
    assert assess.usage_of(Reply(writes={"": 1}, usage=Usage(1))) == Usage(1)
    assert assess.usage_of(Reply(usage=Usage(-1))) is None
    assert assess.usage_of("not a reply") is None


def test_a_refused_reply_is_charged():
    run = working()
    refused(Reply(writes={"elsewhere": 1}, usage=Usage(1, 2, 0.5)), run)

    assert (run.machine.cost.usd, run.machine.cost.tokens) == (0.5, 3)


# --- questions ---


def test_a_question_is_asked():
    run = working()
    run.jobs["a"].view["x.y"]
    verdict = run.judge("a", Reply(ask=Question("Refund \ud800?", ["yes", "n\udfff"]), usage=Usage(1)))

    assert verdict == e.QuestionAsked(2_000_000, "a", 1, Question("Refund ??", ("yes", "n?")), Usage(1), ("x.y",))
    assert e.decode(e.encode(verdict)) == verdict


LONGEST = "x" * assess.QUESTION_CHARS_MAX, ("y" * assess.FINDING_CHARS_MAX,) * assess.CHOICES_MAX


@pytest.mark.parametrize("question", [Question("?"), Question(*LONGEST)])
def test_a_question_at_its_bounds_is_asked(question):
    assert working().judge("a", Reply(ask=question)).question == question


@pytest.mark.parametrize(
    "answer",
    [
        Reply(ask="Refund?"),
        Reply(ask=Question("")),
        Reply(ask=Question(None)),
        Reply(ask=Question("x" * (assess.QUESTION_CHARS_MAX + 1))),
        Reply(ask=Question("Which?", "abc")),
        Reply(ask=Question("Which?", ("x",) * (assess.CHOICES_MAX + 1))),
        Reply(ask=Question("Which?", (1,))),
        Reply(ask=Question("Which?", ("x" * (assess.FINDING_CHARS_MAX + 1),))),
        Reply(ask=Question("Which?"), writes={"out.a": 1}),
        Reply(ask=Question("Which?"), usage=Usage(-1)),
    ],
)
def test_a_bad_question_is_refused(answer):
    assert refused(answer) == ["shape"]


def test_a_question_beside_effects_is_refused():
    assert refused(Reply(ask=Question("Which?"), effects=[Effect("mail")])) == ["shape", "effect"]


def test_a_bad_question_is_told_what_a_question_is():
    assert why(Reply(ask="Refund?")) == (
        "ask is a Question with a text of 1 to 8000 characters and at most 50 choices,"
        " and comes without writes, effects and a request"
    )


def test_a_question_beside_writes_that_are_no_dict_is_refused():
    assert refused(Reply(ask=Question("Which?"), writes=Hostile())) == ["shape", "shape"]


def test_a_refused_question_is_kept():
    assert b"Which?" in bytes(working().judge("a", Reply(ask=Question("Which?", "abc"))).reply)


# --- paths and scope ---


@pytest.mark.parametrize(
    "path",
    ["", ".", "out..a", "out.*", "*", '"out', "k" * 2_000, ".".join("k" * 40), 1, None, ("out", "a"), "out.\ud800"],
)
def test_a_key_that_is_no_path_is_refused(path):
    assert refused({path: 1}) == ["path"]


def test_a_long_key_that_is_no_path_is_shown_by_its_beginning():
    assert why({"." * 2_000: 1}) == f"{'.' * 77 + '...'!r} is not a dotted path"
    assert why({"." * 80: 1}) == f"{'.' * 80!r} is not a dotted path"


def test_what_is_cut_short_says_so_at_the_cut():
    # There, a piece of a secret is looked for that may be left before it.
    assert assess.excerpt(b"x" * 300) == f"b'{'x' * 300}'"
    assert assess.excerpt(b"x" * 301) == f"b'{'x' * 300}...'"
    assert assess.excerpt(bytearray(b"x" * 301)) == f"bytearray(b'{'x' * 300}...')"
    assert assess.excerpt(ReplyRefused("no", said="x" * 2_000)) == "x" * 2_000
    assert assess.excerpt(ReplyRefused("no", said="x" * 2_001)) == "x" * 1_997 + "..."
    long = assess.excerpt([["x" * 300] * 6] * 2)
    assert (len(long), long[-10:]) == (2_000, "xxxxxxx...")
    assert why(ReplyRefused("x" * 500)) == "x" * 500
    assert why(ReplyRefused("x" * 501)) == "x" * 497 + "..."


def test_a_key_that_fails_to_show_itself_is_refused():
    assert refused({Hostile(): 1}) == ["path"]
    assert why({Hostile(): 1}) == "a Hostile is not a dotted path"


@pytest.mark.parametrize("path", ["elsewhere", "out", "outer", "scalar.deep", "log2", "nowhere.\ud800"[:7]])
@pytest.mark.parametrize("value", [1, DELETE])
def test_a_write_outside_the_permission_refuses_the_whole_reply(path, value):
    assert refused({"out.a": 1, path: value}) == [f"scope {path}"]


@pytest.mark.parametrize(
    ("writes", "granted"),
    [
        ([], "nothing"),
        (["x", "log"], "x, log"),
        (["x", "log", "sum", "facts", "out.a"], "x, log, sum, facts, out.a"),
        (["x", "log", "sum", "facts", "out.a", "out.b"], "x, log, sum, facts, out.a, ..."),
    ],
)
def test_who_writes_out_of_scope_is_told_what_it_may_write(writes, granted):
    run = working(writes=writes)

    assert why({"elsewhere": 1}, run) == f"ann may not write elsewhere; it may write {granted}"


def test_a_steps_own_writes_are_narrower_than_the_permission():
    assert refused({"out.b": 1}, working(writes=["out.a"])) == ["scope out.b"]


@pytest.mark.parametrize(
    ("writes", "at"),
    [
        ({"out.a": 1, "out.a.b": 2}, "out.a.b"),
        ({"out.a.b": DELETE, "out.a": {}}, "out.a.b"),
        ({"x.y.z": 1, "x": DELETE}, "x.y.z"),
        ({"x": 1, '"x"': 2}, "x"),
        ({"x": 1, '"x"': DELETE}, "x"),
        ({"x": DELETE, '"x"': 1}, "x"),
        ({"x": DELETE, '"x"': DELETE}, "x"),
    ],
)
def test_writes_that_overlap_within_one_reply_are_refused(writes, at):
    assert refused(writes) == [f"path {at}"]


def test_the_same_findings_come_in_the_same_order():
    writes = {f"out.k{number}": DELETE if number % 2 else 1 for number in range(9)}
    overlapping = {f"{path}.deep": 1 for path in writes}

    assert refused({**writes, **overlapping}) == [f"path out.k{number}.deep" for number in range(9)]


# --- values ---


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "it is nan, which JSON doesn't have"),
        ([-float("inf")], "[0] is -inf, which JSON doesn't have"),
        ((1, 2), "it is a tuple, which is not JSON; convert it first"),
        ({"at": dt.date(2020, 1, 1)}, "at is a date, which is not JSON; convert it first"),
        (b"bytes", "it is a bytes, which is not JSON; convert it first"),
        ({"a": [{1}]}, "a[0] is a set, which is not JSON; convert it first"),
        (decimal.Decimal(1), "it is a Decimal, which is not JSON; convert it first"),
        (Colour.RED, "it is a Colour, which is not JSON; convert it first"),
        (collections.OrderedDict(a=1), "it is a OrderedDict, which is not JSON; convert it first"),
        ([DELETE], "[0] is a _Delete, which is not JSON; convert it first"),
        (Hostile(), "it is a Hostile, which is not JSON; convert it first"),
        ("\ud800", "it is text with a lone surrogate, which is not Unicode"),
        ({"k": "caf\u00e9\udfff"}, "k is text with a lone surrogate, which is not Unicode"),
        ({"\ud800": 1}, "? is text with a lone surrogate, which is not Unicode"),
        ({1: 1}, "it is an object with a key of the type int; keys are strings"),
        ({"a": {10**5_000: 1}}, "a is an object with a key of the type int; keys are strings"),
        ({None: 1}, "it is an object with a key of the type NoneType; keys are strings"),
        ({Hostile(): 1}, "it is an object with a key of the type Hostile; keys are strings"),
        (2**63, "it is an integer outside 64 bits; write it as a string"),
        (2**64, "it is an integer outside 64 bits; write it as a string"),
        ({"n": -(2**63) - 1}, "n is an integer outside 64 bits; write it as a string"),
        (nested(33), "[0][0][0][0] ... [0][0][0][0] is nested deeper than 32"),
    ],
)
def test_a_value_that_is_not_json_is_refused_with_its_place(value, reason):
    assert why({"out.a": value}) == f"out.a: {reason}"
    assert refused({"out.a": value, "out.b": "fine"}) == ["value out.a"]
    assert why(Reply(output=value)) == f"output: {reason}"
    assert refused(Reply(output=value)) == ["value"]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), -0.0, 1.0, True, None, nested(32), "caf\u00e9", {"": {}}])
def test_a_value_at_the_bounds_of_json_is_taken_as_it_is(value):
    run = working()
    accepted({"out.a": value}, run)

    assert repr(run.context["out"]["a"]) == repr(value)


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)

    assert refused({"out.a": value}) == ["value out.a"]


@pytest.mark.parametrize("make", [lambda: "x" * 100_000_000, lambda: [0] * 50_000_000, lambda: b"x" * 100_000_000])
def test_a_huge_value_is_refused_without_being_encoded_or_shown_whole(make):
    value, run = make(), working()
    tracemalloc.start()
    begun = time.perf_counter()
    verdict = run.judge("a", {"out.a": value})
    took = time.perf_counter() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [found.code for found in verdict.findings] == ["value"]
    assert took < 1
    assert peak < 1_000_000
    assert len(verdict.reply) < 3_000


def test_shared_parts_count_as_often_as_they_would_be_written():
    value = ["x" * 1_000]
    for _ in range(20):
        value = [value, value]

    assert refused({"out.a": value}) == ["value out.a"]


def test_a_string_that_grows_when_it_is_written_is_measured_as_written():
    limits = Limits(value_bytes_max=10)

    assert why({"out.a": "\n" * 5}, working(limits=limits)) == "out.a: it is 12 bytes of JSON, more than 10"
    assert why({"out.a": "x" * 11}, working(limits=limits)) == "out.a: it is larger than 10 bytes of JSON"
    accepted({"out.a": "x" * 8}, working(limits=limits))


# --- sizes ---


def test_too_much_output_is_refused():
    assert refused(Reply(output="x" * 11), working(limits=Limits(value_bytes_max=10))) == ["value"]


def test_too_many_writes_are_refused_before_they_are_looked_at():
    many = {f"elsewhere.k{number}": Hostile() for number in range(4)}

    assert refused(many, working(limits=Limits(commit_fields_max=3))) == ["size"]
    accepted({f"out.k{number}": 1 for number in range(3)}, working(limits=Limits(commit_fields_max=3)))


def test_too_many_fields_in_one_write_are_refused():
    assert refused({"out.a": dict.fromkeys("abcd", 1)}, working(limits=Limits(commit_fields_max=3))) == ["size"]


def test_too_much_in_one_commit_is_refused():
    limits = Limits(commit_bytes_max=10)

    assert refused({"out.a": "x" * 5, "out.b": "x" * 5}, working(limits=limits)) == ["size"]
    accepted({"out.a": "x" * 5, "out.b": "x"}, working(limits=limits))


def test_too_much_in_one_context_is_refused():
    assert refused({"out.a": "x" * 50}, working(limits=Limits(context_bytes_max=50))) == ["size"]


# --- schema ---

SCHEMA = {"required": ["out.kind"], "properties": {"out.kind": {"enum": ["good", "bad"]}}}


def test_writes_that_break_a_schema_are_refused():
    assert refused({"out.a": 1}, working(SCHEMA)) == ["schema out.kind"]
    assert refused({"out.kind": "other"}, working(SCHEMA)) == ["schema out.kind"]
    assert refused({"out.kind": DELETE}, working(SCHEMA)) == ["schema out.kind"]
    assert refused({"out.kind": "good"}, working(SCHEMA, {"required": ["x"]})) == ["schema x"]
    accepted({"out.kind": "good"}, working(SCHEMA))


def test_the_schema_is_looked_at_only_where_nothing_else_is_wrong():
    assert refused({"out.a": 1, "elsewhere": 1}, working(SCHEMA)) == ["scope elsewhere"]


# --- their place in the bank ---


def test_a_write_below_a_value_that_is_no_object_is_refused():
    assert refused({"out.scalar.deep": 1}) == ["not_an_object out.scalar.deep"]
    assert refused({"x.y.deep": 1}) == ["not_an_object x.y.deep"]


@pytest.mark.parametrize(
    "writes", [{"sum": "many"}, {"sum": 2**60}, {"facts": 1}, {"facts.inside": 1}, {"log": DELETE}, {"log.0": DELETE}]
)
def test_a_contribution_that_cannot_be_merged_is_refused(writes):
    (path,) = writes

    assert refused(writes) == [f"reducer {path}"]


def test_two_values_for_one_merged_key_are_refused_with_a_short_reason():
    roles = {"ann": Role(Scope(["act"], [], OWN), Policy(retries=1))}
    run = Transcript(step("a", writes=["facts"]), step("b", writes=["facts"]), roles=roles, reducers=REDUCERS)
    run.begin()
    run.reply("b", facts={"k" * 10_000: 1, "same": [1]})
    run.start("a")

    assert refused({"facts": {"k" * 10_000: 2, "same": [1]}}, run) == ["reducer facts"]
    assert run.reply("a", facts={"same": [1], "new": 2}) == ["succeeded"]


# --- many findings, and what is kept of a refused reply ---


def test_findings_are_bounded():
    assert len(refused({f"elsewhere.k{number}": 1 for number in range(100)})) == assess.FINDINGS_MAX
    assert len(refused({f"out.scalar.k{number}": 1 for number in range(100)})) == assess.FINDINGS_MAX


def test_every_kind_of_fault_is_found_at_once():
    answer = Reply(writes={"": 1, "elsewhere": 1, "out.a": {1}}, output={2}, confidence=3, usage=Usage(-1))

    assert refused(answer) == ["shape", "shape", "path", "scope elsewhere", "value out.a", "value"]


def test_the_writes_of_a_refused_reply_are_kept_as_json():
    verdict = working(SCHEMA).judge("a", {"out.kind": "other", "out.a": [1]})

    assert bytes(verdict.reply) == b'{"out.kind":"other","out.a":[1]}'


def test_writes_that_are_too_long_to_keep_or_not_json_are_kept_as_an_excerpt():
    limits = Limits(value_bytes_max=400)
    long = {f"out.k{number}": "x" * 300 for number in range(9)} | {"out.scalar.x": 1}
    kept = msgspec.json.decode(working(limits=limits).judge("a", long).reply)
    assert kept.startswith("{'out.k0': 'xxx")
    assert len(kept) <= assess.EXCERPT_CHARS_MAX

    # What must not be written is kept as JSON as far as an excerpt goes.
    kept = msgspec.json.decode(working().judge("a", {"elsewhere": "x"}).reply)
    assert kept == '{"elsewhere":"x"}'
    kept = msgspec.json.decode(working().judge("a", {"elsewhere": "x" * 2 * assess.EXCERPT_CHARS_MAX}).reply)
    assert kept.startswith("{'elsewhere': 'xxx")

    kept = msgspec.json.decode(working().judge("a", {"out.a": DELETE, "elsewhere": 1}).reply)
    assert kept == "{'elsewhere': 1, 'out.a': interlock.DELETE}"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Hostile(), "<Hostile instance at "),
        ([Hostile()], "[<Hostile instance at "),
        ({"k": 10**5_000}, "<a dict whose repr fails: ValueError>"),
        ("\ud800", "'\\ud800'"),
        (b"x" * 10**6, "b'xxx"),
        (bytearray(b"y" * 10**6), "bytearray(b'yyy"),
        ([[[[[[1]]]]]], "[[[[[...]]]]]"),
        (Reply(ask="Really?"), "'Really?'"),
        (Reply(writes=[1]), "[1]"),
        (Garbled(), "no Unicode: ?"),
    ],
)
def test_an_excerpt_of_anything_is_short_text(answer, shown):
    text = assess.excerpt(answer)

    assert text.startswith(shown)
    assert len(text) <= assess.EXCERPT_CHARS_MAX
    assert text.encode()


class Restless(dict):
    def __len__(self):
        raise SystemExit


class Unsayable:
    def __repr__(self):
        raise KeyboardInterrupt


class NamelessType(type):
    __name__ = property(lambda cls: 1 / 0)


class Nameless(metaclass=NamelessType):
    pass


@pytest.mark.parametrize(
    "answer", [Restless(x=1), Reply(writes=Restless(x=1)), {"x": Unsayable()}, Nameless(), {"x": Nameless()}]
)
def test_an_answer_that_raises_when_it_is_looked_at_is_refused(answer):
    refused(answer)


def test_a_reply_that_cannot_be_read_keeps_what_its_step_had_read():
    run = working()
    run.jobs["a"].view["x.y"]

    assert run.judge("a", Nameless()).reads == ("x.y",)


def test_a_path_of_a_subclass_of_text_is_its_text():
    class Field(str):
        __slots__ = ()

        def __hash__(self):
            raise SystemExit

    run = working()
    assert run.jobs["a"].view[Field("scalar")] == 5
    verdict = run.judge("a", {"x": 1})
    assert [type(path) for path in verdict.reads] == [str]


def test_long_keys_above_many_fields_are_refused_before_they_are_spelled_out():
    inner = {str(n): 1 for n in range(2_000)}
    for depth in range(28):
        inner = {f"{depth}" * 5_000: inner}
    tracemalloc.start()
    try:
        (found,) = refused({"x": inner})
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert found == "size"
