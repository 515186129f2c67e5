"""The guardrail `grounded`: how many altered facts it finds in replies, and what it says against good replies.

The replies are those of `order_replies`: templates filled with the facts of an order, and the same with one changed.
The order and its customer are the view.

With INTERLOCK_BENCH_RETAIL set to a folder that holds orders.json and users.json of tau-bench's retail world, its 1,000
orders are used; without it, a few hundred made up here. Templates and orders are split in two: the guardrail was tuned
on one half, what is reported is the other (INTERLOCK_BENCH_SPLIT=tune shows the first). Seeds are fixed, so each run
measures the same replies.

recall: the share of edited replies that are refused. precision: the share of refused replies that were edited, with one
unedited for each edited one. false findings: the share of unedited replies that are refused. A check is timed the first
time its view is seen, and again.
"""

import os
from collections import defaultdict
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import perf_counter

from bench.figures import Figure, Goal, Result, Settings
from bench.order_replies import REPORT, SEED, TUNE, Order, Slot, edited, filled, made_up_orders, orders_of_retail
from interlock.core.context import View
from interlock.core.guardrail import Draft
from interlock.guardrails.grounded import Grounded

VARIABLE = "INTERLOCK_BENCH_RETAIL"
SPLIT = "INTERLOCK_BENCH_SPLIT"
RECALL = Goal("value", at_least=0.95)
EDITS = ("amount", "date", "id", "name", "unit", "negation", "swap")
JUDGED = frozenset({"amount", "date", "id", "name"})
INSTRUCTIONS = "Answer the customer about the order in a few sentences. Be polite and precise."


def measure(settings: Settings) -> Result:
    folder = os.environ.get(VARIABLE)
    orders = list(orders_of_retail(Path(folder)) if folder else made_up_orders())
    tune = os.environ.get(SPLIT) == "tune"
    half = orders[::2] if tune else orders[1::2]
    templates = TUNE if tune else REPORT
    counts, missed, false, times = trial(half[: settings.size(len(half))], templates)
    note = "" if folder else f"on orders made up here: {VARIABLE} is not set"
    details: dict[str, object] = {
        "edited": {kind: len(found) for kind, found in counts.items()},
        "unedited": len(times),
    }
    details |= {"missed": {kind: texts[:10] for kind, texts in missed.items()}, "false": false[:10]}
    return Result("grounded", _figures(counts, len(false), times), details, note)


def trial(
    orders: list[Order], templates: list[str]
) -> tuple[dict[str, list[bool]], dict[str, list[str]], list[str], list[tuple[float, float]]]:
    """By kind of edit whether each was found, and what was missed; why good replies were refused; times in us."""
    random, guardrail = Random(SEED), Grounded()
    counts: dict[str, list[bool]] = defaultdict(list)
    missed: dict[str, list[str]] = defaultdict(list)
    false: list[str] = []
    times = []
    for order in orders:
        for n, template in enumerate(templates):
            parts = filled(template, order, random)
            draft = _draft(parts, order)
            if n == 0:
                times.append((_timed(guardrail, draft), _timed(guardrail, draft)))
            opinion = guardrail.check(draft)
            counts["none"].append(opinion.score < 1)
            false += [finding.message for finding in opinion.findings[:1]]
            for kind in EDITS:
                other = edited(parts, kind, order, random)
                if other is not None:
                    found = guardrail.check(_draft(other, order)).score < 1
                    counts[kind].append(found)
                    if not found:
                        where = next(n for n, (a, b) in enumerate(zip(parts, other, strict=True)) if a is not b)
                        missed[kind].append(f"{parts[where]} -> {other[where]}")
    return counts, missed, false, times


def _draft(parts: list[str | Slot], order: Order) -> Draft:
    return Draft(
        writes={"ticket.response": "".join(map(str, parts))},
        output=None,
        confidence=None,
        view=View.of(order.tree),
        instructions=INSTRUCTIONS,
        feedback=(),
        item=None,
        step="answer",
        agent="desk",
        action="answer",
    )


def _timed(guardrail: Grounded, draft: Draft) -> float:
    started = perf_counter()
    guardrail.check(draft)
    return (perf_counter() - started) * 1e6


def _figures(counts: dict[str, list[bool]], wrong: int, times: list[tuple[float, float]]) -> list[Figure]:
    figures = []
    false = sum(counts["none"]) / len(counts["none"])
    for kind in EDITS:
        found = counts[kind]
        recall = sum(found) / len(found) if found else 0.0
        figures.append(
            Figure(name=f"{kind}: recall", value=recall, unit="share", goal=RECALL if kind in JUDGED else None)
        )
        if recall:  # where nothing is refused, there is no share of it
            figures.append(Figure(name=f"{kind}: precision", value=recall / (recall + false), unit="share"))
    figures.append(Figure(name="false findings", value=false, unit="share", goal=Goal("value", at_most=0.01)))
    first, again = zip(*times, strict=True)
    figures.append(Figure(name="check, view unseen", value=median(first), unit="us"))
    figures.append(Figure(name="check, view seen", value=median(again), unit="us", goal=Goal("value", at_most=300)))
    figures.append(Figure(name="check, 95th percentile", value=quantiles(first, n=20)[-1], unit="us"))
    return figures
