"""Pairs of agents: which there are, how they are called, and what is said where they don't get on."""

import asyncio

import pytest

import interlock as il
from interlock.errors import InputError, TeamError, UsageError
from interlock.testing import Pair, PairFailed, pairs

WORDS = {"required": ["word"], "properties": {"word": {"type": "string"}}}


async def writer(job):
    return {"word": f"about {job.view['seed']}"}


def reader(job):
    return {"length": len(job.view["word"])}


def agent(name, use, reads, writes, **options):
    return il.Agent(name, use=use, scope=il.Scope(["act"], reads, writes), **options)


def a_team(write=writer, read=reader, *, when=None, **options):
    agents = [
        agent("ann", write, ["seed"], ["word"], schema=WORDS, **options),
        agent("bob", read, ["word"], ["length"], **options),
    ]
    return il.Team(agents, il.Plan([il.Step("a", "ann", "act"), il.Step("b", "bob", "act", needs=["a"], when=when)]))


def a_pair(*args, **options):
    (found,) = pairs(a_team(*args, **options), [{"seed": 1}])
    return found


# --- which pairs there are ---


def test_a_reader_and_its_writer_are_a_pair():
    (found,) = pairs(a_team())
    assert (found.id, found.fields, found.links) == ("ann->bob", ("word",), {2: (1,)})
    assert repr(found) == "<Pair ann->bob>"


def test_those_who_share_nothing_are_none():
    strangers = [agent("ann", writer, ["seed"], ["word"]), agent("bob", reader, ["seed"], ["length"])]
    unordered = [agent("ann", writer, ["seed"], ["word"]), agent("bob", reader, ["word"], ["length"])]
    one, two = il.Step("a", "ann", "act"), il.Step("b", "bob", "act")
    assert pairs(il.Team(strangers, il.Plan([one, il.Step("b", "bob", "act", needs=["a"])]))) == []
    assert pairs(il.Team(unordered, il.Plan([one, two]))) == []


def test_narrowed_reads_and_writes_count():
    agents = [agent("ann", writer, ["seed"], ["x", "word"]), agent("bob", reader, ["*"], ["length"])]
    narrow = il.Step("b", "bob", "act", needs=["a"], reads=["seed"])
    assert pairs(il.Team(agents, il.Plan([il.Step("a", "ann", "act"), narrow]))) == []
    (found,) = pairs(il.Team(agents, il.Plan([il.Step("a", "ann", "act", writes=["x"]),
                                               il.Step("b", "bob", "act", needs=["a"])])))  # fmt: skip
    assert found.fields == ("x",)


def test_fallbacks_are_paired_too():
    agents = [
        agent("ann", writer, ["seed"], ["word"], fallback="cat", schema=WORDS),
        agent("cat", lambda job: {"word": 1}, ["seed"], ["word"], schema=WORDS),
        agent("bob", reader, ["word"], ["length"]),
    ]
    team = il.Team(agents, il.Plan([il.Step("a", "ann", "act"), il.Step("b", "bob", "act", needs=["a"])]))
    one, other = pairs(team)
    assert (one.id, other.id) == ("ann->bob", "cat->bob")
    one.check()
    with pytest.raises(PairFailed, match="word: Expected `str`, got `int`"):
        other.check()


def test_one_of_several_samples_stands_for_all():
    agents = [agent("ann", writer, ["seed"], ["word"]), agent("bob", reader, ["word"], ["out.*"])]
    sampled = il.Step("b", "bob", "act", needs=["a"], samples=3, writes=["out.{step}"])
    (found,) = pairs(il.Team(agents, il.Plan([il.Step("a", "ann", "act"), sampled])))
    assert len(found.links) == 1


def test_what_is_no_pair_is_refused():
    with pytest.raises(TeamError, match="ann reads nothing that bob has written before; see which pairs there are"):
        Pair(a_team(), "bob", "ann")
    with pytest.raises(UsageError, match="no agent an; did you mean ann"):
        Pair(a_team(), "an", "bob")


# --- how they are called ---


def test_the_reader_sees_what_the_writer_has_written():
    seen = []

    def read(job):
        seen.append(job.view["word"])
        return {"length": 1}

    report = a_pair(read=read).check(examples=2)
    assert seen == ["about 1", "about 1"]
    assert (report.ok, report.runs, report.reached) == (True, 2, 2)
    assert str(report) == "ann->bob, over word: 2 runs, 2 came through, 0 failed (seed 0)"


def test_requests_are_generated_or_given():
    seeds = []

    async def write(job):
        seeds.append(job.view["seed"])
        return {"word": ""}

    a_pair(write).check(examples=4, requests=[{"seed": 1}, {"seed": 2}])
    assert seeds == [1, 2, 1, 2]
    seeds.clear()
    Pair(a_team(write), "ann", "bob").check(examples=4)
    assert all(isinstance(seed, str) for seed in seeds)


