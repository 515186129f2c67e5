"""Steps that reconcile what others have said: field by field, each contradiction told, nothing merged over."""

import msgspec
import pytest
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import decision
from interlock.core.conflicts import Candidate, Resolution, compared, resolved
from interlock.core.job import DELETE, Question, Reply, Usage
from interlock.core.nested import Nested
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.reconcile import Reconcile
from interlock.core.reconciling import ASKED_MAX, LEFT_OUT_MAX
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.settlement import expired, settled
from interlock.core.step import Condition, Step
from interlock.core.values import ABSENT, Limits
from interlock.errors import PlanError, RaceError, TeamError

from .test_settlement import decide
from .transcripts import ONCE, Transcript, step

AGENTS = ("ann", "bob", "cid")
ROLES = {name: Role(Scope(["act"], [], [f"said.{name}"]), ONCE) for name in AGENTS}
JUDGE = Role(Scope(["act"], ["said"], ["deal"]), Policy(retries=1))


def settle(policy="first", otherwise=None, among="said", **given):
    ways = {"policy": policy} | ({} if otherwise is None else {"otherwise": otherwise})
    how = {name: given.pop(name) for name in ("same", "missing", "quorum", "anew") if name in given}
    needs = given.pop("needs", AGENTS)
    return Step("settle", reconcile={"among": among, **ways, **how}, writes=["deal"], needs=needs, **given)


def told(last, *more, join="all", on_dead="continue", roles=None, **given):
    speakers = [step(f"{name}", agent=name, on_dead=on_dead) for name in AGENTS]
    return Transcript(*speakers, last, *more, roles={**ROLES, **(roles or {})}, **given)


def say(run, **said):
    """Each speaker says this; None for one that is given up. Returns what follows from the last."""
    run.begin()
    lines = []
    for name in sorted(AGENTS, key=lambda name: name in said and said[name] is not None):
        value = said.get(name)
        if value is None:
            lines = run.fail(name, retryable=False)
        else:
            lines = run.reply(name, Reply(writes={f"said.{name}": value}, confidence=said.get(f"{name}_sure")))
    return lines


def resolution(run):
    events = [e.decode(raw) for raw in run.journal]
    return next(event for event in events if isinstance(event, e.ConflictsResolved))


def deal(run):
    return run.context["deal"]


ONE, TWO, THREE = {"sum": 1, "on": "a"}, {"sum": 2, "on": "a"}, {"sum": 1, "on": "b"}


def test_what_is_agreed_is_told_when_that_follows():
    run = told(settle())
    run.begin()
    for name in ("ann", "bob"):
        run.reply(name, Reply(writes={f"said.{name}": ONE}))
    run.start("cid")
    agreed, _ = run.follows(run.judge("cid", Reply(writes={"said.cid": ONE})), 7)
    assert (type(agreed), agreed.at_us) == (e.ConflictsResolved, run.at_us + 7)


# --- what is found ---


def test_a_contradiction_is_told_with_all_that_was_said():
    run = told(settle())
    assert say(run, ann=ONE, bob=TWO, cid=ONE) == ["resolved settle: deal.sum=0 by first; 1 agreed", "succeeded"]
    assert deal(run) == ONE
    assert resolution(run) == e.ConflictsResolved(
        run.at_us,
        "settle",
        ("said",),
        {"deal": Raw(b'{"sum":1,"on":"a"}')},
        (e.Settled("deal.sum", (e.Said(("ann", "cid"), Raw(b"1")), e.Said(("bob",), Raw(b"2"))), 0, "first"),),
        1,
    )
    assert run.machine.bank.lineage("deal.sum")[0].reads == ("said",)
    assert run.machine.reasons == {}


def test_the_first_is_the_first_in_the_plan_whoever_was_quicker():
    run = told(settle(among=["said.cid", "said.ann", "said.bob"]))
    run.begin()
    for name, said in (("cid", TWO), ("bob", TWO), ("ann", ONE)):
        run.reply(name, {f"said.{name}": said})
    assert deal(run) == ONE


@pytest.mark.parametrize(
    ("ann", "bob", "found"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, ({"a": {"b": 1, "c": 2}}, [], 2)),
        ({"a": {"b": 1}}, {"a": 7}, ({"a": {"b": 1}}, ["deal.a"], 0)),
        ({"a": [1, 2]}, {"a": [1, 3]}, ({"a": [1, 2]}, ["deal.a"], 0)),
        ({"a": 1}, {"a": 1.0}, ({"a": 1}, ["deal.a"], 0)),
        ({"a": None}, {"a": 1}, ({"a": None}, ["deal.a"], 0)),
        ({"a.b": 1}, {"a.b": 2}, ({"a.b": 1}, ['deal."a.b"'], 0)),
        ({}, {}, ({}, [], 1)),
        ({}, {"a": 1}, ({"a": 1}, [], 1)),
        ({"a": {}}, {"a": {"b": 1}}, ({"a": {"b": 1}}, [], 1)),
        (5, 6, (5, ["deal"], 0)),
        (5, 5, (5, [], 1)),
    ],
)
def test_objects_by_their_fields_and_all_else_as_a_whole(ann, bob, found):
    run = told(settle())
    say(run, ann=ann, bob=bob)
    paths = [one.path for one in resolution(run).settled]
    assert (deal(run), paths, resolution(run).agreed) == found
    assert resolution(run).left_out == ("cid",)


def test_what_one_alone_says_is_no_contradiction_unless_that_is_declared():
    run = told(settle("vote", missing="conflict"))
    lines = say(run, ann={"a": 1, "b": 1}, bob={"b": 1}, cid={"b": 1})
    assert lines == ["resolved settle: deal.a=1 by vote; 1 agreed", "succeeded"]
    assert resolution(run).settled[0].said[1] == e.Said(("bob", "cid"), absent=True)
    assert deal(run) == {"b": 1}


