import pytest
from msgspec import structs

from interlock.core.context import View
from interlock.core.guardrail import Draft
from interlock.core.job import DELETE
from interlock.errors import PathError, TeamError
from interlock.guardrails.grounded import Grounded
from interlock.guardrails.unchanged import FINDINGS_MAX, Unchanged

VIEW = {
    "order": {"id": "#W17", "total": 49.9, "placed_at": "2026-03-12", "items": [{"n": 2}], "paid": True},
    "customer": {"name": "Noah Brown"},
    "weight": "1000 g",
}


def draft(writes):
    return Draft(
        writes=writes,
        output=None,
        confidence=None,
        view=View.of(VIEW),
        instructions="",
        feedback=(),
        item=None,
        step="answer",
        agent="desk",
        action="answer",
    )


def findings(guardrail, **writes):
    opinion = guardrail.check(draft({path.replace("__", "."): value for path, value in writes.items()}))
    assert opinion.score == (0 if opinion.findings else 1)
    return [finding.message for finding in opinion.findings]


FIELDS = Unchanged(fields=("order.total", "order.items", "customer"))


@pytest.mark.parametrize(
    "writes",
    [
        {"order__total": 49.9},
        {"order": {"total": 49.90, "items": [{"n": 2}], "status": "open"}},
        {"customer__name": "Noah Brown"},
        {"order__status": "open"},
        {"other": {"total": 1}},
    ],
)
def test_lets_pass_what_stays_as_it_is(writes):
    assert findings(FIELDS, **writes) == []


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        (
            {"order__total": 59.9},
            "order.total was validated: it is 49.9 in what you were shown, and the reply says 59.9",
        ),
        (
            {"order": {"items": [{"n": 2}]}},
            "order.total was validated: it is 49.9 in what you were shown, and the reply removes it",
        ),
        (
            {"order__total": DELETE},
            "order.total was validated: it is 49.9 in what you were shown, and the reply removes it",
        ),
        (
            {"customer__name": "Noah Braun"},
            'customer was validated: it is "Noah Brown" in what you were shown, and the reply says "Noah Braun"',
        ),
        (
            {"customer__nick": "Nono"},
            'customer was validated: it is nothing in what you were shown, and the reply says "Nono"',
        ),
        (
            {"order__items": [{"n": True}]},
            'order.items was validated: it is [{"n":2}] in what you were shown, and the reply says [{"n":true}]',
        ),
    ],
    ids=str,
)
def test_refuses_what_is_corrected(writes, message):
    assert findings(FIELDS, **writes) == [message]


def test_all_of_a_field_may_be_deleted_by_nobody():
    assert len(findings(FIELDS, order=DELETE)) == 2


def test_one_is_not_true():
    guardrail = Unchanged(fields=("order.paid",))
    assert findings(guardrail, order__paid=True) == []
    assert findings(guardrail, order__paid=1) != []


COPIES = Unchanged(copies={"refund.amount": "order.total", "refund.order": "order.id", "refund.day": "order.placed_at"})


@pytest.mark.parametrize(
    "refund",
    [
        {"amount": 49.9, "order": "W17", "day": "12 March 2026"},
        {"amount": "$49.90", "order": "#w17"},
        {"reason": "late"},
    ],
)
def test_a_copy_may_say_the_same_in_another_form(refund):
    assert findings(COPIES, refund=refund) == []


@pytest.mark.parametrize(
    ("writes", "count"),
    [
        ({"refund": {"amount": 49.0, "order": "#W71", "day": "2026-03-21"}}, 3),
        ({"refund__amount": 59.9}, 1),
        ({"refund__amount": True}, 1),
        ({"refund__amount": None}, 1),
        ({"refund__amount": "all of it"}, 1),
    ],
    ids=str,
)
def test_a_copy_that_says_something_else_is_refused(writes, count):
    assert len(findings(COPIES, **writes)) == count


def test_a_copy_with_another_unit_is_refused():
    guardrail = Unchanged(copies={"parcel.weight": "weight"})
    assert findings(guardrail, parcel__weight="1,000 g") == []
    (message,) = findings(guardrail, parcel__weight="1000 kg")
    assert message == (
        'parcel.weight repeats weight: it is "1000 g" in what you were shown, and the reply says "1000 kg"'
    )


MENTIONS = Unchanged(fields=("order.total", "order.id", "order.placed_at", "customer.name"), mentions=True)


@pytest.mark.parametrize(
    "text",
    [
        "The total is $49.90, and the subtotal is $40.00.",
        "Total: 49.90 EUR. The total of all your orders this year is not known.",
        "You placed 3 orders; this one was placed on 12 March, or 12 March 2026.",
        "The total comes to 49.9. The id is W17.",
        "The name is Peter, and in total you waited 3 days.",
    ],
)
def test_texts_may_tell_a_field_in_any_form(text):
    assert findings(MENTIONS, ticket={"response": [text]}) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("The total is now $59.90.", "order.total is 49.9 in what you were shown, not $59.90"),
        ("**Total:** 59.90", "order.total is 49.9 in what you were shown, not 59.90"),
        ("Your order (ID: #W71) is here.", 'order.id is "#W17" in what you were shown, not #W71'),
        ("It was placed on 21 March.", 'order.placed_at is "2026-03-12" in what you were shown, not 21 March'),
        ("It was placed at 2026-03-13.", 'order.placed_at is "2026-03-12" in what you were shown, not 2026-03-13'),
    ],
)
def test_texts_that_tell_a_field_otherwise_are_refused(text, message):
    assert findings(MENTIONS, ticket={"response": text}) == [message]


def test_findings_are_few():
    assert len(findings(MENTIONS, text="Total: 5.01\n" * 1_000)) == FINDINGS_MAX


def test_long_texts_cost_little():
    assert findings(MENTIONS, text="total is " * 100_000) == []
    assert findings(MENTIONS, text="total " + " " * 900_000) == []


def test_what_was_not_shown_is_not_protected():
    guardrail = Unchanged(fields=("nowhere",), copies={"refund.amount": "nowhere"})
    assert findings(guardrail, nowhere=1, refund__amount=2) == []


@pytest.mark.parametrize("options", [{}, {"fields": ("a..b",)}, {"copies": {"a": "b.*"}}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises((TeamError, PathError)):
        Unchanged(**options)


def test_it_says_what_it_looks_at():
    assert Unchanged(fields=("a",), copies={"b": "c"}).watches == ("a", "b")
    assert Unchanged(fields=("a",), copies={"b": "c"}).consults == ("a", "c")
    assert MENTIONS.watches == ("*",)


def test_looking_is_no_reading():
    looked_at = draft({"order.total": 1})
    FIELDS.check(looked_at)
    assert looked_at.view.reads == ()


def test_what_it_said_of_the_last_reply_grounds_nothing():
    for guardrail, path in ((FIELDS, "order.total"), (COPIES, "refund.amount")):
        feedback = tuple(finding.message for finding in guardrail.check(draft({path: 59.9})).findings)
        again = structs.replace(draft({"text": "You paid $59.90."}), feedback=feedback)
        assert feedback != ()
        assert Grounded().check(again).findings != ()
