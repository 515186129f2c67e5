"""The order desk of the examples on many orders, with agents that go wrong: what `recovery` and `plainly` share.

Requests are made from orders, which are made up, or those of tau-bench's retail world where INTERLOCK_BENCH_RETAIL
names its folder (with numbers and dates of ours: the numbers follow one another, so that a slip of a digit often names
another order). The agents are those of the example, but that the writer has many wordings. Nothing waits: time is
virtual.

Faults are the injector's, and beside them slips: replies that nobody can tell from good ones by what was shown.
"""

import asyncio
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench.figures import NotMeasured
from bench.folders import ROOT
from interlock.agents.tools import Workshop
from interlock.core.job import Job, Reply
from interlock.ports import Adapter, Began
from interlock.team import Team
from interlock.team.load import load
from interlock.testing.chance import Chance
from interlock.testing.injection.adapters import FaultyAdapter
from interlock.testing.injection.faults import Fault, Faults, Injection
from interlock.wiring import adapters

VARIABLE = "INTERLOCK_BENCH_RETAIL"
SPLIT = "INTERLOCK_BENCH_SPLIT"
SEED = 20_261_122
EXAMPLE = ROOT / "examples" / "order_desk"
ORDERS = 1_000
FIRST_NUMBER = 1_000
# How long an agent takes.
SECONDS_MIN, SECONDS_MAX = 0.2, 1.8
# Of a hundred customers so many forget the number of their order, give one that there isn't, and mention another one.
WITHOUT_NUMBER, UNKNOWN_NUMBER, TWO_NUMBERS = 3, 2, 20

CUSTOMERS = ["Ada", "Ravi", "Elif", "Zoe", "Noah", "Mei", "Jonas", "Amara", "Ines", "Tariq", "Olga", "Kenji"]
FAMILIES = ["Brandt", "Menon", "Kaya", "Martin", "Okafor", "Lindqvist", "Saito", "Ferreira", "Halloran", "Zeller"]
GOODS = {
    "water kettle": 42.5, "garden hose": 27.2, "office chair": 189.0, "tea set": 48.3, "desk lamp": 34.9,
    "wool blanket": 59.0, "rain jacket": 84.95, "bread knife": 23.75, "bicycle pump": 19.9, "Oslo armchair": 412.4,
}  # fmt: skip
STATUSES = ("packing", "shipped", "delivered")

# What customers write, and how the writer answers: one half to tune on, one half to report on.
MESSAGES = {
    "tune": (
        "The {item} of order {id} arrived broken. I want my money back.",
        "I would like to return what I got with {id}.",
        "Please cancel order {id}, I changed my mind.",
        "Where is my order {id}?",
        "Can I track {id}? It was to be here by now.",
        "Please refund {id}, it is damaged.",
    ),
    "report": (
        "Hello, this is {first}. My parcel {id} came damaged, can I have my money back?",
        "Order {id}: I'd like to return the {item}.",
        "Is it too late to cancel {id}?",
        "I don't want the {item} any more ({id}).",
        "When will {id} arrive?",
        "What is the status of {id}, please?",
    ),
}
MENTION = {"tune": " My other order, {other}, was fine.", "report": " It's not about {other}, that one I have."}
WORDINGS = {
    "tune": (
        "Dear {full}, thank you for asking about order {id} of {date} ({items}). {closing}",
        "Hello {first},\n\nwe have looked at {id}. {closing}\n\nKind regards,\nThe Order Desk",
        "Hi {first}! Order {id}, placed on {day_month}, was ${total:.2f}. {closing}",
        "{closing} This is about your order {id} from {long_date}: {items}.",
        "Good morning {full}. We found your order {id} ({items}, {total:.2f} USD). {closing}",
        "Re: order {id}\n\nDear customer, your {items} was ordered on {date}. {closing}",
    ),
    "report": (
        "Thanks for getting in touch, {first}. Your order {id} dated {long_date} came to ${total:,.2f}. {closing}",
        "Dear {full},\nyour message about {id} has reached us. {closing}\nWith best wishes\nCustomer care",
        "Order {id} ({items}) was placed on {date}. {closing} Write to us at any time, {first}.",
        "We've checked {id} for you, {first}. On {day_month} you ordered: {items}. {closing}",
        "{first}, about the {items}: {closing} Please quote {id} if you answer.",
        "Summary for {full}\n- order: {id}\n- ordered: {long_date}\n- total: USD {total:.2f}\n\n{closing}",
    ),
}


