"""The order desk on a bad day: what becomes of each fault that is injected on purpose.

30 % of the calls answer garbage, 10 % time out, 10 % get facts wrong, in thousands of runs of examples/order_desk; of
the calls that are left, 10 % slip where they can. Each injected fault is then held against the journal: it got through
if the attempt that it struck was committed with other writes than the good agent gives for the same job. What our own
guardrails said is not asked. DETECTABLE says beforehand which kinds may never get through; the others are counted.

Further: every attempt that came to nothing must have been followed by a commit of its step, by a person's turn, or by a
dead letter; and every request must have succeeded, wait for a person, or have failed with a letter. People answer the
questions for forgotten numbers; those about orders that don't exist stay in the inbox. The writer's breaker is printed
as the journal knows it. Orders are those of bench/order_desk.py.
"""

from collections import Counter
from itertools import count
from typing import Any

import msgspec

from bench import order_desk
from bench.figures import Figure, Goal, Result, Settings
from bench.folders import fresh_folder
from interlock.core import events as e
from interlock.core.values import decode, encode_canonical
from interlock.engine.engine import Engine
from interlock.errors import cut_short
from interlock.journal.memory import MemoryJournal
from interlock.ports import Letters
from interlock.testing.simulation.loop import START_US, now_us, run

REQUESTS = 4_000
RUNS_AT_ONCE = 12
FAULTS = {"garbage": 0.3, "timeout": 0.1, "altered_values": 0.1}
SLIPS = 0.1
LEAST = 500
# Of the breaker's transcript, at each end.
LINES_MAX = 5
REASON_CHARS_MAX = 52

DETECTABLE = {
    "timeout": "No reply comes within the time that was declared.",
    "wrong_shape": "What comes back is no reply.",
    "truncated": "What comes back is a text that breaks off, and no reply.",
    "wrong_type": "A value has another type than its schema says, or is no JSON.",
    "oversized": "A value is beyond a limit of size, depth or number.",
    "invented_fields": "Fields are written that the agent has no permission for.",
    "off_topic": "The answer doesn't name the order, or what was decided.",
    "injected_prompt": "The answer gives orders to whoever reads it, or holds characters that nobody sees.",
    "altered_values": "A number, date or name stands in the reply, and nowhere in what the agent was shown.",
}
UNDETECTABLE = {
    "wrong_label": "Another wish of the three: each is plausible, and what the customer meant stands in no field.",
    "other_order": "Another order that the customer mentions as well: both were shown.",
    "negated": "A `not` too many or too few outside the sentence that the house prescribes.",
}


class Day(msgspec.Struct):
    """What a day came to. events: of each run, by id. moved: what the writer's breaker did, the oldest first."""

    struck: list[order_desk.Struck]
    calls: int
    statuses: Counter[str]
    events: dict[str, list[e.AnyEvent]]
    letters: set[tuple[str, str]]
    waiting: set[tuple[str, str]]
    moved: list[Any]


def measure(settings: Settings) -> Result:
    with fresh_folder(settings.folder) as folder, order_desk.quiet():
        half = order_desk.split()
        known = order_desk.orders()
        made = order_desk.desk(folder, known, half)
        asked = order_desk.cases(known, half, settings.size(REQUESTS))
        day = run(bad_day(made, asked, order_desk.SEED))
        injected, through, harmless, samples = run(held_against(made, day))
    details: dict[str, object] = {
        "split": half,
        "calls": day.calls,
        "statuses": dict(day.statuses),
        "through": samples,
        "changed nothing": dict(harmless),
        "detectable": DETECTABLE,
        "undetectable": UNDETECTABLE,
        "breaker": [line(move) for move in day.moved],
    }
    figures = [*_by_declaration(day), *_by_kind(injected, through, harmless), *_afterwards(day), *_of_breaker(day)]
    notes = [order_desk.note(), *_one_cycle(day.moved)]
    return Result("recovery", figures, details, "\n  ".join(filter(None, notes)))


async def bad_day(made: order_desk.Desk, asked: list[order_desk.Case], seed: int) -> Day:
    """Play it, in virtual time."""
    saboteur = order_desk.Saboteur(made, order_desk.faults_of(FAULTS), SLIPS, seed)
    journal, number = MemoryJournal(), count()
    engine = Engine(
        made.team,
        saboteur.adapters,
        journal,
        runs_max=RUNS_AT_ONCE,
        now_us=now_us,
        ids=lambda _: f"day-{next(number)}",
        watch=False,
    )
    async with engine:
        batch = await engine.open_batch([engine.request(case.request) for case in asked], "bench")
        async for _ in engine.run_batch(batch):
            pass
        for waiting in await engine.inbox():
            row = await journal.run(waiting.run_id)
            if waiting.step == "intake":
                number_meant = asked[row.row].number
                await engine.decide(waiting.run_id, "intake", "answer", by="person:bench", text=number_meant)
        rows = await journal.runs(limit=0)
        gates = dict(await journal.gates())
        moved = next((at.moved for name, at in gates.items() if name.endswith("writer")), [])
        return Day(
            saboteur.struck,
            saboteur.calls,
            Counter(row.status for row in rows),
            {row.run_id: await journal.load(row.run_id) for row in rows},
            {(letter.run_id, letter.step) for letter in await journal.letters(Letters(), 0)},
            {(question.run_id, question.step) for question in await engine.inbox()},
            moved[::-1],
        )


