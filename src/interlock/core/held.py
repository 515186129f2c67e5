"""Steps that wait, however long, for what others of their run have set aside of a budget, and who of them goes on when.

Who came first goes on first, as far as there is enough; whoever needs less than one before may overtake it.

They stand in lines. The name of a line is the budgets with which those of each step in it begin, up to the one that
was too small for it when it was looked at last. As long as one of these is too small, none of the line can go on, and
none is looked at: so a look costs as much as there are lines, and steps that go on. A step that is looked at in vain
moves to a line with a longer name, so it moves less often than it has budgets.
"""

from collections import defaultdict
from heapq import heapify, heappop, heappush

from .purse import Budgets, Purse

# When a step came, which it is, and what it draws on.
Place = tuple[int, int, Budgets]


class Held:
    """Those that wait, and those that go on until they begin.

    waiting: where each of them stands. chosen: those of them that may go on by the last look, and have not been told
    yet. let_go: those that have, and what they draw on. What both need is set aside for them. changed: whether another
    look may find others.
    """

    def __init__(self, purse: Purse) -> None:
        self.waiting: dict[int, Place] = {}
        self.chosen: dict[int, Place] = {}
        self.let_go: dict[int, Budgets] = {}
        self.changed = False
        self._purse = purse
        self._came = 0
        # Whoever has gone on without a look, as its events tell, still stands there.
        self._lines: defaultdict[Budgets, list[Place]] = defaultdict(list)

    def add(self, n: int, budgets: Budgets) -> None:
        """A step has to wait from now on."""
        self._came += 1
        place = self.waiting[n] = self._came, n, budgets
        heappush(self._lines[budgets[:1]], place)

    def go_on(self, n: int) -> None:
        """A step waits no more. Until it begins, what it needs is kept from those that wait."""
        _, _, budgets = self.waiting.pop(n)
        if self.chosen.pop(n, None) is None:
            self._purse.set_aside(budgets)
            self.changed = True
        self.let_go[n] = budgets

    def change(self, n: int, budgets: Budgets) -> None:
        """Another agent is about to begin a step, and draws on other budgets."""
        self._purse.give_back(self.let_go[n])
        self._purse.set_aside(budgets)
        self.let_go[n] = budgets

    def begin(self, n: int) -> None:
        """A step is about to begin, or never will."""
        if n in self.let_go:
            self._purse.give_back(self.let_go.pop(n))

    def look(self, at_us: int) -> list[int]:
        """The steps that may go on by now, in the order in which they came."""
        self.changed = False
        for place in self.chosen.values():
            self._purse.give_back(place[2])
            heappush(self._lines[place[2][:1]], place)
        self.chosen = {}
        heads = [(line[0][0], name) for name, line in self._lines.items()]
        heapify(heads)
        while heads:
            _, name = heappop(heads)
            if not self._purse.awaited(name, at_us):
                self._first_of(name, at_us)
                if name in self._lines:
                    heappush(heads, (self._lines[name][0][0], name))
        return [*self.chosen]

    def _first_of(self, name: Budgets, at_us: int) -> None:
        """The first of a line goes on, or stands in another by now; or has gone on long since."""
        line = self._lines[name]
        place = heappop(line)
        if not line:
            del self._lines[name]
        _, n, budgets = place
        if self.waiting.get(n) is not place:
            return
        lacks = self._purse.awaited(budgets, at_us)
        if lacks:
            heappush(self._lines[lacks], place)
        else:
            self.chosen[n] = place
            self._purse.set_aside(budgets)
