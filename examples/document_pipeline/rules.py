"""What the agents know: find the entities of a business document, check them, summarise them, choose a summary.

Pure functions over JSON values; nothing here knows that agents exist. In doubt the rules read nothing rather than
guess: a missing fact can be seen, a wrong one can't.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, TypedDict, TypeVar

T = TypeVar("T")

SUMMARY_CHARS_MAX = 400

Kind = Literal["reference", "party", "date", "amount", "email"]


class Mention(TypedDict):
    """Words of the document, verbatim, and what they seem to be."""

    kind: Kind
    role: str  # of a date: issued, due; of an amount: total, line, unit; else: other
    text: str


class Rejected(Mention):
    """A mention that was dropped, and why."""

    reason: str


class Date(TypedDict):
    """A calendar date as YYYY-MM-DD."""

    role: str
    date: str


class Amount(TypedDict):
    """A sum of money in whole cents."""

    role: str
    currency: str
    cents: int


class Valid(TypedDict):
    """The entities that can be relied on, and `flags`: where they contradict each other."""

    references: list[str]
    parties: list[str]
    dates: list[Date]
    amounts: list[Amount]
    emails: list[str]
    flags: list[str]


# --- extract: what does the document mention? ------------------------------------------------------------------

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP", "EUR": "EUR", "USD": "USD", "GBP": "GBP", "CHF": "CHF"}

_MONTH = rf"(?:{'|'.join(MONTHS)})[a-z]*"
_CURRENCY = rf"(?:{'|'.join(map(re.escape, CURRENCIES))})"
_NUMBER = r"(?:\d{1,3}(?:[.,]\d{3}){1,4}|\d{1,12})(?:[.,]\d\d)?"
_NAME = r"[A-ZÀ-Þ][\w'-]{0,40}"

PATTERNS: Mapping[Kind, re.Pattern[str]] = {
    "reference": re.compile(r"\b(?:INV|ORD|PO|RMA|CTR)-\d+(?:-\d+)*\b|#\d{3,}\b"),
    "party": re.compile(
        rf"\b(?:(?:Mr|Mrs|Ms|Dr)\.? {_NAME}(?: {_NAME})?"
        rf"|(?!(?:Dear|From|To|The|Between|And)\b)(?:{_NAME} (?:& )?){{1,4}}(?:GmbH|AG|Ltd|Inc|LLC|plc|BV|SA)\b)"
    ),
    "date": re.compile(
        r"(?<![\w./-])"
        rf"(?:\d{{4}}-\d\d-\d\d|\d\d?([./])\d\d?\1\d{{4}}|\d\d? {_MONTH} \d{{4}}|{_MONTH} \d\d?, \d{{4}})"
        r"(?![\w/-])"
    ),
    "amount": re.compile(  # without a currency only what has cents: "2 clamps" is no amount
        r"(?<![\w.,/-])(?<!\d )"
        rf"-?(?:{_CURRENCY} ?{_NUMBER}|{_NUMBER} ?{_CURRENCY}|{_NUMBER}(?<=[.,]\d\d))"
        r"(?![\w/-]|[.,]\d| ?[\d%])"
    ),
    "email": re.compile(r"\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+"),
}

# The role is told by the words between a mention and the one of its kind before it on the line; the first row wins.
ROLES: Mapping[Kind, Mapping[str, re.Pattern[str]]] = {
    "date": {
        "due": re.compile(r"\b(?:due|payable|pay by)\b", re.IGNORECASE),
        "issued": re.compile(r"\b(?:date|dated|issued|signed)\b", re.IGNORECASE),
    },
    "amount": {
        "unit": re.compile(r"\bat $"),
        "total": re.compile(r"(?<![\w-])total\b", re.IGNORECASE),
        "line": re.compile(r"^[-*] |^: $"),
    },
}


def extract(text: str) -> list[Mention]:
    """All that looks like an entity, verbatim, line by line."""
    return list(chain.from_iterable(_mentions(line, kind) for line in text.splitlines() for kind in PATTERNS))


def _mentions(line: str, kind: Kind) -> Iterator[Mention]:
    end = 0
    for match in PATTERNS[kind].finditer(line):
        before, end = line[end : match.start()], match.end()
        labels = ROLES.get(kind, {}).items()
        role = next((role for role, label in labels if label.search(before)), "other")
        yield {"kind": kind, "role": role, "text": match.group()}


# --- key facts: two readings, which may contradict each other ----------------------------------------------------


class KeyFacts(TypedDict, total=False):
    """What matters most in a document; what it doesn't say is left out."""

    total: Amount
    issued: str
    due: str