# --- orders and requests ---


class Case(msgspec.Struct):
    """A request, and the number of the order that is meant."""

    request: dict[str, Any]
    number: str


def orders() -> list[dict[str, Any]]:
    """In the form of the example's. Raises NotMeasured."""
    folder = os.environ.get(VARIABLE)
    random = Random(SEED)
    bought = _bought_in_retail(Path(folder)) if folder else _made_up(random)
    return [_order(n, *sale, random) for n, sale in enumerate(bought)]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that a breaker has opened: there are hundreds."""
    log = logging.getLogger("interlock")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def note() -> str:
    """What is to be said about where the orders come from."""
    return "" if os.environ.get(VARIABLE) else f"on orders made up here: {VARIABLE} is not set"


def split() -> str:
    """Which half: `report`, or `tune` where it is asked for."""
    return "tune" if os.environ.get(SPLIT) == "tune" else "report"


Sale = tuple[str, list[dict[str, Any]], str]


def _made_up(random: Random) -> Iterator[Sale]:
    for _ in range(ORDERS):
        names = random.sample([*GOODS], random.choice((1, 1, 2)))
        items = [{"name": name, "price": GOODS[name]} for name in names]
        yield f"{random.choice(CUSTOMERS)} {random.choice(FAMILIES)}", items, random.choice(STATUSES)


def _bought_in_retail(folder: Path) -> Iterator[Sale]:
    try:
        found = json.loads((folder / "orders.json").read_text("utf-8"))
        users = json.loads((folder / "users.json").read_text("utf-8"))
    except OSError as error:
        raise NotMeasured(f"{VARIABLE} names a folder without {error.filename}") from None
    statuses = {"delivered": "delivered", "processed": "shipped", "pending": "packing"}
    for order in found.values():
        if order["status"] in statuses:
            name = users[order["user_id"]]["name"]
            items = [{"name": item["name"], "price": item["price"]} for item in order["items"]]
            yield f"{name['first_name']} {name['last_name']}", items, statuses[order["status"]]


def _order(n: int, customer: str, items: list[dict[str, Any]], status: str, random: Random) -> dict[str, Any]:
    return {
        "id": f"A-{FIRST_NUMBER + n}",
        "customer": customer,
        "date": str(date(2026, 1, 1) + timedelta(days=random.randrange(300))),
        "items": items,
        "total": round(sum(item["price"] for item in items), 2),
        "status": status,
        "days_since_delivery": random.randrange(1, 60) if status == "delivered" else 0,
    }


def cases(known: list[dict[str, Any]], half: str, number: int) -> list[Case]:
    """So many requests about the orders of this half."""
    random = Random(f"{SEED} {half}")
    own = known[half == "report" :: 2]
    return [_case(own[n % len(own)], own, half, random) for n in range(number)]


def _case(order: dict[str, Any], own: list[dict[str, Any]], half: str, random: Random) -> Case:
    message, luck = random.choice(MESSAGES[half]), random.randrange(100)
    number = order["id"]
    if luck < WITHOUT_NUMBER:
        message = message.replace("{id}", "mine")
    elif luck < WITHOUT_NUMBER + UNKNOWN_NUMBER:
        number = f"A-{random.randrange(8_000, 9_000)}"
    elif luck < WITHOUT_NUMBER + UNKNOWN_NUMBER + TWO_NUMBERS:
        message += MENTION[half]
    other = next(o["id"] for o in random.sample(own, len(own)) if not _is_slip(o["id"], order["id"]))
    given = {"id": number, "other": other, "item": order["items"][0]["name"], "first": order["customer"].split()[0]}
    return Case({"request": {"message": message.format(**given)}}, order["id"])


def _is_slip(number: str, other: str) -> bool:
    """Whether the injector could make the one of the other: then an altered number would be one that was shown."""
    return number[2:] == other[:1:-1] or number[:-1] == other[:-1]


# --- the team ---


class Desk(msgspec.Struct):
    """The team of the example on these orders. agents: its adapters, all good."""

    team: Team
    agents: dict[str, Adapter]
    module: Any


def desk(folder: Path, known: list[dict[str, Any]], half: str) -> Desk:
    """The example, copied into a folder, with these orders and a writer that has this half's wordings."""
    copied = Path(shutil.copytree(EXAMPLE, folder / "order_desk", ignore=shutil.ignore_patterns(".*", "__pycache__")))
    (copied / "orders.json").write_text(json.dumps(known), encoding="utf-8")
    team = load(copied)
    agents = adapters(team, Workshop.of(team))
    module = sys.modules["desk"]
    agents["writer"] = Writer(WORDINGS[half], module.closing)
    return Desk(team, agents, module)


