"""Writes golden journals of this version: `python -m tests.journal.write_golden`. What is there already, it keeps.

For a new event or field add a run here; a change to one that is written would be a change of history.
"""

import asyncio
import gzip
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Raw

import interlock as il
from interlock.agents.function import FunctionAdapter
from interlock.core import commands as c
from interlock.core import events as e
from interlock.core.arrivals import Sent, arrival
from interlock.core.children import parent_of, request_of, told_by
from interlock.core.decision import Verb, decided
from interlock.core.guardrail import Draft
from interlock.core.machine import Machine
from interlock.core.settlement import approval_asked, expired, overdue, settled
from interlock.core.shares import approval_of, share_raised, wanted_of
from interlock.engine.engine import Engine
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import Request

from .golden_runs import FOLDER, end_of

START_US = 1_700_000_000_000_000
SQLITE = "format-1.db.gz"


class Told:
    """A run told event by event, 10 ms apart. What the agents do stands where it is told."""

    def __init__(
        self,
        team: il.Team,
        request: Any,
        *,
        faults: str = "",
        origin: e.Origin | None = None,
        approval: e.PlanApproval | None = None,
        chosen: e.PlanChosen | None = None,
        shared: Sequence[e.AnyEvent] = (),
        parent: e.Parent | None = None,
    ) -> None:
        self.team, self.machine = team, Machine(team.rules)
        self.lines: list[bytes] = []
        self.at_us = START_US
        self.calls: dict[str, c.CallAgent] = {}
        self.jobs: dict[str, il.Job] = {}
        self.effects: dict[tuple[str, str], c.PerformEffect] = {}
        self.children: dict[str, c.StartChild] = {}
        raw = Raw(team.rules.encode_request(request))
        marks: Any = {"faults": faults, "origin": origin, "approval": approval, "chosen": chosen, "parent": parent}
        self.say(e.RunStarted(self.at_us, raw, team.hash, team.rules.plan.hash, **marks), *shared)

    def tick(self) -> int:
        self.at_us += 10_000
        return self.at_us

    def say(self, *facts: e.AnyEvent) -> None:
        known = list(facts)
        commands = self.machine.advance(known, self.at_us)
        self.lines += map(e.encode, known)
        self.calls |= {command.step: command for command in commands if isinstance(command, c.CallAgent)}
        self.effects |= {(one.step, one.key): one for one in commands if isinstance(one, c.PerformEffect)}
        self.children |= {one.step: one for one in commands if isinstance(one, c.StartChild)}

    def has_done(self, step: str, run_id: str, seq: int = 0) -> "Told":
        """A run of a nested team is to do a step; it has so many events by then."""
        command = self.children[step]
        started = self.machine.start_child(command, run_id, self.tick(), seq)
        self.lines.append(e.encode(started))
        team = self.team.nested[command.agent]
        request = msgspec.json.decode(request_of(self.machine, "golden", started, team.rules))
        return Told(team, request, parent=parent_of(self.machine, "golden", started, "golden/"))

    def hears(self, below: "Told", run_id: str) -> None:
        self.say(*told_by(self.machine, "golden", run_id, below.machine, self.tick()))

    def performs(self, step: str, key: str, outcome: Callable[[int], e.AnyEvent]) -> None:
        self.lines.append(e.encode(self.machine.start_effect(self.effects[step, key], self.tick())))
        self.say(outcome(self.tick()))

    def start(self, *steps: str) -> None:
        for step in steps:
            self.lines.append(e.encode(self.machine.start(self.calls[step], self.tick())))
            self.jobs[step] = self.machine.job("golden", self.calls[step])

    def answer(self, step: str, answer: Callable[[il.Job], Any]) -> None:
        self.say(self.machine.judge(self.calls[step], self.jobs[step], answer(self.jobs[step]), self.tick()))

    def does(self, step: str, answer: Callable[[il.Job], Any]) -> None:
        self.start(step)
        self.answer(step, answer)

    def attempt(self, step: str) -> int:
        return self.calls[step].attempt

    def fails(self, step: str, kind: str, error: str, *, retryable: bool = True) -> None:
        self.start(step)
        self.say(e.AttemptFailed(self.tick(), step, self.attempt(step), kind, error, retryable))

    def hold(self, step: str, gate: str, reason: str, *, wait_us: int = 0) -> None:
        at_us = self.tick()
        self.say(e.CallHeld(at_us, step, self.calls[step].agent, gate, reason, at_us + wait_us if wait_us else 0))

    def waits(self, step: str) -> None:
        self.say(e.BackoffEnded(self.tick(), step))

    def decides(self, step: str, verb: Verb, *, by: str = "eve", reason: str = "", **given: Any) -> None:
        self.say(settled(self.machine, decided(step, verb, **given), f"person:{by}", reason, self.tick()))

    def sends(self, event: str, event_id: str, data: Any = None) -> None:
        self.say(arrival(self.machine, Sent(event, event_id, data), "stripe", self.tick()))

    def is_late(self) -> None:
        """All waits that have a time are over, one after another."""
        while self.machine.waits:
            n = min(self.machine.waits, key=lambda n: self.machine.waits[n].due_us)
            self.at_us = self.machine.waits[n].due_us
            self.say(expired(self.machine, n, self.at_us))

    def loses(self, *steps: str) -> None:
        at_us = self.tick()
        self.say(*(e.AttemptInterrupted(at_us, step, self.attempt(step)) for step in steps))


def agent(name: str, *, reads: Sequence[str] = ("*",), writes: Sequence[str], **given: Any) -> il.Agent:
    return il.Agent(name, scope=il.Scope(["act"], list(reads), list(writes)), **given)


def step(id_: str, agent: str = "ann", **given: Any) -> il.Step:
    return il.Step(id_, agent=agent, action="act", **given)


# --- the runs ---


def chain() -> Told:
    """Every part of a commit: writes, deletes, reads, a coarse read, output, usage, confidence; and none of them."""
    team = il.Team(
        [agent("ann", reads=["q"], writes=["a", "draft"]), agent("bob", writes=["b"])],
        il.Plan([
            step("one"),
            step("two", needs=["one"]),
            step("three", "bob", needs=["two"]),
            step("four", "bob", needs=["three"]),
        ]),
        name="golden chain",
    )  # fmt: skip
    told = Told(team, {"q": {"text": "Überraschung \u2028", "n": 1.0, "none": None}, "list": [1, 2, {"k": -0.0}]})
    told.does("one", lambda job: {"a.x": job.view["q.text"], "draft": [1, "two", {"three": 3}], "a.big": 2**53})
    told.does("two", lambda job: il.Reply(writes={"draft": il.DELETE, "a.y": job.view["q.n"]}, output={"did": "tidy"}))
    told.does("three", lambda job: il.Reply(
        writes={"b": sorted(job.view)}, usage=il.Usage(input_tokens=10, output_tokens=5, usd=0.25), confidence=0.75
    ))  # fmt: skip
    told.does("four", lambda _: il.Reply())
    return told


