"""Replies about orders, made of templates and the facts of one order, and the same with one fact altered.

A reply is a template of ours, filled with the facts of one order: its amounts, dates, ids and names, each written in
one of many ways. One fact of it is then altered, a kind of edit at a time: an amount, date, id, name or unit; a `not`
put in; two facts of a kind swapped. What an edit says is never in the order. The dates are made up, because orders have
none.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench.figures import NotMeasured

SEED = 20_261_122
ORDERS = 500

TUNE = [
    (
        "Dear {name.first},\n\nthank you for your message. Your order {id.order} of {date.ordered} {not.was} charged "
        "to {id.payment}: {amount.total} in all. The {name.item} ({unit.option}) costs {amount.price}.\n\nKind "
        "regards,\nCustomer Service"
    ),
    (
        "Hello {name.full}, the {name.item} for {amount.price} and the {name.item2} for {amount.price2} {not.were} "
        "shipped on {date.due}. You can follow the parcel under {id.tracking}."
    ),
    (
        "Hi {name.first}! We've checked order {id.order}. It {not.is} on its way to {name.street} in {name.city}, and"
        " should arrive by {date.due}. Please tell us at once if {id.email} isn't your address any more."
    ),
    (
        "**Order summary**\n- Order: {id.order}\n- Customer: {name.full}\n- Item: {name.item} (item {id.item}), "
        "{unit.option}\n- Total: {amount.total}\n- Ordered: {date.ordered}\n\nThe payment {not.was} received."
    ),
    (
        "{name.first}'s order from {date.ordered} contains the {name.item2}, which {not.can} be exchanged until "
        "{date.due}. A difference of price to {amount.price2} will be settled with {id.payment}."
    ),
    (
        "We're sorry for the trouble, Ms. {name.last}. The refund of {amount.price} for the {name.item} {not.has} "
        'been approved; the status is now "{quote.status}". Reference: {id.order}.'
    ),
    (
        "Good morning {name.first},\nwe have looked into it: order {id.order} was placed on {date.ordered} and "
        "{not.is} {quote.status}. {amount.total} was taken from {id.payment}. Your {name.item}, {unit.option}, goes "
        "to {name.city}.\n\nBest regards\nThe Support Team"
    ),
    (
        "The customer {name.full} ({id.email}) asks about a {name.item} with the number {id.item}. It cost "
        "{amount.price}, and {not.was} part of an order over {amount.total}. Delivery is planned for {date.due}."
    ),
    (
        "Thanks for reaching out. According to our records, the {name.item2} at {amount.price2} {not.has} left our "
        "warehouse. It should reach {name.street} on {date.due}; the tracking number is {id.tracking}. Anything else,"
        " {name.first}?"
    ),
    (
        "Subject: Your return of {date.ordered}\n\nDear Mr. {name.last},\n\nYou asked for {amount.price} back. Since "
        "the {name.item} ({unit.option}) {not.can} be returned until {date.due}, we will book the amount to "
        "{id.payment} within a few days.\n\nSincerely,\nYour team"
    ),
    (
        "Summary: {name.first} {name.last} in {name.city} ordered on {date.ordered}. 1. {name.item}: {amount.price}. "
        "2. {name.item2}: {amount.price2}. Both {not.were} delivered. See {id.order} for more."
    ),
    (
        "Unfortunately, {name.item2} deliveries to {name.city} are late. Order {id.order} {not.will} be sent again on"
        " {date.due}, free of charge, and you keep the {amount.total} voucher. Write to us from {id.email} at any "
        "time."
    ),
    (
        "Hey {name.first}, quick update: we got your {name.item} back, and {amount.price} {not.was} sent to "
        "{id.payment} on {date.due}. Ping us with {id.order} if it doesn't show up."
    ),
    (
        "| Item | Price |\n|---|---|\n| {name.item} | {amount.price} |\n| {name.item2} | {amount.price2} "
        "|\n\nOrdered {date.ordered}, paid with {id.payment}. The parcel {id.tracking} {not.is} with the carrier "
        "for {name.city}."
    ),
    (
        "To whom it may concern: this is to certify that {name.full}, residing at {name.street}, {name.city}, "
        "{not.has} paid the sum of {amount.total} for order {id.order} dated {date.ordered}."
    ),
    (
        "Internal note. Customer ({id.email}) wants to swap the {name.item} ({unit.option}, item {id.item}) for a "
        "{name.item2}. Price difference based on {amount.price} vs {amount.price2}. {name.last} {not.can} get this "
        'done before {date.due}. Current state: "{quote.status}".'
    ),
    (
        "Hi there!\n\nGreat news - {name.first} {name.last}'s {name.item} {not.will} arrive in {name.city} on "
        "{date.due}.\n\n* Order number: {id.order}\n* Amount due: {amount.total}\n* Tracking code: "
        "{id.tracking}\n\nCheers!"
    ),
    (
        "I understand that the {name.item2} you received on {date.due} isn't what you expected, {name.first}. We "
        "{not.can} refund {amount.price2} of the {amount.total} you paid; just reply from {id.email} and quote "
        "{id.order}."
    ),
]
REPORT = [
    (
        "{name.full} called about order {id.order}. {name.first} {not.was} told that the {name.item} ships on "
        "{date.due} and that {amount.price} stays reserved on {id.payment}."
    ),
    (
        "Dear customer,\n\nYour {name.item2} from {date.ordered} {not.has} reached us. Within the next days you "
        "will get {amount.price2}. Refer to {id.order} in case of questions.\n\nYours sincerely\nCustomer Care"
    ),
    (
        "Order {id.order} / {name.last}, {name.city}\nPaid: {amount.total} ({id.payment})\nPromised for: "
        "{date.due}\nContents: {name.item} [{unit.option}] at {amount.price}; {name.item2} at {amount.price2}\nThe "
        "parcel {not.can} be tracked as {id.tracking}."
    ),
    (
        "No worries, {name.first}, nothing is lost! The {name.item} ({amount.price}) you ordered on {date.ordered} "
        "{not.is} being sent to {name.street}. {name.city} usually takes a little longer. Should it fail to arrive "
        "by {date.due}, tell us and mention {id.item}."
    ),
    (
        "As of today, {amount.total} {not.were} captured for the order placed {date.ordered} by {name.last} "
        "({id.email}). That includes one {name.item2} priced at {amount.price2} and one {name.item}. The record is "
        'marked "{quote.status}".'
    ),
    (
        "1) Confirm with {name.full} that {name.street} is right. 2) Send the {name.item}, {unit.option}, before "
        "{date.due}. 3) Once done, release {amount.price} to {id.payment}. Note: {id.order} {not.will} close by "
        "itself."
    ),
]
FIRST = [
    "Olga",
    "Pedro",
    "Wiebke",
    "Tunde",
    "Marisol",
    "Kenji",
    "Astrid",
    "Bogdan",
    "Farida",
    "Lennart",
    "Oriana",
    "Casimir",
    "Thandi",
    "Ruben",
    "Yasmin",
    "Eero",
]
LAST = "Okafor Lindqvist Marchetti Dragomir Saito Vandenberg Abiodun Kowalczyk Ferreira Halloran Nakata Zeller".split()  # noqa: SIM905
CITIES = "Tampere Leipzig Coimbra Aarhus Nagoya Cork Toledo Utrecht Brno Malmo Bergen Graz".split()  # noqa: SIM905
STREETS = ["12 Juniper Way", "480 Harbour Row", "77 Quarry Hill", "9 Foundry Passage", "331 Orchard Crescent"]
THINGS = [
    "Espresso Grinder", "Rain Barrel", "Camping Stove", "Bicycle Trailer", "Piano Bench", "Pocket Microscope",
    "Leather Satchel", "Garden Shears", "Chess Clock", "Violin Case", "Snow Shovel", "Bread Slicer",
]  # fmt: skip
MEASURES = ["750ml", "2 liters", "14-inch", "25 lbs", "6 hours", "512GB", "3 ft", "90 cm"]
OTHER_UNITS = {"ml": "g", "l": "kg", "liter": "gallon", "liters": "gallons", "inch": "cm", "inches": "cm", "ft": "m"}
OTHER_UNITS |= {"lbs": "kg", "hours": "days", "gb": "TB", "tb": "GB", "cm": "inches", "mah": "V", "cups": "liters"}
OTHER_UNITS |= {"bar": "volts", "degrees": "percent"}
MEASURED = re.compile(r"(\d+(?:\.\d+)?)([ -]?)([a-z]+)", re.IGNORECASE)
NEGATED = {"was": "was not", "were": "weren't", "is": "is not", "can": "cannot", "has": "hasn't", "will": "will not"}
SLOT = re.compile(r"\{(\w+)\.(\w+)\}")


class Order(msgspec.Struct):
    """What is known of one order: the tree that an agent is shown, and the facts that replies are made of."""

    tree: dict[str, Any]
    facts: dict[str, Any]
    lower: str


class Slot(msgspec.Struct):
    """A place in a reply: a kind of fact, its value, and how values are written there."""

    kind: str
    value: Any
    write: Callable[[Any], str]

    def __str__(self) -> str:
        return self.write(self.value)


# --- orders ---


def orders_of_retail(folder: Path) -> Iterator[Order]:
    """Orders of tau-bench's retail world that hold two different items."""
    try:
        orders = json.loads((folder / "orders.json").read_text("utf-8"))
        users = json.loads((folder / "users.json").read_text("utf-8"))
    except OSError as error:
        raise NotMeasured(f"there is no {error.filename}") from None
    random = Random(SEED)
    for order in orders.values():
        names = {item["name"] for item in order["items"]}
        if len(names) > 1 and order["payment_history"] and order["fulfillments"]:
            yield _order(order, users[order["user_id"]], random)
        elif len(names) > 1 and order["payment_history"]:
            order["fulfillments"] = [{"tracking_id": [str(random.randrange(10**11, 10**12))], "item_ids": []}]
            yield _order(order, users[order["user_id"]], random)