def test_all_of_it_may_come_to_nothing():
    run = told(settle("vote", missing="conflict", among=["said.ann.x", "said.bob.x", "said.cid.x"], quorum=1))
    say(run, ann={"x": {"a": 1}}, bob={"x": {}}, cid={"x": {}})
    assert run.states["settle"] == "committed"


def test_what_counts_as_the_same_is_declared_and_the_value_is_still_one_of_them():
    run = told(settle("vote", same={"sum": "number", "by.*": "text"}))
    ann = {"sum": "1,200.50", "by": {"who": "Alder LTD"}}
    bob = {"sum": 1200.5, "by": {"who": "alder  ltd"}}
    assert say(run, ann=ann, bob=bob)[0] == "resolved settle: nothing; 2 agreed"
    assert deal(run) == ann


def test_scalars_are_compared_in_a_form_too():
    run = told(settle(same={"*": "number"}))
    assert say(run, ann="7.0", bob=7)[0] == "resolved settle: nothing; 1 agreed"


def test_a_candidate_that_is_not_there_is_none():
    run = told(settle(among=["said.ann", "said.bob.part", "said.nobody"], quorum=1))
    say(run, ann=1, bob=2)
    assert resolution(run).agreed == 1


def test_candidates_of_samples_and_of_the_request_are_as_good_as_any():
    speak = Step("s", "ann", "act", samples=2, writes=["said.{step}"])
    last = Step("settle", reconcile={"among": "said", "policy": "vote"}, writes=["deal"], needs=["s"])
    roles = {"ann": Role(Scope(["act"], [], ["said.*"]), ONCE)}
    run = Transcript(speak, last, roles=roles, request={"said": {"old": 2}})
    run.begin()
    run.reply("s-1", {"said.s-1": 1})
    assert run.reply("s-2", {"said.s-2": 1})[0] == "resolved settle: deal=1 by vote; 0 agreed"
    assert resolution(run).settled[0].said[0].steps == ("request",)


def test_items_that_were_given_up_are_left_out():
    items = {"for_each": "items", "on_dead": "skip"}
    speak = Step("s", "ann", "act", writes=["said.{step}"], escalate=True, **items)
    other = Step("t", "ann", "act", writes=["else.{step}"], **items)
    last = Step(
        "settle", reconcile={"among": "said", "policy": "first", "quorum": 1}, writes=["deal"], needs=["s", "t"]
    )
    roles = {"ann": Role(Scope(["act"], [], ["said.*", "else.*"]), ONCE)}
    run = Transcript(speak, other, last, roles=roles, request={"items": [1, 2, 3]})
    run.begin()
    run.reply("s-0", {"said.s-0": 1})
    for item in ("s-1", "s-2"):
        run.fail(item, retryable=False)
        decide(run, item, "reject" if item == "s-1" else "skip")
    for n in range(3):
        run.fail(f"t-{n}", retryable=False)
    assert resolution(run).left_out == ("s-1", "s-2")


def test_who_was_skipped_is_left_out():
    absent = Condition("go", "exists")
    speakers = [step(name, agent=name, when=absent if name == "bob" else None) for name in AGENTS]
    run = Transcript(*speakers, settle(), roles=ROLES)
    run.begin()
    run.reply("ann", {"said.ann": 1})
    run.reply("cid", {"said.cid": 1})
    assert resolution(run).left_out == ("bob",)


def test_of_many_who_are_left_out_the_first_are_told():
    absent = Condition("go", "exists")
    speakers = [Step(f"s{n}", "ann", "act", when=absent, writes=[f"said.s{n}"]) for n in range(LEFT_OUT_MAX + 1)]
    roles = {"ann": Role(Scope(["act"], [], ["said.*"]), ONCE)}
    last = settle(quorum=1, needs=["one", *(each.id for each in speakers)])
    run = Transcript(*speakers, step("one", writes=["said.one"]), last, roles=roles)
    run.begin()
    run.reply("one", {"said.one": 1})
    assert resolution(run).left_out == tuple(f"s{n}" for n in range(LEFT_OUT_MAX))


def test_what_stands_elsewhere_is_no_candidate():
    run = told(settle(), request={"sad": {"x": 9}, "said_by": {"y": 9}})
    assert say(run, ann=1, bob=1, cid=1)[0] == "resolved settle: nothing; 1 agreed"


# --- who decides ---


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ((1, 2, 1), "deal=0 by vote"),
        ((1, 2, 2), "deal=1 by vote"),
        ((1, 2, 3), "deal=0 by first"),
        ((1, 2, None), "deal=0 by first"),
    ],
)
def test_a_vote_is_the_majority_and_what_it_leaves_open_is_decided_otherwise(said, line):
    run = told(settle("vote", "first"))
    assert say(run, **dict(zip(AGENTS, said, strict=True)))[0] == f"resolved settle: {line}; 0 agreed"
    why = resolution(run).settled[0].why
    assert why == ("2 of 3" if "vote" in line else f"no majority: {'1 to 1 to 1' if said[2] else '1 to 1'}")


@pytest.mark.parametrize(
    ("sure", "taken", "why"),
    [
        ((0.5, 0.9, 0.1), 1, "0.9 against 0.5"),
        ((0.5, None, None), 0, "0.5 against none"),
        ((0.0, None, None), 0, "0 against none"),
        ((0.5, 0.0, None), 0, "0.5 against 0"),
        ((None, None, None), 0, "none has a score; the first in the plan"),
        ((0.5, 0.9, 0.9), 1, "several have 0.9; the first in the plan"),
    ],
)
def test_the_higher_score_is_that_of_the_step_which_said_it(sure, taken, why):
    run = told(settle("score"))
    say(run, ann=1, bob=2, cid=3, ann_sure=sure[0], bob_sure=sure[1], cid_sure=sure[2])
    assert (resolution(run).settled[0].taken, resolution(run).settled[0].why) == (taken, why)
    assert deal(run) == taken + 1


