"""What steps change out there: the ledger of their effects, and what follows from how each of them stands.

An effect has the key that its agent gave it, in its step. What is done is never begun again. Of what was begun and has
no outcome nobody knows whether it was done: it is unknown, and its rule says what happens then.
"""

from collections.abc import Iterator
from typing import Literal, assert_never

import msgspec
from msgspec import Raw

from interlock.errors import cut_short

from . import events as e
from .job import APPROVED, Question
from .policy import BACKOFF_MS, BACKOFF_MS_MAX, REISSUES_MAX

TIMEOUT_MS = 10_000
RETRIES = 2
PAYLOAD_CHARS_TOLD = 2_000
# What a person may say of an effect that is unknown.
PERFORMED, NOT_PERFORMED, GIVE_UP = CHOICES = ("it was performed", "it was not: perform it", "give the step up")

OnUnknown = Literal["retry", "ask", "fail"]
Standing = Literal["requested", "started", "done", "failed", "unknown"]
Following = Literal["perform", "approve", "wait", "ask", "bury", "nothing"]
EffectEvent = e.EffectRequested | e.EffectStarted | e.EffectDone | e.EffectFailed | e.EffectBecameUnknown

# How an effect may come to stand. failed: it is certain that nothing was done. What is done becomes unknown only where
# the same key is asked for with another payload. What a person says was not performed is asked for again.
LEGAL: dict[Standing, frozenset[Standing]] = {
    "requested": frozenset({"started"}),
    "started": frozenset({"done", "failed", "unknown"}),
    "done": frozenset({"unknown"}),
    "failed": frozenset({"started", "unknown"}),
    "unknown": frozenset({"requested", "started", "done", "unknown"}),
}
# What follows, for its step; a further try only where there is one left, and where it needs a person's approval
# ("approve") only with that. Of what is unknown, by its rule.
FOLLOWING: dict[Standing, Following] = {
    "requested": "perform",
    "started": "wait",
    "done": "nothing",
    "failed": "perform",
}
FOLLOWING_UNKNOWN: dict[OnUnknown, Following] = {"retry": "perform", "ask": "ask", "fail": "bury"}


class EffectRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one kind of effect is performed, without its code.

    timeout_ms bounds one try. `retries` further tries follow one that failed, or whose outcome is unknown where
    on_unknown is retry; before each the run waits, 200 ms at first. A try that was lost in a crash isn't counted among
    them. on_unknown: retry (with the same idempotency key), ask a person, or fail. approve: no try is begun before a
    person has approved it, as it is asked for.
    """

    timeout_ms: int = TIMEOUT_MS
    retries: int = RETRIES
    on_unknown: OnUnknown = "ask"
    approve: bool = False

    def wait_ms(self, tries: int) -> int:
        """Milliseconds to wait after this many tries."""
        return min(BACKOFF_MS << min(tries - 1, 32), BACKOFF_MS_MAX)


def effect_of(agent: str, tool: str) -> str:
    """The name of the effect that a tool of an agent is; no other effect has a dot in its name."""
    return f"{agent}.{tool}"


def effect_name(effect: str, key: str) -> str:
    """An effect for people, with its key where that says more."""
    return effect if key == effect else f"{effect} ({key})"


def approval_question(effect: str, key: str) -> Question:
    """What a person is asked before an effect that needs approval."""
    return Question(f"May the effect {effect_name(effect, key)} be performed?")


class Entry(msgspec.Struct):
    """One effect of one step. payload: canonical JSON. tries: how often it was begun; lost: and lost in a crash.

    wanted: somebody waits for it: its step has committed, or the attempt that asked for it goes on. retryable: a
    further try may help. due_us: when that may begin, wait_ms after the last one. reason: why it failed or is unknown.
    doubtful: of some try it isn't known what it did. forgiven: tries that count no more, since a person has it tried
    again; renewed: a person has, so that one is asked even where its rule is to fail. run_id: of the run that asked for
    it first, where a fork has taken it over. approved_by: who has approved it, with this payload. rejected_by: who has
    rejected it, and rejected_for what reason, since its step was last tried again.
    """

    effect: str
    key: str
    payload: Raw
    standing: Standing = "requested"
    tries: int = 0
    lost: int = 0
    wanted: bool = True
    retryable: bool = True
    result: Raw = Raw(b"null")
    flaw: str = ""
    reason: str = ""
    doubtful: bool = False
    forgiven: int = 0
    renewed: bool = False
    run_id: str = ""
    due_us: int = 0
    wait_ms: int = 0
    approved_by: str = ""
    rejected_by: str = ""
    rejected_for: str = ""

    @property
    def name(self) -> str:
        """The effect for people, with its key where that says more."""
        return effect_name(self.effect, self.key)

    @property
    def fate(self) -> str:
        """Why its step can't go on, for people."""
        if self.standing == "failed" and not self.doubtful:
            return f"its effect {self.name} was not performed: {self.reason}"
        return f"nobody knows whether its effect {self.name} was performed: {self.reason}"

    @property
    def question(self) -> Question:
        """What a person is asked where nobody knows."""
        return Question(f"{self.fate}. Was it?", CHOICES)

    @property
    def approval(self) -> str:
        """What an agent is told that may ask for it again, now that it is approved."""
        payload = cut_short(bytes(self.payload).decode(), PAYLOAD_CHARS_TOLD)
        return f"{APPROVED}{self.name}: ask for it again with the same payload, {payload}"

    @property
    def counted(self) -> int:
        """How many tries its rule counts."""
        return self.tries - self.lost - self.forgiven

    def reject(self, by: str, why: str) -> str:
        """A person will not have it performed; returns what that means for its step."""
        self.rejected_by, self.rejected_for = by, why
        return f"its effect {self.name} was "

    def renew(self) -> None:
        """A person has it tried again: all its tries are left."""
        self.lost, self.forgiven = 0, self.tries
        self.retryable = self.renewed = True
        self.due_us = self.wait_ms = 0

    def move(self, to: Standing) -> None:
        """Come to stand otherwise."""
        assert to in LEGAL[self.standing], f"effect {self.key}: {self.standing} -> {to}"
        self.standing = to

    def is_same(self, effect: str, payload: Raw) -> bool:
        """Whether this is what was asked for under its key."""
        return self.effect == effect and bytes(self.payload) == bytes(payload)


