"""What the effects of a run come to: which are to be performed, and when a step that has committed is done."""

from . import events as e
from .effects import EffectEvent, EffectLedger, Entry
from .progress import Progress
from .rules import Rules


class Performing(Progress):
    """The steps of a run with their effects. ledger: how each of them stands."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.ledger = EffectLedger(rules.effects)
        # (step, key) of the effects that are to be performed now, and of those that the shell was told to.
        self._due_effects: dict[tuple[int, str], None] = {}
        self._told_effects: set[tuple[int, str]] = set()
        # Steps that have committed, and had effects left to perform then: their agent is not called again.
        self._performed: set[int] = set()
        # What a fork has taken over for items that there aren't yet.
        self.shared_effects: dict[str, list[e.EffectShared]] = {}

    def has_committed(self, n: int) -> bool:
        """Whether a step has committed, and had effects left to perform then."""
        return n in self._performed

    def _end_with_effects(self, n: int) -> None:
        """A step has committed; it has ended when its effects have."""
        if self.ledger.first_open(n) is None:
            self._end(n, "committed")
        else:
            self._performed.add(n)
            self._move(n, "performing")
            self._perform(n)

    def _effect_shared(self, event: e.EffectShared) -> None:
        n = self.number.get(event.step)
        if n is None:
            self.shared_effects.setdefault(event.step, []).append(event)
        else:
            self.ledger.take_over(n, event)

    def _effect_told(self, event: EffectEvent) -> None:
        n = self.number[event.step]
        if isinstance(event, e.EffectRequested):
            self._forget_another(n, event)
        entry = self.ledger.apply(n, event)
        if isinstance(event, e.EffectStarted):
            self._take_back(n, event.key)
        else:
            self._effect_moved(n, entry)

    def _ask_for(self, n: int, wanted: e.EffectWanted) -> Entry:
        self._forget_another(n, wanted)
        return self.ledger.request(n, wanted.effect, wanted.key, wanted.payload)

    def _forget_another(self, n: int, wanted: e.EffectWanted | e.EffectRequested) -> None:
        """What is still to be performed under this key, if it is not this: that must not come in its place."""
        entry = self.ledger.find(n, wanted.key)
        if entry is not None and not entry.is_same(wanted.effect, wanted.payload):
            self._take_back(n, wanted.key)

    def _effect_moved(self, n: int, entry: Entry) -> None:
        """What follows, for its step, from how an effect stands now."""
        if self.state[n] == "performing":
            self._perform(n)
        elif self.state[n] == "running" and entry.wanted:
            following = self.ledger.following(entry)
            if following == "perform":
                self._perform_once(n, entry.key)
            elif entry.standing == "failed":
                entry.wanted = False  # its agent is told, and goes on as it likes

    def _perform(self, n: int) -> None:
        """The effects of a step that has committed: one after another, and then it is done."""
        entry = self.ledger.first_open(n)
        if entry is None:
            self._end(n, "committed")
            return
        following = self.ledger.following(entry)
        if following == "perform":
            self._perform_once(n, entry.key)
        elif following in {"approve", "ask", "bury"}:
            self._due[n] = None

    def _perform_once(self, n: int, key: str) -> None:
        if (n, key) not in self._told_effects:
            self._due_effects[n, key] = None

    def _forget_effects(self, n: int) -> None:
        """The attempt that waited for them is over."""
        if n not in self.ledger.entries:
            return
        self.ledger.forget(n)
        for entry in self.ledger.of(n):
            self._take_back(n, entry.key)

    def _take_back(self, n: int, key: str) -> None:
        """An effect is not to be performed any more, or is being performed by now."""
        self._due_effects.pop((n, key), None)
        self._told_effects.discard((n, key))