def wide() -> Told:
    """for_each (full and empty), samples, {step} and {index} writes, all reducers, conditions, a schema, succession."""
    team = il.Team(
        [
            agent("ann", reads=["items", "flag"], writes=["notes", "each.*", "options.*", "sum", "map", "draft"]),
            agent("bob", writes=["best", "draft"], schema={"properties": {"best": {"type": "string"}}}),
        ],
        il.Plan([
            step("each", for_each="items", writes=["each.{index}", "notes", "sum", "map"]),
            step("none", for_each="nothing", writes=["notes"]),
            step("option", samples=2, writes=["options.{step}", "notes"]),
            step("draft", writes=["draft"], needs=["each"]),
            step("never", when={"path": "flag", "op": "==", "value": True}, writes=[]),
            step("after", writes=[], needs=["never"]),
            step("best", "bob", needs=["option", "draft", "none"], reads=["options", "notes"]),
        ]),
        reducers={"notes": "append", "sum": "add", "map": "merge"},
        succession={"draft": ["ann", "bob"]},
        limits=il.Limits(value_bytes_max=100_000),
    )  # fmt: skip
    told = Told(team, {"items": [{"n": 1}, "two", None], "nothing": [], "flag": False})
    told.start("each-0", "each-1", "option-1", "each-2")
    told.answer("each-2", lambda job: {"each.2": job.item, "notes": ["c"], "sum": 3, "map": {"c": 3}})
    told.answer("option-1", lambda job: {"options.option-1": job.index, "notes": ["o1"]})
    told.answer("each-0", lambda job: {"each.0": job.item, "notes": ["a"], "sum": 1, "map": {"a": 1}})
    told.does("option-2", lambda job: {"options.option-2": job.index})
    told.answer("each-1", lambda job: {"each.1": [job.item, job.index], "sum": 2.5, "map": {"b": {"deep": 2}}})
    told.does("draft", lambda _: {"draft": "first"})
    told.does("best", lambda job: {"best": str(job.view.get("notes")), "draft": "last"})
    return told


def refused() -> Told:
    """Refusals with feedback, up to the fallback; a reply that is JSON, and one that is not."""
    schema = {"properties": {"a": {"type": "array"}}}
    team = il.Team(
        [
            agent("ann", reads=["q"], writes=["a"], retries=3, fallback="deputy", schema=schema),
            agent("deputy", reads=["q"], writes=["a"]),
            agent("bob", writes=["b"]),
        ],
        il.Plan([step("one"), step("two", "bob", needs=["one"])]),
    )
    told = Told(team, {"q": 1})
    told.does("one", lambda job: il.Reply(writes={"b": job.view["q"], "a": 1}, usage=il.Usage(input_tokens=7)))
    told.does("one", lambda _: {"a": "no list"})
    told.start("one")
    unreadable = e.Finding("shape", "the reply can't be read: it raises an error when it is looked at")
    told.say(e.AttemptRefused(told.tick(), "one", 3, (unreadable,)))
    told.does("one", lambda _: "I can't do that.")
    told.does("one", lambda job: {"a": [*job.feedback]})
    told.does("two", lambda job: {"b": job.view["a"]})
    return told


def failed() -> Told:
    """Each kind of failure, backoff, one that no retry mends, a dead letter, steps that can't run, a failed run."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=3, backoff="50ms"), agent("bob", writes=["b"])],
        il.Plan(
            [step("one"), step("two", "bob", needs=["one"]), step("three", "bob", needs=["two"], join="any_outcome")]
        ),
    )
    told = Told(team, {})
    told.fails("one", "error", "RuntimeError: no luck (agents.py:4 in ann)")
    told.waits("one")
    told.fails("one", "timeout", "timed out after 5 s")
    told.waits("one")
    told.fails("one", "crash", "its process died (SIGKILL)")
    told.waits("one")
    told.fails("one", "error", "the key is not valid", retryable=False)
    told.does("three", lambda _: {"b": "all the same"})
    return told


def interrupted() -> Told:
    """Calls lost in crashes and made again, late replies with and without usage, and a call that kills its process."""
    team = il.Team(
        [agent("ann", writes=["a", "c"]), agent("bob", writes=["b"])],
        il.Plan([step("one", writes=["a"]), step("two", "bob"), step("three", needs=["one"], writes=["c"])]),
    )
    told = Told(team, {"q": 1})
    told.start("one", "two")
    told.loses("one", "two")
    told.does("one", lambda _: {"a": 1})
    told.fails("two", "timeout", "timed out after 5 s")
    told.say(e.ReplyArrivedLate(told.tick(), "two", 1, il.Usage(output_tokens=9, usd=0.5)))
    told.say(e.ReplyArrivedLate(told.tick(), "two", 1))
    told.waits("two")
    told.does("two", lambda _: {"b": 2})
    while told.machine.status == "running":
        told.start("three")
        told.loses("three")
    return told


def parked() -> Told:
    """A question with everything, beside one with nothing: the run is parked."""
    team = il.Team([agent("ann", writes=["a"])], il.Plan([step("one", writes=[]), step("two", writes=[])]))
    told = Told(team, {"q": 1})
    told.does("one", lambda job: il.Reply(
        ask=il.Question(f"Refund {job.view['q']}?", ("yes", "no")), usage=il.Usage(input_tokens=1, usd=0.125)
    ))  # fmt: skip
    told.does("two", lambda _: il.Reply(ask=il.Question("Why?")))
    return told


def answered() -> Told:
    """Questions answered in every way: with words, without, in the agent's place, rejected; and answers refused."""
    steps = [step(f"s{n}", writes=["a"] if n == 2 else []) for n in range(4)]
    team = il.Team([agent("ann", writes=["a"], retries=1)], il.Plan(steps))
    told = Told(team, {"a": {"old": 1}})
    for number in range(4):
        told.does(f"s{number}", lambda job: il.Reply(ask=il.Question(f"What of {job.step}?")))
    told.decides("s0", "answer", text="go on")
    told.decides("s0", "reject", by="bob")
    told.does("s0", lambda _: il.Reply())
    told.decides("s1", "retry", reason="nothing to say")
    told.does("s1", lambda _: il.Reply(ask=il.Question("Really?")))
    told.decides("s2", "write", writes={"b": 1})
    told.decides("s2", "write", writes={"a.new": [2], "a.old": il.DELETE}, reason="read on the phone")
    told.decides("s3", "reject", reason="nobody knows")
    told.decides("s1", "answer", text="really")
    told.does("s1", lambda _: il.Reply())
    return told