def test_a_vote_that_is_tied_may_be_settled_by_score():
    run = told(settle("vote", "score"))
    say(run, ann=1, bob=2, ann_sure=0.1, bob_sure=0.3)
    assert resolution(run).settled[0].why == "no majority: 1 to 1; 0.3 against 0.1"


def test_what_nobody_has_decided_yet_has_no_value():
    given = [Candidate({"a": 1, "b": name}, (name,)) for name in AGENTS]
    how = Reconcile.of({"among": "said", "policy": "person"})
    fields = [*compared(given, how, "deal")]
    found = resolved(fields, given, how, None)
    assert found == Resolution(ABSENT, settled=(), open=(fields[1],), agreed=1)


def test_without_anybody_who_decides_it_is_given_up():
    run = told(settle("vote"))
    assert say(run, ann={"a": 1}, bob={"a": 2}) == [
        "buried settle: what was said contradicts itself about deal.a",
        "failed: settle: what was said contradicts itself about deal.a",
    ]


@pytest.mark.parametrize(
    ("given", "said", "reason"),
    [
        ({}, {"ann": 1}, "there is 1 candidate at said, and 2 are needed"),
        ({"quorum": 3}, {"ann": 1, "bob": 2}, "there are 2 candidates at said, and 3 are needed"),
        (
            {"among": ["said.ann", "said.bob"]},
            {"ann": 1},
            "there is 1 candidate at said.ann, said.bob, and 2 are needed",
        ),
        ({}, {"ann": 1, "bob": "x" * 40}, "deal is too long"),
    ],
)
def test_why_it_is_given_up(given, said, reason):
    if reason.startswith("deal"):
        given = {"schema": {"properties": {"deal": {"type": "string"}}}}
        reason = "deal"
    run = told(settle(**given))
    assert say(run, **said)[0].startswith(f"buried settle: {reason}")


def test_what_stands_at_the_path_must_be_an_object():
    run = told(settle(among="list", needs=[]), request={"list": [1, 2]})
    assert run.begin()[0] == "buried settle: list holds no object, whose values could be candidates"


def test_an_object_that_is_empty_holds_no_candidates():
    run = told(settle(among="list", needs=[]), request={"list": {}})
    assert run.begin()[0] == "buried settle: there are 0 candidates at list, and 2 are needed"


def test_so_many_candidates_fields_and_contradictions_are_dealt_with():
    many = {f"c{n}": 1 for n in range(1_000)}
    run = told(settle(among="all", needs=[]), request={"all": many})
    assert run.begin()[0] == "resolved settle: nothing; 1 agreed"
    limits = Limits(commit_fields_max=1_000)
    run = told(settle(among="all", needs=[]), request={"all": {"x": many, "y": many}}, limits=limits)
    assert run.begin()[0] == "resolved settle: nothing; 1000 agreed"
    asked = {f"c{n}": 1 for n in range(ASKED_MAX)}
    run = told(settle("person", among="all", needs=[]), request={"all": {"x": asked, "y": dict.fromkeys(asked, 2)}})
    assert run.begin()[0].startswith("escalated settle: what was said contradicts itself about ")


@pytest.mark.parametrize(
    ("last", "roles"),
    [
        (settle("person", among="all", needs=[]), {}),
        (
            settle("judge", among="all", needs=[], agent="jo", action="act"),
            {"jo": Role(Scope(["act"], ["all"], ["deal"]))},
        ),
    ],
)
def test_about_too_many_contradictions_nobody_is_asked(last, roles):
    asked = {f"c{n}": 1 for n in range(ASKED_MAX + 1)}
    run = told(last, request={"all": {"x": asked, "y": dict.fromkeys(asked, 2)}}, roles=roles)
    assert run.begin()[0].endswith(" and 191 more: more than 200, which nobody is asked about")


def test_where_nobody_is_asked_there_may_be_as_many_as_there_are():
    asked = {f"c{n}": 1 for n in range(ASKED_MAX + 1)}
    run = told(settle("vote", among="all", needs=[]), request={"all": {"x": asked, "y": dict.fromkeys(asked, 2)}})
    assert run.begin()[0].endswith(" and 191 more")


def test_too_many_candidates_or_fields_or_contradictions_are_no_flood():
    many = {f"c{n}": 1 for n in range(1_001)}
    run = told(settle(among="all", needs=[]), request={"all": many})
    assert run.begin()[0] == "buried settle: all holds more than 1,000 candidates"
    run = told(
        settle(among="all", needs=[]), request={"all": {"x": many, "y": many}}, limits=Limits(commit_fields_max=1_000)
    )
    assert run.begin()[0] == "buried settle: the candidates have more than 1,000 fields"


def test_it_is_skipped_as_any_step_is():
    run = told(settle(when=Condition("go", "exists")))
    assert say(run, ann=1, bob=1)[0].startswith("skipped settle: its condition did not hold")


# --- a person ---


PERSON = settle("person")


def answer(run, text, *, verb="answer", by="person:eve"):
    verdict = settled(run.machine, decision.decided("settle", verb, text=text), by, "", run.tick())
    return verdict, run.say(verdict)


