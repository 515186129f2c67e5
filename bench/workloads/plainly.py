"""The same faulty agents, run plainly and through Interlock: the share of requests that end with a wrong value.

Plainly is what a workflow engine does: it calls the agents of the order desk one after another, tries a call again that
raises, times out or returns no mapping, up to three times, and writes whatever else comes back: "it returned, so it
succeeded". Through Interlock, the same agents run with the scopes, schemas and guardrails of examples/order_desk. The
draws of the faults are the same in both.

A value is wrong if the run ended as a success, and the case, the order, the decision or the text of the answer are not
those that good agents come to; a text is right in the wording of the writer, and in that of its fallback. Runs that ask
a person, fail or crash say so, and are not wrong; what they cost is in the details.

Of the faulty calls three of five are garbage, one times out, one gets facts wrong. Beside them, one call slips for each
ten faulty ones, where its agent can: a plausible wrong label, another order that was mentioned, a `not`. Nothing that
looks at what was shown can see a slip, so what is left is mostly theirs; their share is an assumption, and what is left
with three times as many is told as well. RATE is such that about 22 % go wrong plainly, as in the published case that
is to be beaten (22 % -> 6 %).

Generator and seeds were fixed before any guardrail was tuned. Messages, wordings, orders and draws of the two halves
differ: the guardrails were tuned on one, the other is reported (INTERLOCK_BENCH_SPLIT=tune shows the first). One
exception: that replies give orders to their readers was first seen on the reported half, by `recovery`.
"""

import asyncio
from collections import Counter
from typing import Any

import msgspec

from bench import order_desk
from bench.figures import Figure, Goal, Result, Settings
from bench.folders import fresh_folder
from interlock.core import events as e
from interlock.engine.engine import Engine
from interlock.journal.memory import MemoryJournal
from interlock.testing.injection.faults import GARBAGE, Faults
from interlock.testing.simulation.loop import now_us, run

REQUESTS = 4_000
REQUESTS_BY_KIND = 1_000
RUNS_AT_ONCE = 50
TRIES = 3
SEEDS = {"tune": 1_001, "report": 2_002}
RATE = 0.17
RATES = (0.02, 0.05, 0.10, 0.40)
SLIPS = 0.1
SLIPS_MANY = 0.3
GOAL = Goal("value", at_most=0.02)
FALSE_GOAL = Goal("value", at_most=0.01)


class Share(msgspec.Struct):
    """What became of the requests. plain, guarded: how runs ended, `wrong` among the successes."""

    plain: Counter[str]
    guarded: Counter[str]

    def of(self, ended: Counter[str], what: str = "wrong") -> float:
        return ended[what] / sum(ended.values())

    def figure(self, name: str, goal: Goal | None = None) -> Figure:
        wrong, plainly = self.of(self.guarded), self.of(self.plain)
        return Figure(
            name=name,
            value=wrong,
            unit="wrong",
            reference=plainly,
            reference_name="plain",
            ratio=wrong / plainly if plainly else None,
            goal=goal,
        )