def made_up_orders() -> Iterator[Order]:
    """Orders of our own, in the same form."""
    random = Random(SEED)
    for _ in range(ORDERS):
        first, last = random.choice(FIRST[:8]), random.choice(LAST[:7])
        items = [
            {"name": name, "item_id": str(random.randrange(10**9, 10**10)),
             "price": random.randrange(900, 90_000) / 100,
             "options": {"size": random.choice(MEASURES)}}
            for name in random.sample(THINGS[:6], 2)
        ]  # fmt: skip
        order = {
            "order_id": f"#R{random.randrange(10**6, 10**7)}", "items": items,
            "status": random.choice(["sent", "open"]),
            "fulfillments": [{"tracking_id": [str(random.randrange(10**11, 10**12))]}],
            "payment_history": [{"amount": round(sum(item["price"] for item in items), 2),
                                 "payment_method_id": f"card_{random.randrange(10**6, 10**7)}"}],
        }  # fmt: skip
        user = {
            "name": {"first_name": first, "last_name": last},
            "email": f"{first}.{last}{random.randrange(1000, 9999)}@example.com".lower(),
            "address": {"address1": random.choice(STREETS[:3]), "city": random.choice(CITIES[:6])},
        }
        yield _order(order, user, random)


def _order(order: dict[str, Any], user: dict[str, Any], random: Random) -> Order:
    ordered = date(2026, 1, 1) + timedelta(days=random.randrange(300))
    due = ordered + timedelta(days=random.randrange(3, 30))
    dated = order | {
        "ordered_at": f"{ordered}T{random.randrange(8, 20):02}:{random.randrange(60):02}:00Z",
        "due": str(due),
    }
    if random.random() < 0.5:
        dated["currency"] = "USD"
    tree = {"order": dated, "customer": {key: user[key] for key in ("name", "email", "address")}}
    one = random.choice(order["items"])
    other = random.choice([item for item in order["items"] if item["name"] != one["name"]])
    measured = [value for value in one["options"].values() if _unit(value) in OTHER_UNITS]
    facts = {
        "first": user["name"]["first_name"], "last": user["name"]["last_name"],
        "full": f"{user['name']['first_name']} {user['name']['last_name']}", "city": user["address"]["city"],
        "street": user["address"]["address1"], "email": user["email"], "order": order["order_id"],
        "payment": order["payment_history"][0]["payment_method_id"], "total": order["payment_history"][0]["amount"],
        "tracking": order["fulfillments"][0]["tracking_id"][0], "ordered": ordered, "due": due, "item": one["name"],
        "price": one["price"], "item2": other["name"], "price2": other["price"], "status": order["status"],
        "option": measured[0] if measured else next(iter(one["options"].values()), "new"),
    }  # fmt: skip
    facts["item_id"] = one["item_id"]
    return Order(tree, facts, json.dumps(tree).lower())