class EffectLedger(msgspec.Struct):
    """The effects of a run: number of the step -> key -> entry, in the order in which they were asked for.

    in_flight: how many are begun and have no outcome yet.
    """

    rules: dict[str, EffectRule]
    entries: dict[int, dict[str, Entry]] = {}
    in_flight: int = 0

    def rule(self, entry: Entry) -> EffectRule:
        """What an effect is held to."""
        return self.rules[entry.effect]

    def of(self, n: int) -> Iterator[Entry]:
        """The effects of a step."""
        return iter(self.entries[n].values() if n in self.entries else ())

    def find(self, n: int, key: str) -> Entry | None:
        """The effect of a step with this key, if there is one."""
        return self.entries.get(n, {}).get(key)

    def entry(self, n: int, key: str) -> Entry:
        """The effect of a step with this key, which there is."""
        return self.entries[n][key]

    def open(self) -> list[tuple[int, Entry]]:
        """What was begun and has no outcome; after a crash, what is unknown."""
        every = ((n, entry) for n, mine in self.entries.items() for entry in mine.values())
        return [(n, entry) for n, entry in every if entry.standing == "started"] if self.in_flight else []

    def following(self, entry: Entry) -> Following:
        """What follows from how an effect stands."""
        rule = self.rule(entry)
        following = FOLLOWING.get(entry.standing) or FOLLOWING_UNKNOWN[rule.on_unknown]
        if entry.standing == "unknown" and following == "bury" and entry.renewed:
            return "ask"
        used_up = entry.counted > rule.retries or entry.lost > REISSUES_MAX
        if following == "perform" and (used_up or not entry.retryable):
            return "bury"
        return "approve" if following == "perform" and self.lacks_approval(entry) else following

    def lacks_approval(self, entry: Entry) -> bool:
        """Whether a person must approve an effect before it is begun."""
        return self.rule(entry).approve and not entry.approved_by

    def needs_approval(self, wanted: e.EffectWanted, entry: Entry | None) -> bool:
        """Whether it would lack approval if an agent asked for this. entry: what stands under its key."""
        if entry is None:
            return self.rules[wanted.effect].approve
        if not entry.is_same(wanted.effect, wanted.payload):
            asked_for = {"effect": wanted.effect, "payload": wanted.payload, "approved_by": "", "retryable": True}
            standing: Standing = "requested" if entry.standing == "requested" else "unknown"
            entry = msgspec.structs.replace(entry, standing=standing, **asked_for)
        return self.following(entry) == "approve"

    def first_open(self, n: int) -> Entry | None:
        """The first effect that a step which has committed still waits for."""
        waiting = (e for e in self.of(n) if e.standing == "started" or (e.wanted and e.standing != "done"))
        return next(waiting, None)

    def blocker(self, n: int) -> Entry | None:
        """The effect that must be settled before an agent is called again, which might ask for it."""
        stuck = (e for e in self.of(n) if e.standing == "unknown" and self.following(e) in {"ask", "bury"})
        return next(stuck, None)

    # --- what becomes of them ---

    def take_over(self, n: int, event: e.EffectShared) -> None:
        """An effect of the run that this one is a fork of."""
        entry = Entry(event.effect, event.key, event.payload, "done", result=event.result, flaw=event.flaw)
        entry.wanted, entry.renewed, entry.run_id = False, True, event.run_id
        if event.reason:
            entry.standing, entry.doubtful, entry.reason = "unknown", True, event.reason
        self.entries.setdefault(n, {})[event.key] = entry

    def apply(self, n: int, event: EffectEvent) -> Entry:
        """Fold a fact about an effect of a step; returns its entry."""
        match event:
            case e.EffectRequested():
                return self.request(n, event.effect, event.key, event.payload)
            case e.EffectStarted():
                self._start(n, event.key)
            case e.EffectDone():
                self._finish(n, event.key, event.result, event.flaw)
            case e.EffectFailed():
                self._fail(n, event.key, event.error, event.at_us, retryable=event.retryable)
            case e.EffectBecameUnknown():
                self._lose(n, event.key, event.reason, event.at_us, lost=event.lost)
            case _:
                assert_never(event)
        return self.entry(n, event.key)

    def request(self, n: int, effect: str, key: str, payload: Raw) -> Entry:
        """An effect is asked for, for the first time or again."""
        mine = self.entries.setdefault(n, {})
        entry = mine.get(key)
        if entry is None:
            entry = mine[key] = Entry(effect, key, payload)
        elif not entry.is_same(effect, payload):
            entry.approved_by = ""
            entry.effect, entry.payload, entry.retryable = effect, payload, True
            if entry.standing != "requested":
                entry.move("unknown")
                entry.reason = "its key was used before, with another payload"
        entry.wanted = True
        return entry

    def _start(self, n: int, key: str) -> None:
        entry = self.entry(n, key)
        entry.move("started")
        entry.tries += 1
        self.in_flight += 1

    def _finish(self, n: int, key: str, result: Raw, flaw: str) -> None:
        entry = self.entry(n, key)
        self._leave(entry, "done")
        entry.result, entry.flaw = result, flaw

    def _fail(self, n: int, key: str, reason: str, at_us: int, *, retryable: bool) -> None:
        entry = self.entry(n, key)
        self._leave(entry, "failed")
        entry.retryable = retryable
        self._back_off(entry, reason, at_us)

    def _lose(self, n: int, key: str, reason: str, at_us: int, *, lost: bool = False) -> None:
        entry = self.entry(n, key)
        self._leave(entry, "unknown")
        entry.lost += lost
        entry.doubtful = True
        self._back_off(entry, reason, at_us, wait=not lost)

    def answer(self, n: int, key: str, by: str, *, performed: bool) -> None:
        """A person says what became of an effect that is unknown; to have it performed is to approve it."""
        entry = self.entry(n, key)
        if performed:
            entry.move("done")
            entry.result, entry.flaw = Raw(b"null"), f"{by} has said that it was performed, and nothing of its result"
        else:
            entry.move("requested")
            entry.doubtful = False
            entry.approved_by = by
            entry.renew()

    def renew(self, n: int) -> None:
        """A step is tried again: so is what was asked for, and isn't done."""
        for entry in self.of(n):
            entry.rejected_by = entry.rejected_for = ""
            if entry.standing in {"failed", "unknown"}:
                entry.renew()

    def lose_all(self, reason: str, at_us: int) -> None:
        """Whatever is under way is given up."""
        for n, entry in self.open():
            self._lose(n, entry.key, reason, at_us)

    def forget(self, n: int) -> None:
        """Nobody waits any more for what an attempt has asked for."""
        for entry in self.of(n):
            entry.wanted = False

    def _leave(self, entry: Entry, to: Standing) -> None:
        self.in_flight -= entry.standing == "started"
        entry.move(to)

    def _back_off(self, entry: Entry, reason: str, at_us: int, *, wait: bool = True) -> None:
        entry.reason, entry.wait_ms = reason, self.rule(entry).wait_ms(entry.counted) if wait else 0
        entry.due_us = at_us + 1_000 * entry.wait_ms