def escalated() -> Told:
    """Steps whose attempts are used up, and questions that nobody answers in time: every way that can be declared."""
    hour = {"deadline": "1h"}

    def number(path: str) -> dict[str, Any]:
        return {"properties": {path: {"type": "integer"}}}

    team = il.Team(
        [agent("ann", writes=["a", "b"], retries=0, fallback="deputy"), agent("deputy", writes=["a", "b"], retries=0)],
        il.Plan([
            step("edited", escalate=True, writes=["a.edited"], schema=number("a.edited.n")),
            step("again", escalate=True, writes=["a.again"], schema=number("a.again.n")),
            step("late", escalate=hour, writes=["a.late"]),
            step("passed", escalate={**hour, "then": "fallback"}, writes=["a.passed"]),
            step("filled", escalate={**hour, "then": "default", "default": {"a.filled": 0}}, writes=["a.filled"]),
            step("barred", escalate={**hour, "then": "default", "default": {"b.c": 0}}, writes=["b"]),
        ]),
    )  # fmt: skip
    told = Told(team, {"b": 1})
    for name in ("edited", "again"):
        for _ in range(2):
            told.does(name, lambda job: {f"a.{job.step}.n": "5", f"a.{job.step}.note": "five"})
    told.fails("late", "error", "it broke", retryable=False)
    told.fails("late", "error", "it broke again", retryable=False)
    for name in ("passed", "filled", "barred"):
        told.does(name, lambda job: il.Reply(ask=il.Question(f"What of {job.step}?")))
    told.decides("edited", "approve")
    told.decides("edited", "edit", writes={"a.edited.n": 5, "a.edited.note": il.DELETE})
    told.decides("again", "retry", text="a number")
    told.does("again", lambda job: {"a.again.told": [*job.feedback]})
    told.at_us += 3_600_000_000
    for n in overdue(told.machine, told.at_us):
        told.say(expired(told.machine, n, told.at_us))
    told.does("passed", lambda job: {"a.passed": job.agent})
    return told


def withdrawn() -> Told:
    """A parked run, cancelled without a reason."""
    told = parked()
    told.say(e.RunCancelled(told.tick(), "program"))
    return told


def cancelled() -> Told:
    """A run cancelled while one call is in flight, one waits for its next try, and one for room."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=2, backoff="1s")],
        il.Plan([step("one", writes=["a.one"]), step("two", writes=["a.two"]), step("three", writes=["a.three"])]),
    )
    told = Told(team, {})
    told.start("one")
    told.fails("two", "error", "it broke")
    told.say(e.RunCancelled(told.tick(), "person:eve", "too dear"))
    return told


def faulty() -> Told:
    """A run that is marked as one with faults: one call times out on purpose, another answers garbage."""
    team = il.Team([agent("ann", writes=["a"])], il.Plan([step("one"), step("two", needs=["one"])]))
    told = Told(team, {}, faults="f" * 64)
    told.start("one")
    told.say(e.FaultInjected(told.tick(), "one", 1, "timeout"))
    told.say(e.AttemptFailed(told.tick(), "one", 1, "timeout", "timed out after 5 s"))
    told.waits("one")
    told.does("one", lambda _: {"a": 1})
    told.start("two")
    told.say(e.FaultInjected(told.tick(), "two", 1, "truncated"))
    told.answer("two", lambda _: '{"a": 2')
    told.does("two", lambda _: {"a": 2})
    return told


def limited() -> Told:
    """A call that fails, is paid for all the same and asks for time; and what a model's usage can hold."""
    team = il.Team([agent("ann", writes=["a"], retries=1, backoff="1s")], il.Plan([step("one")]))
    told = Told(team, {})
    told.start("one")
    usage = il.Usage(7, 0, 0.25, cached_tokens=3, requests=1, model="m-1")
    told.say(e.AttemptFailed(told.tick(), "one", 1, "rate_limited", "slow down", usage=usage, retry_after_ms=90_000))
    told.waits("one")
    told.does(
        "one", lambda _: il.Reply(writes={"a": 1}, usage=il.Usage(9, 2, cached_tokens=1, requests=2, model="m-2"))
    )
    return told