def _unit(value: str) -> str:
    match = MEASURED.fullmatch(value)
    return match[3].lower() if match else ""


# --- replies ---


def filled(template: str, order: Order, random: Random) -> list[str | Slot]:
    """A reply, its facts apart."""
    parts: list[str | Slot] = []
    end = 0
    for match in SLOT.finditer(template):
        parts.append(template[end : match.start()])
        end = match.end()
        kind, what = match.groups()
        value = what if kind == "not" else order.facts["item_id" if (kind, what) == ("id", "item") else what]
        parts.append(
            Slot(kind, value, random.choice(WRITERS.get(kind, [str])) if (kind, what) != ("id", "email") else str)
        )
    return [*parts, template[end:]]


def _german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def _day(day: date, form: str) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day not in {11, 12, 13} else 0, "th")
    return form.format(day=day, d=day.day, m=day.month, th=f"{day.day}{ending}")


WRITERS: dict[str, list[Callable[[Any], str]]] = {
    "amount": [
        lambda v: f"${v:,.2f}",
        lambda v: f"${v:.2f}",
        lambda v: f"USD {v:,.2f}",
        lambda v: f"{v:,.2f} USD",
        lambda v: f"{_german(v)} USD",
        lambda v: f"{v:.2f} dollars",
        lambda v: f"US${v:,.2f}",
    ],
    "date": [
        str,
        lambda v: _day(v, "{d} {day:%B} {day:%Y}"),
        lambda v: _day(v, "{day:%b} {d}, {day:%Y}"),
        lambda v: _day(v, "{day:%B} {th}"),
        lambda v: _day(v, "{th} of {day:%B}"),
        lambda v: _day(v, "{day:%d}/{day:%m}/{day:%Y}"),
        lambda v: _day(v, "{m}/{d}/{day:%Y}"),
        lambda v: _day(v, "{day:%d}.{day:%m}.{day:%Y}"),
    ],
    "id": [str, str, lambda v: v.lstrip("#"), lambda v: f"#{v.lstrip('#')}", lambda v: v.lower(), lambda v: v.upper()],
    "name": [str, str, str, lambda v: f"{v}"],
}