def first_facts(text: str) -> KeyFacts:
    """Of each what stands first, dates as they are written."""
    return _key_facts(extract(text), lambda words: words if iso_date(words) else "")


def last_facts(text: str) -> KeyFacts:
    """Of each what stands last, dates as YYYY-MM-DD."""
    return _key_facts(reversed(extract(text)), iso_date)


def _key_facts(mentions: Iterable[Mention], date: Callable[[str], str]) -> KeyFacts:
    facts: KeyFacts = {}
    for mention in mentions:
        role, words = mention["role"], mention["text"]
        if role not in {"total", "issued", "due"} or role in facts:
            continue
        try:
            if role == "total":
                currency, cents = money(words)
                facts["total"] = Amount(role=role, currency=currency, cents=cents)
            else:
                facts[role] = date(words)
        except ValueError:
            continue  # in doubt, nothing
    return facts


# --- validate: what of it holds? -------------------------------------------------------------------------------


def validate(text: str, found: Iterable[Mention]) -> tuple[Valid, list[Rejected]]:
    """Normalise what the document really says; what is dropped is in the second list, with the reason."""
    valid: Valid = {"references": [], "parties": [], "dates": [], "amounts": [], "emails": [], "flags": []}
    rejected: list[Rejected] = []
    for mention in found:
        try:
            _check_occurs(mention["text"], text)
            _add(valid, mention)
        except ValueError as error:
            rejected.append({**mention, "reason": str(error)})
    valid["flags"] = contradictions(valid)
    return valid, rejected


def _check_occurs(words: str, text: str) -> None:
    """As whole words: `EUR 1` doesn't occur in `EUR 1,200`."""
    if not re.search(rf"(?<![\w-])(?<!\w[.,@]){re.escape(words)}(?!-|[.,@]?\w)", text):
        raise ValueError("does not occur in the document")


def _add(valid: Valid, mention: Mention) -> None:
    words, role = mention["text"], mention["role"]
    match mention["kind"]:
        case "reference":
            _add_new(valid["references"], words)
        case "party":
            _add_new(valid["parties"], words)
        case "email":
            _add_new(valid["emails"], words.lower())
        case "date":
            _add_new(valid["dates"], Date(role=role, date=iso_date(words)))
        case "amount":
            currency, cents = money(words)
            amount = Amount(role=role, currency=currency, cents=cents)
            if role == "line":  # two lines may well cost the same
                valid["amounts"].append(amount)
            else:
                _add_new(valid["amounts"], amount)


def _add_new(values: list[T], value: T) -> None:
    if value not in values:
        values.append(value)


def iso_date(words: str) -> str:
    """`3 May 2026` -> `2026-05-03`; ValueError if it is no date, or could be two."""
    if not PATTERNS["date"].fullmatch(words):
        raise ValueError("not a date")
    year, month, day = _year_month_day(words)
    try:
        return dt.date(year, month, day).isoformat()
    except ValueError:
        raise ValueError("not in the calendar") from None


def _year_month_day(words: str) -> tuple[int, int, int]:
    numbers = [int(number) for number in re.findall(r"\d+", words)]
    if month := re.search("|".join(MONTHS), words):
        return numbers[1], MONTHS.index(month.group()) + 1, numbers[0]
    if "-" in words:
        return numbers[0], numbers[1], numbers[2]
    first, second, year = numbers
    if "." in words or first > 12 or first == second:
        return year, second, first
    if second > 12:
        return year, first, second
    raise ValueError("day and month could be swapped")


def money(words: str) -> tuple[str, int]:
    """`€1,200.50` or `1.200,50 EUR` -> `("EUR", 120050)`; ValueError if it is no amount or has no currency."""
    if not PATTERNS["amount"].fullmatch(words):
        raise ValueError("not an amount")
    currency = re.search(_CURRENCY, words)
    if not currency:
        raise ValueError("no currency")
    number = int(re.sub(r"\D", "", words))
    cents = number if re.search(r"[.,]\d\d(?!\d)", words) else number * 100
    return CURRENCIES[currency.group()], -cents if words.startswith("-") else cents


