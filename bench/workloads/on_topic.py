"""The guardrail `on_topic`: how many replies that belong to another job it finds, and how many good ones it refuses.

Two kinds of jobs. Questions: the view holds a question, the reply answers it. Orders: the view holds an order and its
customer, the reply is one of the templates of `grounded`. In the place of a reply then stands one from elsewhere: the
answer to another question, a reply about another order (which looks the same to any eye that knows no facts), or junk.

With INTERLOCK_BENCH_HALUEVAL set to a folder that holds general_data.jsonl of HaluEval, its 4,507 questions with the
answers of a model are used; without it, a dozen of our own. INTERLOCK_BENCH_RETAIL is as for `grounded`. Both are split
in two: the defaults were chosen on one half, what is reported is the other (INTERLOCK_BENCH_SPLIT=tune shows the
first). Seeds are fixed, so each run measures the same replies.

recall: the share of replies from elsewhere that are refused. precision: the share of refused replies that are from
elsewhere, with one of the right ones for each. false: the share of right replies that are refused.
"""

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import msgspec

from bench.figures import Figure, Goal, NotMeasured, Result, Settings
from interlock.core.context import View
from interlock.core.guardrail import Draft
from interlock.guardrails import embedding
from interlock.guardrails.on_topic import OnTopic

from . import grounded

VARIABLE = "INTERLOCK_BENCH_HALUEVAL"
SEED = 20_261_122
FALSE_MOST = 0.01
# Where it is known which field a reply must be about, more can be asked of it; how much, was chosen on the first half.
ABOUT = {"questions": OnTopic(sources=("question",), min=0.03), "orders": OnTopic(sources=("order",), min=0.15)}
OURS = [
    (
        "How do I descale my coffee machine?",
        (
            "Fill the tank with water and the descaler, start the cleaning program, let the machine run until"
            " the tank is empty, then rinse it twice with fresh water before making coffee."
        ),
    ),
    (
        "Why do leaves turn red in autumn?",
        (
            "As days get shorter, trees stop making chlorophyll, so its green fades from the leaves; other "
            "pigments, such as red anthocyanins and yellow carotenoids, can be seen until the leaves fall."
        ),
    ),
    (
        "What is the difference between a virus and a bacterium?",
        (
            "Bacteria are cells that live and multiply by themselves; viruses are far smaller and need the "
            "cells of a host. Antibiotics work against bacteria only."
        ),
    ),
    (
        "My bicycle chain keeps falling off. What can I do?",
        (
            "Check whether the chain is worn and too long, whether the derailleur hanger is bent, and adjust "
            "the limit screws so that the chain can't leave the largest and smallest sprocket."
        ),
    ),
    (
        "Explain how a mortgage works.",
        (
            "A bank lends you money to buy a house and takes the house as security. You pay interest and part"
            " of the loan each month; if you stop paying, the bank may sell the house to get its money back."
        ),
    ),
    (
        "Which vegetables can I sow in March?",
        (
            "In March you can sow peas, broad beans, spinach, radishes and carrots outside under fleece; "
            "tomatoes, peppers and aubergines are sown indoors, on a warm and bright window sill."
        ),
    ),
    (
        "How can I learn to play chess?",
        (
            "Learn first how the pieces move, then simple checkmates with queen and rook. Play slow games, "
            "look at your mistakes afterwards, and solve a few tactical puzzles every day."
        ),
    ),
    (
        "What should I see in Lisbon in two days?",
        (
            "Walk through Alfama up to the castle, take tram 28, visit the monastery and the tower in Belem, "
            "and spend the second evening with fado music in a small tavern near the river."
        ),
    ),
    (
        "How do noise-cancelling headphones work?",
        (
            "Small microphones record the noise around you; the headphones then play the same sound wave "
            "upside down, so that both waves cancel each other and the noise becomes quieter."
        ),
    ),
    (
        "Is it safe to eat raw eggs?",
        (
            "Raw eggs may carry salmonella, which makes people ill. Use very fresh or pasteurised eggs for "
            "raw dishes, keep them cold, and don't give them to children or pregnant women."
        ),
    ),
    (
        "What does a database index do?",
        (
            "An index is a sorted structure beside a table, with which the database finds rows by a column "
            "without reading the whole table. Queries get faster; writes get a little slower."
        ),
    ),
    (
        "How do I write a good cover letter?",
        (
            "Keep the letter to one page, name the job you apply for, say which of your experience fits it "
            "with one or two examples, and close with when you could start and be interviewed."
        ),
    ),
]
JUNK = [
    ("asdkj qwelk zmxnc poiuq lkjas mnbzx qwpoe ruty alskd vnbm qpwo ruta skdj hgqp zmxn cbvl akqj wier uty mbn ply"),
    (
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore "
        "et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut "
        "aliquip ex ea commodo."
    ),
    (
        "I'm sorry, but as an AI language model I can't help with that. If there is anything else that you "
        "would like me to do for you today, please let me know, and I will gladly try my best to help you."
    ),
    (
        "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body bgcolor=white> <center> 502 "
        "Bad Gateway </center> and then <hr> <center> nginx </center> please try again in a few minutes, or "
        "contact the administrator"
    ),
    (
        "Traceback (most recent call last): File main.py, line 3, in <module> print ( answer [ 'text' ] ) "
        "KeyError: During handling of the above exception, another exception occurred: RuntimeError: no "
        "answer was found"
    ),
    (
        "Once upon a time there was a little dragon who lived in a cave at the end of the world, and each "
        "evening it flew over the mountains to look at the sea and to count the ships that came home."
    ),
    ("null null null null null null null null null null null null null null null null null null null null null null"),
]