class Writer:
    """The example's writer, but in many wordings."""

    slots = None

    def __init__(self, wordings: tuple[str, ...], closing: Callable[..., str]) -> None:
        self._wordings, self._closing = wordings, closing

    async def call(self, job: Job, began: Began) -> Any:
        """Answer, in the wording that this order gets."""
        began()
        order, decision = job.view["order"], job.view["decision"]
        ordered = date.fromisoformat(order["date"])
        text = Chance(SEED).pick(self._wordings, order["id"])
        return {
            "reply.text": text.format(
                full=order["customer"],
                first=order["customer"].split()[0],
                id=order["id"],
                date=order["date"],
                long_date=f"{ordered.day} {ordered:%B} {ordered.year}",
                day_month=f"{ordered:%B} {ordered.day}",
                items=" and ".join(item["name"] for item in order["items"]),
                total=order["total"],
                closing=self._closing(order, decision),
            )
        }

    async def close(self) -> None:
        """Nothing is open."""


# --- what goes wrong ---


def faults_of(shares: Mapping[str, float]) -> Faults:
    """Faults that strike exactly these shares of all calls: each is drawn for those that the ones before it left."""
    found, left = [], 1.0
    for kind, share in shares.items():
        if share:
            found.append(Fault(fault=kind, probability=share / left))
            left -= share
    return Faults(found)


class Struck(msgspec.Struct):
    """A call that was broken on purpose. job: what the agent was handed."""

    kind: str
    declared: str
    job: Job

    @property
    def key(self) -> tuple[str, str, int]:
        return self.job.run_id, self.job.step, self.job.attempt


class Saboteur:
    """Breaks calls, as these faults and this share of slips say, and keeps a list of what it broke.

    slips: the share of the calls that no fault strikes, of those agents that can slip.
    """

    def __init__(self, made: Desk, faults: Faults, slips: float, seed: int) -> None:
        self.struck: list[Struck] = []
        self.calls = 0
        self._faults, self._slips, self._chance = faults, slips, Chance(seed)
        self._keys: set[tuple[str, str, int]] = set()
        rules = made.team.rules
        self.adapters: dict[str, Adapter] = {
            name: _Slipping(FaultyAdapter(inner, rules, faults, self._chance, label=label, note=self._noted), self)
            for name, inner in made.agents.items()
        }

    def _noted(self, job: Job, injection: Injection) -> None:
        self._note(job, injection.kind, injection.fault.fault)

    def _note(self, job: Job, kind: str, declared: str) -> None:
        found = Struck(kind, declared, job)
        self.struck.append(found)
        self._keys.add(found.key)

    def share(self, what: str, job: Job) -> float:
        """A draw for a call."""
        return self._chance.share(what, label(job.run_id), job.step, job.attempt)

    def slip(self, job: Job, answer: Any) -> Any:
        """The answer, or a slip of it, where this call is one's and no fault has struck it."""
        if (job.run_id, job.step, job.attempt) in self._keys or self.share("slip", job) >= self._slips:
            return answer
        found = slipped(job, answer, self._chance.stream("slipped", label(job.run_id), job.step, job.attempt))
        if found is None:
            return answer
        kind, slip = found
        self._note(job, kind, "slip")
        return slip


class _Slipping:
    """An adapter whose good answers slip now and then."""

    def __init__(self, inner: Adapter, saboteur: Saboteur) -> None:
        self.slots = inner.slots
        self._inner, self._saboteur = inner, saboteur

    async def call(self, job: Job, began: Began) -> Any:
        """The inner one's answer after a while, or a slip of it."""
        self._saboteur.calls += 1
        await asyncio.sleep(SECONDS_MIN + (SECONDS_MAX - SECONDS_MIN) * self._saboteur.share("seconds", job))
        return self._saboteur.slip(job, await self._inner.call(job, began))

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()


