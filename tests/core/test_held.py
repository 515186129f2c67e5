"""Steps that wait for what others of their run have set aside: who of them goes on, and what it costs to find out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.budget import BudgetPolicy
from interlock.core.held import Held
from interlock.core.job import Usage
from interlock.core.purse import Purse


class Counting(Purse):
    """Counts how often it is asked what a step waits for."""

    asked = 0

    def awaited(self, budgets, at_us):
        self.asked += 1
        return super().awaited(budgets, at_us)


def tokens(most, call=100):
    return BudgetPolicy(tokens=most, call_tokens=call)


RUN = ("run_budget", "", tokens(300))
ANN, BOB = (("agent_budget", f"agent {name}", tokens(200)) for name in ("ann", "bob"))


class Line:
    """Steps that wait, each under the next number, beside calls that are under way."""

    def __init__(self):
        self.purse = Counting()
        self.held = Held(self.purse)
        self.came = 0

    def begin(self, *budgets):
        self.purse.draw(0, 1, budgets)
        self.held.changed = True

    def end(self, *budgets, used=0):
        self.purse.settle(budgets, Usage(used, 0), 0)
        self.held.changed = True

    def wait(self, *budgets):
        self.came += 1
        self.held.add(self.came, budgets)
        self.held.changed = True

    def look(self):
        return self.held.look(0) if self.held.changed else []


def full(*waiting):
    """Three calls are under way, which is all that a run may pay for."""
    line = Line()
    for _ in range(3):
        line.begin(RUN)
    for budgets in waiting:
        line.wait(*budgets)
    assert line.look() == []
    return line


def test_who_came_first_goes_on_first():
    line = full([RUN], [RUN, ANN], [RUN])
    line.end(RUN)
    assert line.look() == [1]
    line.held.go_on(1)
    line.end(RUN)
    line.end(RUN)
    assert line.look() == [2, 3]


def test_who_comes_again_is_the_last():
    line = full([RUN], [RUN])
    line.end(RUN)
    assert line.look() == [1]
    line.held.go_on(1)
    line.held.begin(1)
    line.begin(RUN)
    line.held.add(1, (RUN,))
    line.end(RUN)
    assert line.look() == [2]


def test_they_go_on_in_the_order_in_which_they_came_whatever_each_of_them_lacked():
    line = Line()
    for budget in (ANN, ANN, BOB, BOB):
        line.begin(budget)
    for budget in (BOB, ANN, BOB, ANN):
        line.wait(budget)
    assert line.look() == []
    for budget in (ANN, ANN, BOB, BOB):
        line.end(budget)
    assert line.look() == [1, 2, 3, 4]


def test_who_lacks_something_else_by_now_keeps_its_place():
    line = full([RUN, ANN], [RUN, ANN], [RUN])
    for _ in range(2):
        line.begin(ANN)
    line.end(RUN)
    assert line.look() == [3]  # the others wait for ann
    line.held.go_on(3)
    line.held.begin(3)
    line.wait(RUN, ANN)
    line.end(RUN)
    assert line.look() == []
    line.end(ANN)
    assert line.look() == [1]


def test_who_waits_for_a_budget_is_told_when_one_before_that_is_spent():
    line = Line()
    for _ in range(2):
        line.begin(RUN, ANN)
    line.wait(RUN, ANN)
    assert line.look() == []
    line.end(RUN, used=300)
    assert line.look() == [1]


def test_who_needs_less_overtakes():
    small = ("run_budget", "", tokens(300, call=10))
    line = full([RUN], [small], [small])
    line.end(RUN, used=85)
    assert line.look() == [2]


def test_where_nothing_has_changed_nobody_is_told_twice():
    line = full([RUN], [RUN])
    line.end(RUN)
    assert line.look() == [1]
    assert line.look() == []
    assert [*line.held.chosen] == [1]
    line.held.go_on(1)
    assert (line.look(), [*line.held.chosen], 1 in line.held.waiting, len(line.held.waiting)) == ([], [], False, 1)


def test_who_was_chosen_and_has_not_gone_on_is_looked_at_again():
    line = full([RUN], [RUN])
    line.end(RUN)
    assert line.look() == [1]
    line.begin(RUN)
    assert (line.look(), [*line.held.chosen]) == ([], [])
    line.end(RUN)
    assert line.look() == [1]


def test_what_is_set_aside_is_so_until_a_step_begins():
    line = full([RUN], [RUN])
    line.end(RUN)
    assert line.look() == [1]
    line.held.go_on(1)
    line.held.changed = True
    assert line.look() == []
    line.held.begin(1)
    line.held.changed = True
    assert line.look() == [2]


def test_what_is_set_aside_for_one_is_not_lacking_for_calls_that_are_made():
    line = full([RUN])
    line.end(RUN)
    assert line.look() == [1]
    assert line.purse.lacking((RUN,), 0) == ()


def test_who_goes_on_as_its_events_tell_is_forgotten_by_its_line():
    line = full([RUN], [RUN], [RUN])
    line.held.go_on(1)
    line.held.go_on(2)
    line.held.begin(1)
    line.held.begin(2)
    line.end(RUN)
    assert line.look() == [3]


def test_who_goes_on_as_its_events_tell_keeps_what_it_needs_from_others():
    line = full([RUN], [RUN])
    line.end(RUN)
    line.held.changed = False
    line.held.go_on(2)
    assert line.held.changed
    assert line.look() == []


def test_another_agent_that_takes_over_draws_on_its_own_budgets():
    line = Line()
    for budget in (ANN, ANN, BOB, BOB):
        line.begin(budget)
    for budget in (ANN, ANN, BOB):
        line.wait(budget)
    line.end(ANN)
    assert line.look() == [1]
    line.held.go_on(1)
    line.held.change(1, (BOB,))
    line.end(BOB)
    assert line.look() == [2]
    line.held.begin(1)
    line.held.changed = True
    assert line.look() == [2, 3]


@pytest.mark.parametrize("more", [(), (ANN,)], ids=["one budget", "an agent's too"])
def test_a_look_costs_the_same_however_many_wait(more):
    asked = []
    for count in (50, 500):
        line = full(*[[RUN, *more]] * count)
        line.purse.asked = 0
        line.look()
        assert line.purse.asked == 0  # nothing has changed
        line.held.changed = True
        assert line.look() == []  # nor is anything free
        line.end(RUN)
        assert line.look() == [1]
        line.held.go_on(1)
        asked.append(line.purse.asked)
    assert asked[0] == asked[1] < 10


def test_budgets_that_each_step_has_for_itself_make_no_lines_while_all_lack_that_of_the_run():
    asked = []
    for count in (50, 500):
        line = full(*[[RUN, ("step_budget", f"step {i}", tokens(100))] for i in range(count)])
        line.purse.asked = 0
        line.end(RUN)
        assert line.look() == [1]
        asked.append(line.purse.asked)
    assert asked[0] == asked[1] < 10


def test_all_of_a_line_change_to_another_once():
    line = full(*[[RUN, ANN]] * 100)
    for _ in range(2):
        line.begin(ANN)
    line.end(RUN)
    assert line.look() == []
    line.purse.asked = 0
    for _ in range(10):
        line.held.changed = True
        assert line.look() == []
    assert line.purse.asked == 10


class Naive:
    """Looks at everybody who waits, one after another."""

    def __init__(self):
        self.purse = Purse()
        self.waits, self.let_go = {}, {}

    def look(self):
        drawing, chosen = [*self.let_go.values()], []
        for budgets in drawing:
            self.purse.set_aside(budgets)
        for n, budgets in self.waits.items():
            if not self.purse.awaited(budgets, 0):
                chosen.append(n)
                drawing.append(budgets)
                self.purse.set_aside(budgets)
        for budgets in drawing:
            self.purse.give_back(budgets)
        return chosen


RUNS = [("run_budget", "", tokens(450, call)) for call in (100, 30)]
BUDGETS = [
    *((run,) for run in RUNS),
    *((run, agent) for run in RUNS for agent in (ANN, BOB)),
    *((RUNS[0], ANN, ("step_budget", f"step {i}", tokens(150, 60))) for i in range(2)),
    (BOB,),
]
happenings = st.tuples(st.sampled_from(["begin", "end", "wait", "wait", "go", "start"]), st.integers(0, 99))


@given(st.lists(happenings, max_size=60))
def test_whoever_looks_at_lines_finds_what_one_finds_who_looks_at_everybody(happening):
    naive, purse = Naive(), Purse()
    held, under_way = Held(purse), []
    for n, (what, number) in enumerate(happening):
        budgets = BUDGETS[number % len(BUDGETS)]
        if what == "begin":
            under_way.append(budgets)
            naive.purse.draw(0, 0, budgets)
            purse.draw(0, 0, budgets)
        elif what == "end" and under_way:
            ended = under_way.pop(number % len(under_way))
            naive.purse.settle(ended, Usage(number, 0), 0)
            purse.settle(ended, Usage(number, 0), 0)
        elif what == "wait":
            naive.waits[n] = budgets
            held.add(n, budgets)
        elif what == "go" and naive.waits:
            gone = ([*held.chosen] or [*naive.waits])[0]
            naive.let_go[gone] = naive.waits.pop(gone)
            held.go_on(gone)
        elif what == "start" and naive.let_go:
            begun = [*naive.let_go][number % len(naive.let_go)]
            del naive.let_go[begun]
            held.begin(begun)
        held.changed |= what != "go"
        if number % 3:
            held.look(0)
            assert [*held.chosen] == naive.look()
            assert len(held.waiting) == len(naive.waits)
