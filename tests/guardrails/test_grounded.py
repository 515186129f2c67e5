import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.context import View
from interlock.core.guardrail import Draft
from interlock.core.job import DELETE
from interlock.errors import PathError, TeamError
from interlock.guardrails import shown
from interlock.guardrails.grounded import FACTS_MAX, FINDINGS_MAX, Grounded, totals

ORDER = {
    "order": {
        "id": "#W2611340",
        "ordered_at": "2026-03-12T14:05:00Z",
        "due": "2026-04-02",
        "items": [
            {"name": "Water Bottle", "item_id": "6469567736", "price": 47.84, "options": {"capacity": "1000ml"}},
            {"name": "Office Chair", "item_id": "8426249116", "price": 488.81, "options": {"height": "34 inch"}},
        ],
        "total": 1536.65,
        "discount": 0.15,
        "payment": "gift_card_1725971",
        "status": "processed",
    },
    "customer": {"name": {"first": "Noah", "last": "O'Brien"}, "email": "Noah.Brown7922@example.com", "zip": "01234"},
    "note": "Returns within 30 days. The shop is at https://shop.example/returns?lang=en.",
}


def draft(
    text, view=None, *, instructions="Answer the customer.", feedback=(), answer="", item=None, output=None, **writes
):
    return Draft(
        writes={"ticket.response": text, **writes},
        output=output,
        confidence=None,
        view=View.of(ORDER if view is None else view),
        instructions=instructions,
        feedback=feedback,
        answer=answer,
        item=item,
        step="answer",
        agent="desk",
        action="answer",
    )


def findings(text, view=None, guardrail=None, **more):
    return [finding.message for finding in (guardrail or Grounded()).check(draft(text, view, **more)).findings]


GROUNDED = [
    "You paid $1,536.65.",
    "You paid 1536.65 USD, that is US$ 1'536.65 or USD 1.536,65.",
    "You paid 1 536,65 dollars.",
    "You paid １,５３６.６５ dollars.",
    "It was ordered on 12 March 2026, the 12th of March, Mar. 12th, 2026, March 12, 12/03/2026 and 12.03.2026.",
    "It was ordered in March 2026, at 14:05 or 2:05 pm.",
    "Order w2611340, #W2611340 or W2611340.",
    "Item #6469567736 was paid with gift card 1725971.",
    "The 1000 ml and the 34-inch one; 15% off.",
    "Dear Noah, O'Brien's WATER BOTTLES are here; Noah O’Brien\u00a0said so.",
    "We wrote to noah.brown7922@EXAMPLE.com; see shop.example/returns?lang=en, or http://www.shop.example/returns?lang=en/",
    'It was "Processed." and “returns\n within 30 days” holds.',
    "We checked 2 items in 3 ways. Unfortunately, that took a while. Kind regards, Your Support Team",
    "Your zip is 01234.",
    "We are here 24/7.",
    "Noah, your order is on its way.",
]


@pytest.mark.parametrize("text", GROUNDED)
def test_lets_pass_what_was_shown_in_any_format(text):
    opinion = Grounded().check(draft(text))
    assert (opinion.score, opinion.findings) == (1, ())


MADE_UP = [
    ("You paid $1,536.56.", "the amount $1,536.56 does not occur"),
    ("You paid $153.665.", "the amount $153.665 does not occur"),
    ("You paid $15,366.50", "the amount $15,366.50 does not occur"),
    ("It was ordered on 13 March 2026.", "the date 13 March 2026 does not occur"),
    ("It was ordered on March 12, 2025.", "the date March 12, 2025 does not occur"),
    ("It was ordered on 2026-03-21.", "the date 2026-03-21 does not occur"),
    ("It comes on 02.05.2026.", "the date 02.05.2026 does not occur"),
    ("It was in May 2026.", "the date May 2026 does not occur"),
    ("It was ordered at 2:06 pm.", "the time 2:06 pm does not occur"),
    ("Order #W2611341 is here.", "the id #W2611341 does not occur"),
    ("Item 6469567763 is here.", "the number 6469567763 does not occur"),
    ("Your zip is 1234.", "the number 1234 does not occur"),
    ("It takes 1000 g.", "the quantity 1000 g stands with another unit or currency in what you were shown: ml"),
    ("Returns within 60 days.", "the quantity 60 days does not occur"),
    ("There is 25% off.", "the percentage 25% does not occur"),
    ("Dear Peter, hello.", "the name Peter does not occur"),
    ("Ivan O'Brien has ordered.", "the name Ivan O'Brien does not occur"),
    ("Emily, your order is here.", "the name Emily does not occur"),
    ("The Wooden Chair is here.", "the name Wooden Chair does not occur"),
    ("Write to noah@example.com.", "the address noah@example.com does not occur"),
    ("See https://shop.example/refunds now.", "the address https://shop.example/refunds does not occur"),
    ("Look at evil.com for more.", "the address evil.com does not occur"),
    ('It is "on its way".', "the quotation on its way does not occur"),
    ("You paid １,５３６.５６ dollars.", "the amount 1,536.56 dollars does not occur"),
    ("You paid $1,5\u200b36.56.", "the amount $1,536.56 does not occur"),
]