class Job(msgspec.Struct):
    """What an agent is shown, and what it should say of it."""

    view: dict[str, Any]
    instructions: str
    reply: str


def measure(settings: Settings) -> Result:
    if find_spec("wordllama") is None:
        raise NotMeasured("wordllama is not installed")
    start = perf_counter()
    embedding.load()
    loading = perf_counter() - start
    tune = os.environ.get(grounded.SPLIT) == "tune"
    kinds = {"questions": questions(tune=tune), "orders": orders(tune=tune)}
    kinds = {name: jobs[: settings.size(len(jobs))] for name, jobs in kinds.items()}
    figures = []
    details: dict[str, object] = {name: len(jobs) for name, jobs in kinds.items()}
    for name, jobs in kinds.items():
        other = kinds["orders" if name == "questions" else "questions"]
        for guardrail, label in ((OnTopic(), name), (ABOUT[name], f"{name}, sources")):
            figures += _figures(label, guardrail, jobs, other)
        details[f"refused of {name}"] = [job.reply[:100] for job in jobs if not _passes(OnTopic(), job, job.reply)][:10]
    longest = kinds["orders"] or kinds["questions"]
    times = [_timed(OnTopic(), job) for job in longest[:200]]
    figures.append(Figure(name="check, view unseen", value=median(times), unit="us"))
    figures.append(Figure(name="loading the model", value=loading * 1_000, unit="ms"))
    missing = [name for name in (VARIABLE, grounded.VARIABLE) if not os.environ.get(name)]
    return Result("on_topic", figures, details, f"on data made up here: {', '.join(missing)} not set" * bool(missing))


def questions(*, tune: bool) -> list[Job]:
    folder = os.environ.get(VARIABLE)
    pairs = list(_of_halueval(Path(folder))) if folder else OURS
    half = pairs[::2] if tune and folder else pairs[1::2] if folder else pairs
    return [Job({"question": asked}, "Answer the question.", answer) for asked, answer in half]


def _of_halueval(folder: Path) -> Iterator[tuple[str, str]]:
    """Those whose question says anything; some are a word, or a letter."""
    try:
        lines = (folder / "general_data.jsonl").read_text("utf-8").splitlines()
    except OSError as error:
        raise NotMeasured(f"{VARIABLE} names a folder without {error.filename}") from None
    for row in map(json.loads, lines):
        if len(row["user_query"].split()) >= 4 and len(row["chatgpt_response"].split()) >= OnTopic().words_min:
            yield row["user_query"], row["chatgpt_response"]


def orders(*, tune: bool) -> list[Job]:
    folder, random = os.environ.get(grounded.VARIABLE), Random(SEED)
    every = list(grounded.orders_of_retail(Path(folder)) if folder else grounded.made_up_orders())
    templates = grounded.TUNE if tune else grounded.REPORT
    return [
        Job(order.tree, grounded.INSTRUCTIONS, "".join(map(str, grounded.filled(template, order, random))))
        for order in (every[::2] if tune else every[1::2])
        for template in templates[:6]
    ]


def _figures(label: str, guardrail: OnTopic, jobs: list[Job], others: list[Job]) -> Iterator[Figure]:
    random = Random(SEED)
    false = _share(not _passes(guardrail, job, job.reply) for job in jobs)
    goal = None if guardrail.sources else Goal("value", at_most=FALSE_MOST)
    yield Figure(name=f"{label}: false", value=false, unit="share", goal=goal)
    swapped = jobs[len(jobs) // 2 :] + jobs[: len(jobs) // 2]
    found = {
        "another of its kind": _share(
            not _passes(guardrail, job, other.reply) for job, other in zip(jobs, swapped, strict=True)
        ),
        "of the other kind": _share(not _passes(guardrail, job, random.choice(others).reply) for job in jobs),
        "junk": _share(not _passes(guardrail, job, text) for job in jobs[:200] for text in JUNK),
    }
    for what, recall in found.items():
        yield Figure(name=f"{label}: {what}: recall", value=recall, unit="share")
        if recall:
            yield Figure(name=f"{label}: {what}: precision", value=recall / (recall + false), unit="share")


def _share(found: Iterator[bool]) -> float:
    every = list(found)
    return sum(every) / len(every)


def _passes(guardrail: OnTopic, job: Job, reply: str) -> bool:
    return not guardrail.check(_draft(job, reply)).findings


def _draft(job: Job, reply: str) -> Draft:
    return Draft(
        writes={"answer.text": reply},
        output=None,
        confidence=None,
        view=View.of(job.view),
        instructions=job.instructions,
        feedback=(),
        item=None,
        step="answer",
        agent="desk",
        action="answer",
    )


def _timed(guardrail: OnTopic, job: Job) -> float:
    embedding.embedded.cache_clear()
    draft = _draft(job, job.reply)
    started = perf_counter()
    guardrail.check(draft)
    return (perf_counter() - started) * 1e6