def edited(parts: list[str | Slot], kind: str, order: Order, random: Random) -> list[str | Slot] | None:
    """The reply with one fact altered; None where it holds none of this kind."""
    if kind == "swap":
        return _swapped(parts, random)
    wanted = {"negation": {"not"}, "unit": {"unit", "amount"}}.get(kind, {kind})
    places = [n for n, part in enumerate(parts) if isinstance(part, Slot) and part.kind in wanted]
    random.shuffle(places)
    for n in places:
        slot = parts[n]
        assert isinstance(slot, Slot)
        before = str(slot)
        for _ in range(20):
            text = EDITORS[kind](slot, order, random)
            if text is not None and text.lower() != before.lower():
                return [*parts[:n], text, *parts[n + 1 :]]
    return None


def _swapped(parts: list[str | Slot], random: Random) -> list[str | Slot] | None:
    slots = [
        n for n, part in enumerate(parts) if isinstance(part, Slot) and part.kind in {"amount", "date", "id", "name"}
    ]
    pairs = [
        (one, other)
        for one in slots
        for other in slots
        if one < other and parts[one].kind == parts[other].kind and parts[one].value != parts[other].value  # type: ignore[union-attr]
    ]
    if not pairs:
        return None
    one, other = random.choice(pairs)
    result = list(parts)
    result[one], result[other] = parts[other], parts[one]
    return result


