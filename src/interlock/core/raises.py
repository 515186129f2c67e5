"""More of a budget: what a person approves of it, and whether it can be raised by that."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec

from interlock.errors import InputError

from .budget import (
    AMOUNT_MAX,
    BUDGET_MAX,
    USD_MAX,
    Amounts,
    BudgetPolicy,
    Ledger,
    is_only_reserved,
    left_of,
    limit,
    micros,
    raise_by,
    raised_since,
    shortfall,
    shown,
)

_KINDS = {"usd": "an amount", "tokens": "a whole number", "calls": "a whole number"}


def more_of(given: Mapping[str, Any]) -> Amounts:
    """What a person approves, such as `{"usd": 0.1}`. Raises InputError for what is no amount."""
    fix = "such as usd=0.10, tokens=4000 or calls=5"
    if not given:
        raise InputError("it isn't said how much more of the budget is approved", fix=fix)
    more = Amounts()
    for name, amount in given.items():
        if name not in {"usd", "tokens", "calls"}:
            raise InputError(f"a budget has no {name!r:.40}", fix=fix)
        kinds, most = ({int, float}, USD_MAX) if name == "usd" else ({int}, AMOUNT_MAX)
        # Whoever has written the request has put in what they like. NaN is not within any bounds.
        whole = amount if type(amount) in kinds and 0 < amount <= most else 0
        if name == "usd":
            whole = micros(whole)
        if not whole:
            raise InputError(f"{name} is not {_KINDS[name]} of more than 0, up to {most:,.0f}", fix=fix)
        setattr(more, name, whole)
    return more


def why_not(ledger: Ledger, policy: BudgetPolicy, more: Amounts) -> str:
    """Why a budget can't be raised by this, in words; "" where it can.

    Where a daily budget stands is for its gate to know.
    """
    return _too_much(ledger, policy, more) or ("" if policy.daily else too_little(ledger, policy, more))


def why_not_today(ledger: Ledger, policy: BudgetPolicy, more: Amounts, at_us: int, asked_us: int) -> str:
    """The same of a daily budget, from where its gate has it, which is changed. asked_us: as in `raise_by`."""
    shortfall(ledger, policy, at_us)  # what was spent on another day doesn't count
    return _too_much(ledger, policy, more) or too_little(ledger, policy, more, at_us, asked_us)


def _too_much(ledger: Ledger, policy: BudgetPolicy, more: Amounts) -> str:
    for name in ("calls", "tokens", "usd"):
        most, added = limit(ledger, policy, name), getattr(more, name)
        if added and most is None:
            return f"the budget doesn't bound {name}"
        if most is not None and most + added > getattr(BUDGET_MAX, name):
            return f"the budget is {shown(name, most)}, and can't be raised by {shown(name, added)}: that is too much"
    return ""


def too_little(ledger: Ledger, policy: BudgetPolicy, more: Amounts, at_us: int = 0, asked_us: int = 0) -> str:
    """Why so much more would not suffice for another call, in words, so that it would only be asked for again.

    at_us, asked_us: of a daily budget, as in `raise_by`.
    """
    then = msgspec.structs.replace(ledger, raised=copy(ledger.raised))
    raise_by(then, policy, more, at_us, asked_us)
    lacking = shortfall(then, policy, at_us)
    if not lacking or is_only_reserved(then, policy):
        return ""
    before = raised_since(ledger, asked_us)
    least = _least(ledger, policy, before or Amounts())
    since = f", since it was raised by {told(before)} after this was asked" if before is not None else ""
    helps = f"at least {told(least)} more would help"
    return f"{told(more)} more are not enough{since}: then {lacking}{_wanted(policy)}; {helps}"


def no_room(ledger: Ledger, policy: BudgetPolicy, more: Amounts) -> str:
    """Why so much more of a budget can't be set aside for a run, in words; "" where it can."""
    for name in ("calls", "tokens", "usd"):
        most, need = limit(ledger, policy, name), getattr(more, name)
        if most is not None and need:
            left = max(0, most - getattr(ledger.spent, name) - getattr(ledger.reserved, name))
            if need > left:
                return f"its budget is {shown(name, most)}, of which {left_of(name, left)}"
    return ""


def _least(ledger: Ledger, policy: BudgetPolicy, before: Amounts) -> Amounts:
    """By how much a budget must be raised for another call, be it when calls that go on have left what they may.

    before: by how much it was raised for what was asked then; of what is lacking still, more than that is needed.
    """
    found = Amounts()
    for name, _, consumed in policy.bounds:
        # What isn't known before needs room; calls are never left.
        need = consumed or 1
        taken = getattr(ledger.spent, name) + (ledger.reserved.calls if name == "calls" else 0)
        lacking = taken + need - (limit(ledger, policy, name) or 0)
        if lacking > 0:
            setattr(found, name, lacking + getattr(before, name))
    return found


def told(amounts: Amounts) -> str:
    """Amounts in words: `5 calls, 3,200 tokens, 0.09 USD`."""
    found = [shown(name, amount) for name in ("calls", "tokens", "usd") if (amount := getattr(amounts, name))]
    return ", ".join(found) or "nothing"


def question(why: str, policy: BudgetPolicy, spent: Amounts | None, *, is_shared: bool) -> str:
    """What a person is asked. why: a call was held. spent: None where only its gate knows. is_shared: by a team."""
    why = why.replace("its budget", "the team's budget") if is_shared else why
    return why + (f"; consumed: {told(spent)}" if spent is not None else "") + _wanted(policy)


def _wanted(policy: BudgetPolicy) -> str:
    """What another call takes of a budget beside its place, in words."""
    needs = []
    for name, unit in (("tokens", "tokens"), ("usd", "dollars")):
        if getattr(policy, name) is not None:
            most = getattr(policy.call, name)
            needs.append(f"up to {shown(name, most)}" if most else f"{unit}, how many isn't known before")
    return f"; another call takes {' and '.join(needs)}" if needs else ""