def label(run_id: str) -> str:
    """What a run is called in the draws: its row."""
    return f"run-{run_id.rpartition('-')[2]}"


KEYS = ("case", "order", "decision")
NUMBER = re.compile(r"A-\d{4}")
NEGATED = (
    (" was placed", " was not placed"), (" was ordered", " was never ordered"), ("We found", "We didn't find"),
    (" has reached", " hasn't reached"), ("We've checked", "We've not checked"), ("we have looked", "we never looked"),
    ("We refund", "We don't refund"), ("It is cancelled", "It isn't cancelled"), ("can't do", "can do"),
    ("It is ", "It is not "),
)  # fmt: skip


def slipped(job: Job, answer: Any, random: Random) -> tuple[str, Any] | None:
    """A kind of slip and the answer with it; None where this one can't slip."""
    if not isinstance(answer, dict):
        return None
    if "case.wish" in answer:
        numbers = [word for word in NUMBER.findall(job.view["request.message"]) if word != answer["case.order_id"]]
        if numbers and random.random() < 0.5:
            return "other_order", answer | {"case.order_id": numbers[0]}
        wishes = [wish for wish in ("refund", "cancel", "status") if wish != answer["case.wish"]]
        return "wrong_label", answer | {"case.wish": random.choice(wishes)}
    text = answer.get("reply.text", "")
    fitting = [pair for pair in NEGATED if pair[0] in text]
    return ("negated", {"reply.text": text.replace(*random.choice(fitting), 1)}) if fitting else None


def writes_of(answer: Any) -> dict[str, Any] | None:
    """What a reply writes; None where it is none."""
    if isinstance(answer, Reply):
        return None if answer.ask is not None else dict(answer.writes)
    return answer if isinstance(answer, dict) else None


async def as_it_should_be(made: Desk, case: Case) -> dict[str, Any]:
    """The fields that a run of good agents comes to; `texts` are the answers that are right. Empty if it asks."""
    context: dict[str, Any] = dict(case.request)
    for step in made.team.rules.plan.declared:
        answer = await made.agents[step.agent].call(job_of(step, step.agent, "truth-0", 1, context), began)
        writes = writes_of(answer)
        if writes is None:
            return {}
        put(context, writes)
    forms = await made.agents["forms"].call(job_of(step, "forms", "truth-0", 1, context), began)
    return context | {"texts": [context["reply"]["text"], forms["reply.text"]]}


def is_right(context: Mapping[str, Any], truth: Mapping[str, Any]) -> bool:
    """Whether the values that the house uses are those that good agents come to; what else stands there is left out."""
    text = context["reply"].get("text") if isinstance(context.get("reply"), Mapping) else None
    return (
        bool(truth)
        and text in truth["texts"]
        and _as_json([*map(context.get, KEYS)]) == _as_json([*map(truth.get, KEYS)])
    )


def _as_json(value: Any) -> bytes | None:
    """None where it is no JSON."""
    try:
        return msgspec.json.encode(value, order="sorted")
    except (TypeError, ValueError):
        return None


def began(*, fault: str = "") -> None:
    """Nobody listens."""


class PlainView(Mapping[str, Any]):
    """A context as agents see it where nothing is kept from them: dotted paths, and all of it."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree

    def __getitem__(self, path: str) -> Any:
        found: Any = self._tree
        for part in path.split("."):
            if not isinstance(found, dict):
                raise KeyError(path)
            found = found[part]
        return found

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in _leaves(self._tree, ""))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _leaves(tree: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def job_of(step: Any, agent: str, run_id: str, attempt: int, context: dict[str, Any]) -> Job:
    """What an agent is handed where there is no runtime."""
    return Job(
        view=PlainView(context), run_id=run_id, step=step.id, agent=agent, action=step.action, attempt=attempt,
        idempotency_key="",
    )  # fmt: skip


def put(context: dict[str, Any], writes: Mapping[str, Any]) -> None:
    """Write whatever it is, a copy of it: the database of this process must not change with it."""
    for path, value in writes.items():
        *above, last = path.split(".")
        place = context
        for part in above:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = deepcopy(value)
