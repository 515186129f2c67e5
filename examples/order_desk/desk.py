"""The agents of the order desk. All of them are plain functions; any of them could be a model."""

import json
import re
from pathlib import Path

import interlock as il

ORDERS = {order["id"]: order for order in json.loads(Path(__file__).with_name("orders.json").read_text("utf-8"))}
NUMBER = r"\bA-\d{4}\b"
WISHES = {
    "refund": r"refund|money back|broken|damaged|return",
    "cancel": r"cancel|changed my mind|don't want",
    "status": r"where|when|status|arrive|track",
}
REFUND_DAYS_MAX = 30


async def understand(job: il.Job) -> dict:
    """What the customer wants, and of which order."""
    message = job.view["request.message"]
    number = re.search(NUMBER, message) or re.search(NUMBER, job.answer)
    if number is None:
        return il.Reply(ask=il.Question("Which order is this about?"))
    wish = next((wish for wish, words in WISHES.items() if re.search(words, message, re.IGNORECASE)), "status")
    return {"case.order_id": number[0], "case.wish": wish}


async def look_up(job: il.Job) -> dict:
    """The order, from the database."""
    number = job.view["case.order_id"]
    if number not in ORDERS:
        return il.Reply(ask=il.Question(f"There is no order {number}. Which one does the customer mean?"))
    return {"order": ORDERS[number]}


async def decide(job: il.Job) -> dict:
    """What the rules of the house say."""
    outcome, amount = by_rule(job.view["case.wish"], job.view["order"])
    return {"decision.outcome": outcome, "decision.amount": amount}


def by_rule(wish, order):
    """A refund for 30 days after delivery, a cancellation until the parcel leaves."""
    if wish == "refund":
        in_time = order["status"] == "delivered" and order["days_since_delivery"] <= REFUND_DAYS_MAX
        return ("refunded", order["total"]) if in_time else ("declined", 0)
    if wish == "cancel":
        return ("cancelled", order["total"]) if order["status"] == "packing" else ("declined", 0)
    return "informed", 0


async def answer(job: il.Job) -> dict:
    """The answer, in a friendly tone."""
    order, decision = job.view["order"], job.view["decision"]
    items = " and ".join(item["name"] for item in order["items"])
    text = f"Dear {order['customer']}, thank you for asking about order {order['id']} of {order['date']} ({items})."
    return {"reply.text": f"{text} {closing(order, decision)}"}


def closing(order, decision):
    """What the house says about a decision, word for word."""
    return {
        "refunded": f"We refund you ${decision['amount']:.2f} for it.",
        "cancelled": f"It is cancelled, and ${decision['amount']:.2f} are on their way back to you.",
        "declined": "We are sorry that we can't do this for you any more.",
        "informed": f"It is {order['status']}.",
    }[decision["outcome"]]


async def fill_in(job: il.Job) -> dict:
    """The answer as a form letter."""
    order, decision = job.view["order"], job.view["decision"]
    return {"reply.text": f"Order {order['id']}. {closing(order, decision)}"}


# --- guardrails ---


def as_recorded(draft):
    """The order is the one in the database, and the one that was asked for."""
    number = draft.view["case.order_id"]
    return None if draft.writes == {"order": ORDERS.get(number)} else f"this is not order {number} as it is on record"


def by_the_rules(draft):
    """The decision is the one that the rules give."""
    outcome, amount = by_rule(draft.view["case.wish"], draft.view["order"])
    said = draft.writes["decision.outcome"], draft.writes["decision.amount"]
    return None if said == (outcome, amount) else f"the rules say: {outcome}, {amount}"


def complete(draft):
    """The answer names the order, and says the decision in the words of the house."""
    text, order = draft.writes["reply.text"], draft.view["order"]
    sentence = closing(order, draft.view["decision"])
    missing = [] if re.search(rf"\b{order['id']}\b", text) else [f"the order {order['id']}"]
    if sentence not in text:
        missing.append(f'word for word: "{sentence}"')
    return [f"say {what}" for what in missing]
