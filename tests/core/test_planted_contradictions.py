"""Generated readings of documents with planted contradictions: each of them is found, and nothing else is."""

from collections import Counter
from random import Random

import msgspec
import pytest

from interlock.core.conflicts import Candidate, compared, resolved
from interlock.core.reconcile import Reconcile

SAME = {"amount": "number", "on": "date", "name": "text"}
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
KINDS = ("amount", "on", "name", "code", "tags")


def value(kind, random):
    """A value, and other ways to say it."""
    if kind == "amount":
        number = random.randint(1_000, 999_999) + random.choice([0.0, 0.25, 0.5])
        whole = f"{number:,.2f}"
        swapped = whole.replace(",", " ").replace(".", ",")
        return number, [whole, swapped, f"{number:.2f}", str(number), f" {number} "]
    if kind == "on":
        year, month, day = random.randint(1950, 2050), random.randint(1, 12), random.randint(1, 28)
        iso = f"{year}-{month:02}-{day:02}"
        return iso, [
            f"{day} {MONTHS[month - 1]} {year}",
            f"{day:02}.{month:02}.{year}",
            f"{MONTHS[month - 1][:3]} {day}, {year}",
        ]
    if kind == "name":
        name = " ".join(random.choice(["Ann", "Bo", "Castell", "Finch", "Quay"]) for _ in range(3))
        return name, [name.upper(), name.lower(), f" {name.replace(' ', '  ')}"]
    if kind == "code":
        return f"INV-{random.randrange(10**6)}", []
    return random.sample(["a", "b", "c", "d"], 2), []


def contradicting(kind, original, random):
    """Another value of this kind, which says something else; often by very little."""
    if kind == "amount":
        return original + random.choice([0.01, -1, 1e-9 if original < 1 else 1, original * 9])
    if kind == "code":
        return random.choice([original.lower(), original + " ", None])
    if kind == "tags":
        return original[::-1]
    while (other := value(kind, random)[0]) == original:
        pass
    return other


def document(random):
    """Readings by three, with decoys, and the paths where they contradict each other."""
    tree = {f"{kind}_{n}": kind for n in range(random.randint(1, 3)) for kind in KINDS}
    nested = random.random() < 0.5
    readings, planted = [{}, {}, {}], set()
    for name, kind in tree.items():
        original, ways = value(kind, random)
        said = [original, *(random.choice([original, *ways]) for _ in range(2))]
        if random.random() < 0.25:
            said[random.randrange(3)] = contradicting(kind, original, random)
            planted.add(f"deal.{'part.' if nested else ''}{name}")
        elif random.random() < 0.2:
            said[random.randrange(3)] = ...  # one that doesn't say it
        for reading, one in zip(readings, said, strict=True):
            if one is not ...:
                (reading.setdefault("part", {}) if nested else reading)[name] = one
    return readings, planted


def declared(policy):
    forms = {}
    for n in range(3):
        for name, form in SAME.items():
            forms |= {f"{name}_{n}": form, f"part.{name}_{n}": form}
    return Reconcile.of({"among": "said", "policy": policy, "same": forms, "otherwise": "dead"})


def planted(documents):
    """Reconcile so many documents; what was planted, found, and told besides."""
    random, seen, how = Random(28), Counter(), declared("first")
    for _ in range(documents):
        readings, meant = document(random)
        raws = [msgspec.json.decode(msgspec.json.encode(reading)) for reading in readings]
        candidates = [Candidate(reading, (f"s{n}",)) for n, reading in enumerate(raws)]
        fields = [*compared(candidates, how, "deal")]
        found = {field.path for field in fields if field.contradictory}
        seen.update(documents=1, fields=len(fields), planted=len(meant), found=len(found & meant))
        seen.update(missed=len(meant - found), told_besides=len(found - meant))
        result = resolved(fields, candidates, how, None)
        assert {one.path for one in result.settled} == found
        stray = [field.path for field in fields if _at(result.value, field.keys) not in _said(raws, field.keys)]
        seen.update(made_up=len(stray))
    return seen


def _at(tree, keys):
    for key in keys:
        tree = tree.get(key, ...)
        if tree is ...:
            return ...
    return tree


def _said(readings, keys):
    return [_at(reading, keys) for reading in readings]


def check(documents):
    seen = planted(documents)
    print(dict(seen))  # noqa: T201 - shown with -s
    assert (seen["missed"], seen["told_besides"], seen["made_up"]) == (0, 0, 0)
    assert seen["planted"] == seen["found"] > documents


def test_every_planted_contradiction_is_found_and_no_decoy_is_told():
    check(500)


@pytest.mark.thorough
def test_in_ten_thousand_documents_too():
    check(10_000)
