"""Room for calls: bounds hold, nobody is forgotten, nobody is held up by another's queue."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.slots import Slots


class Waiter:
    def __init__(self, slots: Slots, agent: str, served: list[str], *, wanted: bool = True) -> None:
        self.agent, self._served, self._wanted = agent, served, wanted
        slots.wait(agent, self.granted)

    def granted(self) -> bool:
        if self._wanted:
            self._served.append(self.agent)
        return self._wanted


def test_there_is_room_up_to_the_total():
    slots = Slots(2, {})
    assert [slots.take("ann"), slots.take("bob"), slots.take("cid")] == [True, True, False]
    slots.give_back("ann")
    assert slots.take("cid")


def test_an_agent_has_room_up_to_its_own_bound():
    slots = Slots(10, {"ann": 1})
    assert [slots.take("ann"), slots.take("ann"), slots.take("bob"), slots.take("bob")] == [True, False, True, True]
    slots.give_back("ann")
    assert slots.take("ann")


def test_whoever_waits_is_served_before_whoever_comes():
    slots, served = Slots(1, {}), []
    assert slots.take("ann")
    Waiter(slots, "ann", served)
    Waiter(slots, "ann", served)
    slots.give_back("ann")
    assert served == ["ann"]
    assert not slots.take("ann")


def test_a_long_queue_of_one_agent_does_not_hold_up_another():
    slots, served = Slots(1, {}), []
    assert slots.take("ann")
    for _ in range(5):
        Waiter(slots, "ann", served)
    Waiter(slots, "bob", served)
    for _ in range(6):
        slots.give_back(served[-1] if served else "ann")
    assert served[1] == "bob"
    assert sorted(served) == ["ann"] * 5 + ["bob"]


def test_room_that_is_not_wanted_any_more_goes_to_the_next():
    slots, served = Slots(1, {"ann": 1}), []
    assert slots.take("ann")
    Waiter(slots, "ann", served, wanted=False)
    Waiter(slots, "ann", served)
    slots.give_back("ann")
    assert served == ["ann"]


def test_who_waits_again_while_being_served_is_not_forgotten():
    slots, served = Slots(1, {}), []

    def again() -> bool:
        served.append("first")
        assert not slots.take("ann")
        Waiter(slots, "ann", served)
        return True

    assert slots.take("ann")
    slots.wait("ann", again)
    Waiter(slots, "ann", served)
    for _ in range(3):
        slots.give_back("ann")
    assert served == ["first", "ann", "ann"]


def test_giving_back_while_being_served_forgets_nobody():
    slots, served = Slots(1, {}), []

    def at_once() -> bool:
        served.append("first")
        slots.give_back("ann")
        return True

    assert slots.take("ann")
    slots.wait("ann", at_once)
    Waiter(slots, "ann", served)
    Waiter(slots, "bob", served)
    slots.give_back("ann")
    slots.give_back("ann")
    assert sorted(served) == ["ann", "bob", "first"]


AGENTS = st.sampled_from("abc")


@given(
    st.lists(st.tuples(st.sampled_from(["call", "end"]), AGENTS, st.booleans()), max_size=60),
    st.integers(1, 4),
    st.dictionaries(AGENTS, st.integers(1, 2), max_size=2),
)
def test_bounds_hold_and_everybody_is_served(moves, total, bounds):
    slots, in_flight, waiting = Slots(total, bounds), [], []

    def call(agent, wanted):
        if slots.take(agent):
            in_flight.append(agent)
        else:
            token = (agent, wanted, len(waiting))
            waiting.append(token)
            slots.wait(agent, lambda: serve(token))

    def serve(token):
        waiting.remove(token)
        if token[1]:
            in_flight.append(token[0])
        return token[1]

    for move, agent, wanted in moves:
        if move == "call":
            call(agent, wanted)
        elif agent in in_flight:
            in_flight.remove(agent)
            slots.give_back(agent)
        assert len(in_flight) <= total
        assert all(in_flight.count(name) <= bound for name, bound in bounds.items())
    while in_flight:
        slots.give_back(in_flight.pop(0))
    assert not waiting
    assert all(slots.take("free") for _ in range(total)), "room was lost"
    assert not slots._queues