@pytest.mark.parametrize(("text", "message"), MADE_UP, ids=[text for text, _ in MADE_UP])
def test_refuses_what_was_not_shown(text, message):
    (found,) = findings(text)
    assert found.startswith(message)


def test_says_what_stands_there_instead_the_nearest_first():
    (message,) = findings("You paid $48.74.")
    assert message.startswith("the amount $48.74 does not occur in what you were shown; amounts there: 47.84, ")
    (message,) = findings("Order W2611341 is here.")
    assert message.endswith("ids there: #W2611340")
    (message,) = findings("It comes on 2026-04-03.")
    assert message.endswith("dates there: 2026-03-12, 2026-04-02")


def test_the_score_is_the_share_of_facts_that_were_shown():
    opinion = Grounded().check(draft("Order W2611340 from 12 March 2026 costs $99.99."))
    assert opinion.score == pytest.approx(2 / 3)
    assert [finding.path for finding in opinion.findings] == ["ticket.response"]
    assert [finding.code for finding in opinion.findings] == ["grounded"]


def test_a_currency_that_nothing_was_shown_in_is_refused_where_currencies_are_shown():
    assert findings("It costs €47.84.") == [], "nothing says what the number means"
    in_usd = {"price": 47.84, "currency": "USD"}
    assert findings("It costs US$47.84, $47.84 or 47.84 dollars.", in_usd) == []
    assert findings("It costs C$47.84.", in_usd) != []
    (message,) = findings("It costs €47.84.", in_usd)
    assert message == "the amount €47.84 stands with another unit or currency in what you were shown: other currency"
    (message,) = findings("It costs €47.84.", {"price": "$47.84"})
    assert message.endswith(": $")


def test_numbers_in_fields_are_facts_however_small():
    guardrail = Grounded(paths=("refund",))
    assert findings("", guardrail=guardrail, refund={"amount": 47.84, "zip": [1536.65]}) == []
    opinion = guardrail.check(draft("Order W999.", refund={"amount": 48.84, "parts": [3], "final": True, "why": None}))
    assert [finding.path for finding in opinion.findings] == ["refund.amount", "refund.parts"]
    assert Grounded().check(draft("", refund=DELETE)).score == 1


def test_a_key_with_a_dot_is_no_path():
    guardrail = Grounded(paths=("refund.a",))
    assert findings("", guardrail=guardrail, refund={"a.b": 77.5}) == []
    (finding,) = guardrail.check(draft("", refund={"a": {"b.c": 77.5}})).findings
    assert finding.path == 'refund.a."b.c"'


def test_kinds_paths_and_ignored_texts_narrow_it():
    text = "Dear Peter, order W999 from ACME costs $5.01."
    assert len(findings(text)) == 4
    assert len(findings(text, guardrail=Grounded(kinds=("amount", "id")))) == 2
    assert len(findings(text, guardrail=Grounded(ignore=("Acme", "$5.01", "PETER")))) == 1
    assert findings(text, guardrail=Grounded(paths=("refund.*",))) == []


@pytest.mark.parametrize(
    "day", ["March 0", "0 March 2026", "March 90, 2026", "the 32nd of March", "Mar. 0", "May 99", "90 june 2026"]
)
def test_a_day_that_no_calendar_has_is_no_count(day):
    [finding] = findings(f"It was ordered on {day}.")
    assert finding.startswith("the date ")
    assert findings(f"It was ordered on {day}.", {"note": f"On {day}."}) == []


def test_a_number_before_a_verb_is_no_day():
    assert findings("Up to 45 may apply.", {"limit": 45}) == []
    assert findings("Up to 46 may apply.", {"limit": 45}) != []
    assert findings("Up to 0 may apply.", {"limit": 45}) == []


def test_counts_in_prose_are_not_looked_for_up_to_a_bound():
    assert findings("We sent 11 parcels.") != []
    assert findings("We sent 11 parcels.", guardrail=Grounded(count_max=12)) == []
    assert findings("We sent 3 parcels.", guardrail=Grounded(count_max=0)) != []


