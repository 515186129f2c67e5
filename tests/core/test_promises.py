"""The promises, over any plan, any interleaving and crashes anywhere.

Hypothesis draws a plan and what each attempt answers, then plays scheduler: it chooses which call ends next, which
timer fires, and between which two writes of the journal the process dies. However it plays, every attempt must see the
same bytes, and the run must come to the same end as when one call follows another and nothing goes wrong.
"""

from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core import values
from interlock.core.budget import Amounts
from interlock.core.context import Bank
from interlock.core.job import Job, Question, Reply
from interlock.core.machine import Machine
from interlock.core.plan import Plan
from interlock.core.policy import REISSUES_MAX
from interlock.core.redrive import dead_steps, obstacle
from interlock.core.scope import Sight
from interlock.core.states import TERMINAL
from interlock.core.step import Step
from interlock.testing.simulation.account.naive import NaiveContext

from .strategies import FAILURES, REDUCERS, Scenario, failure, json_objects, json_values, refused_answer, scenarios

schedules = st.binary(min_size=20, max_size=150)
REQUEST_US = 1_000_000
EXAMPLES = 200
# Each of them plays hundreds of runs, which a busy machine takes its time for.
pytestmark = pytest.mark.timeout(300)
_HANDED_OUT = ("_due_effects", "_told_effects")
SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large]