def test_a_person_chooses_per_field():
    run = told(settle("vote", "person"), step("after", agent="ann", needs=["settle"], writes=["said.ann"]))
    lines = say(run, ann={"a": 1, "b": 1, "c": 0}, bob={"a": 2, "b": 2, "c": 0})
    assert lines[0].splitlines() == [
        "escalated settle: what was said contradicts itself about deal.a, deal.b",
        "Answer with the number of what is right:",
        "deal.a:",
        "  1. 1  (ann)",
        "  2. 2  (bob)",
        "deal.b:",
        "  1. 1  (ann)",
        "  2. 2  (bob)",
        "For instance: deal.a=1 deal.b=1",
    ]
    n = run.machine.number["settle"]
    asked = run.machine.questions[n]
    why = Question(lines[0].removeprefix("escalated settle: "))
    assert asked == decision.Asked(0, why, by_agent=False, asked_us=run.at_us, contradicts=True)
    assert asked.verbs == ("answer", "reject")
    assert run.machine.reasons[n] == "what was said contradicts itself about deal.a, deal.b"
    verdict, lines = answer(run, "deal.a=2, deal.b=1")
    assert isinstance(verdict, e.QuestionAnswered)
    assert lines == [
        "resolved settle: deal.a=1 by person:eve deal.b=0 by person:eve; 1 agreed",
        "call ann for after #1",
    ]
    assert deal(run) == {"a": 2, "b": 1, "c": 0}
    assert resolution(run).settled[0].why == "no majority: 1 to 1"


@pytest.mark.parametrize(
    "name", ["net sum", "sum, net", "sum=net", "a.b", "sum:\n  1. 9", "b", "a b=1 deal.b", "b b=1 c"]
)
def test_a_field_may_have_any_name(name):
    """What the question gives as an instance is an answer."""
    run = told(PERSON)
    asked = say(run, ann={name: 1, "b b": 1}, bob={name: 2, "b b": 2})[0]
    instance = asked.splitlines()[-1].removeprefix("For instance: ")
    verdict, _ = answer(run, f"{instance[:-1]}2,")
    assert isinstance(verdict, e.QuestionAnswered)
    assert deal(run) == {name: 1, "b b": 2}


def test_a_person_is_told_who_says_what_and_who_says_nothing():
    run = told(settle("person", missing="conflict"))
    asked = say(run, ann={"a": 1, "b": 1}, bob={"b": 1}, cid={"b": 1})[0]
    assert asked.splitlines()[2:] == [
        "deal.a:",
        "  1. 1  (ann)",
        "  2. nothing  (bob, cid)",
        "For instance: deal.a=1",
    ]


@pytest.mark.parametrize("name", ["net sum", "a\nb"])
def test_a_single_field_of_any_name_is_answered_by_a_number(name):
    run = told(PERSON)
    say(run, ann={name: 1}, bob={name: 2})
    answer(run, " 2 ")
    assert deal(run) == {name: 2}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("deal.a=2", "nothing is chosen for deal.b"),
        ("deal.a=2 deal.b=3", "for deal.b choose a number from 1 to 2"),
        ("deal.a=2 deal.b=0", "for deal.b choose a number from 1 to 2"),
        ("deal.a=2 deal.b=1 deal.c=1", "'deal.c' is none of what is asked about: deal.a, deal.b"),
        ("1200", "choices say for each path the number of what is right"),
        ("the first, please", "choices say for each path the number of what is right"),
        ("{", "choices say for each path the number of what is right"),
        ('{"deal.a": true, "deal.b": 1}', "for deal.a choose a number from 1 to 2"),
        ('{"deal.a": {"new": 3}, "deal.b": 1}', "for deal.a choose a number from 1 to 2"),
        ("deal.a=1 deal.b=1 deal.a=2", "choices say for each path the number of what is right"),
        ("deal.a=1 deal.b=1 please", "choices say for each path the number of what is right"),
        ("deal.a=1 deal.b=1 X", "choices say for each path the number of what is right"),
        ("deal.a=999999999 deal.b=1", "for deal.a choose a number from 1 to 2"),
        ("deal.a=9999999999 deal.b=1", "choices say for each path the number of what is right"),
    ],
)
def test_a_person_can_choose_nothing_else(text, why):
    run = told(PERSON)
    say(run, ann={"a": 1, "b": 1}, bob={"a": 2, "b": 2})
    verdict, lines = answer(run, text)
    assert isinstance(verdict, e.AnswerRefused)
    said = e.Finding("choice", f"{why}; for instance: deal.a=1 deal.b=1")
    assert (verdict.findings, lines, run.states["settle"]) == ((said,), [], "escalated")


def test_the_example_of_an_answer_is_one_that_is_taken():
    run = told(PERSON)
    asked = say(run, ann=dict.fromkeys("abc", 1), bob=dict.fromkeys("abc", 2))[0]
    example = asked.partition("For instance: ")[2].partition("\n")[0]
    assert example == "deal.a=1 deal.b=1 deal.c=1"
    assert isinstance(answer(run, example)[0], e.QuestionAnswered)


def test_the_example_of_an_answer_to_many_is_cut_short_and_says_so():
    run, names = told(PERSON), [f"f{n:02}" for n in range(12)]
    asked = say(run, ann=dict.fromkeys(names, 1), bob=dict.fromkeys(names, 2))[0]
    first = asked.splitlines()[0]
    assert first == (
        "escalated settle: what was said contradicts itself about deal.f00, deal.f01, deal.f02, deal.f03, deal.f04,"
        " deal.f05, deal.f06, deal.f07, deal.f08, deal.f09 and 2 more"
    )
    assert asked.endswith("deal.f08=1 deal.f09=1 ...")


def test_ten_are_named_in_full():
    run, names = told(PERSON), [f"f{n}" for n in range(10)]
    asked = say(run, ann=dict.fromkeys(names, 1), bob=dict.fromkeys(names, 2))[0].splitlines()
    assert asked[0].endswith("deal.f8, deal.f9")
    assert asked[-1].endswith("deal.f8=1 deal.f9=1")


def test_spaces_around_the_numbers_do_no_harm():
    run = told(PERSON)
    say(run, ann={"a": 1, "b": 1}, bob={"a": 2, "b": 2})
    answer(run, "deal.a = 2, deal.b= 1")
    assert deal(run) == {"a": 2, "b": 1}


