"""What must be true of effects, kept by other means than the machine's ledger.

It hears what became durable about each effect, and sees each performance where it is done: out there.
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.effects import NOT_PERFORMED, PERFORMED, EffectRule
from interlock.core.policy import REISSUES_MAX

from .broken import Require

# How an effect has ended that was done with another payload than is asked for now.
CONFLICT = "conflict"
EffectEvent = e.EffectRequested | e.EffectStarted | e.EffectDone | e.EffectFailed | e.EffectBecameUnknown


class EffectAccount:
    """One effect, as far as events and performances tell.

    ended: how its last try did, as the name of an event; or CONFLICT, or what a person has said of it. payloads: all
    that were asked for under its key; the last one counts. performed: how often its function was called, completed: how
    often it did what it is for, refused: how often it said that it did nothing; failed: how often that is told.
    forgiven: how many of those begun count no more, since a person has it tried again; renewed: a person has. origin:
    the run that asked for it first, where this one is a fork. approved: a person has let it be performed, with its last
    payload.
    """

    def __init__(self, effect: str, key: str, payload: bytes) -> None:
        self.effect, self.key = effect, key
        self.payloads = [payload]
        self.begun = self.lost = self.performed = self.completed = self.refused = self.failed = 0
        self.forgiven = 0
        self.open = self.done = self.retryable = self.renewed = self.approved = False
        self.ended = self.origin = ""
        self.not_before_us = 0


class EffectsAccount:
    """The effects of one run: (step, key) -> what is known of it, in the order in which they were asked for."""

    def __init__(self, run_id: str, rules: dict[str, EffectRule], require: Require) -> None:
        self._run_id, self._rules, self._require = run_id, rules, require
        self.known: dict[tuple[str, str], EffectAccount] = {}
        self._keys: dict[str, tuple[str, str]] = {}

    def of(self, step: str) -> Iterator[EffectAccount]:
        """The effects of a step."""
        return (one for (name, _), one in self.known.items() if name == step)

    @property
    def in_flight(self) -> bool:
        """Whether one is begun and has no outcome."""
        return any(one.open for one in self.known.values())

    def asked(self, step: str, effect: str, key: str, raw: msgspec.Raw, allowed: tuple[str, ...]) -> None:
        """A step asks for an effect."""
        self._require("effects", effect in allowed, f"{step} has {effect}, which its agent may not ask for")
        payload, before = bytes(raw), self.known.get((step, key))
        if before is None or not (before.begun or before.origin):
            one = self.known[step, key] = EffectAccount(effect, key, payload)
            same = before is not None and (before.effect, before.payloads[-1]) == (effect, payload)
            one.approved = before is not None and same and before.approved
        elif (before.effect, before.payloads[-1]) != (effect, payload):
            before.effect, before.done, before.approved = effect, False, False
            before.ended = NOT_PERFORMED if before.ended == NOT_PERFORMED else CONFLICT
            before.payloads.append(payload)

    def hear(self, event: e.EffectStarted | e.EffectDone | e.EffectFailed | e.EffectBecameUnknown) -> None:
        """What became of an effect."""
        one = self._one(event.step, event.key)
        if isinstance(event, e.EffectStarted):
            self._started(one, event)
            return
        self._require("effects", one.open, f"{one.key} has an outcome, and was not begun")
        one.open, one.ended = False, type(event).__name__
        wait_ms = min(200 * 2 ** (one.begun - one.lost - one.forgiven - 1), 30_000)
        match event:
            case e.EffectDone():
                one.done, wait_ms = True, 0
            case e.EffectFailed():
                one.retryable = event.retryable
                one.failed += 1
            case e.EffectBecameUnknown():
                one.lost += event.lost
                wait_ms = 0 if event.lost else wait_ms
        one.not_before_us = event.at_us + 1_000 * wait_ms

    def _started(self, one: EffectAccount, event: e.EffectStarted) -> None:
        message = f"{one.key} of {event.step} is begun"
        self._require("effects_once", not one.done, f"{message} although it is done")
        self._require("effects_once", not one.open, f"{message} while it is under way")
        self._require("effects_unknown", self.may_go_on(one), f"{message} again, which its rule forbids: {one.ended}")
        self._require("effects_approved", not self.lacks_approval(one), f"{message}, and no person has approved it")
        self._require("effects", event.number == one.begun + 1, f"try {event.number} of {one.key} after {one.begun}")
        one.begun, one.open = one.begun + 1, True

    def lacks_approval(self, one: EffectAccount) -> bool:
        """Whether a person must let it be performed, and has not."""
        return self._rules[one.effect].approve and not one.approved

    def approved(self, step: str, key: str) -> None:
        """A person lets an effect be performed."""
        one = self._one(step, key)
        fits = self._rules[one.effect].approve and not one.done and not one.open
        self._require("effects_approved", fits, f"{key} of {step} is approved, which it didn't wait for")
        one.approved = True

    def may_go_on(self, one: EffectAccount) -> bool:
        """Whether it may be begun, for the first time or again."""
        rule, tries = self._rules[one.effect], one.begun - one.lost - one.forgiven
        if not one.begun and not one.origin:
            return True
        if tries > rule.retries or one.lost > REISSUES_MAX:
            return False
        if one.ended == "EffectFailed":
            return one.retryable
        if one.ended == NOT_PERFORMED:
            return True
        return rule.on_unknown == "retry"

    def stuck(self, step: str, wanted: Collection[str]) -> Iterator[EffectAccount]:
        """The effects by which a step is held up for good: unknown ones, and failed ones that are wanted."""
        for one in self.of(step):
            is_settled = one.done or one.open or self.may_go_on(one)
            if not is_settled and (one.key in wanted or one.ended != "EffectFailed"):
                yield one

    def asks(self, one: EffectAccount) -> bool:
        """Whether a person must say what became of it."""
        rule = self._rules[one.effect].on_unknown
        return one.ended not in {"EffectFailed", NOT_PERFORMED} and (rule == "ask" or (one.renewed and rule == "fail"))

    def answered(self, step: str, key: str, text: str) -> None:
        """A person says what became of an effect."""
        one = self._one(step, key)
        self._require("effects_unknown", self.asks(one) and not one.open, f"{key} of {step} is decided about: {text}")
        one.done, one.ended = text == PERFORMED, text
        if text == NOT_PERFORMED:
            one.approved = True
            self._renew(one)

    def shared(self, event: e.EffectShared) -> None:
        """A fork takes over what became of an effect."""
        one = self.known[event.step, event.key] = EffectAccount(event.effect, event.key, bytes(event.payload))
        one.origin, one.renewed, one.done = event.run_id, True, not event.reason
        one.ended = "EffectBecameUnknown" if event.reason else "EffectDone"

    def is_open(self, idempotency_key: str) -> bool:
        """Whether it is this run that has an effect performed now."""
        return any(one.open and self._is_key(place, idempotency_key) for place, one in self.known.items())

    def under(self, idempotency_key: str) -> EffectAccount:
        """The effect that is performed under this key."""
        return next(one for place, one in self.known.items() if self._is_key(place, idempotency_key))

    def renew(self, step: str) -> None:
        """A step is tried again."""
        for one in self.of(step):
            if one.begun and not one.done:
                self._renew(one)

    def _renew(self, one: EffectAccount) -> None:
        one.forgiven, one.lost, one.not_before_us = one.begun, 0, 0
        one.retryable = one.renewed = True

    # --- out there ---

    def performed(self, effect: str, payload: Any, idempotency_key: str) -> EffectAccount:
        """Its function is called. Raises Broken."""
        mine = next((place for place in self.known if self._is_key(place, idempotency_key)), None)
        self._require("effects_durable", mine is not None, f"{effect} is performed, and nobody has asked for it")
        assert mine is not None
        one = self.known[mine]
        self._require("effects_durable", one.open, f"{one.key} is performed before that is durable, or after its end")
        one.performed += 1
        self._require("effects_once", one.performed <= one.begun, f"{one.key} is performed more often than begun")
        same = (one.effect, one.payloads[-1]) == (effect, msgspec.json.Encoder(order="sorted").encode(payload))
        self._require("effects", same, f"{one.key} is performed with {payload!r:.100}, which nobody asked for")
        owner = self._keys.setdefault(idempotency_key, mine)
        self._require("effects", owner == mine, f"{mine} has the idempotency key of {owner}")
        return one

    def _is_key(self, place: tuple[str, str], key: str) -> bool:
        return key == f"{self.known[place].origin or self._run_id}/{place[0]}/effect:{place[1]}"

    def _one(self, step: str, key: str) -> EffectAccount:
        one = self.known.get((step, key))
        self._require("effects", one is not None, f"{step} has no effect {key}")
        assert one is not None
        return one