class Playing:
    """One run of a scenario under a schedule: a shell without I/O, whose journal alone outlives a crash."""

    def __init__(self, scenario: Scenario, schedule: bytes = b"") -> None:
        self.scenario, self.choices = scenario, iter(schedule)
        self.now_us = REQUEST_US
        self.journal: list[bytes] = []
        self.crashes = 0
        self.naive = NaiveContext(scenario.request, REDUCERS)
        self.views: dict[tuple[str, int], str] = {}
        self.keys: dict[tuple[str, int], str] = {}
        self.committed: set[str] = set()
        self.wanted: set[tuple[str, str]] = set()
        self.done: set[tuple[str, str]] = set()
        self.answers: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self.machine = Machine(scenario.rules)
        self._forget()

    def _forget(self) -> None:
        self.calls: list[c.CallAgent] = []
        self.flights: list[tuple[c.CallAgent, Job, str]] = []
        self.timers: list[c.StartTimer] = []
        self.effects: list[c.PerformEffect] = []
        self.performing: list[c.PerformEffect] = []

    def play(self) -> "Playing":
        self.recover()
        while count := self.possible:
            self.now_us += self.choose(5)
            self.act(self.choose(count))
        return self

    @property
    def possible(self) -> int:
        """How many things can happen next."""
        return sum(map(len, (self.flights, self.timers, self.calls, self.effects, self.performing)))

    def choose(self, count: int) -> int:
        """One of `count` things; the first when the schedule has come to its end."""
        return next(self.choices, 0) % count

    def act(self, chosen: int) -> None:
        if chosen < len(self.flights):
            self.end_call(*self.flights.pop(chosen))
            return
        chosen -= len(self.flights)
        if chosen < len(self.performing):
            self.end_effect(self.performing.pop(chosen))
            return
        chosen -= len(self.performing)
        if chosen < len(self.effects):
            self.start_effect(self.effects.pop(chosen))
            return
        chosen -= len(self.effects)
        if chosen < len(self.timers):
            timer = self.timers.pop(chosen)
            self.now_us = max(self.now_us, timer.due_us)
            self.transition([e.BackoffEnded(self.now_us, timer.step)])
        else:
            self.start_call(self.calls.pop(chosen - len(self.timers)))

    def redrive(self, number: int) -> None:
        """Try again, with all that may be tried, or with one dead step, whichever has this number; then go on."""
        machine = self.machine
        possible = [name for name in sorted(dead_steps(machine)) if not obstacle(machine, [name])]
        if possible:
            steps = possible if not number else [possible[number % len(possible)]]
            events = len(self.journal)
            while not any(isinstance(e.decode(told), e.RunReopened) for told in self.journal[events:]):
                self.transition([e.RunReopened(self.now_us, tuple(steps), "ann")])
            self.play()

    # --- what a driver does ---

    def transition(self, facts: list[e.AnyEvent]) -> None:
        to_do = self.machine.advance(facts, self.now_us)
        if self.append(facts):
            self.calls += [command for command in to_do if isinstance(command, c.CallAgent)]
            self.timers += [command for command in to_do if isinstance(command, c.StartTimer)]
            self.effects += [command for command in to_do if isinstance(command, c.PerformEffect)]

    def append(self, facts: list[e.AnyEvent]) -> bool:
        """Make facts durable; False where the process died before or after."""
        entries = [entry for mine in self.machine.ledger.entries.values() for entry in mine.values()]
        may_crash = self.crashes < 12 and all(entry.lost < REISSUES_MAX for entry in entries)
        fate = self.choose(8) if may_crash else 0
        if fate != 6:
            self.journal += [e.encode(fact) for fact in facts]
            for fact in facts:
                self.note(fact)
        if fate == 7:
            assert state_of(self.fold()) == state_of(self.machine)
        if fate >= 6:
            self.crashes += 1
            self.machine = self.fold()
            self._forget()
            self.recover()
        return fate < 6

    def fold(self) -> Machine:
        machine = Machine(self.scenario.rules)
        for encoded in self.journal:
            machine.apply(e.decode(encoded))
        return machine

    def recover(self) -> None:
        if not self.machine.started:
            request = Raw(values.encode(self.scenario.request))
            self.transition([e.RunStarted(self.now_us, request, "team", "plan")])
            return
        machine = self.machine
        lost = [(machine.step_id(n), machine.attempts[n]) for n in machine.running()]
        effects = [(machine.step_id(n), entry.key) for n, entry in machine.ledger.open()]
        self.transition([
            *(e.AttemptInterrupted(self.now_us, step, attempt) for step, attempt in lost),
            *(e.EffectBecameUnknown(self.now_us, step, key, "lost", lost=True) for step, key in effects),
        ])  # fmt: skip

    def note(self, fact: e.AnyEvent) -> None:
        if isinstance(fact, e.AttemptStarted):
            assert fact.step not in self.committed, "a committed step was called again"
            assert self.views.setdefault((fact.step, fact.attempt), fact.view) == fact.view
            needs = self.machine.plan.needs[self.machine.label[self.machine.number[fact.step]]]
            missing = {key for key in self.wanted if key[0] in {self.machine.step_id(n) for n in needs}} - self.done
            assert not missing or self.scenario.rules.plan.steps[self.machine.plan.number_of(fact.step)].join != "all"
        elif isinstance(fact, e.EffectStarted):
            assert (fact.step, fact.key) in self.wanted, "an effect was begun before the commit that asks for it"
            assert (fact.step, fact.key) not in self.done, "an effect was done and is begun again"
        elif isinstance(fact, e.EffectDone):
            self.done.add((fact.step, fact.key))
        elif isinstance(fact, e.AttemptCommitted):
            self.committed.add(fact.step)
            self.wanted |= {(fact.step, wanted.key) for wanted in fact.effects}
            place, writes = self.answers[fact.step]
            self.naive.commit(*place, writes)

    # --- effects ---

    def start_effect(self, command: c.PerformEffect) -> None:
        self.now_us = max(self.now_us, command.due_us)
        assert self.machine.is_due(command)
        if self.append([self.machine.start_effect(command, self.now_us)]):
            self.performing.append(command)

    def end_effect(self, command: c.PerformEffect) -> None:
        """What becomes of a try hangs on how many there were, but for those that were lost."""
        entry = self.machine.ledger.entry(command.number, command.key)
        luck = crc32(f"{command.step} {command.key} {entry.tries - entry.lost}".encode()) % 6
        step, key = command.step, command.key
        facts: list[e.AnyEvent] = [e.EffectDone(self.now_us, step, key, Raw(b"1"))]
        if luck < 2:
            facts = [e.EffectFailed(self.now_us, step, key, "busy", luck == 0)]
        elif luck == 2:
            facts = [e.EffectBecameUnknown(self.now_us, step, key, "it broke")]
        self.transition(facts)

    # --- calls ---

    def start_call(self, command: c.CallAgent) -> None:
        job = self.machine.job("run", command)
        if self.append([self.machine.start(command, self.now_us)]):
            key = (command.step, command.attempt)
            assert self.keys.setdefault(key, job.idempotency_key) == job.idempotency_key
            self.flights.append((command, job, self.check_view(command)))

    def check_view(self, command: c.CallAgent) -> str:
        """That the step sees its ancestors' writes and nothing else, in the order in which they were written."""
        machine = self.machine
        label, sight = machine.label[command.number], machine.duty(command.number).sight
        shown = repr(machine.bank.view(label, sight).to_dict())
        assert shown == repr(self.naive.tree(machine.plan.ancestors[label], sight.patterns))
        return shown

    def end_call(self, command: c.CallAgent, job: Job, shown: str) -> None:
        assert self.check_view(command) == shown, "what others wrote meanwhile changed a view"
        kind = self.scenario.outcome(job).kind
        if kind in FAILURES:
            fact: e.AnyEvent = failure(kind, job, self.now_us)
        else:
            fact = self.verdict(kind, command, job)
        self.transition([fact])

    def verdict(self, kind: str, command: c.CallAgent, job: Job) -> e.AnyEvent:
        if kind == "commit":
            answer = self.scenario.answer(job)
            self.answers[job.step] = (self.machine.label[command.number], job.index or 0), answer.writes
            return self.machine.judge(command, job, answer, self.now_us)
        answer = Reply(ask=Question(f"{job.step}?")) if kind == "ask" else refused_answer(job)
        fact = self.machine.judge(command, job, answer, self.now_us)
        assert isinstance(fact, e.QuestionAsked if kind == "ask" else e.AttemptRefused)
        return fact

    def final_context(self) -> str:
        return repr(self.machine.context.to_dict())

    def states(self) -> dict[str, str]:
        return {step: self.machine.state[n] for step, n in self.machine.number.items()}