def under_way() -> Told:
    """A run whose journal ends in the middle: a call in flight, a wait that isn't over, steps that are due."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=2, backoff="1s", timeout="9s")],
        il.Plan([
            step("one", writes=["a.one"], timeout="2s"), step("two", writes=["a.two"]),
            step("three", writes=["a.three"], retries=0), step("four", needs=["one"], writes=[]),
        ]),
    )  # fmt: skip
    told = Told(team, {})
    told.start("one")
    told.fails("two", "error", "it broke")
    return told


def effects() -> Told:
    """Effects after a commit and while an agent works: done, refused, unknown, lost, asked about, and given up."""
    team = il.Team(
        [
            il.Agent("ann", scope=il.Scope(["act", "mail", "pay"], ["*"], ["a"]), effects="immediate"),
            il.Agent("bob", scope=il.Scope(["act", "pay", "mail"], ["*"], ["b"])),
        ],
        il.Plan([step("one"), step("two", "bob", needs=["one"]), step("three", "bob", needs=["one"], writes=[])]),
        effects={
            "mail": {"use": "outside:mail", "on_unknown": "retry"},
            "pay": {"use": "outside:pay", "timeout": "2s", "retries": 1},
        },
    )  # fmt: skip
    told = Told(team, {})
    told.start("one")
    told.say(e.EffectRequested(told.tick(), "one", 1, "pay", "p", Raw(b'{"usd":5}')))
    told.performs("one", "p", lambda at_us: e.EffectDone(at_us, "one", "p", Raw(b'{"receipt":7}')))
    told.answer("one", lambda _: il.Reply(
        writes={"a": 1}, effects=[il.Effect("mail", {"to": "eve"}), il.Effect("mail", [1], key="m 2")]
    ))  # fmt: skip
    told.performs("one", "mail", lambda at_us: e.EffectFailed(at_us, "one", "mail", "the line is busy"))
    told.performs("one", "mail", lambda at_us: e.EffectBecameUnknown(at_us, "one", "mail", "timed out"))
    told.performs("one", "mail", lambda at_us: e.EffectBecameUnknown(at_us, "one", "mail", "lost", lost=True))
    told.performs("one", "mail", lambda at_us: e.EffectDone(at_us, "one", "mail"))
    told.performs("one", "m 2", lambda at_us: e.EffectDone(at_us, "one", "m 2", flaw="the result is no JSON"))
    told.does("two", lambda _: il.Reply(writes={"b": 2}, effects=[il.Effect("pay", {"usd": 1})]))
    told.performs("two", "pay", lambda at_us: e.EffectBecameUnknown(at_us, "two", "pay", "timed out"))
    told.does("three", lambda _: il.Reply(effects=[il.Effect("pay", {"usd": 2})]))
    told.performs("three", "pay", lambda at_us: e.EffectFailed(at_us, "three", "pay", "declined", retryable=False))
    return told


def approved() -> Told:
    """Effects that a person approves, after a commit, while an agent waits, and with a refused reply; or rejects."""
    team = il.Team(
        [
            il.Agent("ann", scope=il.Scope(["act", "pay"], ["*"], ["a"]), effects="immediate"),
            il.Agent("bob", scope=il.Scope(["act", "pay"], ["*"], ["b"]), retries=0, escalate={"deadline": "1h"}),
        ],
        il.Plan([
            step("one"), step("two", "bob", writes=["b.two"], schema={"properties": {"b.two": {"type": "integer"}}}),
            step("three", "bob", writes=["b.three"]), step("four", "bob", writes=["b.four"]),
        ]),
        effects={"pay": {"use": "outside:pay", "approve": True}},
    )  # fmt: skip
    told = Told(team, {})
    told.start("one")
    told.say(e.EffectRequested(told.tick(), "one", 1, "pay", "p", Raw(b'{"usd":5}')))
    told.say(approval_asked(told.machine, told.calls["one"], "p", il.Usage(input_tokens=10), told.tick()))
    told.decides("one", "approve", reason="a regular customer")
    told.start("one")
    told.say(e.EffectRequested(told.tick(), "one", 2, "pay", "p", Raw(b'{"usd":5}')))
    told.performs("one", "p", lambda at_us: e.EffectDone(at_us, "one", "p", Raw(b'{"receipt":7}')))
    told.answer("one", lambda _: il.Reply(writes={"a": 1}, effects=[il.Effect("pay", {"usd": 6})]))
    told.decides("one", "retry")
    told.decides("one", "approve")
    told.performs("one", "pay", lambda at_us: e.EffectDone(at_us, "one", "pay"))
    told.start("two")
    wanted = (e.EffectWanted("pay", "pay", Raw(b"2")),)
    found = (e.Finding("choice", "2 is none of them", "b.two"),)
    told.say(e.AttemptRefused(told.tick(), "two", 1, found, Raw(b'{"b.two":2}'), effects=wanted))
    told.decides("two", "approve")
    told.performs("two", "pay", lambda at_us: e.EffectDone(at_us, "two", "pay"))
    for name in ("three", "four"):
        told.does(name, lambda job: il.Reply(writes={f"b.{job.step}": 3}, effects=[il.Effect("pay", 3)]))
    told.decides("three", "reject", reason="fraud")
    told.at_us += 3_600_000_000
    told.say(*(expired(told.machine, n, told.at_us) for n in overdue(told.machine, told.at_us)))
    return told


def held() -> Told:
    """Calls that gates did not let through: one waits, one goes to the fallback, one is given up."""
    breaker, budget = {"trip_after": 1, "while_open": "wait"}, {"calls": 1}
    team = il.Team(
        [
            agent("ann", writes=["a"], breaker=breaker, rate={"requests": "1/s"}),
            agent("ben", writes=["b"], breaker=breaker, fallback="bob"), agent("bob", writes=["b"]),
            agent("cid", writes=["c"], budget=budget),
        ],
        il.Plan([
            step("one"), step("two", agent="ben"),
            step("three", agent="cid", writes=["c.three"]), step("four", agent="cid", writes=["c.four"]),
        ]),
        budget={"usd": 5, "call": {"usd": 1}},
    )  # fmt: skip
    told = Told(team, {})
    told.hold("one", "breaker", "its breaker is open: 1 bad output", wait_us=50_000)
    told.waits("one")
    told.hold("one", "rate", "its rate is taken up until then", wait_us=1_000_000)
    told.waits("one")
    told.does("one", lambda _: il.Reply(writes={"a": 1}, usage=il.Usage(5, 5, 0.5)))
    told.hold("two", "breaker", "its breaker is open: 1 bad output", wait_us=50_000)
    told.does("two", lambda _: {"b": 2})
    told.does("three", lambda _: {"c.three": 3})
    told.hold("four", "agent_budget", "agent cid: its budget is 1 calls, of which 0 calls are left")
    return told


def raised() -> Told:
    """Budgets of a run, a day and an agent that a person has raised, one for two steps; and a question that is open."""
    bounds = {"usd": 1, "tokens": 10, "calls": 1, "call": {"usd": 0.5, "tokens": 5}}
    team = il.Team(
        [
            agent("ann", writes=["a.*"], budget={"day": {"calls": 3, "when_spent": "ask"}}),
            agent("ben", writes=["b"], budget={"usd": 0.25, "when_spent": "ask"}, escalate={"deadline": "1h"}),
        ],
        il.Plan([
            *(step(name, writes=[f"a.{name}"]) for name in ("one", "two", "three")),
            step("four", "ben", needs=["three"], writes=["b"]),
        ]),
        budget={**bounds, "when_spent": "ask"},
    )  # fmt: skip
    told = Told(team, {})
    told.does("one", lambda _: il.Reply(writes={"a.one": 1}, usage=il.Usage(5, 5, 1.0)))
    for name in ("two", "three"):
        told.hold(name, "run_budget", "the run: its budget is 1 call, of which 0 calls are left")
    more = {"usd": 2, "tokens": 30, "calls": 3}
    told.decides("two", "approve", more=more, reason="the month ends")
    told.does("two", lambda _: {"a.two": 2})
    told.hold("three", "budget", "its budget is 3 calls a day, of which 0 calls are left")
    told.decides("three", "approve", more={"calls": 1})
    told.does("three", lambda _: {"a.three": 3})
    told.hold("four", "agent_budget", "agent ben: its budget is 0.25 USD, of which 0.00 USD are left")
    told.decides("four", "approve", more={"usd": 0.5}, by="bob")
    told.hold("four", "agent_budget", "agent ben: its budget is 0.75 USD, of which 0.00 USD are left")
    return told


def raised_again() -> Told:
    """A day's budget that a person has raised twice, each time for what was asked then."""
    team = il.Team(
        [agent("ann", writes=["a"])], il.Plan([step("one")]), budget={"day": {"calls": 3, "when_spent": "ask"}}
    )
    told = Told(team, {})
    for calls in (3, 4):
        told.hold("one", "team_budget", f"its budget is {calls} calls a day, of which 0 calls are left")
        told.decides("one", "approve", more={"calls": 1}, asked_us=told.machine.questions[1].asked_us)
    told.does("one", lambda _: {"a": 1})
    return told


def outlived() -> Told:
    """Dead steps that fail no run: one that counts as skipped, one as done, and one whose list is none."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=0, on_dead="skip"), agent("bob", writes=["b"])],
        il.Plan([
            step("one"),
            step("two", "bob", needs=["one"], writes=["b.two"]),
            step("three", for_each="q", needs=["one"], join="any_outcome", on_dead="continue", writes=["a.{index}"]),
            step("four", "bob", needs=["three"], writes=["b.four"]),
        ]),
    )  # fmt: skip
    told = Told(team, {"q": "no list"})
    told.does("one", lambda _: {"b": 1})
    told.does("four", lambda _: {"b.four": 4})
    return told


def few_words(draft: Draft) -> Any:
    """Half a score for two words, none for three."""
    words = str(draft.writes["a"]).split()
    return None if len(words) == 1 else 0.5 if len(words) == 2 else ["too many words", f"there are {len(words)}"]


def guarded() -> Told:
    """Guardrails: a reply that they refuse, one that they let pass with a finding, and one without."""
    team = il.Team(
        [agent("ann", writes=["a"], guardrails=[{"use": few_words, "weight": 2}])],
        il.Plan([step("one", threshold=0.5), step("two", needs=["one"])]),
    )
    told = Told(team, {})
    told.does("one", lambda _: {"a": "one two three"})
    told.does("one", lambda _: {"a": "one two"})
    told.does("two", lambda _: {"a": "one"})
    return told


def reopened() -> Told:
    """A dead step and a dead item tried again: a run that goes on after its end, twice."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=0), agent("bob", writes=["b"])],
        il.Plan([
            step("one", for_each="q", writes=["a.{index}"]), step("two", "bob", needs=["one"], on_dead="skip"),
        ]),
    )  # fmt: skip
    told = Told(team, {"q": [1, 2]})
    told.does("one-0", lambda _: {"a.0": 1})
    told.fails("one-1", "crash", "its process died (SIGKILL)", retryable=False)
    told.say(e.RunReopened(told.tick(), ("one-1",), "person:eve", "its process has more memory now"))
    told.does("one-1", lambda _: {"a.1": 2})
    told.fails("two", "error", "the key is not valid", retryable=False)
    told.say(e.RunReopened(told.tick(), ("two",), "program"))
    told.does("two", lambda job: {"b": job.attempt})
    return told