@pytest.mark.parametrize("verb", ["write", "retry", "approve", "edit"])
def test_a_person_cannot_write_past_it(verb):
    run = told(PERSON)
    say(run, ann=1, bob=2)
    given = decision.decided("settle", verb, writes={"deal": 3} if verb in {"write", "edit"} else {})
    verdict = settled(run.machine, given, "person:eve", "", run.tick())
    assert verdict.findings[0].message == f"settle can't be dealt with by {verb}: choose what is right, or reject it"


def test_a_person_may_write_anew_where_that_is_declared():
    run = told(settle("person", anew=True))
    assert 'Or a value of your own: {"deal": {"new": VALUE}}' in say(run, ann=1, bob=2)[0]
    verdict, _ = answer(run, '{"deal": {"new": 18446744073709551616}}')
    assert verdict.findings[0].message.startswith("the new value for deal can't be used")
    verdict, _ = answer(run, "3")
    said = 'for deal choose a number from 1 to 2, or {"new": VALUE}; for instance: deal=1'
    assert verdict.findings[0].message == said
    verdict, _ = answer(run, "1234567890")
    assert verdict.findings[0].message.startswith("choices say for each path the number")
    answer(run, '{"deal": {"new": 3}}')
    assert (deal(run), resolution(run).settled[0].taken, resolution(run).settled[0].anew) == (3, -1, Raw(b"3"))


def test_what_is_written_anew_must_fit_the_schema():
    run = told(settle("person", anew=True, schema={"properties": {"deal": {"type": "integer"}}}))
    say(run, ann=1, bob=2)
    verdict, _ = answer(run, '{"deal": {"new": "three"}}')
    assert isinstance(verdict, e.AnswerRefused)
    assert answer(run, "2")[1][0] == "resolved settle: deal=1 by person:eve; 0 agreed"


def test_a_person_may_reject_or_skip_and_a_deadline_ends_it():
    run = told(PERSON)
    say(run, ann=1, bob=2)
    assert answer(run, "", verb="reject")[1][0] == "buried settle: rejected by person:eve"
    run = told(PERSON)
    say(run, ann=1, bob=2)
    assert answer(run, "", verb="skip")[1] == ["succeeded"]
    run = told(settle("person", escalate={"deadline": "1h"}))
    assert say(run, ann=1, bob=2)[1].startswith("parked")
    n = run.machine.number["settle"]
    verdict = expired(run.machine, n, run.machine.questions[n].due_us)
    assert run.say(verdict)[0].startswith("buried settle: nobody has answered in time")


def test_a_machine_folded_anew_goes_on_where_it_was():
    run = told(PERSON)
    say(run, ann=1, bob=2)
    assert run.crash() == []
    assert answer(run, "2")[1][0] == "resolved settle: deal=1 by person:eve; 0 agreed"
    assert run.fold().context.to_dict() == run.context


def test_a_rejected_one_that_is_tried_again_asks_again():
    run = told(PERSON)
    say(run, ann=1, bob=2)
    answer(run, "", verb="reject")
    lines = run.say(e.RunReopened(run.tick(), ("settle",), "person:eve"))
    assert lines[0].startswith("escalated settle: what was said")


def test_one_whose_choice_did_not_keep_to_the_schema_asks_again_when_it_is_tried_again():
    run = told(settle("person", anew=True, schema={"properties": {"deal": {"type": "integer"}}}))
    say(run, ann=1, bob=2)
    # As an earlier version might have let it through.
    chosen = e.QuestionAnswered(run.tick(), "settle", 0, "person:eve", "answer", '{"deal": {"new": "three"}}')
    assert run.say(chosen)[0].startswith("buried settle: ")
    lines = run.say(e.RunReopened(run.tick(), ("settle",), "person:eve"))
    assert lines[0].startswith("escalated settle: what was said")


# --- a judge ---


def judged(policy="judge", otherwise=None, **given):
    role = given.pop("role", JUDGE)
    last = settle(policy, otherwise, agent="jo", action="act", **given)
    return told(last, roles={"jo": role})


def choices_of(paths):
    """The schema of what a judge answers."""
    described = {
        "description": "For each path the number of what is right.",
        "type": "object",
        "properties": paths,
        "required": [*paths],
        "additionalProperties": False,
    }
    return {"properties": {"choices": described}, "required": ["choices"]}


def test_a_judge_is_told_what_contradicts_itself_and_nothing_else():
    run = judged()
    assert say(run, ann={"a": 1, "b": 5}, bob={"a": 2, "b": 5}) == ["call jo for settle #1"]
    run.start("settle")
    job = run.jobs["settle"]
    assert job.conflicts == {
        "deal.a": [{"number": 1, "steps": ["ann"], "value": 1}, {"number": 2, "steps": ["bob"], "value": 2}]
    }
    assert job.writes == ("choices",)
    number = {"type": "integer", "minimum": 1, "maximum": 2}
    assert msgspec.json.decode(job.schemas[0]) == choices_of({"deal.a": number})
    assert run.reply("settle", {"choices": {"deal.a": 2}}) == [
        "resolved settle: deal.a=1 by judge jo; 1 agreed",
        "succeeded",
    ]
    assert deal(run) == {"a": 2, "b": 5}
    assert resolution(run).writes == {}
    assert run.machine.bank.lineage("deal.a")[0].reads == ("said",)
    assert run.fold().context.to_dict() == run.context


def test_what_a_judge_has_settled_is_to_be_told_of_its_step():
    run = judged()
    say(run, ann=1, bob=2)
    run.start("settle")
    run.machine.apply(run.judge("settle", {"choices": {"deal": 2}}))
    [command] = run.machine.decide()
    assert (type(command), command.step, command.verdict.step) == (c.ResolveConflicts, "settle", "settle")