def test_only_some_of_the_view_counts_where_sources_are_named():
    view = {"order": {"total": 47.84}, "message": "I paid $99.00!"}
    assert findings("You paid $99.00.", view) == []
    guardrail = Grounded(sources=("order", "nowhere"))
    assert findings("You paid $99.00.", view, guardrail) != []
    assert findings("You paid $47.84.", view, guardrail) == []


def test_instructions_items_and_what_people_say_count_as_shown():
    assert findings("Within 45 days.", instructions="Promise 45 days.") == []
    assert findings("It costs 7.25.", item={"price": 7.25}) == []
    assert findings("You get $20.55.", answer="Give them $20.55 for their trouble.") == []
    assert findings("You get $20.55.", feedback=("bounds: $20.55 is more than 10",)) != []


def test_what_it_said_itself_of_the_last_reply_does_not_count_as_shown():
    (first,) = findings("You paid $99.99.")
    assert findings("You paid $99.99.", feedback=(first,)) == [first]


def test_sums_are_not_accepted_unless_declared():
    text = "Together $536.65, a difference of $440.97."
    assert len(findings(text)) == 2
    guardrail = Grounded(arithmetic=True)
    assert findings(text, guardrail=guardrail) == []
    assert findings("Together $536.66.", guardrail=guardrail) != []
    assert findings("Dear Peter,", guardrail=guardrail) != []
    view = {"rows": [{"n": 1.1}, {"n": 2.2}, {"n": 3.3, "ok": True}], "row": [5, 6.5, 7]}
    assert findings("Together 6.60 and 18.5.", view, guardrail) == []
    assert sorted(totals(view)) == ["18.5", "6.6"]


def test_outputs_are_checked_where_declared():
    assert findings("", output={"total": 9.99}) == []
    assert findings("", output={"total": 9.99}, guardrail=Grounded(output=True)) != []