def forked() -> Told:
    """A fork: commits taken over, one as it was, one changed, one that says nothing; and a dead step tried again."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=0, on_dead="continue"), agent("bob", writes=["b", "c"])],
        il.Plan([
            step("one", "bob", writes=["b"]), step("two", "bob", needs=["one"], writes=["c"]), step("three", writes=[]),
            step("four", needs=["two"]), step("five", "bob", needs=["four"], writes=["c.five"]),
        ]),
    )  # fmt: skip
    at_us = START_US
    shared = [
        e.StepShared(at_us, "one", 2, "bob", {"b": Raw(b'{"x":1}')}, (), ("q",), ("b.x",)),
        e.StepShared(at_us, "two", 1, "bob", {}, ("c",), ("b.x",)),
        e.StepShared(at_us, "three", 1, "ann"),
    ]
    origin = e.Origin("golden", ("four",), "person:eve", "b.x was wrong", ("b.x",))
    told = Told(team, {"q": 1}, origin=origin, shared=shared)
    told.does("four", lambda job: {"a": job.view["b.x"]})
    told.does("five", lambda job: {"c.five": job.view["a"]})
    return told


def inherited() -> Told:
    """A fork that knows effects of its origin: two done, one that a person settles; and a step tried again in place."""
    team = il.Team(
        [il.Agent("ann", scope=il.Scope(["act", "mail", "pay"], ["*"], ["a"]))],
        il.Plan([step("one", writes=["a.one"]), step("two", needs=["one"], writes=["a.two"])]),
        effects={"mail": "outside:mail", "pay": {"use": "outside:pay", "retries": 0}},
    )
    shared = [
        e.EffectShared(START_US, "one", "mail", "mail", Raw(b"1"), "golden", Raw(b"7")),
        e.EffectShared(START_US, "one", "mail", "m 2", Raw(b"1"), "golden", flaw="the result is no JSON"),
        e.EffectShared(START_US, "one", "pay", "pay", Raw(b"2"), "golden", reason="timed out"),
    ]
    told = Told(team, {}, origin=e.Origin("golden", ("one",), "person:eve"), shared=shared)
    told.say(e.QuestionAnswered(told.tick(), "one", 0, "person:eve", "answer", "it was not: perform it"))
    told.does("one", lambda _: il.Reply(writes={"a.one": 1}, effects=[il.Effect("mail", 1), il.Effect("pay", 2)]))
    told.performs("one", "pay", lambda at_us: e.EffectFailed(at_us, "one", "pay", "declined", retryable=False))
    told.say(e.RunReopened(told.tick(), ("one",), "person:eve"))
    told.performs("one", "pay", lambda at_us: e.EffectBecameUnknown(at_us, "one", "pay", "timed out"))
    told.say(e.QuestionAnswered(told.tick(), "one", 1, "person:eve", "answer", "it was performed"))
    told.does("two", lambda job: {"a.two": job.attempt})
    return told


def requested() -> Told:
    """A fork whose shared step had requested a branch, a step of it that requests another, and one that nobody does."""
    team = il.Team(
        [
            il.Agent("ann", scope=il.Scope(["act", "escalate", "get_help"], ["*"], ["a"])),
            agent("bob", writes=["b"]),
            agent("eve", writes=["c"]),
        ],
        il.Plan([
            step("one", writes=["a.one"], on_request={"escalate": "three"}),
            step("two", needs=["one"], writes=["a.two"], on_request={"escalate": "four", "get_help": "five"}),
            step("three", "bob", needs=["one"], writes=["b.three"]),
            step("four", "bob", needs=["two", "three"], writes=["b.four"]), step("five", "eve", needs=["two"]),
        ]),
    )  # fmt: skip
    asked = e.BranchRequested("escalate", "bob", "three")
    shared = [e.StepShared(START_US, "one", 1, "ann", {"a.one": Raw(b"1")}, request=asked)]
    told = Told(team, {}, origin=e.Origin("golden", ("two",), "person:eve"), shared=shared)
    told.does("two", lambda _: il.Reply(writes={"a.two": 2}, request=il.Request("escalate", "bob")))
    told.does("three", lambda job: {"b.three": job.view["a.one"]})
    told.does("four", lambda job: {"b.four": job.view["a.two"]})
    return told


def skipped() -> Told:
    """A run forked at a step, which is dead and then skipped, as are an item and a step that asks; and one is left."""
    team = il.Team(
        [agent("ann", writes=["a"], retries=0)],
        il.Plan([
            step("one", writes=["a.one"]), step("two", needs=["one"], writes=["a.two"]),
            step("three", needs=["one"], for_each="q", writes=["a.three.{index}"]),
            step("four", needs=["one"], writes=["a.four"]),
            step("five", needs=["two", "three", "four"], writes=["a.five"]),
        ]),
    )  # fmt: skip
    shared = [e.StepShared(START_US, "one", 1, "ann", {"a.one": Raw(b"1")})]
    origin = e.Origin("golden", ("two",), "person:eve", at="two", repeats_effects=True)
    told = Told(team, {"q": [1, 2]}, origin=origin, shared=shared)
    told.does("four", lambda _: il.Reply(ask=il.Question("Which?")))
    told.fails("two", "error", "it broke")
    told.fails("three-0", "error", "it broke")
    told.does("three-1", lambda job: {"a.three.1": job.item})
    told.say(e.RunReopened(told.tick(), ("three-0",), "person:eve", skip=True))
    told.decides("four", "skip", reason="nobody needs it")
    told.say(e.RunReopened(told.tick(), ("two",), "person:eve", "it will do", skip=True))
    told.does("five", lambda job: {"a.five": sorted(job.view["a"])})
    return told


def grown() -> Told:
    """A run whose plan has items, and grows by two decisions: one of refused steps at first; a third finishes."""
    team = il.Team(
        [agent("ann", writes=["a"]), agent("bob", writes=["b"]), agent("lead", writes=["answer"])],
        il.Plan([step("each", for_each="list", writes=["a.e{index}"])]),
        supervisor={"agent": "lead", "action": "act", "instructions": "Be brief.", "steps_max": 5},
    )
    told = Told(team, {"list": [1, 2]})
    told.does("each-0", lambda job: {"a.e0": job.item})
    told.does("each-1", lambda job: {"a.e1": job.item})
    new = {"id": "one", "agent": "bob", "action": "act", "needs": ["each"], "writes": ["b.one"]}
    more = {"id": "two", "agent": "bob", "action": "act", "needs": ["one"], "samples": 2, "writes": ["b.{step}"]}
    told.does("decide-1", lambda _: il.Reply(output={"add": [{**new, "agent": "lead"}]}))
    told.does("decide-1", lambda _: il.Reply(output={"add": [new, more]}))
    told.does("one", lambda job: {"b.one": job.view["a.e1"]})
    told.start("two-1", "two-2")
    told.loses("two-2", "two-1")
    told.start("two-2", "two-1")
    told.answer("two-2", lambda job: {"b.two-2": job.view["b.one"]})
    told.answer("two-1", lambda job: {"b.two-1": job.index})
    told.does("decide-2", lambda _: il.Reply(output={"add": []}))
    told.does("decide-3", lambda job: {"finish": {"answer": job.view["b.one"]}})
    return told


def planned() -> Told:
    """A run that an agent plans; the step that it has added waits to be called."""
    team = il.Team([agent("ann", writes=["a"]), agent("lead", writes=[])], planner={"agent": "lead", "action": "act"})
    told = Told(team, {})
    told.does("decide-1", lambda _: il.Reply(output={"add": [{"id": "one", "agent": "ann", "action": "act"}]}))
    return told


def judged() -> Told:
    """Two replies that wait for a judge: one with everything, which it lets through, and one with nothing, refused."""
    judge = {"judge": {"agent": "eve"}}
    scope = il.Scope(["act", "mail", "get_help"], ["q"], ["a", "draft"])
    team = il.Team(
        [
            il.Agent("ann", scope=scope, guardrails=[{"confidence": {"min": 0.9}}, judge], threshold=0.6),
            agent("bob", writes=["b"], guardrails=[judge], retries=0, on_dead="continue"),
            il.Agent("eve", scope=il.Scope(["judge"], ["q"], [])),
        ],
        il.Plan([step("one", on_request={"get_help": "two"}), step("two", "bob", needs=["one"])]),
        effects={"mail": "golden:send"},
    )
    told = Told(team, {"q": 1, "draft": 2})

    def everything(job: il.Job) -> il.Reply:
        usage = il.Usage(10, 5, 0.1)
        asked = {
            "request": il.Request("get_help", "bob"),
            "effects": [il.Effect("mail", {"to": job.view.to_dict()["q"]})],
        }
        return il.Reply(writes={"a": 1, "draft": il.DELETE}, output="said", usage=usage, confidence=0.8, **asked)

    told.does("one", everything)
    kinder = {"score": 0.7, "findings": ["kinder"]}
    told.does("one", lambda job: il.Reply(writes={**kinder, "score": job.view["q"] * 0.7}, usage=il.Usage(1, 1)))
    told.performs("one", "mail", lambda at_us: e.EffectDone(at_us, "one", "mail"))
    told.does("two", lambda _: {})
    told.does("two", lambda _: {"score": 0.1})
    return told


def awaited() -> Told:
    """Waits for times and events, which come early, late, again, not in time, or don't fit when they are awaited."""
    team = il.Team(
        [agent("ann", writes=["a"])],
        il.Plan([
            step("a", writes=["a"]),
            il.Step("pause", wait="2h"),
            il.Step("paid", await_event="payment", writes=["payment"], needs=["a"],
                    schema={"properties": {"payment": {"type": "integer"}}}),
            il.Step("also", await_event="payment", writes=["more"], needs=["a"]),
            il.Step("signed", await_event="contract", deadline="1h", on_deadline="skip"),
            il.Step("told", await_event="news", deadline="3h", writes=["news"],
                    on_deadline={"default": {"news": "none"}}),
            il.Step("never", await_event="parcel", deadline="4h", writes=["done.late"], on_dead="continue",
                    on_deadline={"default": {"done.late": 1}}),
            il.Step("end", await_event="bell", needs=["paid"]),
        ]),
        name="golden awaited",
    )  # fmt: skip
    told = Told(team, {"done": 1})
    told.sends("payment", "evt_1", "text")
    told.sends("payment", "evt_2", 12)
    told.sends("payment", "evt_2", 12)
    told.sends("bell", "evt_3")
    told.does("a", lambda _: {"a": 1})
    told.sends("payment", "evt_4", 7)
    told.is_late()
    return told


