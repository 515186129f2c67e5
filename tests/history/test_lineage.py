"""Where a value came from, back to the request."""

import sys

import pytest

import interlock as il
from interlock.errors import InputError, PathError
from interlock.history import lineage
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual
from tests.engine.stage import engine
from tests.history.runs import Noting, ran, record, step, team


def reading(*paths, **writes):
    """An agent's answer that reads these paths first."""

    async def answer(job):
        for path in paths:
            job.view.get(path)
        return {path.replace("__", "."): value for path, value in writes.items()}

    return answer


def origins(told, path):
    return [(o.step, o.path, o.value, o.reads) for o in lineage(told, path).origins]


def steps(found):
    return sorted((o.step, o.path) for o in found)


@pytest.fixture
def told():
    """The request is read by a and b; c reads a alone; d is beside the point."""
    agent = Noting(
        a=[reading("q.x", mid__a={"n": 1, "m": [2]})],
        b=[reading("q.y", mid__b="b")],
        c=[reading("mid.a", "gone", end="c")],
        d=[reading(side=1)],
    )
    of = team(
        step("a", writes=["mid"]),
        step("b", "a", writes=["mid"]),
        step("c", "b", writes=["end"]),
        step("d", writes=["side"]),
    )
    return ran(of, agent, {"q": {"x": "X", "y": "Y"}})


def test_a_value_leads_back_to_the_request(told):
    found = lineage(told, "end")
    assert (found.path, found.value) == ("end", "c")
    assert origins(told, "end") == [
        ("c", "end", "c", ("mid.a", "gone")),
        ("a", "mid.a.n", 1, ("q.x",)),
        ("a", "mid.a.m", [2], ("q.x",)),
        ("request", "q.x", "X", ()),
    ]
    document = found.to_dict("r")
    assert document["origins"][0] == {
        "path": "end", "writer": "c", "agent": "ann", "attempt": 1, "value": "c", "reads": ("mid.a", "gone"),
    }  # fmt: skip
    assert document["origins"][-1] == {
        "path": "q.x", "writer": "request", "agent": None, "attempt": None, "value": "X", "reads": (),
    }  # fmt: skip


def test_it_can_be_walked_from_writer_to_writer(told):
    found = lineage(told, "end")
    (last,) = found.first
    middle = found.before(last)
    assert steps(middle) == [("a", "mid.a.m"), ("a", "mid.a.n")]
    (first,) = found.before(middle[0])
    assert (first.step, first.path) == ("request", "q.x")
    assert found.before(first) == []


def test_a_branch_has_the_writers_of_all_its_leaves(told):
    assert steps(lineage(told, "mid").first) == [("a", "mid.a.m"), ("a", "mid.a.n"), ("b", "mid.b")]


def test_a_value_of_the_request_comes_from_nowhere_else(told):
    assert origins(told, "q.x") == [("request", "q.x", "X", ())]


def test_who_reads_everything_goes_back_to_all_it_saw():
    async def all_of_it(job):
        return {"end": len(job.view.to_dict())}

    agent = Noting(a=[reading("q", mid=1)], z=[all_of_it])
    told = ran(team(step("a", writes=["mid"]), step("z", "a", writes=["end"])), agent, {"q": 1})
    (last,) = lineage(told, "end").first
    assert last.reads == ("*",)
    assert steps(lineage(told, "end").before(last)) == [("a", "mid"), ("request", "q")]


def test_what_was_overwritten_leads_to_whoever_wrote_what_was_read():
    agent = Noting(a=[reading("f", f=1)], b=[reading("f", f=2)], c=[reading("f", end=1)])
    of = team(step("a", writes=["f"]), step("b", "a", writes=["f"]), step("c", "b", writes=["end"]))
    told = ran(of, agent, {"f": 0})
    assert [(o.step, o.value) for o in lineage(told, "end").origins] == [("c", 1), ("b", 2), ("a", 1), ("request", 0)]
    (last,) = lineage(told, "end").first
    assert [(o.step, o.value) for o in lineage(told, "end").before(last)] == [("b", 2)]


def test_each_contribution_to_a_reducer_is_an_origin():
    agent = Noting(a=[reading("q", log="a")], b=[reading(log="b")], c=[reading("log", end=1)], d=[reading(log="d")])
    of = team(
        *(step(name, writes=["log"]) for name in "abd"),
        step("c", "a", "b", writes=["end"]),
        reducers={"log": "append"},
    )
    told = ran(of, agent, {"q": 1, "log": ["start"]})
    assert sorted(o.step for o in lineage(told, "log").first) == ["a", "b", "d", "request"]
    (last,) = lineage(told, "end").first
    seen = lineage(told, "end").before(last)
    assert {(o.step, str(o.value)) for o in seen} == {("a", "a"), ("b", "b"), ("request", "['start']")}