def test_a_judge_may_answer_by_its_output():
    run = judged()
    say(run, ann=1, bob=2)
    run.reply("settle", Reply(output={"choices": {"deal": 1}}))
    assert deal(run) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": {"deal": 3}},
        {"choices": {"deal": "1"}},
        {"choices": {"deal": True}},
        {"choices": {"deal": {"new": 3}}},
        {"choices": {"deal": 1, "said": 2}},
        {"choices": {1: 1}},
        {"choices": [1]},
        {"choices": {"deal": 1}, "deal": 7},
        {"deal": 1},
        {},
        Reply(),
        Reply(writes={"deal": DELETE}),
        Reply(writes=[1]),
        "2",
        None,
    ],
)
def test_whatever_else_a_judge_answers_is_refused(answer):
    run = judged()
    say(run, ann=1, bob=2)
    lines = run.reply("settle", answer)
    assert lines[-1] == "call jo for settle #2"
    assert "deal" not in run.context
    run.start("settle")
    assert run.jobs["settle"].feedback


@pytest.mark.parametrize(
    ("answer", "why", "kept"),
    [
        ({"choices": {"deal.a": 3, "deal.b": 0}},
         "for deal.a choose a number from 1 to 2; for deal.b choose a number from 1 to 2",
         '{"choices":{"deal.a":3,"deal.b":0}}'),
        ({"choices": {1}}, "choices say for each path the number of what is right", ""),
    ],
)  # fmt: skip
def test_a_refused_answer_of_a_judge_is_kept_with_what_it_cost(answer, why, kept):
    run = judged()
    say(run, ann={"a": 1, "b": 1}, bob={"a": 2, "b": 2})
    run.reply("settle", Reply(output=answer, usage=Usage(5, 6)))
    refused = e.decode(run.journal[-1])
    assert ([found.message for found in refused.findings], refused.usage) == ([why], Usage(5, 6))
    assert msgspec.json.decode(refused.reply) == kept


def test_a_judge_that_cannot_is_given_up_or_a_person_asked():
    run = judged()
    say(run, ann=1, bob=2)
    run.refuse("settle")
    refused = [e.decode(raw) for raw in run.journal][-1]
    assert refused.reply == Raw(b'"{\\"\\":\\"no path\\"}"')
    assert run.refuse("settle")[0].startswith("buried settle: ")
    run = judged(otherwise="person")
    say(run, ann=1, bob=2)
    run.refuse("settle")
    assert run.refuse("settle")[0].startswith("escalated settle: what was said contradicts itself about deal")
    assert answer(run, "2")[1][0] == "resolved settle: deal=1 by person:eve; 0 agreed"
    assert run.fold().context.to_dict() == run.context


def test_a_judge_is_asked_only_about_what_a_vote_leaves_open():
    run = judged("vote", ["judge", "person"])
    say(run, ann={"a": 1, "b": 1}, bob={"a": 1, "b": 2}, cid={"a": 2, "b": 3})
    run.start("settle")
    assert [*run.jobs["settle"].conflicts] == ["deal.b"]
    assert run.reply("settle", {"choices": {"deal.b": 3}})[0] == (
        "resolved settle: deal.a=0 by vote deal.b=2 by judge jo; 0 agreed"
    )


def test_nobody_is_called_where_nothing_contradicts_itself():
    run = judged()
    assert say(run, ann=1, bob=1) == ["resolved settle: nothing; 1 agreed", "succeeded"]


def test_a_judge_may_write_anew_where_that_is_declared():
    run = judged(anew=True)
    say(run, ann=1, bob=2)
    run.start("settle")
    number = {"type": "integer", "minimum": 1, "maximum": 2}
    new = {"type": "object", "properties": {"new": {}}, "required": ["new"], "additionalProperties": False}
    assert msgspec.json.decode(run.jobs["settle"].schemas[0]) == choices_of({"deal": {"anyOf": [number, new]}})
    run.reply("settle", {"choices": {"deal": {"new": {1}}}})
    run.start("settle")
    assert "can't be used" in run.jobs["settle"].feedback[0]
    run.reply("settle", {"choices": {"deal": {"new": 3}}})
    assert (deal(run), resolution(run).settled[0].taken) == (3, -1)


def test_what_a_judge_comes_to_keeps_to_the_schema():
    run = judged(schema={"properties": {"deal": {"type": "integer", "maximum": 1}}})
    say(run, ann=1, bob=2)
    assert run.reply("settle", {"choices": {"deal": 2}}) == ["call jo for settle #2"]


def test_a_judge_may_ask_a_person_itself():
    run = judged()
    say(run, ann=1, bob=2)
    run.reply("settle", Reply(ask=Question("Which?")))
    asked = run.machine.questions[run.machine.number["settle"]]
    assert (asked.by_agent, asked.contradicts) == (True, False)
    assert answer(run, "the second")[1] == ["call jo for settle #2"]
    run.reply("settle", {"choices": {"deal": 2}})
    assert deal(run) == 2


def test_an_absent_value_can_be_chosen():
    run = judged(missing="conflict")
    say(run, ann={"a": 1, "b": 1}, bob={"b": 1})
    run.start("settle")
    assert run.jobs["settle"].conflicts["deal.a"][1] == {"number": 2, "steps": ["bob"]}
    run.reply("settle", {"choices": {"deal.a": 2}})
    assert deal(run) == {"b": 1}


def test_a_judge_may_settle_on_nothing_at_all():
    run = judged(missing="conflict", among=["said.ann.x", "said.bob.x"], quorum=1)
    say(run, ann={"x": {"a": 1}}, bob={"x": {}})
    run.reply("settle", {"choices": {"deal.a": 2}})
    assert run.states["settle"] == "committed"


class Trap(str):
    """A key that is never to be looked at."""

    __slots__ = ()

    def __eq__(self, other):
        raise AssertionError

    def __hash__(self):
        return hash("choices")