def migrated() -> Told:
    """A run in the place of another, with what ended and what still waits there; and a third that replaces it."""
    team = il.Team(
        [agent("ann", writes=["a"])],
        il.Plan([
            il.Step("paid", await_event="payment", writes=["payment"]),
            il.Step("pause", wait="2h"),
            step("one", writes=["a.one"]),
            step("two", writes=["a.two"], needs=["paid", "pause"]),
        ]),
        name="golden migrated",
    )  # fmt: skip
    at_us, by = START_US, "person:eve"
    shared = (
        e.StepShared(at_us, "paid", 0, "bank", {"payment": Raw(b"12")}, event_id="evt_1"),
        e.StepSkipped(at_us, "one", f"{by} has skipped it", by),
        e.WaitBegun(at_us, "pause", at_us + 3_600_000_000),
    )
    told = Told(team, {}, origin=e.Origin("run", (), by, team="f" * 64, replaces=True), shared=shared)
    told.say(e.RunCancelled(told.tick(), by, "it goes on as run third", "third"))
    return told


def shown_first() -> Told:
    """A plan that a person approves before anything of it runs."""
    told = Told(
        il.Team(
            [agent("ann", writes=["out"])], il.Plan([step("one", writes=["out.one"]), step("two", writes=["out.two"])])
        ),
        {},
        approval=e.PlanApproval(3_600_000),
    )
    told.decides("one", "approve", reason="as ever")
    for name in ("one", "two"):
        told.does(name, lambda job: {f"out.{job.step}": 1})
    return told


def proposed() -> Told:
    """A plan that an agent proposes twice, since a person has advice; and that is approved then."""
    team = il.Team([agent("ann", writes=["out"]), agent("lead", writes=[])], planner={"agent": "lead", "action": "act"})
    told = Told(team, {}, approval=e.PlanApproval())
    new = {"id": "one", "agent": "ann", "action": "act", "writes": ["out.one"]}
    told.does("decide-1", lambda _: il.Reply(output={"add": [new, {**new, "id": "two", "needs": ["one"]}]}))
    told.decides("decide-1", "retry", text="Do less.")
    told.does("decide-1", lambda _: il.Reply(output={"add": [new]}, usage=il.Usage(input_tokens=10)))
    told.decides("decide-1", "approve")
    told.does("one", lambda _: {"out.one": 1})
    return told


def chosen() -> Told:
    """A run whose plan is one of several."""
    team = il.Team([agent("ann", writes=["out"])], il.Plan([step("one")]))
    told = Told(team, {"size": 7}, chosen=e.PlanChosen("short", "rule 1: size < 10"))
    told.does("one", lambda _: {"out.one": 1})
    return told