def test_an_item_goes_back_to_the_list_it_was_part_of():
    async def its_item(job):
        return {f"out.{job.step}": job.item}

    agent = Noting(make=[reading("q", list=[1, 2])], each=[its_item])
    of = team(step("make", writes=["list"]), step("each", "make", for_each="list", writes=["out.{step}"]))
    told = ran(of, agent, {"q": 1})
    assert origins(told, "out.each-1") == [
        ("each-1", "out.each-1", 2, ("list",)),
        ("make", "list", [1, 2], ("q",)),
        ("request", "q", 1, ()),
    ]


def test_a_quoted_key_inside_a_larger_write():
    told = ran(team(step("a", writes=["m"])), Noting(a=[{"m": {"a.b": {"c": 1}}}]))
    assert origins(told, 'm."a.b".c') == [("a", 'm."a.b".c', 1, ())]


@pytest.mark.parametrize(
    ("path", "message", "fix"),
    [
        ("mid.a.nn", "there is nothing at mid.a.nn", "mid.a.n"),
        ("mid.a.m.0", "there is nothing at mid.a.m.0: mid.a.m holds a list, which is one value", "explain mid.a.m"),
        ("end.x", "there is nothing at end.x: end holds a value with nothing below it", "explain end"),
        ("mid.zzzzzzzzzz", "there is nothing at mid.zzzzzzzzzz", "mid.a"),
    ],
)
def test_where_nothing_is_the_nearest_is_named(told, path, message, fix):
    with pytest.raises(InputError) as refused:
        lineage(told, path)
    assert refused.value.message == message
    assert fix in refused.value.fix


class Ill:
    """Reads all that it is shown, and fails at step `b` until it is well."""

    def __init__(self):
        self.is_well = False

    async def __call__(self, job):
        job.view.to_dict()
        if job.step == "b" and not self.is_well:
            raise il.AgentRefused("not today")
        return {"m": {"x": 1, "y": 2}} if job.step == "a" else {f"out.{job.step}": "done"}


def in_forks(*changes):
    """The records of forks of a run, each a fork of the one before, that set these."""
    store, agent = MemoryStore(), Ill()
    of = team(step("a", writes=["m"]), step("b", "a", on_dead="continue"), step("c", "b"))

    async def main():
        ids = ["r"]
        async with engine(of, agent, journal=MemoryJournal(store)) as running:
            await running.run({"q": {"n": 1}, "p": 1}, run_id="r")
            for last, change in enumerate(changes, 1):
                agent.is_well = last == len(changes)
                run = await running.redrive(ids[-1], changes=change, by=f"person:{last}", reason="wrong")
                ids.append(run.run_id)
        return [record(store, run_id) for run_id in ids[1:]]

    return virtual.run(main())


def who(told, path):
    found = lineage(told, path).origins
    return {(o.path, o.value): (o.step, o.agent, o.attempt, o.reads, o.forked_from) for o in found}


def test_what_is_set_in_a_fork_was_written_by_the_person_who_set_it():
    [told] = in_forks({"m.x": 7, "q.n": 2})
    found = who(told, "out.b")
    assert found["m.x", 7] == ("a", "person:1", 0, (), "r")
    assert found["m.y", 2] == ("a", "ann", 1, ("*",), "")
    assert found["q.n", 2] == ("request", "person:1", 0, (), "r")
    assert found["p", 1] == ("request", "", 0, (), "")
    [set_by] = [one.to_dict() for one in lineage(told, "m.x").origins]
    assert (set_by["writer"], set_by["agent"], set_by["forked_from"]) == ("a", "person:1", "r")


def test_what_was_set_in_a_fork_before_is_told_from_what_is_set_in_this_one():
    first, second = in_forks({"m.x": 7, "m.y": 8}, {"m.y": 9})
    found = who(second, "out.b")
    assert found["m.x", 7] == ("a", "", 0, (), first.run_id), "by whom, that run knows"
    assert found["m.y", 9] == ("a", "person:2", 0, (), first.run_id)
    assert lineage(second, "m.x").origins[0].to_dict()["agent"] is None


def test_what_was_deleted_names_who_did_it():
    agent = Noting(a=[{"f": 1}], b=[reading("f")], c=[{"f": il.DELETE}])
    told = ran(team(step("a", writes=["f"]), step("c", "a", writes=["f"])), agent)
    with pytest.raises(InputError, match="nothing at f any more: step c has deleted it"):
        lineage(told, "f")


def test_an_empty_context_and_what_is_no_path():
    told = ran(team(step("a")), Noting(a=[{}]))
    with pytest.raises(InputError, match="the context is empty"):
        lineage(told, "f")
    with pytest.raises(PathError):
        lineage(told, "a..b")


def test_of_a_huge_context_only_so_many_paths_are_compared(monkeypatch):
    monkeypatch.setattr(sys.modules[lineage.__module__], "PATHS_COMPARED_MAX", 5)
    told = ran(team(step("a")), Noting(), {f"key{n}": n for n in range(100)})
    with pytest.raises(InputError, match="near it: key"):
        lineage(told, "key99x")