def contradictions(valid: Valid) -> list[str]:
    """What can't all be true: several totals or dates of one kind, lines that don't add up, due before issued."""
    totals = [amount for amount in valid["amounts"] if amount["role"] == "total"]
    lines = [amount for amount in valid["amounts"] if amount["role"] == "line"]
    issued = [day["date"] for day in valid["dates"] if day["role"] == "issued"]
    due = [day["date"] for day in valid["dates"] if day["role"] == "due"]

    several = {"totals": [_shown(total) for total in totals], "dates of issue": issued, "due dates": due}
    flags = [f"there are {len(them)} {name}: {_listed(them)}" for name, them in several.items() if len(them) > 1]
    if len(totals) == 1 and lines:
        flags += _sum_mismatch(totals[0], lines)
    if issued and due and min(due) < min(issued):
        flags.append(f"due {min(due)} is before issued {min(issued)}")
    return flags


def _sum_mismatch(total: Amount, lines: Sequence[Amount]) -> list[str]:
    if any(line["currency"] != total["currency"] for line in lines):
        return ["the lines are not all in the currency of the total"]
    added = Amount(role="sum", currency=total["currency"], cents=sum(line["cents"] for line in lines))
    return [] if added["cents"] == total["cents"] else [f"the lines add up to {_shown(added)}, not {_shown(total)}"]


# --- write: three summaries that say nothing but valid entities --------------------------------------------------

NOTHING = "No key facts could be verified."
DETAILS = ("line", "unit")


def brief(valid: Valid) -> str:
    """One line; leaves out the details of the amounts and the e-mail addresses."""
    amounts = [amount for amount in valid["amounts"] if amount["role"] not in DETAILS]
    facts = _facts({**valid, "amounts": amounts, "emails": []})
    return "; ".join(chain.from_iterable(facts.values())) or NOTHING


def formal(valid: Valid) -> str:
    """Whole sentences; everything."""
    sentences = {
        "reference": "This document concerns {}.",
        "party": "It names {}.",
        "date": "It is marked {}.",
        "amount": "It states {}.",
        "email": "It mentions {}.",
        "check": "Please note: {}.",
    }
    facts = _facts(valid)
    return " ".join(sentences[name].format(_listed(facts[name])) for name in sentences if facts[name]) or NOTHING


def checklist(valid: Valid) -> str:
    """One box per fact; everything."""
    return "\n".join(f"[ ] {name}: {fact}" for name, facts in _facts(valid).items() for fact in facts) or NOTHING


def _facts(valid: Valid) -> dict[str, list[str]]:
    return {
        "reference": valid["references"],
        "party": valid["parties"],
        "date": [_with_role(day["role"], day["date"]) for day in valid["dates"]],
        "amount": [_with_role(amount["role"], _shown(amount)) for amount in valid["amounts"]],
        "email": valid["emails"],
        "check": valid["flags"],
    }


def _with_role(role: str, fact: str) -> str:
    return fact if role == "other" else f"{role} {fact}"


def _shown(amount: Amount) -> str:
    units, cents = divmod(abs(amount["cents"]), 100)
    return f"{'-' if amount['cents'] < 0 else ''}{amount['currency']} {units:,}.{cents:02}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


# --- choose: which summary is the best? --------------------------------------------------------------------------


def choose(options: Sequence[str]) -> int:
    """The index of the best option: it fits the length, states most of what is agreed, and is the shortest.

    A fact speaks for an option if another one states it as well, and against it if none does: an invention is
    never an advantage, and the chooser needs to see neither document nor entities.
    """
    stated = [{(mention["kind"], mention["text"]) for mention in extract(option)} for option in options]

    def score(index: int) -> tuple[bool, int, int]:
        others = set(chain.from_iterable(stated[:index] + stated[index + 1 :]))
        merit = len(stated[index] & others) - len(stated[index] - others)
        return len(options[index]) <= SUMMARY_CHARS_MAX, merit, -len(options[index])

    return max(range(len(options)), key=score)