@pytest.mark.parametrize("options", [{"paths": ()}, {"kinds": ()}, {"paths": ("a..b",)}, {"sources": ("a.*",)}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises((TeamError, PathError)):
        Grounded(**options)


def test_it_says_what_it_looks_at():
    guardrail = Grounded(paths=("refund.*",), sources=("order",))
    assert (guardrail.watches, guardrail.consults) == (("refund.*",), ("order",))
    assert Grounded(output=True).watches == ()


def test_looking_is_no_reading():
    looked_at = draft("Order W2611340.")
    Grounded().check(looked_at)
    assert looked_at.view.reads == ()


# --- properties ---

cents = st.integers(1_100, 99_999_999)
AMOUNTS = [
    lambda v: f"${v:,.2f}",
    lambda v: f"${v:.2f}",
    lambda v: f"{v:.2f}",
    lambda v: f"USD {v:,.2f}",
    lambda v: f"{v:,.2f} USD".replace(",", " ").replace(".", ","),
    lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")) + " USD",
    lambda v: f"{v:,.2f} dollars".replace(",", "'"),
    lambda v: f"{v:,.2f} dollars".replace(",", "\u202f"),
    str,
]
DATES = [
    "{0:%Y-%m-%d}",
    "{0:%Y/%m/%d}",
    "{0:%d %B %Y}",
    "{0:%d. %b %Y}",
    "{0:%B %d, %Y}",
    "{0:%b %d %Y}",
    "{0:%d/%m/%Y}",
    "{0:%m/%d/%Y}",
    "{0:%d.%m.%Y}",
    "{0:%B} {0.day}",
    "{0.day} of {0:%B}",
    "{0:%Y-%m-%d}T10:00:00Z",
]


@given(cents, st.sampled_from(AMOUNTS), st.sampled_from(AMOUNTS))
def test_an_amount_is_grounded_in_any_other_form(amount, write, shown_as):
    value = amount / 100
    assert findings(f"It costs {write(value)} now.", {"price": value}) == []
    assert findings(f"It costs {write(value)} now.", {"text": f"It costs {shown_as(value)}, you know."}) == []


@given(cents, cents, st.sampled_from(AMOUNTS), st.sampled_from(AMOUNTS))
def test_another_amount_never_is(amount, other, write, shown_as):
    value, wrong = amount / 100, other / 100
    if value != wrong and not (wrong * 1000 == value or value * 1000 == wrong):
        assert findings(f"It costs {write(wrong)} now.", {"price": value}) != []
        assert findings(f"It costs {write(wrong)} now.", {"text": f"It costs {shown_as(value)}, you know."}) != []


@given(st.dates(), st.sampled_from(DATES[:-1]), st.sampled_from(DATES[:2] + DATES[-1:]))
def test_a_day_is_grounded_in_any_other_form(day, write, shown_as):
    day = day.replace(year=2000 + day.year % 100)
    assert findings(f"It is on {write.format(day)}.", {"day": shown_as.format(day)}) == []


@given(st.dates(), st.dates(), st.sampled_from(DATES), st.sampled_from(DATES))
def test_another_day_never_is(day, other, write, shown_as):
    day, other = day.replace(year=2000 + day.year % 100), other.replace(year=2000 + other.year % 100)
    if {day.month, day.day} != {other.month, other.day}:
        assert findings(f"It is on {write.format(other)}.", {"day": shown_as.format(day)}) != []


@given(st.from_regex(r"\A#?[A-Z]{1,3}[0-9]{4,9}\Z"), st.integers(0, 8), st.integers(1, 9), st.booleans())
def test_an_id_is_grounded_in_any_case_and_an_edited_one_is_not(code, place, step, lower):
    written = code.lstrip("#").lower() if lower else code
    assert findings(f"It is about {written} here.", {"id": code}) == []
    digits = [n for n, c in enumerate(written) if c.isdigit()]
    n = digits[place % len(digits)]
    edited = written[:n] + str((int(written[n]) + step) % 10) + written[n + 1 :]
    assert findings(f"It is about {edited} here.", {"id": code}) != []


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_text_is_made_of_it_gives_an_opinion(text, there):
    opinion = Grounded(arithmetic=True).check(draft(text, {"there": there}))
    assert 0 <= opinion.score <= 1
    assert (opinion.score == 1) == (not opinion.findings)
    assert Grounded().check(draft(text, {"there": text})).score == 1


# --- hostile texts ---

HOSTILE = [
    "a", "1", "1,", "1.", "a@", "a.", "a-1", "-1", "@ ", "1 ", ".com", "http://", "//", '"', '"a', "“", "A ", "Ab ",
    "Ab-", "Ab'", "Mar ", "Mar 1 ", "$ 1", "+1 (", "(1", "1:", "12/", " ", "\n", "é1", "\ufdfa", "a#1", "1'", "USD ",
    "Żółć ", "1_", "12 March ", "1 thousand ", "१", "①", "፩ ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_hostile_text_costs_a_second_or_so(piece):
    text = (piece * (250_000 // len(piece) + 1))[:250_000]
    started = time.process_time()
    opinion = Grounded().check(draft(text, {"there": text[: len(text) // 2]}))
    assert time.process_time() - started < 10
    assert len(opinion.findings) <= FINDINGS_MAX + 1
    assert all(len(finding.message) < 1_000 for finding in opinion.findings)


def test_more_than_can_be_checked_is_refused():
    (message,) = findings("W2611340 " * (FACTS_MAX + 1))
    assert message.startswith("there is more in it than can be checked")
    assert findings("a " * 600_000) == [message]
    assert findings("1 " * 30_000) == [message]


def test_what_was_shown_is_read_up_to_a_bound_and_the_finding_says_so():
    there = {"texts": ["word " * 200_000] * 11, "last": "W2611340"}
    (message,) = findings("Order W2611340.", there)
    assert "only the beginning was read" in message


def test_findings_are_few_and_the_score_counts_all():
    opinion = Grounded().check(draft(" ".join(f"W{n}" for n in range(1000, 1100))))
    assert (opinion.score, len(opinion.findings)) == (0, FINDINGS_MAX)


def test_large_views_are_not_kept():
    shown._cached.cache_clear()
    Grounded().check(draft("Order W1.", {"there": "x" * shown.CACHED_CHARS_MAX}))
    assert shown._cached.cache_info().currsize == 0
    Grounded().check(draft("Order W1."))
    assert shown._cached.cache_info().currsize == 1


def test_many_facts_are_not_looked_for_in_a_very_long_text():
    """Each search goes through all of it, and 2,000 of them took seconds."""
    told = draft(" ".join(f'"nothing {number}"' for number in range(FACTS_MAX - 1)), {"q": "a " * 500_000})
    started = time.process_time()
    found = Grounded().check(told)
    assert time.process_time() - started < 3
    assert found.score == 0
    assert "there is more in it than can be checked" in found.findings[-1].message
    few = draft(" ".join(f'"nothing {number}"' for number in range(5)), {"q": "a " * 500_000})
    assert [finding.message.partition(" does not")[0] for finding in Grounded().check(few).findings] == [
        f"the quotation nothing {number}" for number in range(5)
    ]