def state_of(machine: Machine) -> list[tuple[str, Any]]:
    """All that a machine knows, but for what it has handed out and what it may forget."""
    declared = {"rules", "plan", "bank", "purse", "_purse", "_held", "_plan", "_limits", "_reducers"}
    derived = {"_due", "_sums", "chosen", "changed", "_lines", *_HANDED_OUT}
    known = {**vars(machine), **vars(machine.bank), **vars(machine.purse), **vars(machine._held)}
    known["_aside"] = {whose: aside for whose, aside in known["_aside"].items() if aside != Amounts()}
    return [(name, known[name]) for name in sorted(known.keys() - declared - derived)]


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules)
def test_every_interleaving_and_crash_comes_to_the_same_end(scenario, schedule):
    expected = Playing(scenario).play()
    actual = Playing(scenario, schedule).play()
    note_what_happened(actual)

    assert actual.views == expected.views
    assert actual.final_context() == expected.final_context()
    assert actual.states() == expected.states()
    assert (actual.machine.status, actual.machine.reason) == (expected.machine.status, expected.machine.reason)
    assert actual.machine.cost.usd == expected.machine.cost.usd
    assert actual.machine.cost.tokens == expected.machine.cost.tokens
    assert actual.machine.cost.calls >= expected.machine.cost.calls


@settings(max_examples=EXAMPLES, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules)
def test_a_run_ends_and_its_journal_tells_all_of_it(scenario, schedule):
    run = Playing(scenario, schedule).play()
    machine = run.machine

    assert state_of(run.fold()) == state_of(machine)
    assert run.fold().decide() == []
    assert run.final_context() == repr(run.naive.tree(-1))
    started = [fact for fact in map(e.decode, run.journal) if isinstance(fact, e.AttemptStarted)]
    assert machine.cost.calls == len(started)
    unfinished = {state for state in run.states().values() if state not in TERMINAL}
    if machine.status == "parked":
        assert "escalated" in unfinished
        assert machine.reason
        assert unfinished <= {"escalated", "waiting", "running"}
    else:
        assert not unfinished
        fails = {scenario.rules.on_dead[machine.label[n]] for n, state in enumerate(machine.state) if state == "dead"}
        assert machine.status == ("failed" if "fail_run" in fails else "succeeded")
        assert (machine.status == "failed") == bool(machine.reason)