@pytest.mark.parametrize("answer", [{Trap("choices"): 1}, {"choices": {Trap("deal"): 1}}, {"choices": {1: 2}}])
def test_the_keys_of_an_answer_may_do_anything(answer):
    run = judged(anew=True)
    say(run, ann=1, bob=2)
    assert run.reply("settle", answer) == ["call jo for settle #2"]
    run.start("settle")
    run.reply("settle", {"choices": {"deal": {Trap("new"): 3}}})
    assert run.states["settle"] == "dead"


# --- forks ---


def shared(run, *tried):
    events = [e.decode(told) for told in run.journal]
    facts = taken_over(run.machine, "run", events, tried, run.tick())
    return {fact.step: fact for fact in facts if isinstance(fact, e.StepShared)}


def test_a_fork_shares_what_was_settled_and_the_scores_of_who_said_it():
    last = step("after", agent="ann", needs=["settle"], writes=["said.ann"])
    run = told(settle("score", among=["said.ann", "said.bob"], needs=AGENTS[:2]), last)
    run.begin()
    run.reply("ann", Reply(writes={"said.ann": 1}, confidence=0.2))
    run.reply("bob", Reply(writes={"said.bob": 2}, confidence=0.7))
    found = shared(run, "after")
    reads = resolution(run).reads
    assert found["settle"] == e.StepShared(run.at_us, "settle", 0, "", {"deal": Raw(b"2")}, (), reads)
    assert (len(reads), found["bob"].score) == (2, 0.7)
    assert run.machine.score_of("nobody") is None
    again = shared(run, "settle")
    assert "settle" not in again
    fork = told(settle("score", among=["said.ann", "said.bob"], needs=AGENTS[:2]), last)
    fork.begin()
    assert fork.say(*again.values())[0] == "resolved settle: deal=1 by score; 0 agreed"


def test_how_good_a_commit_was_found_counts_for_more_than_how_sure_its_agent_was():
    run = told(settle("score", among=["said.ann", "said.bob"], needs=AGENTS[:2]))
    run.begin()
    run.start("ann")
    found = {"confidence": 0.9, "score": 0.2}
    run.say(e.AttemptCommitted(run.tick(), "ann", 1, {"said.ann": Raw(b"1")}, **found))
    assert run.machine.score_of("ann") == 0.2


def test_a_fork_shares_what_a_judge_has_settled_once():
    run = judged()
    say(run, ann=1, bob=2)
    run.reply("settle", {"choices": {"deal": 2}})
    found = shared(run)["settle"]
    assert (found.agent, found.attempt, found.writes) == ("jo", 1, {"deal": Raw(b"2")})


def test_a_fork_shares_that_it_came_to_nothing():
    candidates = ["said.ann.x", "said.bob.x", "said.cid.x"]
    run = told(settle("vote", missing="conflict", among=candidates, quorum=1))
    say(run, ann={"x": {"a": 1}}, bob={"x": {}}, cid={"x": {}})
    assert resolution(run).writes == {}
    assert shared(run)["settle"] == e.StepShared(run.at_us, "settle", 0, "", reads=resolution(run).reads)


# --- what is declared wrongly ---


def test_what_it_does_in_a_few_words():
    given = {"among": "said", "policy": "vote", "otherwise": ["judge", "person"]}
    assert Reconcile.of(given).described == "reconciles said: by vote, else by a judge, else by a person"
    assert Reconcile.of({"among": ["a", "b"], "policy": "first"}).described == (
        "reconciles 2 candidates: the first in the plan"
    )


AMONG = "step s: among doesn't say which candidates; a path, whose values they are, or a list of paths"
WAYS = "of first, score, vote, judge, person, dead"
SAME = (
    "step s: same doesn't say in which form values are compared;"
    " by path one of number, date, text, such as {amount: number}"
)
NO_PATH = (
    "'a..b' is not a dotted path: it has an empty segment; write a key that is empty or holds . or * in double quotes"
)
FIRST = {"among": "a", "policy": "first"}
APART = "step s writes deal, which is not apart from the candidates; write it somewhere else"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"policy": "first"}, AMONG),
        ({"among": [], "policy": "first"}, AMONG),
        ({"among": 5, "policy": "first"}, AMONG),
        ({"among": [5], "policy": "first"}, AMONG),
        ({"among": "a..b", "policy": "first"}, f"step s: among: {NO_PATH}"),
        ({"among": ["b", "a", "a.b"], "policy": "first"},
         "step s: among has a.b twice, by itself or in another; keep one of them"),
        ({"among": ["b", "a", "a"], "policy": "first"},
         "step s: among has a twice, by itself or in another; keep one of them"),
        ({"among": [f"a{n}" for n in range(1_001)], "policy": "first"},
         "step s: among has 1,001 paths; 1,000 at most"),
        ({"among": "a"}, f"step s: policy is None, and otherwise 'dead'; {WAYS}"),
        ({"among": "a", "policy": "luck"}, f"step s: policy is 'luck', and otherwise 'dead'; {WAYS}"),
        ({"among": "a", "policy": "dead"}, f"step s: policy is 'dead', and otherwise 'dead'; {WAYS}"),
        ({"among": "a", "policy": "vote", "otherwise": 5}, f"step s: policy is 'vote', and otherwise 5; {WAYS}"),
        ({"among": "a", "policy": "vote", "otherwise": [5]}, f"step s: policy is 'vote', and otherwise [5]; {WAYS}"),
        ({**FIRST, "otherwise": "vote"},
         "step s: otherwise: first leaves nothing open; let first be the last: nothing comes after"),
        ({"among": "a", "policy": "vote", "otherwise": ["vote"]},
         ("step s: otherwise: vote is not followed by vote;"
          " such as {among: extractions, policy: vote, otherwise: person}")),
        ({**FIRST, "same": 5}, SAME),
        ({**FIRST, "same": {"a": "money"}}, SAME),
        ({**FIRST, "same": {"a..b": "date"}}, f"step s: same: {NO_PATH}"),
        ({**FIRST, "missing": "x"}, "step s: missing is 'x'; one of fill, conflict"),
        ({"among": "a", "policy": "person", "anew": 1}, "step s: anew is 1; true or false"),
        ({**FIRST, "anew": True},
         "step s: anew lets a judge or a person write a new value, and neither is asked; remove it"),
        ({**FIRST, "quorum": 0}, "step s: quorum is 0; a number from 1 to 1,000"),
        ({**FIRST, "quorum": 1_001}, "step s: quorum is 1001; a number from 1 to 1,000"),
        ({"among": ["a", "b"], "policy": "first", "quorum": 3}, "step s: quorum is 3; a number from 1 to 2"),
        ({**FIRST, "colour": "red"},
         "step s: reconcile has 'colour'; it has among, policy, otherwise, same, missing, quorum, anew"),
        ({"among": "a", "policy": "judge"}, "step s has no judge; give it agent and action"),
    ],
)  # fmt: skip
def test_what_reconcile_may_not_say(how, said):
    with pytest.raises(PlanError) as raised:
        Plan([Step("s", reconcile=how, writes=["deal"])])
    assert (raised.value.place, str(raised.value)) == (("plan", "s", "reconcile"), said)