class Trial:
    """The requests of one half, and what good agents make of them."""

    def __init__(self, made: order_desk.Desk, half: str, asked: list[order_desk.Case]) -> None:
        self.made, self.asked, self.seed = made, asked, SEEDS[half]
        self.truths = run(self._truths())

    async def _truths(self) -> list[dict[str, Any]]:
        return [await order_desk.as_it_should_be(self.made, case) for case in self.asked]

    def mixed(self, rate: float, slips: float, requests: int) -> Share:
        """With so large a share of faulty calls, and so many slips for each of them."""
        shares = {"garbage": 0.6 * rate, "timeout": 0.2 * rate, "altered_values": 0.2 * rate}
        return self.with_faults(shares, slips * rate, requests)

    def with_faults(self, shares: dict[str, float], slips: float, requests: int) -> Share:
        faults = order_desk.faults_of(shares)
        return Share(*(run(way(faults, slips, requests)) for way in (self.plainly, self.guarded)))

    # --- plainly ---

    async def plainly(self, faults: Faults, slips: float, requests: int) -> Counter[str]:
        """A loop that calls the agents, and writes what they return."""
        saboteur = order_desk.Saboteur(self.made, faults, slips, self.seed)
        rows = list(zip(self.asked, self.truths, strict=True))[:requests]
        return Counter([await self._one(saboteur, n, case, truth) for n, (case, truth) in enumerate(rows)])

    async def _one(self, saboteur: order_desk.Saboteur, row: int, case: order_desk.Case, truth: dict[str, Any]) -> str:
        context: dict[str, Any] = {"request": dict(case.request["request"])}
        for step in self.made.team.rules.plan.declared:
            for attempt in range(1, TRIES + 2):
                job = order_desk.job_of(step, step.agent, f"plain-{row}", attempt, context)
                seconds = self.made.team.rules.duty(step.id, step.agent).policy.timeout_ms / 1_000
                try:
                    call = saboteur.adapters[step.agent].call(job, order_desk.began)
                    answer = await asyncio.wait_for(call, seconds)
                    if getattr(answer, "ask", None) is not None:
                        return "asked"
                    order_desk.put(context, getattr(answer, "writes", answer))
                    break
                except Exception:  # noqa: BLE001 - whatever it is, it is tried again
                    continue
            else:
                return "failed"
        return "right" if order_desk.is_right(context, truth) else "wrong"

    # --- through Interlock ---

    async def guarded(self, faults: Faults, slips: float, requests: int) -> Counter[str]:
        """The team as it is declared."""
        saboteur = order_desk.Saboteur(self.made, faults, slips, self.seed)
        ended: Counter[str] = Counter()
        async with self._engine(saboteur) as engine:
            batch = await engine.open_batch([engine.request(case.request) for case in self.asked[:requests]], "bench")
            async for done in engine.run_batch(batch):
                right = order_desk.is_right(done.context.to_dict(), self.truths[done.row])
                names = {"succeeded": "right" if right else "wrong", "parked": "asked"}
                ended[names.get(done.status, "failed")] += 1
        return ended

    async def clean(self) -> tuple[int, int]:
        """Of how many runs of good agents how many had a reply refused."""
        saboteur = order_desk.Saboteur(self.made, Faults(), 0.0, self.seed)
        async with self._engine(saboteur) as engine:
            batch = await engine.open_batch([engine.request(case.request) for case in self.asked], "bench")
            ids = [done.run_id async for done in engine.run_batch(batch)]
            told = [await engine.journal.load(run_id) for run_id in ids]
        return sum(any(isinstance(event, e.AttemptRefused) for event in events) for events in told), len(told)

    def _engine(self, saboteur: order_desk.Saboteur) -> Engine:
        return Engine(
            self.made.team,
            saboteur.adapters,
            MemoryJournal(),
            runs_max=RUNS_AT_ONCE,
            now_us=now_us,
            ids=lambda _: "guarded",
            watch=False,
        )


def measure(settings: Settings) -> Result:
    half = order_desk.split()
    requests, fewer = settings.size(REQUESTS), settings.size(REQUESTS_BY_KIND)
    with fresh_folder(settings.folder) as folder, order_desk.quiet():
        known = order_desk.orders()
        trial = Trial(order_desk.desk(folder, known, half), half, order_desk.cases(known, half, requests))
        refused, clean = run(trial.clean())
        shares = {f"mixed, {RATE:.0%}": trial.mixed(RATE, SLIPS, requests)}
        shares[f"mixed, {RATE:.0%}, 3x slips"] = trial.mixed(RATE, SLIPS_MANY, requests)
        shares[f"mixed, {RATE:.0%}, no slips"] = trial.mixed(RATE, 0.0, requests)
        for rate in () if settings.quick else RATES:
            shares[f"mixed, {rate:.0%}"] = trial.mixed(rate, SLIPS, fewer)
        for kind in () if settings.quick else ("timeout", *GARBAGE):
            shares[f"{RATE:.0%} {kind}"] = trial.with_faults({kind: RATE}, 0.0, fewer)
        if not settings.quick:
            shares[f"{RATE:.0%} slips"] = trial.with_faults({}, RATE, fewer)
    figures = [
        Figure(name="false refusals", value=refused / clean, unit="of runs", goal=FALSE_GOAL),
        *(share.figure(name, None if n else GOAL) for n, (name, share) in enumerate(shares.items())),
    ]
    first = next(iter(shares.values()))
    ended = Figure(
        name=f"mixed, {RATE:.0%}: right",
        value=first.of(first.guarded, "right"),
        unit="right",
        reference=first.of(first.plain, "right"),
        reference_name="plain",
    )
    figures.insert(2, ended)
    details = {name: {"plainly": dict(s.plain), "interlock": dict(s.guarded)} for name, s in shares.items()}
    return Result("plainly", figures, {"split": half, "requests": requests, **details}, order_desk.note())
