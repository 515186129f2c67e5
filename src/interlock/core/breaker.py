"""A circuit breaker: one per agent. It trips on bad outputs, keeps calls away for a while, then tries with a few.

States and what they may become are a table; the functions below are the only ones that move a breaker along it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from .policy import duration_ms

State = Literal["closed", "open", "half_open"]

# What a breaker may become.
LEGAL: dict[State, frozenset[State]] = {
    "closed": frozenset({"open"}),
    "open": frozenset({"half_open", "closed"}),
    "half_open": frozenset({"open", "closed"}),
}
# What calls may come to, as far as it can be counted against their agent.
Counted = Literal["refused", "error", "timeout"]
COUNTED: tuple[Counted, ...] = ("refused", "error", "timeout")
WhileOpen = Literal["wait", "fail"]


class BreakerPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a breaker trips, and how it recovers.

    threshold: a score below it is bad, and so is what was refused. trip_after: so many bad outputs in a row open it.
    window, bad_share: it opens as well once so large a share of the last `window` outputs was bad; 0 for no window.
    cooldown_ms: how long it stays open. half_open_calls: how many probes it then lets through; all good ones close it,
    a bad one opens it. counts: what is bad beside a low score. while_open: what becomes of a step whose agent has no
    fallback.
    """

    threshold: float = 0.7
    trip_after: int = 5
    window: int = 0
    bad_share: float = 0.5
    cooldown_ms: int = 30_000
    half_open_calls: int = 3
    counts: tuple[Counted, ...] = COUNTED
    while_open: WhileOpen = "wait"

    @property
    def waits(self) -> bool:
        """Whether a step waits where nobody stands in for its agent."""
        return self.while_open == "wait"


def breaker_of(declared: Mapping[str, Any]) -> BreakerPolicy:
    """A breaker as it is declared in a team file: `{threshold: 0.7, trip_after: 5, cooldown: 30s}`."""
    given = dict(declared)
    if "cooldown" in given:
        given["cooldown_ms"] = duration_ms(given.pop("cooldown"))
    if "counts" in given:
        given["counts"] = tuple(given["counts"])
    return BreakerPolicy(**given)


class Breaker(msgspec.Struct, omit_defaults=True):
    """Where a breaker stands.

    until_us: open until then, half-open with these probes until then; 0 where it was forced open. round: which probes
    count, from 1. probes, good: how many of them were let through, and came back good. recent: the last outputs, a `.`
    for each good one and an `x` for a bad one.
    """

    state: State = "closed"
    since_us: int = 0
    until_us: int = 0
    reason: str = ""
    bad_in_a_row: int = 0
    recent: str = ""
    round: int = 0
    probes: int = 0
    good: int = 0


class Moved(msgspec.Struct, frozen=True, tag="breaker_moved", tag_field="t", omit_defaults=True):
    """A breaker went to another state. by: the person who had it do so; "" where it did by itself."""

    at_us: int
    to: State
    reason: str
    by: str = ""


def admit(breaker: Breaker, policy: BreakerPolicy, now_us: int) -> tuple[bool, list[Moved]]:
    """Whether a call may be made now. One that is let through while it is half-open is a probe."""
    moved: list[Moved] = []
    # What was opened by a clock that was ahead doesn't stay so until that time has come.
    breaker.until_us = min(breaker.until_us, now_us + 1_000 * policy.cooldown_ms)
    if breaker.state == "open" and breaker.until_us and now_us >= breaker.until_us:
        moved.append(move(breaker, "half_open", "it has cooled down", now_us, policy.cooldown_ms))
    if breaker.state == "closed":
        return True, moved
    if breaker.state == "half_open":
        if now_us >= breaker.until_us:  # probes that were lost never come back
            breaker.round += 1
            breaker.probes, breaker.until_us = breaker.good, now_us + 1_000 * policy.cooldown_ms
        if breaker.probes < policy.half_open_calls:
            breaker.probes += 1
            return True, moved
    return False, moved


def judge(breaker: Breaker, policy: BreakerPolicy, *, bad: str, probe: int, at_us: int) -> list[Moved]:
    """Count what a call came to. bad: why it counts against the agent; "" for a good one. probe: of which round."""
    if breaker.state == "closed":
        if policy.window:
            breaker.recent = (breaker.recent + ("x" if bad else "."))[-policy.window :]
        if not bad:
            if breaker.bad_in_a_row:
                breaker.bad_in_a_row = 0
            return []
        breaker.bad_in_a_row += 1
        if reason := _reason_to_trip(breaker, policy, bad):
            return [move(breaker, "open", reason, at_us, policy.cooldown_ms)]
    elif breaker.state == "half_open" and probe == breaker.round:
        if bad:
            return [move(breaker, "open", f"a probe was bad: {bad}", at_us, policy.cooldown_ms)]
        breaker.good += 1
        if breaker.good >= policy.half_open_calls:
            good = "the probe was" if breaker.good == 1 else f"{breaker.good} probes were"
            return [move(breaker, "closed", f"{good} good", at_us)]
    return []


def _reason_to_trip(breaker: Breaker, policy: BreakerPolicy, bad: str) -> str:
    if breaker.bad_in_a_row >= policy.trip_after:
        count = breaker.bad_in_a_row
        return f"a bad output: {bad}" if count == 1 else f"{count} bad outputs in a row, the last: {bad}"
    recent = breaker.recent
    if policy.window and len(recent) == policy.window and recent.count("x") >= policy.bad_share * len(recent):
        return f"{recent.count('x')} of the last {len(recent)} outputs were bad, the last: {bad}"
    return ""


def forget_probe(breaker: Breaker, probe: int) -> None:
    """A probe says nothing about its agent: another may take its place."""
    if breaker.state == "half_open" and probe == breaker.round:
        breaker.probes -= 1


def move(breaker: Breaker, to: State, reason: str, at_us: int, stay_ms: int = 0, by: str = "") -> Moved:
    """Put a breaker into another state, where it counts anew; stay_ms: for how long, 0 for until it is moved again."""
    assert to in LEGAL[breaker.state], f"{breaker.state} -> {to}"
    until_us = at_us + 1_000 * stay_ms if stay_ms else 0
    breaker.state, breaker.since_us, breaker.until_us, breaker.reason = to, at_us, until_us, reason
    breaker.bad_in_a_row = breaker.probes = breaker.good = 0
    breaker.recent = ""
    breaker.round += to == "half_open"
    return Moved(at_us, to, reason, by)


decode: Any = msgspec.json.Decoder(Moved).decode