async def held_against(
    made: order_desk.Desk, day: Day
) -> tuple[Counter[str], Counter[str], Counter[str], dict[str, list[dict[str, Any]]]]:
    """By kind: what was injected, what got through, what was committed because it changed nothing; and samples."""
    committed = {
        (run_id, event.step, event.attempt): event
        for run_id, events in day.events.items()
        for event in events
        if isinstance(event, e.AttemptCommitted)
    }
    injected: Counter[str] = Counter()
    through: Counter[str] = Counter()
    harmless: Counter[str] = Counter()
    samples: dict[str, list[dict[str, Any]]] = {}
    for struck in day.struck:
        injected[struck.kind] += 1
        event = committed.get(struck.key)
        if event is None:
            continue
        good = order_desk.writes_of(await made.agents[struck.job.agent].call(struck.job, order_desk.began)) or {}
        writes = {path: decode(raw) for path, raw in event.writes.items()}
        if encode_canonical(writes) != encode_canonical(good) or event.deletes:
            through[struck.kind] += 1
            samples.setdefault(struck.kind, []).append(writes)
        else:
            harmless[struck.kind] += 1
    return injected, through, harmless, {kind: found[:3] for kind, found in samples.items()}


# --- what it came to ---


def unaccounted(day: Day) -> tuple[int, list[tuple[str, str]]]:
    """How many steps had an attempt that came to nothing, and those of which nothing became afterwards."""
    troubled: list[tuple[str, str]] = []
    lost: list[tuple[str, str]] = []
    for run_id, events in day.events.items():
        last = {
            event.step: n for n, event in enumerate(events) if isinstance(event, e.AttemptRefused | e.AttemptFailed)
        }
        for step, place in last.items():
            troubled.append((run_id, step))
            later = (event for event in events[place:] if getattr(event, "step", "") == step)
            ended = any(isinstance(event, e.AttemptCommitted | e.QuestionAnswered) for event in later)
            if not ended and (run_id, step) not in day.letters | day.waiting:
                lost.append((run_id, step))
    return len(troubled), lost


def unended(day: Day) -> list[str]:
    """Runs that neither succeeded, nor wait for a person, nor failed with a letter."""
    lettered, waiting = {run_id for run_id, _ in day.letters}, {run_id for run_id, _ in day.waiting}
    ended = {
        run_id
        for run_id, events in day.events.items()
        for event in events[-1:]
        if isinstance(event, e.RunFinished) and (event.status == "succeeded" or run_id in lettered)
    }
    return [run_id for run_id in day.events if run_id not in ended and run_id not in waiting]


def _by_declaration(day: Day) -> list[Figure]:
    injected = Counter(struck.declared for struck in day.struck)
    goal = Goal("value", at_least=LEAST)
    return [
        Figure(name=f"{kind}: injected", value=injected[kind], unit=f"of {day.calls:,} calls", goal=goal)
        for kind in FAULTS
    ]


def _by_kind(injected: Counter[str], through: Counter[str], harmless: Counter[str]) -> list[Figure]:
    """Where nothing could be garbled, the good reply came back: that is told, as it is nobody's merit."""
    none = Goal("value", at_most=0)
    of = {
        kind: f"of {n:,}" + (f" ({harmless[kind]:,} alike)" if harmless[kind] else "") for kind, n in injected.items()
    }
    seen = [
        Figure(name=f"{kind}: through", value=through[kind], unit=of.get(kind, "of 0"), goal=none)
        for kind in DETECTABLE
    ]
    return seen + [
        Figure(name=f"unseen {kind}: through", value=through[kind], unit=of.get(kind, "of 0")) for kind in UNDETECTABLE
    ]


def _afterwards(day: Day) -> list[Figure]:
    troubled, lost = unaccounted(day)
    none = Goal("value", at_most=0)
    runs = f"of {len(day.events):,}"
    failed = sum(day.statuses.values()) - day.statuses["succeeded"] - day.statuses["parked"]
    return [
        Figure(name="steps that are lost", value=len(lost), unit=f"of {troubled:,}", goal=none),
        Figure(name="runs that succeeded", value=day.statuses["succeeded"], unit=runs),
        Figure(name="runs that wait for a person", value=day.statuses["parked"], unit=runs),
        Figure(name="runs with a dead letter", value=failed, unit=runs),
        Figure(name="runs without an end", value=len(unended(day)), unit=runs, goal=none),
    ]


def _of_breaker(day: Day) -> list[Figure]:
    moves = Counter(move.to for move in day.moved)
    once = Goal("value", at_least=1)
    unit = f"of its last {len(day.moved)} moves"
    return [
        Figure(name="writer's breaker: opened", value=moves["open"], unit=unit, goal=once),
        Figure(name="writer's breaker: probed", value=moves["half_open"], unit=unit, goal=once),
        Figure(name="writer's breaker: closed again", value=moves["closed"], unit=unit, goal=once),
    ]


def line(move: Any) -> str:
    """What a breaker did, as a line of its transcript; seconds since the first request."""
    seconds, reason = (move.at_us - START_US) / 1e6, cut_short(move.reason, REASON_CHARS_MAX)
    return f"{seconds:8.1f} s  {move.to.replace('_', '-'):9}  {reason}"


def _one_cycle(moved: list[Any]) -> list[str]:
    """The transcript from one trip to the next time that it closed: the shortest there is, without its middle."""
    cycles: list[list[Any]] = []
    for move in moved:
        if move.to == "open" and not move.reason.startswith("a probe"):
            cycles.append([])
        if cycles and (not cycles[-1] or cycles[-1][-1].to != "closed"):
            cycles[-1].append(move)
    closed = [cycle for cycle in cycles if cycle[-1].to == "closed"]
    told = [line(move) for move in min(closed, key=len, default=moved)]
    left_out = len(told) - 2 * LINES_MAX
    return [*told[:LINES_MAX], f"... {left_out} more ...", *told[-LINES_MAX:]] if left_out > 1 else told
