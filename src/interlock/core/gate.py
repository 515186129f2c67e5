"""A gate: what a call of an agent must pass before it is made. Breaker, rate and budget of one agent, or of a team.

A gate belongs to a journal, not to a run or a process: all runs on the journal ask it, and what their calls come to is
told to it in the transaction that makes it a fact. It is pure: a turn at a gate folds what was told since the last
turn, then answers who asks. Asking twice with one key is asking once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from .above import Above, kind_above
from .breaker import Breaker, BreakerPolicy, Moved, admit, forget_probe, judge
from .budget import (
    NOTHING_USED,
    RESERVED_WAIT_US,
    Amounts,
    BudgetPolicy,
    Ledger,
    is_only_reserved,
    next_day_us,
    raise_by,
    release,
    reserve,
    settle,
    settle_late,
    shortfall,
)
from .events import (
    UNJUDGED,
    AnyEvent,
    AttemptCommitted,
    AttemptFailed,
    AttemptInterrupted,
    AttemptRefused,
    QuestionAsked,
    ReplyArrivedLate,
    ReplyDrafted,
    ReplyJudged,
)
from .job import Usage
from .notice import Posted
from .rate import SOON_US, Booked, RatePolicy, book, book_at_once, bring_forward, correct, earliest

# How many tokens a call is taken for, before any has ended.
TOKENS_AT_FIRST = 1_000
WHY_CHARS_MAX = 200
# The clocks of processes on one journal may differ so much.
CLOCKS_APART_US = 10_000_000
# Longer than any call may take.
LOST_US = 8 * 86_400_000_000

Kind = Literal["breaker", "rate", "budget", "reservation", "team_reservation", "team_rate", "team_budget"]
# neutral: it says nothing about its agent. not_made: it was let through, or booked, and is not wanted any more.
_OF_TEAM: dict[str, Kind] = {"rate": "team_rate", "budget": "team_budget", "reservation": "team_reservation"}
# raised: it is no call, but a person has approved more of its budget. drafted: it has ended, and its reply waits for a
# judge.
Came = Literal["committed", "refused", "error", "timeout", "neutral", "late", "not_made", "raised", "drafted"]


class GatePolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an agent, or a team, declares of its gate; None for what it doesn't bound.

    is_shared: by all of a team. above: how far above the team of the call; whose: the team that is there.
    """

    breaker: BreakerPolicy | None = None
    rate: RatePolicy | None = None
    budget: BudgetPolicy | None = None
    is_shared: bool = False
    above: int = 0
    whose: str = ""

    def __bool__(self) -> bool:
        return self != OPEN


OPEN = GatePolicy()


def policy_above(level: int, above: Above) -> GatePolicy:
    """The gate of a team above, for those who pass it from below. level: 1 for the nearest that has one."""
    return GatePolicy(None, above.rate, above.budget, above=level, whose=above.whose)