def test_the_agents_between_answer_by_chance_and_are_not_called():
    def never(job):
        raise AssertionError("nobody asked for it")

    agents = [
        agent("ann", writer, ["seed"], ["word"]),
        agent("mid", never, ["word"], ["note"]),
        agent("bob", lambda job: {"length": len(job.view["note"])}, ["word", "note"], ["length"]),
    ]
    steps = [il.Step("a", "ann", "act"), il.Step("m", "mid", "act", needs=["a"]),
             il.Step("b", "bob", "act", needs=["m"])]  # fmt: skip
    assert Pair(il.Team(agents, il.Plan(steps)), "ann", "bob").check().ok


def test_every_item_of_a_list_is_read():
    items = []

    async def read(job):
        items.append(job.item)
        return {f"out.{job.index}": job.item}

    agents = [
        agent("ann", lambda job: {"word": ["x", "y"]}, ["seed"], ["word"]),
        agent("bob", read, ["word"], ["out.*"]),
    ]
    each = il.Step("b", "bob", "act", needs=["a"], for_each="word", writes=["out.{index}"])
    (found,) = pairs(il.Team(agents, il.Plan([il.Step("a", "ann", "act"), each])))
    assert found.check(examples=2).reached == 2
    assert items == ["x", "y", "x", "y"]
    empty = found.report(examples=1, agents={"ann": lambda job: {"word": []}})
    assert empty.unreached == {"the list of its items was empty": 4}


def test_a_fake_may_stand_in():
    assert a_pair(lambda job: {"word": 1}).check(agents={"ann": writer}).ok
    with pytest.raises(UsageError, match="dan is not of this pair; its agents are ann and bob"):
        a_pair().check(agents={"dan": writer})


# --- where they don't get on ---


def test_a_writer_that_is_refused():
    with pytest.raises(PairFailed) as caught:
        a_pair(lambda job: {"word": 7}).check(examples=1)
    assert str(caught.value).splitlines() == [
        "ann->bob, over word: 1 runs, 0 came through, 1 failed (seed 0)",
        "step a, example 1: refused",
        '  saw      {"seed":1}',
        "  answered {'word': 7}",
        "  - word: Expected `str`, got `int`",
    ]


def test_a_reader_that_raises_at_what_the_writer_wrote():
    def picky(job):
        return {"length": {"about 2": 7}[job.view["word"]]}

    report = a_pair(read=picky).report(examples=1)
    (failure,) = report.failures
    assert (failure.step, failure.kind, failure.view) == ("b", "raised", {"word": "about 1"})
    assert "KeyError: 'about 1' (test_pairwise.py:" in failure.findings[0]
    assert not report.ok


def test_one_that_hangs_is_left_alone_soon():
    async def hang(job):
        await asyncio.sleep(60)

    report = a_pair(hang, timeout="1ms").report()
    assert [failure.kind for failure in report.failures] == ["timed out"] * 3


def test_many_failures_are_counted():
    text = str(a_pair(lambda job: {"word": 7}).report(examples=8))
    assert text.endswith("and 3 more failures")


def test_a_reader_that_is_never_reached_is_no_success():
    condition = il.Condition("word", "==", "never")
    with pytest.raises(PairFailed) as caught:
        a_pair(when=condition).check(examples=2)
    assert str(caught.value).splitlines()[1:] == [
        '8 did not come to the reader: b was skipped: its condition did not hold: word == "never"',
        "so nothing was checked: give requests that lead to the reader",
    ]


def test_a_question_is_a_good_reply_that_leads_nowhere():
    report = a_pair(lambda job: il.Reply(ask=il.Question("What?"))).report(examples=1)
    assert report.unreached == {"a asked a person: What?": 4}
    assert a_pair(read=lambda job: il.Reply(ask=il.Question("What?"))).check(examples=1).reached == 1


def test_bad_arguments_are_refused():
    with pytest.raises(UsageError, match="examples is 0; ask for 1 or more"):
        a_pair().check(examples=0)
    with pytest.raises(InputError, match="a request is an object"):
        a_pair().check(requests=[1])
    with pytest.raises(TeamError, match="agent ann has no use"):
        a_pair(None).check()


def test_it_refuses_to_run_inside_a_loop():
    async def main():
        a_pair().check()

    with pytest.raises(UsageError, match="not async def"):
        asyncio.run(main())


async def _waiting_agent(job):
    return {"second": job.view["first"]} if job.action == "finish" else {"first": 1}


def test_a_pair_with_waits_between_is_reached_as_if_their_time_and_their_event_had_come():
    def agent(name, action, reads, writes):
        return il.Agent(name, use=_waiting_agent, scope=il.Scope([action], reads, writes))

    team = il.Team(
        [agent("ann", "begin", [], ["first"]), agent("bob", "finish", ["first", "payment"], ["second"])],
        il.Plan([
            il.Step("a", agent="ann", action="begin"),
            il.Step("w", wait="2h", needs=["a"]),
            il.Step("paid", await_event="payment", writes=["payment"], needs=["w"]),
            il.Step("b", agent="bob", action="finish", needs=["paid"]),
        ]),
    )  # fmt: skip
    [pair] = pairs(team)
    assert pair.id == "ann->bob"
    assert pair.check(examples=2).ok