def nested_team() -> il.Team:
    """Steps that another team does: with bounds, and without any."""
    steps = il.Plan([step("look"), step("write", needs=["look"])])
    budget = {"usd": 1.0, "call": {"usd": 0.25}}
    inner = il.Team([agent("ann", writes=["notes", "text"], retries=0)], steps, budget=budget, name="golden inner")
    inputs = {"topic": "q"}
    bounded = {"timeout": "1h", "on_dead": "continue", "budget": {"calls": 9, "tokens": 99, "usd": 0.5}}
    labs = [
        agent("lab", reads=["q"], writes=["found.*"], use=inner, retries=1, budget={"usd": 0.5}, inputs=inputs,
              outputs={"found.{step}": "text"}),
        agent("late", reads=["q"], writes=["last"], use=inner, inputs=inputs, outputs={"last": "text"}, **bounded),
    ]  # fmt: skip
    plan = il.Plan([
        step("one", "lab", writes=["found.one"]),
        step("two", "lab", writes=["found.two"], needs=["one"]),
        step("three", "late", needs=["two"]),
        step("four", "bob", needs=["three"]),
    ])  # fmt: skip
    return il.Team([*labs, agent("bob", writes=["b"])], plan, budget={"usd": 2.0}, name="golden nested")


def nested() -> Told:
    """Runs that do steps: one that is parked and succeeds, one that fails and goes on, one that has no time left."""
    told = Told(nested_team(), {"q": "bees", "b": 0})
    told.has_done("one", "n0")
    told.say(e.ChildEnded(told.tick(), "one", 1, "n0", "failed", "its request can't be used"))
    told.waits("one")
    below = told.has_done("one", "n1")
    below.does("look", lambda job: il.Reply(writes={"notes": job.view["topic"]}, usage=il.Usage(10, 5, 0.125)))
    below.does("write", lambda _: il.Reply(ask=il.Question("may I?")))
    told.hears(below, "n1")
    below.decides("write", "answer", text="yes")
    below.does("write", lambda job: {"text": job.answer})
    told.hears(below, "n1")
    below = told.has_done("two", "n2")
    below.fails("look", "error", "it broke")
    told.hears(below, "n2")
    told.waits("two")
    told.has_done("two", "n2", below.machine.seq)
    below.say(e.RunReopened(below.tick(), ("look",), "run:golden"))
    below.does("look", lambda _: il.Reply(writes={"notes": 1}, usage=il.Usage(1, 1, 0.25)))
    below.does("write", lambda _: {"text": "again"})
    told.hears(below, "n2")
    below = told.has_done("three", "n3")
    below.does("look", lambda _: il.Reply(writes={"notes": 1}, usage=il.Usage(10, 5, 0.125)))
    told.at_us += 3_600_000_000
    told.say(expired(told.machine, told.machine.number["three"], told.at_us))
    below.say(e.RunCancelled(below.tick(), "run:golden", "run golden does not wait for it any more"))
    told.hears(below, "n3")
    told.does("four", lambda job: {"b": job.view["found.one"]})
    return told


def below() -> Told:
    """A run that does a step of another, whose second call is held, as its share of the budget is spent."""
    above = Told(nested_team(), {"q": "bees", "b": 0})
    told = above.has_done("one", "n1")
    told.does("look", lambda job: il.Reply(writes={"notes": job.view["topic"]}, usage=il.Usage(10, 5, 0.4)))
    held = told.machine.held(told.calls["write"], told.tick())
    assert held is not None
    told.say(held)
    return told


def sharing_team() -> il.Team:
    """A step that another team does, with a share and a day of which people may approve more."""
    inner = il.Team(
        [agent("ann", writes=["notes", "text"], retries=0)],
        il.Plan([step("look"), step("write", needs=["look"])]),
        budget={"usd": 5.0, "call": {"usd": 0.25}},
        name="golden inner",
    )
    share = {"calls": 1, "tokens": 20, "usd": 0.5, "when_spent": "ask"}
    labs = {"use": inner, "budget": share, "inputs": {"topic": "q"}, "outputs": {"found.{step}": "text"}}
    plan = [step(name, "lab", writes=[f"found.{name}"]) for name in ("one", "two")]
    day = {"calls": 9, "when_spent": "ask"}
    budget = {"calls": 9, "tokens": 999, "usd": 5.0, "day": day}
    lab = agent("lab", reads=["q"], writes=["found.*"], **labs)
    return il.Team([lab], il.Plan(plan), budget=budget, rate={"requests": "9/s"}, name="golden shares")


def asks_for_more(above: Told, step: str, run_id: str) -> Told:
    """A run that does a step, and has spent its share."""
    below = above.has_done(step, run_id)
    below.does("look", lambda job: il.Reply(writes={"notes": job.view["topic"]}, usage=il.Usage(10, 5, 0.4)))
    held = below.machine.held(below.calls["write"], below.tick())
    assert held is not None
    below.say(held)
    above.hears(below, run_id)
    return below


def has_more(above: Told, below: Told, run_id: str, reason: str, **more: float) -> None:
    """A person approves more of its share: it is set aside above, and granted below."""
    decision = decided("write", "approve", more=more)
    wanted = wanted_of(below.machine, run_id, decision)
    raised = share_raised(above.machine, wanted, "person:eve", reason, above.tick())
    assert isinstance(raised, e.ShareRaised)
    above.say(raised)
    below.say(settled(below.machine, approval_of(raised), "person:eve", reason, below.tick(), covered=True))


def more_above() -> Told:
    """Runs that do steps, for which more is set aside: one ends, and one goes on."""
    told = Told(sharing_team(), {"q": "bees"})
    below = asks_for_more(told, "one", "n1")
    has_more(told, below, "n1", "the month ends", calls=2, tokens=30, usd=0.5)
    below.does("write", lambda _: il.Reply(writes={"text": "more"}, usage=il.Usage(10, 5, 0.4)))
    told.hears(below, "n1")
    below = told.has_done("two", "n2")
    told.say(e.ShareRaised(told.tick(), "two", 1, "n2", "person:eve", "look", 0, START_US, usd=250_000))
    told.say(e.ShareRaised(told.tick(), "two", 1, "n2", "person:bob", "write", 1, START_US, calls=1))
    return told


def more_below() -> Told:
    """A run that does a step, of whose share and of the day of the team above it a person approves more."""
    above = Told(sharing_team(), {"q": "bees"})
    told = asks_for_more(above, "one", "n1")
    has_more(above, told, "n1", "the month ends", calls=2, tokens=30, usd=0.5)
    told.hold("write", "above_1_budget", "team golden shares: its budget is 9 calls a day, of which 0 calls are left")
    told.decides("write", "approve", more={"calls": 2})
    told.does("write", lambda _: il.Reply(writes={"text": "more"}, usage=il.Usage(10, 5, 0.4)))
    return told


def watched() -> Told:
    """A supervisor is asked after each step, drops one that waits, and is stopped at its bound: a person decides."""
    team = il.Team(
        [agent("ann", writes=["out"]), agent("lead", writes=["answer"])],
        il.Plan([
            step("one", writes=["out.one"]), step("two", writes=["out.two"]),
            step("three", needs=["one", "two"], writes=["out.three"]),
        ]),
        supervisor={"agent": "lead", "action": "act", "ask": "each", "decisions_max": 2, "then": "escalate"},
    )  # fmt: skip
    told = Told(team, {})
    told.start("one", "two")
    told.answer("one", lambda _: {"out.one": 1})
    told.does("decide-1", lambda _: il.Reply(output={"drop": ["three"]}))
    told.answer("two", lambda _: {"out.two": 2})
    told.does("decide-2", lambda _: il.Reply(output={"add": []}))
    told.decides("decide-3", "write", writes={"finish": {"answer": "enough"}})
    return told