@settings(max_examples=EXAMPLES // 4, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules, st.lists(st.integers(0, 3), min_size=1, max_size=2))
def test_a_run_that_is_reopened_comes_to_the_same_end_under_every_interleaving(scenario, schedule, chosen):
    expected, actual = Playing(scenario).play(), Playing(scenario, schedule).play()
    for number in chosen:
        expected.redrive(number)
        actual.redrive(number)
    note_what_happened(actual)

    assert actual.views == expected.views
    assert actual.final_context() == expected.final_context() == repr(actual.naive.tree(-1))
    assert actual.states() == expected.states()
    assert (actual.machine.status, actual.machine.reason) == (expected.machine.status, expected.machine.reason)
    assert state_of(actual.fold()) == state_of(actual.machine)
    assert actual.machine.status == "parked" or set(actual.states().values()) <= TERMINAL


@settings(max_examples=EXAMPLES // 2, suppress_health_check=SLOW_TO_DRAW)
@given(scenarios(), schedules, st.integers(0, 30))
def test_a_cancelled_run_calls_nobody_and_commits_nothing_more(scenario, schedule, acts):
    run = Playing(scenario, schedule)
    run.recover()
    while acts and (choice := run.possible):
        run.act(run.choose(choice))
        acts -= 1
    if run.machine.status not in {"running", "parked"}:
        return
    before = run.final_context()
    cancelled = e.RunCancelled(run.now_us, "tester", "enough")
    run.machine.apply(cancelled)

    assert run.machine.advance([], run.now_us) == []
    assert run.machine.running() == []
    assert set(run.states().values()) <= TERMINAL
    assert run.final_context() == before
    assert run.machine.status == "cancelled"
    run.journal.append(e.encode(cancelled))
    assert state_of(run.fold()) == state_of(run.machine)


@given(json_objects, st.lists(json_values, max_size=4))
def test_the_hash_of_a_view_is_that_of_a_bank_that_never_knew_anything_else(request_, commits):
    """However a chain of steps came to a context, its hash is that of the context alone."""
    plan = chain_of(len(commits) + 1)
    bank, naive = Bank(plan), NaiveContext({"a": request_})
    bank.commit_request(values.encode({"a": request_}))
    for n, tree in enumerate(commits, 1):
        path = "a.b" if n % 2 and not bank.findings({"a.b": b"1"}) else "a"
        bank.commit(n, {path: Raw(values.encode(tree))})
        naive.commit(n, 0, {path: tree})
    last = len(commits) + 1
    leaves = {path: Raw(values.encode(leaf)) for path, leaf in naive.leaves(-1).items()}
    fresh = Bank(plan)
    fresh.commit(0, leaves)

    for sight in (Sight(["*"]), Sight(["a.b"]), Sight(["a.*"], narrowed=True)):
        assert bank.view_hash(last, sight) == fresh.view_hash(last, sight)
        assert bank.view_hash(last, sight) == bank.view_hash(last, Sight(sight.patterns, narrowed=not sight.narrowed))
        assert repr(bank.view(last, sight).to_dict()) == repr(naive.tree(-1, sight.patterns))


def chain_of(count: int) -> Plan:
    ids = [f"s{n}" for n in range(1, count + 1)]
    return Plan([Step(step, "a", "act", needs=ids[n - 1 : n] if n else ()) for n, step in enumerate(ids)])


def note_what_happened(run: Playing) -> None:
    """Let `--hypothesis-show-statistics` tell whether the examples are worth their time."""
    event(f"status {run.machine.status}")
    event(f"crashed {min(run.crashes, 4)} times")
    for kind in {type(e.decode(fact)).__name__ for fact in run.journal}:
        event(f"saw {kind}")
