"""Each finding has a system in which it is made, and one beside it in which it isn't."""

import pytest

from interlock.survey.surveying import surveyed
from interlock.survey.system import END, START, Edge, Finding, Key, Route, Sign, System, Worker, ids_of
from tests.survey.test_skeleton import chain, step

BOTH = [Edge(START, "one"), Edge(START, "two")]
CHOSEN = [Edge(START, "one", Route("f()")), Edge(START, "two", Route("f()"))]
LEFT = Edge("two", END, Route("f()"))


def codes(system):
    return {finding.code: finding.severity for finding in surveyed(system).findings if finding.code != "no_person"}


def of_tools(*tools):
    workers = [Worker(name, "", "", tools=tools) for name in ("one", "two")]
    return System("langgraph", "m:g", {}, workers, [step("one"), step("two")], BOTH)


@pytest.mark.parametrize(
    ("system", "found"),
    [
        (chain(step("one", "a"), step("two", "b")), {}),
        (chain(step("one", "a"), step("two", "a")), {"several_writers": "warning"}),
        (chain(step("one", "a"), step("two", "a"), edges=BOTH), {"parallel_writers": "error"}),
        (chain(step("one", "a"), edges=[Edge(START, "one", Route("f()", spread="b"))]), {"parallel_writers": "error"}),
        (chain(step("one", "a"), step("two", "a"), edges=CHOSEN), {"several_writers": "info"}),
        (chain(step("one", "a"), step("two", "a"), edges=BOTH, keys=[Key("a", "append")]), {}),
        (chain(step("one", "a"), keys=[Key("a", "last", "f()")]), {"silent_merge": "warning"}),
        (chain(step("one", "a"), keys=[Key("a", "merge", "f()")]), {"silent_merge": "warning"}),
        (chain(step("one", "a"), keys=[Key("a", "unknown", "f()")]), {"unknown_reducer": "info"}),
        (
            chain(step("one"), step("two"), edges=[*BOTH[:1], Edge("one", "two"), Edge("two", "one"), LEFT]),
            {"loop": "warning"},
        ),
        (
            chain(step("one"), step("two"), edges=[*BOTH[:1], Edge("one", "two"), Edge("two", "one")]),
            {"endless_loop": "error"},
        ),
        (chain(step("one"), step("two"), edges=BOTH[:1]), {"unreached": "warning"}),
        (chain(step("one", effects=(Sign("pay()", "f.py:1"),))), {"unasked_effect": "warning"}),
        (chain(step("one", effects=(Sign("pay()", "f.py:1"),), asks=True)), {}),
        (chain(step("one", asks=True), step("two", effects=(Sign("pay()", "f.py:1"),))), {}),
        (chain(step("one"), step("two", asks=True), edges=BOTH), {}),
        (of_tools("refund"), {"shared_tool": "warning"}),
        (of_tools("search"), {"shared_tool": "info"}),
        (
            chain(step("one"), step("two"), edges=[*BOTH[:1], Edge("one", "two"), Edge(START, "two", Route("f()"))]),
            {"several_conditions": "info"},
        ),
    ],
)
def test_what_is_found(system, found):
    assert codes(system) == found


def test_a_step_that_runs_again_because_its_sources_end_in_different_rounds():
    def diamond(**of_last):
        edges = [Edge(START, "a"), Edge("a", "b"), Edge("a", "end", **of_last), Edge("b", "end", **of_last)]
        return [step("a"), step("b"), step("end")], edges

    steps, edges = diamond()
    assert codes(chain(*steps, edges=edges)) == {"runs_again": "warning"}
    assert codes(chain(step("a"), step("b"), step("end", late=True), edges=edges)) == {}
    steps, edges = diamond(joint=True)
    assert codes(chain(*steps, edges=edges)) == {}


def test_nobody_is_asked_anywhere():
    assert [one.code for one in surveyed(chain(step("one"))).findings] == ["no_person"]


def test_errors_come_first_and_decide_whether_it_is_ok():
    system = chain(step("one", "a"), step("two", "a"), edges=BOTH)
    told = [Finding("x", "info", "", (), (), "")]
    found = surveyed(System("langgraph", "m:g", system.keys, system.workers, system.steps, system.edges, told))
    assert [one.severity for one in found.findings] == ["error", "info", "info"]
    assert not found.ok
    assert found.to_dict()["findings"][0]["code"] == "parallel_writers"


def test_names_become_ids_that_differ():
    ids, found = ids_of(["a b", "a_b", "a.b", "é", "\x1b[31m", "x" * 500], "node")
    assert ids["a b"] == "a_b"
    assert len({*ids.values()}) == 6
    assert all(len(one) <= 80 and one.isascii() for one in ids.values())
    assert {one.code for one in found} == {"renamed"}
    assert all(one.message.isprintable() for one in found)
