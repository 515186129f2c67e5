"""Facts in texts: amounts, numbers, dates, times, ids, addresses, names and quotations, each in a normal form.

Two ways to write one fact have one reading in common: `1,234.50`, `1234.5` and `1.234,50`; `2026-03-12` and `12 March
2026`. What can be read in two ways has both readings: `12/03/2026`, `1,234`. Nothing is looked up and nothing computed.

Texts are hostile: each pattern starts at the beginning of a word and takes so many characters from there at most, so
that the time is linear in the length of the text; and of figures and signs only so many are looked at.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import msgspec

Kind = Literal["amount", "percent", "quantity", "number", "date", "time", "id", "address", "name", "quote"]
# Stands between texts that were joined: no fact reaches over it.
BREAK = "\0"
QUOTE_CHARS_MAX = 500
SIGNS_MAX = 20_000

_DOLLARS = frozenset(["USD", "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "$"])
_YEN = frozenset({"JPY", "CNY", "¥"})
_CROWNS = frozenset({"SEK", "NOK", "DKK", "ISK", "CZK", "kr"})
_POUNDS = frozenset({"pound", "GBP", "lb"})
_CURRENCIES = {
    "$": "$", "us$": "USD", "ca$": "CAD", "c$": "CAD", "au$": "AUD", "a$": "AUD", "nz$": "NZD", "hk$": "HKD",
    "s$": "SGD", "mx$": "MXN", "€": "EUR", "£": "GBP", "¥": "¥", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY",
    "zł": "PLN", "kr": "kr", "dollar": "$", "dollars": "$", "euro": "EUR", "euros": "EUR", "yen": "JPY",
    "rupee": "INR", "rupees": "INR", "cents": "cent", "cent": "cent",
}  # fmt: skip
_CODES = (
    "USD EUR GBP JPY CNY INR CHF CAD AUD NZD HKD SGD SEK NOK DKK ISK CZK PLN HUF RON TRY RUB BRL MXN ZAR KRW ILS AED"
)
_CURRENCIES |= {code.lower(): code for code in _CODES.split(" ")}
CURRENCIES = frozenset(_CURRENCIES.values())
_UNITS = {
    "%": "% percent percentage pct", "kg": "kg kgs kilo kilos kilogram kilograms kilogramme kilogrammes",
    "g": "g gram grams gramme grammes", "mg": "mg milligram milligrams", "lb": "lb lbs", "pound": "pound pounds",
    "oz": "oz ounce ounces", "km": "km kilometer kilometers kilometre kilometres", "m": "m meter meters metre metres",
    "cm": "cm centimeter centimeters centimetre centimetres", "mm": "mm millimeter millimeters millimetre millimetres",
    "mi": "mi mile miles", "ft": "ft foot feet", "in": "inch inches", "yd": "yd yard yards",
    "l": "l liter liters litre litres", "ml": "ml milliliter milliliters millilitre millilitres", "cl": "cl",
    "gal": "gal gallon gallons", "cup": "cup cups", "kb": "kb kilobyte kilobytes", "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes", "tb": "tb terabyte terabytes", "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours", "d": "day days",
    "wk": "week weeks", "mo": "month months", "y": "yr yrs year years", "bar": "bar bars", "w": "w watt watts",
    "kw": "kw kilowatt kilowatts", "kwh": "kwh", "v": "v volt volts", "mah": "mah", "hz": "hz hertz", "mhz": "mhz",
    "ghz": "ghz", "°": "° degree degrees", "°c": "°c celsius", "°f": "°f fahrenheit", "px": "px pixel pixels",
    "mp": "mp megapixel megapixels",
}  # fmt: skip
_MEASURES = {word: unit for unit, words in _UNITS.items() for word in words.split(" ")} | _CURRENCIES
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_VERBS = frozenset({"may", "march", "mar"})
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "k": 3}

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_SYMBOLS = "$€£¥₹₩₽₺"
_ENDINGS = (
    "com|org|net|edu|gov|info|biz|io|dev|app|ai|co|eu|de|uk|fr|es|it|nl|pl|ru|cn|in|jp|xyz|shop|online|site|example"
)
_LATER_MEASURE = "|".join(sorted((re.escape(word) for word in _MEASURES if word[0] not in "$€£¥₹₩₽₺"), key=len)[::-1])
_FACT = re.compile(
    rf"""
    (?P<url> https?://[^\s<>"`\0]{{1,2000}}+ | www\.[^\s<>"`\0]{{1,2000}}+ )
    | (?P<email> [\w.+%-]{{1,64}}+ @ [a-z0-9-]{{1,63}}+ (?:\.[a-z0-9-]{{1,63}}+){{1,8}}+ )
    | (?P<domain> (?:[a-z0-9-]{{1,63}}\.){{1,6}} (?:{_ENDINGS}) (?![\w@-]|\.\w) (?:/[^\s<>"`\0]{{0,2000}}+)? )
    | (?P<iso> \d{{4}}(?P<mark>[-/])\d\d(?P=mark)\d\d (?!\d) )
      (?:[T ] (?P<iso_time> \d\d:\d\d) (?::\d\d (?:[.,]\d{{1,9}}+)?)? (?:Z|[+-]\d\d:?\d\d)? )?
    | (?P<day> \d{{1,2}}) (?:st|nd|rd|th)?\.?[ ](?:of[ ])? (?P<month>{_MONTH})
      (?:,?[ ](?P<year> \d{{4}})(?!\d))?
    | (?P<month2>{_MONTH}) [ ] (?P<day2> \d{{1,2}}) (?:st|nd|rd|th)? (?![\d:]|[.,]\d)
      (?:,?[ ](?P<year2> \d{{4}})(?!\d))?
    | (?P<month3>{_MONTH}) ,?[ ] (?P<year3> \d{{4}}) (?!\d)
    | (?P<numeric> \d{{1,2}}(?P<mark2>[-/.])\d{{1,2}}(?P=mark2)(?:\d{{4}}|\d\d)) (?![\w]|[-/.]\d)
    | (?P<time> \d{{1,2}}:\d\d(?::\d\d)? (?:[ ]?[ap]\.?m\b\.?)? | \d{{1,2}}[ ]?[ap]\.?m\b\.? ) (?!\d)
    | (?P<always> 24/7) (?!\w)
    | (?P<phone> \+\d[\d ().-]{{6,18}}\d | \(\d{{3}}\)[ ]?\d{{3}}[ .-]\d{{4}} | \d{{3}}-\d{{3}}-\d{{4}} ) (?![\w])
    | (?P<before> (?:us|ca|c|au|a|nz|hk|s|mx)?\$ [ ]? | [{_SYMBOLS[1:]}] [ ]? | (?:{_CODES.replace(" ", "|")}) [ ] )?
      (?P<number> \d{{1,3}}(?:[ ]\d{{3}}){{1,4}}[.,]\d{{1,2}} | \d{{1,40}}+(?:[.,']\d{{1,40}}+){{0,12}}+ )
      (?: [ ]?(?P<scale> thousand|million|billion|k)\b )?
      (?: (?:[ -]?)(?P<after> {_LATER_MEASURE})(?!\w) | [ ]?(?P<symbol>[{_SYMBOLS}])(?![ ]?\d)
        | (?:st|nd|rd|th)?(?!\w)(?![-_]\w{{0,31}}[^\W\d_]) )
    | (?=[\w.\#-]{{0,64}}\d) (?P<id> \#?\w{{1,100}}+(?:[-.]\w{{1,100}}+){{0,16}}+ )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Each fact has a figure in it, an @, a // or the ending of a domain. It begins in the same word, or in the one before.
_SIGN = re.compile(rf"[\d@/.](?:(?<=[\d@])|(?<=//)|(?<=www\.)|(?<=\.)(?=(?:{_ENDINGS})(?![\w@-])))", re.IGNORECASE)
_START = re.compile(rf"(?<!\w)[\w#+({_SYMBOLS}]")
_REST_OF_WORD = re.compile(r"\w*+")
_WORD_CHARS_MAX = 130
_LEAD_CHARS_MAX = 12
_LEADS = frozenset({*_SYMBOLS, *_CODES.lower().split(" "), *(word for word in _CURRENCIES if word.endswith("$"))})
_QUOTE = re.compile(
    rf"\"([^\"\0]{{2,{QUOTE_CHARS_MAX}}}+)\"|“([^“”\0]{{2,{QUOTE_CHARS_MAX}}}+)”"
    rf"|«([^«»\0]{{2,{QUOTE_CHARS_MAX}}}+)»|`([^`\0]{{2,{QUOTE_CHARS_MAX}}}+)`"
)
_COUNTED = re.compile(r"(\d[\d.,]{0,20})(?:-[a-z]{1,30}){1,3}")
_SPACES_OF_NUMBERS = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3})")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
# Apostrophes, hyphens, dashes and the minus sign.
_LOOK_ALIKE = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc", "'") | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | {"\u2014": " - "}
)
_BLANK = re.compile(r"\s+")
_NO_IDS = frozenset({"covid-19", "b2b", "b2c", "a4", "mp3", "mp4"})


class TooMuch(Exception):
    """There are more figures and signs in a text than are looked at."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One fact. text: as it is written. readings: its normal forms. measure: the unit or currency of a number.

    in_prose: whether it stands in a text, where a number may be part of a day or of an id.
    """

    kind: Kind
    text: str
    readings: tuple[str, ...]
    measure: str = ""
    in_prose: bool = True


def of_number(value: float) -> Fact:
    """A JSON number, which is a fact by itself."""
    return Fact("number", str(value), (number(value),), in_prose=False)


def plain(text: str) -> str:
    """A text without what only looks different: full-width digits, odd spaces, invisible characters."""
    if text.isascii():
        return text
    text = _SPACES_OF_NUMBERS.sub("'", _INVISIBLE.sub("", text)).translate(_LOOK_ALIKE)
    return unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    """A text as quotations are compared: without differences of case and of blanks."""
    return _BLANK.sub(" ", text.casefold()).strip()


# --- numbers ---


def number(value: float) -> str:
    """The reading of a JSON number. The sign is left out: a refund of 5 may stand as -5."""
    text = repr(abs(value))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(4_096)
def readings(text: str) -> tuple[str, ...]:
    """What a written number may mean; () if it is none but a version, an address or the like."""
    marks = [c for c in text if not c.isdecimal()]
    if not marks:
        return (_joined(text, ""),)
    parts = re.split(r"[., ']", text)
    if len(set(marks)) == 1:
        mark, threes = marks[0], all(len(part) == 3 for part in parts[1:])  # noqa: PLR2004 - thousands
        grouped = threes and len(parts[0]) <= 3 and parts[0][0] != "0"  # noqa: PLR2004
        if len(marks) > 1:
            return (_joined("".join(parts), ""),) if grouped else ()
        whole, decimal = _joined("".join(parts), ""), _joined(parts[0], parts[1])
        if mark in ".,":
            return (whole, decimal) if grouped else (decimal,)
        return (whole,) if grouped else ()
    if marks[-1] in ".," and marks.count(marks[-1]) == 1 and len(set(marks[:-1])) == 1:
        return (_joined("".join(parts[:-1]), parts[-1]),)
    return ()


def digits(text: str) -> str:
    """The reading of a text of digits alone, such as an id."""
    return _joined(text, "")


def _joined(whole: str, decimals: str) -> str:
    # "007" may be an id, but "05" stands for 5; digits of all scripts become ours.
    if not whole.isascii():
        whole = "".join(str(int(digit)) for digit in whole)
    keep = len(whole) > 2 and not decimals  # noqa: PLR2004
    whole = whole if keep else whole.lstrip("0") or "0"
    if decimals and not decimals.isascii():
        decimals = "".join(str(int(digit)) for digit in decimals)
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def agree(one: str, other: str) -> bool:
    """Whether two measures may be the same: `$` is any kind of dollar."""
    if one == other:
        return True
    for family, sign in ((_DOLLARS, "$"), (_YEN, "¥"), (_CROWNS, "kr"), (_POUNDS, "pound")):
        if sign in {one, other} and one in family and other in family:
            return True
    return False


def _number(match: re.Match[str]) -> Iterator[Fact]:
    text, scale = match[0].strip(), match["scale"]
    sign = (match["before"] or match["after"] or match["symbol"] or "").strip().lower()
    measure = _MEASURES.get(sign, "")
    found = readings(match["number"])
    if scale and scale.lower() == "k" and measure not in CURRENCIES:
        yield Fact("id", text, (text.casefold(),))
        return
    if not found:
        yield Fact("id", text, (match["number"].casefold(),))
        return
    if scale:
        found = tuple(number_of_scaled(reading, _SCALES[scale.lower()]) for reading in found)
    kind: Kind = "number"
    if measure in CURRENCIES:
        kind = "amount"
    elif measure:
        kind = "percent" if measure == "%" else "quantity"
    yield Fact(kind, text, found, measure)


def number_of_scaled(reading: str, zeros: int) -> str:
    """A reading times a power of ten."""
    text = format(Decimal(reading).scaleb(zeros), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- dates and times ---


def _date(year: int | None, month: int, day: int) -> str | None:
    """`2026-03-12`, or `--03-12` without a year; None where no calendar has it."""
    if not (1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004
        return None
    return f"{'-' if year is None else format(year, '04')}-{month:02}-{day:02}"


def _iso(match: re.Match[str]) -> Iterator[Fact]:
    year, month, day = (int(part) for part in re.split("[-/]", match["iso"]))
    reading = _date(year, month, day)
    yield Fact("date", match["iso"], (reading,)) if reading else Fact("id", match["iso"], (match["iso"],))
    if match["iso_time"]:
        yield Fact("time", match["iso_time"], (match["iso_time"],))


def _named(match: re.Match[str]) -> Iterator[Fact]:
    name, day = match["month"] or match["month2"], match["day"] or match["day2"]
    month, year = _MONTHS[name[:3].lower()], match["year"] or match["year2"]
    reading = _date(int(year) if year else None, month, int(day))
    if reading is None and name in _VERBS:
        yield Fact("number", day, readings(day))
    else:
        # A day that no calendar has is one all the same: nobody was shown it.
        yield Fact("date", match[0].strip(" ,."), (reading or f"{year or '-'}-{month:02}-{int(day):02}",))


def _month_of_year(match: re.Match[str]) -> Iterator[Fact]:
    yield Fact("date", match[0], (f"{int(match['year3']):04}-{_MONTHS[match['month3'][:3].lower()]:02}",))


def _numeric(match: re.Match[str]) -> Iterator[Fact]:
    text = match["numeric"]
    mark = next(c for c in text if not c.isdecimal())
    one, other, year = (int(part) for part in text.split(mark))
    year += 2000 if year < 100 else 0  # noqa: PLR2004
    pairs = ((other, one),) if mark == "." else ((other, one), (one, other))
    found = tuple({reading: None for month, day in pairs if (reading := _date(year, month, day))})
    if found:
        yield Fact("date", text, found)
    else:
        yield Fact("id", text, (text,))


def _time(match: re.Match[str]) -> Iterator[Fact]:
    text = match["time"]
    digits = text.lower().rstrip("apm. ")
    hour, minute = int(digits.split(":")[0]), digits.split(":")[1] if ":" in digits else "00"
    half = text[len(digits) :].strip(" .").lower()[:1]
    hours = {hour % 12 + (12 if half == "p" else 0)} if half else {hour, hour + 12} if 1 <= hour < 12 else {hour}  # noqa: PLR2004
    if hour <= 24 and int(minute) < 60:  # noqa: PLR2004
        yield Fact("time", text.rstrip("."), tuple(sorted(f"{h:02}:{minute}" for h in hours)))


# --- ids and addresses ---


def _address(match: re.Match[str]) -> Iterator[Fact]:
    text = match[0].rstrip(".,;:!?)]}'*_>")
    reading = text.casefold()
    if not match["email"]:
        reading = reading.removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")
    yield Fact("address", text, (reading,))


def _phone(match: re.Match[str]) -> Iterator[Fact]:
    yield Fact("id", match["phone"], ("".join(c for c in match["phone"] if c.isdecimal()),))


def _id(match: re.Match[str]) -> Iterator[Fact]:
    text = match["id"].rstrip("_")
    counted = _COUNTED.fullmatch(text)
    if counted:
        found = readings(counted[1])
        if found:
            yield Fact("number", text, found)
        return
    reading = text.lstrip("#").casefold()
    if reading not in _NO_IDS:
        yield Fact("id", text, (_joined(reading, "") if reading.isdecimal() else reading,))


_READERS: dict[str, Callable[[re.Match[str]], Iterator[Fact]]] = {
    "url": _address,
    "email": _address,
    "domain": _address,
    "iso": _iso,
    "iso_time": _iso,
    "month": _named,
    "year": _named,
    "day2": _named,
    "year2": _named,
    "year3": _month_of_year,
    "numeric": _numeric,
    "time": _time,
    "phone": _phone,
    "number": _number,
    "scale": _number,
    "after": _number,
    "symbol": _number,
    "id": _id,
}


def marked(text: str) -> Iterator[Fact]:
    """The facts of a plain text that figures or signs give away: all but names and quotations. Raises TooMuch."""
    at = 0
    signs_left = SIGNS_MAX
    while sign := _SIGN.search(text, at):
        here = sign.start()
        signs_left -= 1
        if not signs_left:
            raise TooMuch
        match = _fact_around(text, at, here)
        if match is None:
            at = _REST_OF_WORD.match(text, here + 1).end()  # type: ignore[union-attr]
        else:
            at = match.end()
            reader = _READERS.get(match.lastgroup or "")
            if reader is not None:
                yield from reader(match)


def _fact_around(text: str, least: int, here: int) -> re.Match[str] | None:
    """The fact that begins in the word of a sign or in the one before, if there is one; not before `least`."""
    least = max(least, here - _WORD_CHARS_MAX)
    begin = text.rfind(" ", least, here) + 1 or least
    begin = text.rfind("\n", begin, here) + 1 or begin
    begin = text.rfind("\0", begin, here) + 1 or begin
    if begin > least and text[begin - 1] == " ":
        before = text[max(least, begin - _LEAD_CHARS_MAX) : begin].split()
        lead = before[-1].strip("(*\"'").rstrip(".,").lower() if before else ""
        if lead in _LEADS or lead[:3] in _MONTHS:
            begin = text.rfind(before[-1], least, begin)
    for start in _START.finditer(text, begin, here + 1):
        match = _FACT.match(text, start.start())
        if match is not None:
            return match
    return None


def quotes(text: str) -> Iterator[tuple[Fact, int, int]]:
    """What stands in quotation marks in a plain text, and where."""
    for match in _QUOTE.finditer(text):
        inner = next(part for part in match.groups() if part is not None)
        reading = folded(inner).rstrip(".,;:!? ")
        if reading:
            yield Fact("quote", inner, (reading,)), match.start(), match.end()


def without(text: str, spans: list[tuple[int, int]]) -> str:
    """A text with some of its parts taken out."""
    if not spans:
        return text
    starts = [0, *(end for _, end in spans)]
    ends = [*(start for start, _ in spans), len(text)]
    return ' " '.join(text[start:end] for start, end in zip(starts, ends, strict=True))