@pytest.mark.parametrize(
    ("how", "meant"),
    [
        (FIRST, Reconcile(("a",), each=True, ways=("first", "dead"))),
        ({**FIRST, "quorum": 1_000}, Reconcile(("a",), each=True, ways=("first", "dead"), quorum=1_000)),
        ({"among": ["a"], "policy": "first"}, Reconcile(("a",), each=False, ways=("first", "dead"), quorum=1)),
        ({"among": ("a", "b"), "policy": "vote", "otherwise": ("judge", "person"), "anew": True},
         Reconcile(("a", "b"), each=False, ways=("vote", "judge", "person"), anew=True)),
        ({"among": "a", "policy": "vote", "otherwise": "score", "missing": "conflict", "same": {"x.*": "date"}},
         Reconcile(("a",), each=True, ways=("vote", "score"), same=(("x.*", "date"),), missing="conflict")),
    ],
)  # fmt: skip
def test_what_reconcile_says(how, meant):
    assert Reconcile.of(how) == meant


def test_so_many_paths_may_be_named():
    assert len(Reconcile.of({"among": [f"a{n}" for n in range(1_000)], "policy": "first"}).among) == 1_000


ONE_PATH = "step s reconciles, and what that comes to is written at one path; name one field in writes"
NO_JUDGE = "step s has an agent, and its policy asks none; remove agent and action, or write policy: judge"


@pytest.mark.parametrize(
    ("given", "place", "said"),
    [
        ({"writes": []}, "writes", ONE_PATH),
        ({"writes": ["a", "b"]}, "writes", ONE_PATH),
        ({"writes": ["a.*"]}, "writes", ONE_PATH),
        ({"writes": ["out.{step}"]}, "writes", APART.replace("deal", "out.{step}")),
        ({"reconcile": {"among": "deal", "policy": "first"}}, "writes", APART),
        ({"reconcile": {"among": "deal.a", "policy": "first"}}, "writes", APART),
        ({"agent": "jo", "action": "act"}, "reconcile", NO_JUDGE),
        ({"agent": "jo"}, "reconcile", NO_JUDGE),
        ({"wait": "2h"}, "wait", "step s reconciles, and has wait; remove it"),
        ({"await_event": "x"}, "await_event", "step s reconciles, and has await_event; remove it"),
        ({"samples": 2}, "samples", "step s reconciles, and has samples; remove it"),
        ({"escalate": True}, "escalate",
         "step s has escalate, and whether a person is asked is said by its policy; remove it"),
        ({"reconcile": 5}, "reconcile", "reconcile of step s is a int"),
    ],
)  # fmt: skip
def test_what_a_step_that_reconciles_may_not_have(given, place, said):
    how = {"among": "said", "policy": "first"}
    with pytest.raises(PlanError) as raised:
        Plan([Step("s", **{"reconcile": how, "writes": ["deal"], **given})])
    assert (raised.value.place, str(raised.value)) == (("plan", "s", place), said)


def rules(*steps, roles=None, **sharing):
    return Rules(Plan(steps), {**ROLES, **(roles or {})}, Sharing(**sharing))


def test_a_judge_writes_what_its_scope_lets_it():
    with pytest.raises(PlanError, match="step settle writes deal, which jo may not write"):
        rules(settle("judge", agent="jo", action="act", needs=()), roles={"jo": Role(Scope(["act"], ["said"], []))})


def test_what_it_reads_must_not_be_written_meanwhile():
    with pytest.raises(PlanError) as raised:
        rules(step("ann", agent="ann"), settle(needs=()))
    assert str(raised.value) == (
        "step settle reads said, which step ann may write at the same time; let settle need ann"
    )
    rules(step("ann", agent="ann"), settle(needs=("ann",)))


def test_a_team_is_no_judge():
    nested = Role(Scope(["act"], ["said"], ["deal"]), nested=Nested("team.yaml", "f" * 64))
    with pytest.raises(TeamError, match="step settle has jo as its judge, which is a team"):
        rules(settle("judge", agent="jo", action="act", needs=()), roles={"jo": nested})


def test_no_two_steps_write_it_at_a_time():
    with pytest.raises(TeamError) as raised:
        rules(
            settle("judge", agent="jo", action="act", needs=()),
            step("other", agent="jo"),
            roles={"jo": JUDGE},
        )
    assert any(isinstance(one, RaceError) for one in raised.value.problems)


def test_a_judge_is_an_agent_of_the_team():
    with pytest.raises(TeamError, match="there is no agent jo"):
        rules(settle("judge", agent="jo", action="act", needs=()))