def _other_amount(slot: Slot, order: Order, random: Random) -> str | None:
    cents = str(round(slot.value * 100))
    at = random.randrange(len(cents))
    ways = [
        lambda: cents[:at] + str(random.randrange(1, 10)) + cents[at + 1 :],
        lambda: cents[:at] + cents[at + 1 : at + 2] + cents[at] + cents[at + 2 :],
        lambda: cents + "0",
        lambda: str(int(cents) + random.choice([-500, 500, 1000, -100, 100])),
        lambda: str(random.randrange(500, 90_000)),
    ]
    value = int(random.choice(ways)() or "0") / 100
    taken = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", order.lower)}
    return None if value <= 0 or value in taken else slot.write(value)


def _other_date(slot: Slot, order: Order, random: Random) -> str | None:
    day: date = slot.value
    ways = [
        lambda: day + timedelta(days=random.choice([-7, -2, -1, 1, 2, 3, 7, 14])),
        lambda: day.replace(month=day.month % 12 + 1, day=min(day.day, 28)),
        lambda: day.replace(year=day.year + random.choice([-1, 1]), day=min(day.day, 28)),
    ]
    other = random.choice(ways)()
    text = slot.write(other)
    shown = [order.facts["ordered"], order.facts["due"]]
    # What reads like a day that was shown, in some way of reading days, is no edit that anybody could see.
    same = any((other.month, other.day) in {(d.month, d.day), (d.day, d.month)} for d in shown)
    return None if same and (other.year == day.year or str(other.year) not in text) else text


def _other_id(slot: Slot, order: Order, random: Random) -> str | None:
    value: str = slot.value
    places = [n for n, character in enumerate(value) if character.isdigit()]
    if not places:
        return None
    n = random.choice(places)
    ways = [
        lambda: value[:n] + str((int(value[n]) + random.randrange(1, 10)) % 10) + value[n + 1 :],
        lambda: value[:n] + value[n + 1 :] if len(places) > 3 else value,
        lambda: "".join(str(random.randrange(10)) if c.isdigit() else c for c in value),
    ]
    other = random.choice(ways)()
    return None if other.lstrip("#").lower() in order.lower else slot.write(other)


def _other_name(slot: Slot, order: Order, random: Random) -> str | None:
    value: str = slot.value
    if value == order.facts["full"]:
        pool = [
            f"{random.choice(FIRST[8:])} {order.facts['last']}",
            f"{order.facts['first']} {random.choice(LAST[7:])}",
        ]
    else:
        pools = {"first": FIRST[8:], "last": LAST[7:], "city": CITIES[6:], "street": STREETS[3:]}
        pool = next((names for key, names in pools.items() if order.facts[key] == value), THINGS[6:])
    other = random.choice(pool)
    known = set(re.findall(r"\w+", order.lower))
    return None if set(re.findall(r"\w+", other.lower())) <= known else slot.write(other)


def _other_unit(slot: Slot, order: Order, random: Random) -> str | None:
    if slot.kind == "amount":
        return random.choice(
            [f"€{slot.value:,.2f}", f"{slot.value:.2f} EUR", f"£{slot.value:,.2f}", f"{slot.value:.2f} CHF"]
        )
    match = MEASURED.fullmatch(slot.value)
    unit = OTHER_UNITS.get(_unit(slot.value))
    return f"{match[1]}{match[2]}{unit}" if match and unit else None


EDITORS: dict[str, Callable[[Slot, Order, Random], str | None]] = {
    "amount": _other_amount,
    "date": _other_date,
    "id": _other_id,
    "name": _other_name,
    "unit": _other_unit,
    "negation": lambda slot, _order, _random: NEGATED[slot.value],
}
