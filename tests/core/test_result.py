"""What a run results in: what stands at a path, or a text made of it. A value is never read as a template."""

import pytest

from interlock.core.result import EXAMPLE, TEMPLATE_CHARS_MAX, TEXT_CHARS_MAX, Outcome, Result
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.errors import TeamError

from .transcripts import ONCE, Transcript, step

CONTEXT = {"a": {"b": 1}, "a.b": 1, "name": "Ann", "list": [1, "x"], "hostile": "{name} }}"}
ROLES = {"ann": Role(Scope(["act"], ["name"], ["a", "said.*"]), ONCE)}


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("a", {"b": 1}),
        ("a.b", 1),
        ({"text": "Dear {name}, you have {a.b}."}, "Dear Ann, you have 1."),
        ({"text": "{name}{name}"}, "AnnAnn"),
        ({"text": "{ name }: {list}"}, 'Ann: [1,"x"]'),
        ({"text": "{{{name}}} {{name}}"}, "{Ann} {name}"),
        ({"text": "<{hostile}>"}, "<{name} }}>"),
    ],
)
def test_it_is_taken_out_of_the_context(declared, value):
    assert Result.of(declared).taken(CONTEXT) == Outcome(value)


@pytest.mark.parametrize("declared", ["nowhere", {"text": "{name} {nowhere}"}])
def test_what_is_not_there_is_named(declared):
    assert Result.of(declared).taken(CONTEXT) == Outcome(lacking="there is nothing at nowhere")


def test_a_text_does_not_grow_without_end():
    long = {"name": "x" * TEXT_CHARS_MAX}
    assert Result.of({"text": "{name}"}).taken(long).lacking == ""
    assert (
        Result.of({"text": "{name}{name}"}).taken(long).lacking == "its text would have more than 1,048,576 characters"
    )


NOTHING = f"result says nothing that can be taken; write {EXAMPLE}"
BRACES = "write {path}, or {{ and }} for braces"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (5, NOTHING),
        ({}, NOTHING),
        ({"text": 5}, NOTHING),
        ({"text": "x", "more": 1}, NOTHING),
        ("", f"the result: '' is not a dotted path of 1 to 1024 characters; {EXAMPLE}"),
        ({"text": "Dear {}"}, f"the result: '' is not a dotted path of 1 to 1024 characters; {EXAMPLE}"),
        (
            {"text": "Dear {a b!c..}"},
            (
                "the result: 'a b!c..' is not a dotted path: it has an empty segment;"
                " write a key that is empty or holds . or * in double quotes"
            ),
        ),
        ({"text": ""}, "the template of the result has 0 characters; 1 to 20,000 are possible"),
        (
            {"text": "x" * (TEMPLATE_CHARS_MAX + 1)},
            "the template of the result has 20,001 characters; 1 to 20,000 are possible",
        ),
        ({"text": "Dear {name"}, f"the template of the result has a {{ alone, at character 6; {BRACES}"),
        ({"text": "Dear name}"}, f"the template of the result has a }} alone, at character 10; {BRACES}"),
    ],
)
def test_what_it_can_not_say(declared, said):
    with pytest.raises(TeamError) as raised:
        Result.of(declared)
    assert (raised.value.place, str(raised.value)) == (("result",), said)


def test_a_template_may_be_as_long_as_that_and_as_short_as_a_letter():
    assert Result.of({"text": "x"}).parts == ("x",)
    assert Result.of({"text": "x" * TEMPLATE_CHARS_MAX}).parts == ("x" * TEMPLATE_CHARS_MAX,)


def test_a_run_has_it_once_it_has_succeeded():
    run = Transcript(step("one"), roles=ROLES)
    assert run.machine.result == Outcome()
    run.rules.resulting_in({"text": "{name}: {a}"})
    run.request = {"name": "Ann"}
    run.begin()
    assert run.machine.result == Outcome()
    run.reply("one", {"a": 7})
    assert run.machine.result == Outcome("Ann: 7")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("nam", "the result is nam, which no step writes"),
        ("sai", "the result is sai, which no step writes; did you mean said?"),
        ({"text": "Dear {name}, {nam}"}, "the result is name, nam, which no step writes"),
        ({"text": "Dear all"}, "the result is a text without a path, which no step writes"),
    ],
)
def test_what_no_step_writes_is_no_result(declared, message):
    settle = Step("settle", reconcile={"among": "said", "policy": "first"}, writes=["deal"], needs=["one"])
    rules = Transcript(step("one"), settle, roles=ROLES).rules
    with pytest.raises(TeamError) as raised:
        rules.resulting_in(declared)
    assert (raised.value.place, str(raised.value)) == (("result",), f"{message}; write {EXAMPLE}")
    assert rules.resulting_in("deal").result == Result("deal")
    assert rules.resulting_in({"text": "{name} {said.x}"}).result.reads == ("name", "said.x")