def replaced() -> Told:
    """A planner whose proposals are refused, and the plan that is declared for that."""
    calm = il.Plan([step("one", writes=["out.one"])])
    team = il.Team(
        [agent("ann", writes=["out"]), agent("lead", writes=[], retries=0)],
        planner={"agent": "lead", "action": "act", "otherwise": "calm"},
        plans={"calm": calm},
    )
    told = Told(team, {})
    told.does("decide-1", lambda _: il.Reply(output={"add": "one"}))
    told.does("one", lambda _: {"out.one": 1})
    return told


def reconciled() -> Told:
    """What three have said is reconciled: by vote and score, by a judge, by a person, who writes anew."""
    readers = [agent(name, writes=[f"said.{name}"], on_dead="continue") for name in ("ann", "bob", "cid")]
    steps = [step(name, name) for name in ("ann", "bob", "cid")]
    needs = ["ann", "bob", "cid"]
    team = il.Team(
        [*readers, agent("jo", reads=["said"], writes=["judged"])],
        il.Plan([
            *steps,
            il.Step("voted", reconcile={"among": "said", "policy": "vote", "otherwise": "score",
                                        "same": {"sum": "number"}}, writes=["voted"], needs=needs),
            il.Step("judged", "jo", "act", reconcile={"among": ["said.bob", "said.ann"], "policy": "judge"},
                    writes=["judged"], needs=needs),
            il.Step("asked", reconcile={"among": "said", "policy": "person", "missing": "conflict", "anew": True},
                    writes=["asked"], needs=needs),
        ]),
        name="golden reconciled",
    )  # fmt: skip
    told = Told(team, {})
    told.does("ann", lambda _: il.Reply(writes={"said.ann": {"sum": "1,200.50", "on": "a", "by": "x"}}, confidence=0.4))
    told.does("bob", lambda _: il.Reply(writes={"said.bob": {"sum": 1200.5, "on": "b"}}, confidence=0.9))
    told.fails("cid", "error", "it can't read", retryable=False)
    told.does("judged", lambda _: {"choices": {"judged.sum": 3, "judged.on": 1}})
    told.does("judged", lambda _: {"choices": {"judged.sum": 2, "judged.on": 1}})
    told.decides("asked", "answer", text='{"asked.sum": 9, "asked.on": 1, "asked.by": 2}')
    told.decides("asked", "answer", text='{"asked.sum": {"new": 7}, "asked.on": 1, "asked.by": 2}')
    return told


def reconciled_again() -> Told:
    """A fork that reconciles what its origin's steps had said, by the scores that they had there."""
    plan = il.Plan([
        step("ann", "ann", writes=["said.ann"]), step("bob", "bob", writes=["said.bob"]),
        il.Step("all", reconcile={"among": "said", "policy": "score"}, writes=["deal"], needs=["ann", "bob"]),
        il.Step("none", reconcile={"among": ["said.ann.x", "said.bob.x"], "policy": "first"}, writes=["none"],
                needs=["ann", "bob"], on_dead="continue"),
        il.Step("some", reconcile={"among": ["said.ann.z", "said.bob.y"], "policy": "first", "quorum": 1},
                writes=["some"], needs=["ann", "bob"]),
    ])  # fmt: skip
    team = il.Team([agent("ann", writes=["said.ann"]), agent("bob", writes=["said.bob"])], plan)
    shared = [
        e.StepShared(START_US, "ann", 1, "ann", {"said.ann": Raw(b'{"y":1}')}, score=0.5),
        e.StepShared(START_US, "bob", 1, "bob", {"said.bob": Raw(b'{"y":2}')}, score=0.75),
    ]
    return Told(team, {}, origin=e.Origin("golden", ("all",), "person:eve", at="all"), shared=shared)


RUNS = (
    judged,
    migrated,
    skipped,
    chain,
    wide,
    guarded,
    refused,
    failed,
    interrupted,
    parked,
    answered,
    escalated,
    withdrawn,
    cancelled,
    faulty,
    limited,
    under_way,
    held,
    raised,
    raised_again,
    outlived,
    reopened,
    forked,
    effects,
    approved,
    inherited,
    requested,
    awaited,
    nested,
    below,
    more_above,
    more_below,
    reconciled,
    reconciled_again,
    grown,
    planned,
    shown_first,
    proposed,
    chosen,
    watched,
    replaced,
)


# --- a journal file ---


def batch_team() -> il.Team:
    """Three steps: the last of them hangs or asks where the request says so."""
    steps = [step("s0", writes=["out.s0"]), step("s1", needs=["s0"], writes=["out.s1"])]
    steps.append(step("s2", needs=["s1"], writes=["out.s2"]))
    return il.Team([agent("ann", reads=["text", "out"], writes=["out"])], il.Plan(steps), name="golden batch")


async def at_work(job: il.Job) -> Any:
    """The agent whose process dies: it hangs in the last step of some runs."""
    text = job.view["text"]
    if job.step == "s2" and text == "ask":
        return il.Reply(ask=il.Question("may I?"))
    if job.step == "s2" and text == "hang":
        await asyncio.sleep(600)
    return il.Reply(writes={f"out.{job.step}": text}, usage=il.Usage(input_tokens=10, output_tokens=5, usd=0.25))


async def fill(path: Path) -> None:
    """A batch whose rows are: done, parked, in flight, in flight and to be cancelled, not begun."""
    team, ticks = batch_team(), count(START_US, 10_000)
    engine = Engine(
        team,
        {"ann": FunctionAdapter(at_work)},
        SqliteJournal(path),
        watch=False,
        now_us=lambda: next(ticks),
        ids=lambda _: "golden",
        faults=b'{"faults":[]}',
    )
    async with engine:
        texts = ("done", "ask", "hang", "hang", "late")
        batch = await engine.open_batch([engine.request({"text": text}) for text in texts], "golden.jsonl")
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                async for _ in engine.run_batch(batch, 2):
                    pass
    journal = SqliteJournal(path)
    await journal.ask(Request("cancel-golden-3", "golden-3", "cancel", "person:eve", "too dear"))
    await journal.close()


def journal_file() -> bytes:
    """A journal as this version writes it, but for the name of the machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        asyncio.run(fill(path))
        with closing(apsw.Connection(str(path))) as db:
            db.execute("UPDATE driver SET process = 'machine:1', started_us = 0; VACUUM")
        return gzip.compress(path.read_bytes(), mtime=0)


def write(name: str, make: Callable[[], bytes]) -> None:
    if not FOLDER.joinpath(name).exists():
        FOLDER.joinpath(name).write_bytes(make())


def main() -> None:
    for make in RUNS:
        told, name = make(), make.__name__
        write(f"{name}.jsonl", lambda told=told: b"\n".join([*told.lines, b""]))
        write(f"{name}.team.json", lambda told=told: told.team.document)
        folded = Machine(told.team.rules)
        for line in told.lines:
            folded.apply(e.decode(line))
        write(
            f"{name}.end.json", lambda m=folded: msgspec.json.format(msgspec.json.encode(end_of(m)), indent=2) + b"\n"
        )
    write(SQLITE, journal_file)


if __name__ == "__main__":
    main()
