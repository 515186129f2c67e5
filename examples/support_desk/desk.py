"""The agents of the desk: each reads what its scope shows and writes its own fields. `intents.py` does the thinking."""

from textwrap import shorten

import intents

import interlock as il

ANSWERS = intents.read_table("knowledge.yaml")
TOPIC_CHARS_MAX = 60
QUOTE_CHARS_MAX = 1_000


@il.agent("triage")
async def triage(job: il.Job) -> il.Reply:
    """What does the customer want, how soon, and does a person have to look?"""
    verdict = intents.classify(job.view["ticket.metadata.message"])
    return il.Reply(
        writes={
            "ticket.category": verdict.category,
            "ticket.priority": intents.priority_of(verdict.category),
            "ticket.needs_person": bool(verdict.doubt),
        },
        confidence=verdict.confidence,
    )


@il.agent("resolution")
async def resolution(job: il.Job) -> il.Reply:
    """Answer from the knowledge base. What it has no answer for is a question to a person, never a guess."""
    if job.answer:
        return il.Reply(writes={"ticket.response": letter(job, job.answer)})
    category = job.view["ticket.category"]
    if category in ANSWERS:
        return il.Reply(writes={"ticket.response": letter(job, ANSWERS[category])})
    return il.Reply(ask=il.Question(f"There is no answer for {category}. What shall we tell the customer?"))


@il.agent("escalation")
async def escalation(job: il.Job) -> il.Reply:
    """Hand the ticket to a person and say why: the run is parked with the question until somebody answers."""
    if job.answer:
        return il.Reply(writes={"ticket.decision": job.answer})
    return il.Reply(ask=il.Question(question(job)))


def letter(job: il.Job, answer: str) -> str:
    customer = job.view.get("ticket.metadata.customer", "customer")
    topic = shorten(job.view["ticket.metadata.message"], TOPIC_CHARS_MAX, placeholder=" ...")
    return f"Dear {customer}, you wrote: “{topic}”\n\n{answer}"


def question(job: il.Job) -> str:
    message, category = job.view["ticket.metadata.message"], job.view["ticket.category"]
    verdict = intents.classify(message)
    guess = "What does this customer want?"
    if category != intents.UNRECOGNISED:
        guess = f"Is this {category}, or {verdict.runner_up}?"
    doubt = verdict.doubt or "Triage asked for a person."
    quote = shorten(message, QUOTE_CHARS_MAX, placeholder=" ...")
    return f"{guess} {doubt}\n\n“{quote}”\n\n(priority: {job.view['ticket.priority']})"