class Grant(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A call that was let through, or booked, and has not ended yet.

    tokens: how many it was booked for. probe: the round of probes that it is of; 0 for none. is_paid: what it consumed
    is known and counted, and only what its reply is worth is still to be told.
    """

    at_us: int
    tokens: int = 0
    probe: int = 0
    is_paid: bool = False


class Gate(msgspec.Struct, omit_defaults=True):
    """The state of a gate.

    grants: by the idempotency key of the call. ended, consumed: all calls, and their tokens. seen_us: the time of the
    last turn.
    """

    breaker: Breaker = msgspec.field(default_factory=Breaker)
    requests: Booked = msgspec.field(default_factory=Booked)
    tokens: Booked = msgspec.field(default_factory=Booked)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    grants: dict[str, Grant] = {}
    ended: int = 0
    consumed: int = 0
    seen_us: int = 0


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a call came to. usage: None where it was lost, so that nobody knows. why: what was bad about it.

    more: of the budget, where that was raised; asked_us: when that was asked for.
    """

    key: str
    at_us: int
    came: Came
    score: float | None = None
    usage: Usage | None = None
    why: str = ""
    more: Amounts | None = None
    asked_us: int = 0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a gate says of a call. at_us: when it may be made; 0 where it may not.

    by: what keeps it away, if only for a while, and why: a Kind, or that of a team above. until_us: when to ask again;
    0 where that is of no use.
    """

    at_us: int = 0
    by: str | None = None
    reason: str = ""
    until_us: int = 0


def ask(gate: Gate, policy: GatePolicy, key: str, now_us: int) -> tuple[Verdict, Sequence[Moved]]:
    """Whether, and when, a call may be made."""
    grant, breaker, probe = gate.grants.get(key), gate.breaker, 0
    moved: Sequence[Moved] = ()
    if grant is not None:
        if _is_good(gate, policy, grant, now_us):
            return _asked_again(gate, policy, key, grant, now_us), moved
        withdraw(gate, policy, key)
    budget, rate = policy.budget, policy.rate
    if budget is not None and (lacking := shortfall(gate.ledger, budget, now_us)):
        if is_only_reserved(gate.ledger, budget):
            return Verdict(0, "reservation", f"{lacking} for now", now_us + RESERVED_WAIT_US), moved
        return Verdict(0, "budget", lacking, next_day_us(now_us) if budget.daily else 0), moved
    if policy.breaker is not None and breaker.state != "closed":
        admitted, moved = admit(breaker, policy.breaker, now_us)
        if not admitted:
            again_us = breaker.until_us or _look_again_us(breaker, policy.breaker, now_us)
            return Verdict(0, "breaker", _why_held(breaker), again_us), moved
        probe = breaker.round
    at_us, tokens = now_us, 0
    if rate is not None:
        tokens = _tokens_of_a_call(gate, rate)
        at_us = _booked_for(gate, rate, tokens, now_us)
    if budget is not None:
        reserve(gate.ledger, budget)
    gate.grants[key] = Grant(at_us, tokens, probe)
    return Verdict(now_us) if at_us == now_us else _verdict(at_us, now_us), moved


def _look_again_us(breaker: Breaker, policy: BreakerPolicy, now_us: int) -> int:
    """When to look whether a breaker that was opened by hand was reset: ever more rarely, the longer it has been open.

    Else each step that waits over a weekend would write thousands of events.
    """
    return now_us + max(1_000 * policy.cooldown_ms, (now_us - breaker.since_us) // 4)


def _why_held(breaker: Breaker) -> str:
    if breaker.state == "half_open":
        return "its breaker is half-open: it is being tried with a few calls"
    return f"its breaker is open: {breaker.reason}"


def _is_good(gate: Gate, policy: GatePolicy, grant: Grant, now_us: int) -> bool:
    """Whether what was granted still is, for all that the breaker did since. A probe of an earlier round is none."""
    breaker = gate.breaker
    if policy.breaker is None or breaker.state == "closed":
        return True
    return breaker.state == "half_open" and grant.probe == breaker.round and now_us < breaker.until_us


def _asked_again(gate: Gate, policy: GatePolicy, key: str, grant: Grant, now_us: int) -> Verdict:
    """A call asks when its time has come, or after a crash: what counts for its rate is when it begins, not was due."""
    if policy.rate is None:
        return Verdict(now_us)
    begins_us = max(now_us, grant.at_us)
    if begins_us > now_us + SOON_US:
        return _verdict(grant.at_us, now_us)
    _unbook(gate, policy, grant)
    tokens = _tokens_of_a_call(gate, policy.rate)
    at_us = _earliest(gate, policy.rate, tokens, begins_us, is_due=True)
    if at_us > begins_us and tokens > grant.tokens:
        # It was booked for too little, and so were those behind it: it stands in line again, or they would crowd.
        at_us = _earliest(gate, policy.rate, tokens, begins_us)
    _book(gate, policy.rate, tokens, at_us, now_us)
    gate.grants[key] = replace(grant, at_us=at_us, tokens=tokens)
    return _verdict(at_us, now_us)


def _tokens_of_a_call(gate: Gate, rate: RatePolicy) -> int:
    """How many tokens a call is booked for: what calls have consumed on average."""
    if rate.tokens is None:
        return 0
    return gate.consumed // gate.ended if gate.ended else TOKENS_AT_FIRST


def _booked_for(gate: Gate, rate: RatePolicy, tokens: int, now_us: int) -> int:
    """Book a call for the first moment at which it fits: for most, this one."""
    if rate.requests is None or book_at_once(gate.requests, rate.requests, 1, now_us):
        if rate.tokens is None or book_at_once(gate.tokens, rate.tokens, tokens, now_us):
            return now_us
        if rate.requests is not None:
            correct(gate.requests, rate.requests, -1, now_us)
    at_us = _earliest(gate, rate, tokens, now_us)
    _book(gate, rate, tokens, at_us, now_us)
    return at_us


def _earliest(gate: Gate, rate: RatePolicy, tokens: int, now_us: int, *, is_due: bool = False) -> int:
    at_us = now_us
    if rate.requests is not None:
        at_us = earliest(gate.requests, rate.requests, 1, at_us, is_due=is_due)
    if rate.tokens is not None:
        at_us = earliest(gate.tokens, rate.tokens, tokens, at_us, is_due=is_due)
    return at_us


def _book(gate: Gate, rate: RatePolicy, tokens: int, at_us: int, now_us: int) -> None:
    if rate.requests is not None:
        book(gate.requests, rate.requests, 1, at_us, now_us)
    if rate.tokens is not None:
        book(gate.tokens, rate.tokens, tokens, at_us, now_us)


def _unbook(gate: Gate, policy: GatePolicy, grant: Grant) -> None:
    rate = policy.rate
    if rate is not None and rate.requests is not None:
        correct(gate.requests, rate.requests, -1, grant.at_us)
    if rate is not None and rate.tokens is not None:
        correct(gate.tokens, rate.tokens, -grant.tokens, grant.at_us)


def _verdict(at_us: int, now_us: int) -> Verdict:
    if at_us <= now_us + SOON_US:
        return Verdict(now_us)
    return Verdict(at_us, "rate", "its rate is taken up until then", at_us)


def withdraw(gate: Gate, policy: GatePolicy, key: str) -> None:
    """A call that was let through is not made."""
    grant = gate.grants.pop(key, None)
    if grant is None:
        return
    forget_probe(gate.breaker, grant.probe)
    if policy.budget is not None:
        release(gate.ledger, policy.budget)
    _unbook(gate, policy, grant)


def tell(gate: Gate, policy: GatePolicy, outcomes: Sequence[Outcome]) -> list[Moved]:
    """Fold what calls came to."""
    moved: list[Moved] = []
    for outcome in outcomes:
        came, key = outcome.came, outcome.key
        grant = gate.grants.get(key)
        if came == "not_made":
            withdraw(gate, policy, key)
        elif outcome.more is not None:
            if policy.budget is not None:
                raise_by(gate.ledger, policy.budget, outcome.more, outcome.at_us, outcome.asked_us)
        elif grant is None:
            if outcome.usage is not None and policy.budget is not None:
                settle_late(gate.ledger, policy.budget, outcome.usage, outcome.at_us)
        else:
            if not grant.is_paid:
                _pay(gate, policy, grant, outcome)
            if came == "drafted":
                gate.grants[key] = replace(grant, is_paid=True)
                continue
            del gate.grants[key]
            if policy.breaker is None:
                continue
            bad = _bad(policy.breaker, outcome)
            if bad is None:
                forget_probe(gate.breaker, grant.probe)
            else:
                moved += judge(gate.breaker, policy.breaker, bad=bad, probe=grant.probe, at_us=outcome.at_us)
    return moved


def forget_lost(gate: Gate, policy: GatePolicy, now_us: int) -> None:
    """Let go of calls that nobody will tell the outcome of, such as those of a run that was cancelled after a crash."""
    while gate.grants:
        key, grant = next(iter(gate.grants.items()))
        if grant.at_us + LOST_US > now_us:
            return
        tell(gate, policy, [Outcome(key, now_us, "neutral")])


def _pay(gate: Gate, policy: GatePolicy, grant: Grant, outcome: Outcome) -> None:
    """Count what a call has consumed."""
    usage = outcome.usage
    if usage is not None:
        tokens = usage.input_tokens + usage.output_tokens
        gate.ended += 1
        if tokens:
            gate.consumed += tokens
        if tokens != grant.tokens and policy.rate is not None and policy.rate.tokens is not None:
            correct(gate.tokens, policy.rate.tokens, tokens - grant.tokens, grant.at_us)
    if policy.budget is not None:
        settle(gate.ledger, policy.budget, usage, outcome.at_us)


def _bad(policy: BreakerPolicy, outcome: Outcome) -> str | None:
    """What is bad about an outcome; "" for a good one, None for one that says nothing."""
    if outcome.came == "committed":
        is_low = outcome.score is not None and outcome.score < policy.threshold
        return f"a score of {outcome.score:g}, below {policy.threshold:g}" if is_low else ""
    return (outcome.why or outcome.came) if outcome.came in policy.counts else None


def outcome_of(event: AnyEvent, key: str) -> Outcome | None:
    """What an event says to the gate of the agent whose call it is about; None for an event that ends no call."""
    match event:
        case AttemptCommitted():
            return Outcome(key, event.at_us, "committed", event.score, event.usage or NOTHING_USED)
        case AttemptRefused():
            bad = [finding.message for finding in event.findings if finding.code != UNJUDGED]
            if not bad:  # its judge was down: that says nothing of its author
                return Outcome(key, event.at_us, "neutral", None, event.usage or NOTHING_USED)
            return Outcome(key, event.at_us, "refused", None, event.usage or NOTHING_USED, _cut(bad[0]))
        case ReplyDrafted():
            return Outcome(key, event.at_us, "drafted", None, event.usage or NOTHING_USED)
        case ReplyJudged():
            return Outcome(key, event.at_us, "committed", None, event.usage or NOTHING_USED)
        case AttemptFailed(kind="rate_limited"):
            return Outcome(key, event.at_us, "neutral", None, event.usage or NOTHING_USED)
        case AttemptFailed():
            came: Came = "timeout" if event.kind == "timeout" else "error"
            return Outcome(key, event.at_us, came, None, event.usage, _cut(event.error))
        case QuestionAsked():
            usage = event.usage if event.effect else event.usage or NOTHING_USED
            return Outcome(key, event.at_us, "neutral", None, usage)
        case AttemptInterrupted():
            return Outcome(key, event.at_us, "neutral")
        case ReplyArrivedLate():
            return Outcome(key, event.at_us, "late", None, event.usage)
    return None


def _cut(text: str) -> str:
    return text[:WHY_CHARS_MAX]


# --- a turn ---

# By the names of gates.
Policies = Mapping[str, GatePolicy]


def heed_the_clock(gate: Gate, policy: GatePolicy, now_us: int) -> None:
    """Where a clock was ahead and was set right, nothing waits until that time comes again.

    What was booked for later is taken for now: then calls wait for one period of their rate at most.
    """
    was_ahead = now_us + CLOCKS_APART_US < gate.seen_us
    gate.seen_us = now_us if was_ahead else max(gate.seen_us, now_us)
    if not was_ahead:
        return
    for key, grant in gate.grants.items():
        if grant.at_us > now_us:
            gate.grants[key] = replace(grant, at_us=now_us)
    if policy.rate is not None and policy.rate.requests is not None:
        bring_forward(gate.requests, policy.rate.requests, now_us)
    if policy.rate is not None and policy.rate.tokens is not None:
        bring_forward(gate.tokens, policy.rate.tokens, now_us)


def _told_by_now(outcomes: Sequence[Outcome], now_us: int) -> Sequence[Outcome]:
    """The time in a run may be ahead of the clock."""
    for outcome in outcomes:
        if outcome.at_us > now_us:
            return [replace(outcome, at_us=min(outcome.at_us, now_us)) for outcome in outcomes]
    return outcomes


class AtGate(msgspec.Struct, gc=False):
    """What a turn at a gate finds: its state, which it changes in place, and what was told since the last turn.

    moved: what the turn has the breaker do, for the journal to keep. notices: of that, to whom they go; team: whose.
    name: of the gate.
    """

    gate: Gate
    outcomes: Sequence[Outcome]
    moved: list[Moved] = []
    notices: Sequence[Posted] = ()
    team: str = ""
    name: str = ""


def turn(policies: Policies, keys: Sequence[str], now_us: int, found: Sequence[AtGate]) -> list[Verdict]:
    """Fold what was told to gates that stand one behind the other, and answer for each call whether it passes them.

    found: the agent's first, then the team's, then those of the teams above.
    """
    for at in found:
        gate, policy = at.gate, policies[at.name]
        if now_us >= gate.seen_us:
            gate.seen_us = now_us
        else:
            heed_the_clock(gate, policy, now_us)
        if at.outcomes:
            at.moved += tell(gate, policy, _told_by_now(at.outcomes, now_us))
        if gate.grants:
            forget_lost(gate, policy, now_us)
    verdicts = []
    for key in keys:
        verdicts.append(_through(policies, found, key, now_us))  # noqa: PERF401 - of one key, as of most, it is slower
    return verdicts


def take_back(policies: Policies, key: str, now_us: int, found: Sequence[AtGate]) -> None:
    """A turn of its own for a call that these gates let through, and that is not made."""
    for at in found:
        policy = policies[at.name]
        at.moved += tell(at.gate, policy, _told_by_now(at.outcomes, now_us))
        withdraw(at.gate, policy, key)


def _through(policies: Policies, found: Sequence[AtGate], key: str, now_us: int) -> Verdict:
    latest: Verdict | None = None
    for at in found:
        policy = policies[at.name]
        verdict, moved = ask(at.gate, policy, key, now_us)
        if moved:
            at.moved += moved
        if verdict.by is not None:
            verdict = _told(verdict, verdict.by, policy)
            if not verdict.at_us:
                for other in found:
                    withdraw(other.gate, policies[other.name], key)
                return verdict
        if latest is None or verdict.at_us > latest.at_us:
            latest = verdict
    assert latest is not None, "whoever asks stands at a gate"
    return latest


def _told(verdict: Verdict, by: str, policy: GatePolicy) -> Verdict:
    """The same, with whose gate it is."""
    if policy.is_shared:
        return replace(verdict, by=_OF_TEAM[by])
    if policy.above:
        return replace(verdict, by=kind_above(policy.above, by), reason=f"{policy.whose}: {verdict.reason}")
    return verdict


def copied(gate: Gate) -> Gate:
    """A gate that a turn may change without changing this one."""
    ledger = gate.ledger
    return Gate(
        replace(gate.breaker),
        Booked(gate.requests.slots.copy(), gate.requests.last_us),
        Booked(gate.tokens.slots.copy(), gate.tokens.last_us),
        replace(
            ledger,
            spent=replace(ledger.spent),
            reserved=replace(ledger.reserved),
            raised=ledger.raised and replace(ledger.raised),
        ),
        gate.grants.copy(),
        gate.ended,
        gate.consumed,
        gate.seen_us,
    )


encode: Any = msgspec.json.Encoder().encode
decode: Any = msgspec.json.Decoder(Gate).decode
decode_outcome: Any = msgspec.json.Decoder(Outcome).decode
