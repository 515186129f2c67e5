"""Deliberate bugs in the runtime, each of which a simulation must find.

A mutant is a change of the source: texts that are replaced by others. `python -m tests.testing.simulation.mutants`
applies each to a copy, simulates a team with every feature under every kind of fault, and prints which invariant caught
it, and after how many seeds. It keeps these in `caught.json`: tests try the seed first that found a bug the last time.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
TEAM = Path(__file__).parent / "teams" / "all_features.yaml"
EFFECTS = TEAM.with_name("effects.yaml")
REQUESTS = TEAM.with_name("requests.yaml")
GROWN = TEAM.with_name("grown.yaml")
WATCHED = TEAM.with_name("watched.yaml")
JUDGED = TEAM.with_name("judged.yaml")
APPROVED = TEAM.with_name("effects_approved.yaml")
WAITS = TEAM.with_name("waits.yaml")
RECONCILED = TEAM.with_name("reconciled.yaml")
JUDGED_EFFECTS = TEAM.with_name("effects_judged.yaml")
NARROW = TEAM.with_name("narrow.yaml")
NESTED = TEAM.with_name("nested.yaml")
DAY_ABOVE = TEAM.with_name("day_above.yaml")
SHARES = TEAM.with_name("shares_asked.yaml")
SEEDS_MAX = 1_000
CAUGHT = Path(__file__).with_name("caught.json")


class Mutant(NamedTuple):
    """A bug. edits: (file below src/interlock, text that is there once, text in its place).

    faults: kind -> probability, where it takes more than a little of everything. team: where the bug is in what the
    usual team doesn't have. takes_minutes: for what it makes of a world goes on for long.
    """

    name: str
    edits: Sequence[tuple[str, str, str]]
    faults: Mapping[str, float] = {}
    team: Path = TEAM
    takes_minutes: bool = False


class Catch(NamedTuple):
    """What found a mutant, and at which seed; no invariant if nothing did."""

    invariant: str
    seed: int
    message: str


MUTANTS = [
    Mutant(
        "commit not in the completion's transaction",
        [
            (
                "journal/memory.py",
                "        stored += data\n",
                """        from interlock.core.events import AttemptCommitted
        late = self.__dict__.setdefault("late", {})
        for at, full in late.pop(run_id, []):
            stored[at] = full
        for event, full in zip(events, data):
            if isinstance(event, AttemptCommitted):
                late.setdefault(run_id, []).append((len(stored), full))
                full = encode(msgspec.structs.replace(event, writes={}))
            stored.append(full)
""",
            )
        ],
    ),
    Mutant(
        "dependent started before the commit is durable",
        [
            ("engine/driver.py", "if durable is not None and not durable.done():\n", "if False:\n"),
            (
                "engine/driver.py",
                "                if durable is not None:\n                    durable.result()\n",
                "",
            ),
        ],
    ),
    Mutant(
        "view that sees a concurrent sibling",
        [
            (
                "core/context.py",
                "return View(self, self._plan.ancestors[label], sight)",
                "return View(self, -1, sight)",
            )
        ],
    ),
    Mutant(
        "view that misses a grand-ancestor",
        [
            (
                "core/context.py",
                "return View(self, self._plan.ancestors[label], sight)",
                "return View(self, 1 | sum(1 << need for need in self._plan.needs[label]), sight)",
            )
        ],
    ),
    Mutant(
        "parent overwrite that leaves a child visible",
        [("core/context.py", "if old not in fresh and self._present(old):", "if False:")],
    ),
    Mutant(
        "retry count lost on resume",
        [
            (
                "engine/resuming.py",
                '        if machine.status != "running":\n            return Run.of(row.run_id, machine, row.row)\n',
                (
                    '        if machine.status != "running":\n            return Run.of(row.run_id, machine, row.row)\n'
                    "        machine._tries = [0] * len(machine._tries)\n"
                ),
            )
        ],
    ),
    Mutant(
        "reissue with a new idempotency key",
        [("core/commanding.py", "return self.attempts[n] + (n not in self._reissue)", "return self.attempts[n] + 1")],
    ),
    Mutant(
        "expected seq off by one",
        [("engine/driver.py", "seq, at_us = machine.seq, max(", "seq, at_us = machine.seq - 1, max(")],
    ),
    Mutant(
        "second driver not fenced",
        [
            (
                "journal/memory.py",
                "mine = owner is (self if opening is None else None) and self._may_open(opening)",
                "mine = opening is None or owner is None",
            )
        ],
    ),
    Mutant(
        "timer lost on resume",
        [
            (
                "engine/resuming.py",
                "        lost = _lost(machine, max",
                (
                    '        machine._due = {n: None for n in machine._due if machine.state[n] != "backing_off"}\n'
                    "        lost = _lost(machine, max"
                ),
            )
        ],
    ),
    Mutant(
        "late reply committed after a timeout",
        [
            (
                "engine/calling.py",
                "        if call.over:\n            self._late(command, outcome)\n",
                "        if call.over:\n            self._tell(outcome)\n",
            ),
            (
                "core/attempting.py",
                (
                    "        if not self._conclude(n, event):\n            assert self.attempts[n] == event.attempt, "
                    'f"{event.step}: attempt {event.attempt} is not the running one"\n'
                ),
                "        if not self._conclude(n, event):\n",
            ),
            ("core/progress.py", "        assert to in legal.get(state, ())", "        assert True or to in legal"),
        ],
    ),
    Mutant(
        "skipped need treated as dead",
        [
            (
                "core/progress.py",
                'if outcome[need] == "dead" or need in self._blocked), None)',
                'if outcome[need] in {"dead", "skipped"} or need in self._blocked), None)',
            )
        ],
    ),
    Mutant(
        "for_each re-read on resume",
        [
            (
                "engine/resuming.py",
                "        lost = _lost(machine, max",
                """        for n, (item_id, index, item) in machine.items.items():
            there = machine.bank.value(machine.step(n).for_each, -1)[index : index + 1]
            again = msgspec.Raw(msgspec.json.encode(there[0])) if there else item
            machine.items[n] = (item_id, index, again)
        lost = _lost(machine, max""",
            )
        ],
    ),
    Mutant(
        "reducer folded in finish order",
        [
            (
                "core/context.py",
                "seen = sorted((v for v in chain if visible >> v.label & 1), key=lambda v: v.order)",
                "seen = [v for v in chain if visible >> v.label & 1]",
            )
        ],
    ),
    Mutant(
        "cancel that still commits",
        [
            (
                "engine/driver.py",
                'if machine.status != "running" and not isinstance(item, e.RunReopened):\n',
                'if machine.status not in {"running", "cancelled"} and not isinstance(item, e.RunReopened):\n',
            ),
            ("core/progress.py", "        assert to in legal.get(state, ())", "        assert True or to in legal"),
            (
                "core/fold.py",
                """        for n in range(1, len(self.state)):
            if self.state[n] not in TERMINAL:
                self._move(n, "cancelled")
""",
                "",
            ),
        ],
    ),
    Mutant(
        "a judge's word counts for nothing",
        [("core/judging.py", "self.judge: opinion.score}", "self.judge: 1.0}")],
        team=JUDGED,
    ),
    Mutant(
        "what nobody could judge is committed",
        [
            ("core/judging.py", "if refuses:  # whatever its weight", "if False:"),
            ("core/guardrail.py", 'passes = self.on_error == "pass"', "passes = True"),
        ],
        team=JUDGED,
    ),
    Mutant(
        "draft committed before its judge is asked",
        [
            (
                "core/attempting.py",
                "        draft.go_on()\n",
                "        draft.assessment = draft.panel.weigh({**draft.scores, 'judge': 1.0}, ())\n",
            )
        ],
        team=JUDGED,
    ),
    Mutant(
        "author of a draft charged twice",
        [("core/judging.py", '_COMMITTED = ("writes",', '_COMMITTED = ("usage", "writes",')],
        team=JUDGED,
    ),
    Mutant(
        "refused write partly applied",
        [
            (
                "core/attempting.py",
                "        told = tuple(finding.message for finding in event.findings)\n",
                """        told = tuple(finding.message for finding in event.findings)
        if bytes(event.reply)[:1] == b"{":
            said = msgspec.json.decode(event.reply, type=dict[str, Raw])
            good = {path: raw for path, raw in said.items() if self.duty(n).writable.cover(path)}
            self.bank.commit(self.label[n], good, writer=n)
""",
            )
        ],
    ),
    Mutant(
        "feedback of an older attempt",
        [
            (
                "core/attempting.py",
                "            self.feedback[n] = told\n",
                "            self.feedback.setdefault(n, told)\n",
            )
        ],
    ),
    Mutant(
        "batch row started twice",
        [
            (
                "journal/memory.py",
                "            store.batch_rows.get(opening.batch, {}).pop(opening.row, None)\n",
                "            pass\n",
            )
        ],
    ),
    Mutant(
        "row of a batch opened by a driver that lost the batch",
        [("journal/memory.py", "        return owner is self and opening.row in rows\n", "        return True\n")],
    ),
    Mutant(
        "schema never checked",
        [("core/assess.py", "    if duty.schemas and not submission.findings:\n", "    if False:\n")],
    ),
    Mutant(
        "last write of a reply lost",
        [
            (
                "core/assess.py",
                "        submission.writes,\n        tuple(submission.deletes),\n",
                "        dict(list(submission.writes.items())[:1]),\n        tuple(submission.deletes),\n",
            )
        ],
    ),
    Mutant(
        "idempotency key without the run",
        [("core/job.py", 'return f"{run_id}/{step}/{attempt}"', 'return f"{step}/{attempt}"')],
    ),
    Mutant("reads forgotten", [("core/assess.py", "    reads = view.reads\n", "    reads = ()\n")]),
    Mutant("price not added", [("core/purse.py", "            self._usd += usage.usd\n", "            pass\n")]),
    Mutant(
        "room for a call not given back",
        [("engine/calls.py", "            slots.give_back(self.command.agent)\n", "            pass\n")],
    ),
    Mutant(
        "write outside the permission committed",
        [("core/assess.py", "        if not can_write(path):\n", "        if False:\n")],
    ),
    Mutant(
        "more retries than declared",
        [
            (
                "core/attempting.py",
                "self._tries[n] > policy.retries",
                "self._tries[n] > policy.retries + 1",
            )
        ],
    ),
    Mutant(
        "backoff not waited for",
        [("engine/driver.py", "min(max(0, timer.due_us - self._shell.now_us()), 1_000 * timer.wait_ms) / 1e6", "0.0")],
    ),
    Mutant(
        "timeout that never fires",
        [
            (
                "engine/calling.py",
                "            if call.deadline is not None and call.deadline <= now:\n",
                "            if False:\n",
            )
        ],
    ),
    Mutant(
        "join runs although a need is dead",
        [("core/progress.py", "if lost is not None and whole:", "if False:")],
    ),
    Mutant(
        "who needs a step that may die is blocked by its death",
        [("core/states.py", '"continue": "committed"', '"continue": "dead"')],
    ),
    Mutant(
        "a run fails by a step whose death it outlives",
        [("core/commanding.py", ' and fails[label[n]] == "fail_run")', ")")],
    ),
    Mutant(
        "one dead item is the death of all",
        [
            (
                "core/progress.py",
                'if dead and (self.rules.on_dead[group] == "fail_run" or len(dead) == len(items)):',
                "if dead:",
            )
        ],
    ),
    Mutant(
        "fork that shares what comes after the dead step",
        [("core/redrive.py", "after |= plan.descendants[plan.number_of(step)]", "after |= 0")],
    ),
    Mutant(
        "fork without the values of what it shares",
        [
            (
                "core/redrive.py",
                "(event.attempt, agents[step, event.attempt], event.writes, event.deletes, event.reads)",
                "(event.attempt, agents[step, event.attempt], {}, event.deletes, event.reads)",
            )
        ],
    ),
    Mutant(
        "fork that calls again what it could share",
        [
            (
                "core/redrive.py",
                "fact = e.StepShared(at_us, step, *told, request=event.request, score=machine.score_of(step))",
                "pass",
            )
        ],
    ),
    Mutant(
        "letter that is redriven as often as anybody likes",
        [("journal/memory.py", "                    redriven_run=run_id,\n", "")],
    ),
    Mutant(
        "redriven step without new attempts",
        [("core/fold.py", "        self._given_up.discard(n)\n", "")],
    ),
    Mutant(
        "redriven step begins with the fallback",
        [
            (
                "core/attempting.py",
                "self._link[n], self._duty[n] = 0, self.rules.duties[self.label[n]][0]",
                "pass",
            )
        ],
    ),
    Mutant(
        "run reopened although more came after",
        [
            ("core/redrive.py", "            if machine.state[n] not in NOT_STARTED:\n", "            if False:\n"),
            (
                "core/fold.py",
                '                if self.state[dependent] != "waiting":\n',
                '                if self.state[dependent] == "skipped":\n',
            ),
        ],
    ),
    Mutant(
        "what was skipped for want of a redriven step stays skipped",
        [
            (
                "core/fold.py",
                """                if self.state[dependent] != "waiting":
                    self._reopen(dependent, "waiting")
""",
                """                if False:
                    self._reopen(dependent, "waiting")
""",
            )
        ],
    ),
    Mutant(
        "redriven step whose dependents don't wait",
        [
            (
                "core/fold.py",
                "                self._lacking[dependent] += 1\n",
                "                self._lacking[dependent] += not self._lacking[dependent]\n",
            )
        ],
    ),
    Mutant(
        "hash of a view without its values",
        [("core/values.py", "(path.encode(), place, canonical_bytes(raw))", '(path.encode(), place, b"")')],
    ),
    Mutant(
        "value beyond the scope given by name",
        [
            (
                "core/context.py",
                "        if self._sight.can_read(path):\n            version",
                "        if True:\n            version",
            )
        ],
    ),
    Mutant(
        "condition that takes true for 1",
        [("core/conditions.py", "return type(one) is type(other) and bool(one == other)", "return bool(one == other)")],
    ),
    Mutant(
        "order of conditions turned round",
        [("core/conditions.py", "lambda a, b: a < b)", "lambda a, b: a > b)")],
    ),
    Mutant(
        "condition that holds where nothing stands",
        [("core/conditions.py", "        return condition.op in _FULFILLED_BY_ABSENCE\n", "        return True\n")],
    ),
    Mutant(
        "permission that takes one case for the other",
        [("core/assess.py", "        if not can_write(path):\n", "        if not can_write(path.lower()):\n")],
    ),
    Mutant(
        "timed-out call not cancelled",
        [
            ("engine/calls.py", "        self.task.cancel()\n        shell", "        shell"),
            ("engine/calls.py", "            self.task.cancel()\n            self.task", "            self.task"),
        ],
    ),
    Mutant(
        "calls of a cancelled run not stopped",
        [("engine/calling.py", "        for call in self.in_flight.values():\n            self._give_up(call)\n", "")],
    ),
    Mutant(
        "failure for good tried again",
        [
            (
                "core/attempting.py",
                "self._setback(n, event.error, again=event.retryable,",
                "self._setback(n, event.error, again=True,",
            )
        ],
    ),
    Mutant(
        "failure for good told as one that may pass",
        [("engine/calls.py", "        bool(error.retryable),\n", "        True,\n")],
    ),
    Mutant(
        "text of an error lost",
        [
            (
                "engine/calls.py",
                "        failure_of(error).kind,\n        describe(error),\n",
                '        failure_of(error).kind,\n        "",\n',
            )
        ],
    ),
    Mutant(
        "reasons of a refusal lost", [("core/assess.py", "step, attempt, found, kept,", "step, attempt, (), kept,")]
    ),
    Mutant(
        "refused reply not kept",
        [("core/assess.py", "    return Raw(encode_written(excerpt(answer)))\n", "    return NULL\n")],
    ),
    Mutant(
        "output lost",
        [("core/assess.py", "submission.output = Raw(encode(reply.output, limits))", "encode(reply.output, limits)")],
    ),
    Mutant(
        "late reply not charged",
        [
            (
                "engine/calling.py",
                "answered, usage = isinstance(outcome, Answer), _consumed(outcome)",
                "answered, usage = isinstance(outcome, Answer), None",
            )
        ],
    ),
    Mutant("choices of a question lost", [("core/assess.py", "Question(text, tuple(choices))", "Question(text)")]),
    Mutant(
        "deletion lost",
        [("core/assess.py", "            submission.deletes.append(path)\n", "            pass\n")],
    ),
    Mutant(
        "deleted field still seen",
        [("core/context.py", "                if self._present(leaf):\n", "                if False:\n")],
    ),
    Mutant(
        "agents write into what others are shown",
        [
            (
                "core/context.py",
                "                return decode(version.raw)\n",
                "                return _kept(version.raw)\n",
            ),
            (
                "core/context.py",
                "                node[segments[-1]] = decode(raw)\n",
                "                node[segments[-1]] = _kept(raw)\n",
            ),
            (
                "core/context.py",
                '_BRACE = ord("{")\n',
                """_BRACE = ord("{")
_values = {}


def _kept(raw):
    return _values.setdefault(raw, decode(raw))


""",
            ),
        ],
    ),
    Mutant(
        "item shared by the calls of a step",
        [
            (
                "core/machine.py",
                "item=msgspec.json.decode(item[2]) if item else None",
                "item=item[2] if item else None",
            ),
            (
                "core/fold.py",
                "self.items[n] = (item_id, index, item)",
                "self.items[n] = (item_id, index, msgspec.json.decode(item))",
            ),
        ],
    ),
    Mutant(
        "reads by name forgotten",
        [("core/context.py", "        self._reads[path] = None\n", "")],
    ),
    Mutant(
        "request to cancel ignored by a driver",
        [("engine/engine.py", "if driver is not None and driver.deliver(request):\n", "if driver is not None:\n")],
    ),
    Mutant(
        "request to cancel not delivered at resume",
        [
            (
                "engine/driver.py",
                "await self._shell.journal.requests(self._run_id) if opening is None else ()",
                "()",
            )
        ],
        {"cancel": 1.0, "crash_before_write": 0.1, "slow": 0.6},
    ),
    Mutant(
        "backoff five times too long",
        [("engine/driver.py", "1_000 * timer.wait_ms) / 1e6", "1_000 * timer.wait_ms) / 2e5")],
    ),
    Mutant(
        "backoff that grows too fast",
        [("core/policy.py", "self.backoff_ms << min(failures - 1, 32)", "self.backoff_ms << 3 * min(failures, 32)")],
    ),
    Mutant(
        "value beyond its limit",
        [("core/assess.py", "        raw = encode(value, limits)\n", "        raw = encode(value, limits, 1 << 20)\n")],
    ),
    Mutant(
        "value nested too deep", [("core/values.py", "        if depth > self.depth_max:\n", "        if False:\n")]
    ),
    Mutant(
        "commit beyond its limit",
        [("core/assess.py", "    if total > limits.commit_bytes_max:\n", "    if False:\n")],
    ),
    Mutant(
        "too many fields",
        [
            ("core/assess.py", "    if len(writes) > limits.commit_fields_max:\n", "    if False:\n"),
            ("core/context.py", "added > min(SMALL_COMMIT_BYTES, limits.commit_fields_max) and not", "False and not"),
        ],
    ),
    Mutant(
        "guardrails not asked",
        [
            (
                "core/assess.py",
                "if submission.findings else _judged(",
                "if submission.findings else (lambda *_: _UNGUARDED)(",
            )
        ],
    ),
    Mutant(
        "reply below its threshold committed",
        [("core/guardrail.py", "        return Assessment(gained >= enough,", "        return Assessment(True,")],
    ),
    Mutant(
        "guardrail that fails lets everything pass",
        [
            (
                "core/guardrail.py",
                "                return Assessment(False, 0.0,",
                "                return Assessment(True, 1.0,",
            )
        ],
    ),
    Mutant(
        "guardrails that count all alike",
        [("core/guardrail.py", "gained += weight * score", "gained += score")],
    ),
    Mutant(
        "good reply refused by its guardrails",
        [
            (
                "core/guardrail.py",
                "        return Assessment(gained >= enough,",
                "        return Assessment(gained > enough + 0.3,",
            )
        ],
    ),
    Mutant(
        "context beyond its limit",
        [("core/context.py", "        if self._bytes + added > limits.context_bytes_max:\n", "        if False:\n")],
    ),
    Mutant(
        "for_each wider than allowed",
        [("core/commanding.py", "if len(items) > limits.for_each_width_max or", "if")],
    ),
    Mutant(
        "more items at a time than their width",
        [("core/progress.py", "self._room.setdefault(group, width) <= 0:", "self._room.setdefault(group, width) < 0:")],
        team=NARROW,
    ),
    Mutant(
        "item left waiting for room",
        [
            (
                "core/progress.py",
                "        while self._room[group] > 0 and n <",
                "        while self._room[group] > 1 and n <",
            )
        ],
        team=NARROW,
    ),
    Mutant(
        "last batch of items forgotten",
        [
            (
                "core/step.py",
                "for first in range(0, len(items), self.batch)]",
                "for first in range(0, len(items) - 1, self.batch)]",
            )
        ],
        team=NARROW,
    ),
    Mutant(
        "more steps than allowed",
        [("core/commanding.py", " or len(self.state) - 1 + len(items) > limits.steps_max:", ":")],
    ),
    Mutant(
        "lost call made again for ever",
        [("core/attempting.py", "if self._lost[n] > self.duty(n).policy.reissues_max:", "if False:")],
        {"crash_after_write": 0.6},
        EFFECTS,  # without gates, whose turns are writes at which the process dies before it has called
    ),
    Mutant(
        "more calls at once than there is room for",
        [("engine/slots.py", "return self._free > 0 and self._free_of", "return self._free_of")],
    ),
    Mutant(
        "more runs at once than allowed",
        [("engine/tasks.py", "while len(tasks) >= width or not done.empty():", "while not done.empty():")],
    ),
    Mutant(
        "request granted to an agent that may not make it",
        [
            (
                "core/branches.py",
                "step.on_request.items() if action in scope.allowed_actions)",
                "step.on_request.items())",
            )
        ],
        team=REQUESTS,
    ),
    Mutant(
        "request granted of whomever it is made",
        [("core/branches.py", "if request.to not in {branch.to, branch.step}:", "if False:")],
        team=REQUESTS,
    ),
    Mutant(
        "branch that runs although nobody has requested it",
        [("core/commanding.py", "if n in self.plan.requesters and n not in self._requested:", "if False:")],
        team=REQUESTS,
    ),
    Mutant(
        "decision asked for after the last one",
        [("core/commanding.py", 'if end.status == "failed" or self.finished:', 'if end.status == "failed":')],
        team=GROWN,
    ),
    Mutant(
        "decision taken without a proof",
        [("core/deciding.py", "flaws.add_problems(rules.problems(), places)", "pass")],
        team=GROWN,
    ),
    Mutant(
        "decision that misses what has ended",
        [("core/commanding.py", "tuple(ended), reason)", "tuple(ended)[:1], reason)")],
        team=GROWN,
    ),
    Mutant(
        "dropped step that ends before what it needs",
        [
            (
                "core/revising.py",
                "            self._all_committed = False\n",
                "            self._end(self.number[step], 'skipped', 'dropped')\n",
            )
        ],
        team=WATCHED,
    ),
    Mutant(
        "work that an agent gives itself and nobody has agreed to",
        [("core/machine.py", "        if own:\n", "        if not own and steps:\n")],
        team=WATCHED,
    ),
    Mutant(
        "decision asked for while another is under way",
        [("core/revising.py", "if self.decisions and self.state[self.decisions[-1]] not in TERMINAL:", "if False:")],
        team=WATCHED,
    ),
    Mutant(
        "decision whose steps repeat others",
        [("core/commanding.py", "other = self.repeated(n, self._duty[n].agent, self._view_hash(n))", 'other = ""')],
        team=GROWN,
    ),
    Mutant(
        "decision that may be made without end",
        [("core/deciding.py", "if (idle := self.idle()) >= self.policy.no_progress_max:", "if (idle := 0):")],
        team=GROWN,
    ),
    Mutant(
        "request that a fork forgets",
        [("core/redrive.py", ", *told, request=event.request, score", ", *told, score")],
        team=REQUESTS,
    ),
    Mutant(
        "effect performed before its begin is durable",
        [
            (
                "engine/driver.py",
                "start_effect(command, at_us))\n            ready.append(command)\n",
                "start_effect(command, at_us))\n            self._perform(command)\n",
            )
        ],
        team=EFFECTS,
    ),
    Mutant(
        "effect that is unknown retried, whatever its rule",
        [("core/effects.py", '"ask": "ask", "fail": "bury"', '"ask": "perform", "fail": "perform"')],
        team=EFFECTS,
    ),
    Mutant(
        "effect that was lost in a crash taken for one that failed",
        [
            ("engine/lost.py", "e.EffectBecameUnknown(at_us,", "e.EffectFailed(at_us,"),
            ("engine/lost.py", "entry.key, LOST, lost=True)", "entry.key, LOST)"),
        ],
        team=EFFECTS,
    ),
    Mutant(
        "effect that timed out taken for one that failed",
        [
            (
                "engine/performances.py",
                "self._end(one, e.EffectBecameUnknown(self._room",
                "self._end(one, e.EffectFailed(self._room",
            )
        ],
        team=EFFECTS,
    ),
    Mutant(
        "step over before its effects are done",
        [
            (
                "core/performing.py",
                "if self.ledger.first_open(n) is None:\n            self._end",
                "if len(self.ledger.entries.get(n, ())) < 2:\n            self._end",
            )
        ],
        team=EFFECTS,
    ),
    Mutant(
        "idempotency key of an effect that changes with each try",
        [
            (
                "engine/driver.py",
                "key = effect_key(entry.run_id or self._run_id, command.step, command.key)",
                'key = effect_key(entry.run_id or self._run_id, command.step, f"{command.key}{command.attempt}")',
            )
        ],
        team=EFFECTS,
    ),
    Mutant(
        "effects of an earlier attempt performed when nobody waits for them",
        [
            (
                "core/performing.py",
                "            self._take_back(n, entry.key)\n",
                "            self._due_effects.pop((n, entry.key), None)\n",
            )
        ],
        team=EFFECTS,
    ),
    Mutant(
        "effect performed without the approval that it needs",
        [
            (
                "core/effects.py",
                'return "approve" if following == "perform" and self.lacks_approval(entry) else following',
                "return following",
            )
        ],
        team=APPROVED,
    ),
    Mutant(
        "effect with another payload performed by the approval of the last",
        [
            ("core/effects.py", '            entry.approved_by = ""\n', "            pass\n"),
            ("core/effects.py", '"approved_by": "", "retryable": True}', '"retryable": True}'),
        ],
        team=APPROVED,
    ),
    Mutant(
        "effects of a reply dropped when its judge refuses it",
        [("core/judging.py", '"effects": reply.effects}', '"effects": ()}')],
        team=JUDGED_EFFECTS,
    ),
    Mutant(
        "effect performed although a person has rejected it",
        [
            (
                "core/answering.py",
                'if event.decision == "reject" or (not asked.approval and event.text == GIVE_UP):',
                "if not asked.approval and event.text == GIVE_UP:",
            )
        ],
        team=APPROVED,
    ),
    Mutant(
        "wait forgotten at resume",
        [
            (
                "engine/beside.py",
                "open_ += await self.journal.waits() if any(one._has_waits() for one in self._family.values()) else ()",
                "pass",
            )
        ],
        team=WAITS,
    ),
    Mutant(
        "event counted twice",
        [("core/arrivals.py", "    if given.id in machine.event_ids:", "    if False:")],
        team=WAITS,
    ),
    Mutant(
        "contradiction further down merged over",
        [("core/conflicts.py", "if field.contradictory:", "if field.contradictory and len(field.keys) < 2:")],
        team=RECONCILED,
    ),
    Mutant(
        "vote won without a majority",
        [("core/conflicts.py", "if 2 * votes[best] > sum(votes):", "if 2 * votes[best] >= sum(votes):")],
        team=RECONCILED,
    ),
    Mutant(
        "lower score wins",
        [("core/conflicts.py", "best = max(range(len(scores)), key", "best = min(range(len(scores)), key")],
        team=RECONCILED,
    ),
    Mutant(
        "first to answer taken for the first in the plan",
        [("core/reconciling.py", "in sorted(found)]", "in found]")],
        team=RECONCILED,
    ),
    Mutant(
        "judge writes anew",
        [("core/conflicts.py", "if anew and is_object(choice)", "if is_object(choice)")],
        team=RECONCILED,
    ),
    Mutant(
        "who has said nothing is not told",
        [
            (
                "core/reconciling.py",
                'if machine.state[m] in {"dead", "skipped"})\n    items',
                'if machine.state[m] == "skipped")\n    items',
            )
        ],
        team=RECONCILED,
    ),
    Mutant(
        "breaker never opens",
        [("core/breaker.py", "if breaker.bad_in_a_row >= policy.trip_after:", "if False:")],
    ),
    Mutant(
        "breaker closes as soon as it has cooled down",
        [
            (
                "core/breaker.py",
                'moved.append(move(breaker, "half_open", "it',
                'moved.append(move(breaker, "closed", "it',
            )
        ],
    ),
    Mutant(
        "bound of probes ignored",
        [("core/breaker.py", "if breaker.probes < policy.half_open_calls:", "if True:")],
    ),
    Mutant(
        "rate window off by a factor",
        [
            (
                "core/rate.py",
                "(number + 1) * width + rate.period_us + SOON_US",
                "(number + 1) * width + rate.period_us // 3",
            )
        ],
    ),
    Mutant(
        "call booked at once where there is no room",
        [("core/rate.py", "    if room < 0 or last > number or ", "    if last > number or ")],
    ),
    Mutant(
        "call made when it was booked for, not when it begins",
        [("core/gate.py", "if begins_us > now_us + SOON_US:", "if True:")],
    ),
    Mutant(
        "daily budget checked without reservations",
        [
            ("core/gate.py", "        reserve(gate.ledger, budget)\n", "        pass\n"),
            ("core/gate.py", "        release(gate.ledger, policy.budget)\n", "        pass\n"),
            (
                "core/budget.py",
                "    release(ledger, policy)\n",
                "    if ledger.reserved.calls:\n        release(ledger, policy)\n",
            ),
        ],
    ),
    Mutant(
        "budget of a run checked without reservations",
        [
            ("core/purse.py", "            reserve(self.ledgers[whose], budget)\n", "            pass\n"),
            (
                "core/budget.py",
                "    release(ledger, policy)\n",
                "    if ledger.reserved.calls:\n        release(ledger, policy)\n",
            ),
        ],
    ),
    Mutant(
        "lost call not charged",
        [("core/attempting.py", "        self._settle(n, None)\n", "        self._settle(n, NOTHING_USED)\n")],
    ),
    Mutant(
        "outcome told outside of the transaction",
        [
            (
                "journal/memory.py",
                "        for name, outcome in told:\n",
                "        for name, outcome in () if len(data) > 1 else told:\n",
            )
        ],
    ),
    Mutant(
        "gate asked within an append before it is told what that tells",
        [
            ("journal/memory.py", "added = also(self._at_gates)", "added = early"),
            (
                "journal/memory.py",
                "        for name, outcome in told:\n",
                "        early = also(self._at_gates) if also else ()\n        for name, outcome in told:\n",
            ),
        ],
    ),
    Mutant(
        "gate asked before it is told that the call was lost",
        [
            (
                "engine/driver.py",
                "                self._at_gate.append(call)\n",
                "                self._at_gate.append(call)\n                self._ask_gates()\n",
            )
        ],
    ),
    Mutant(
        "end of a nested run not told in its own append",
        [
            (
                "engine/children.py",
                "isinstance(fact, e.RunParked | e.RunFinished | e.RunCancelled) and machine",
                "isinstance(fact, e.RunParked) and machine",
            )
        ],
        team=NESTED,
        takes_minutes=True,
    ),
    Mutant(
        "failed nested run committed",
        [("core/children.py", '    if child.status != "succeeded":\n        return [ended]\n', "")],
        team=NESTED,
    ),
    Mutant(
        "cancelled run leaves those below it",
        [
            (
                "engine/children.py",
                "            asks += [cancelling(name, run_id) for name in going]\n",
                "            list(going)\n",
            )
        ],
        faults={"cancel": 0.5},
        team=NESTED,
    ),
    Mutant(
        "run whose time is over goes on below",
        [("engine/children.py", "            asks.append(cancelling(fact.run_id, run_id))\n", "            pass\n")],
        faults={"timeout": 0.5},
        team=NESTED,
    ),
    Mutant(
        "nested run begun before its announcement is durable",
        [
            (
                "engine/driver.py",
                "            facts.append(self.machine.start_child(command, chosen[0], at_us, chosen[1]))\n",
                """            facts.append(self.machine.start_child(command, chosen[0], at_us, chosen[1]))
            self._children.begin(facts[-1])
""",
            )
        ],
        team=NESTED,
    ),
    Mutant(
        "nested run reads its share of the budget as unbounded",
        [
            (
                "core/delegating.py",
                "duty.budgets if share is None else (*duty.budgets, (OF_SHARE, SHARE, share))",
                "duty.budgets",
            )
        ],
        faults={"garbage": 0.6},
        team=NESTED,
    ),
    Mutant(
        "nested run charged twice",
        [
            (
                "core/purse.py",
                "        self._calls += calls\n        self._charge(usage)\n        for _, whose, budget in budgets:",
                """        self._calls += calls
        self._charge(usage)
        self._charge(usage)
        for _, whose, budget in budgets:""",
            )
        ],
        team=NESTED,
    ),
    Mutant(
        "nested run not told of the gates above it",
        [("core/children.py", "    if machine.rules.gate:\n", "    if not machine.rules.gate:\n")],
        team=DAY_ABOVE,
    ),
    Mutant(
        "nested calls past the gates above them",
        [("engine/driver.py", "        if parent is not None and parent.above:\n", "        if False:\n")],
        team=DAY_ABOVE,
    ),
    Mutant(
        "only the nearest gate above is passed",
        [("engine/gates.py", "enumerate(above, 1):", "enumerate(above[:1], 1):")],
        team=DAY_ABOVE,
    ),
    Mutant(
        "more of a day above is approved for another gate",
        [
            (
                "core/delegating.py",
                '        return (team.budget if part == "budget" else None), team.whose\n',
                '        return (team.budget if part == "budget" else None), ""\n',
            )
        ],
        team=DAY_ABOVE,
    ),
    Mutant(
        "more is set aside for a run than there is",
        [("core/raises.py", "            if need > left:\n", "            if False:\n")],
        team=SHARES,
    ),
    Mutant(
        "more of a share is granted and not set aside",
        [
            ("engine/decisions.py", "covered=request.kind == SHARE_RAISED)", "covered=True)"),
            ("engine/decisions.py", "    if request.kind != DECIDE or machine.parent is None:\n", "    if True:\n"),
        ],
        team=SHARES,
    ),
    Mutant(
        "what is set aside for a run anew stays so after its end",
        [
            (
                "core/delegating.py",
                "        return found if more is None else tuple(",
                "        return found if True else tuple(",
            )
        ],
        team=SHARES,
    ),
    Mutant(
        "nested call taken for lost at resume",
        [("core/machine.py", "self._items_left.keys() | self.children.keys()", "self._items_left.keys()")],
        faults={"crash": 0.5},
        team=NESTED,
    ),
    Mutant(
        "parked run that others ask something of left alone at resume",
        [
            (
                "engine/resuming.py",
                "for run_id in await self.journal.asked() if len(self._family) > 1 else ():",
                "for run_id in ():",
            )
        ],
        faults={"crash": 0.5, "crash_before_write": 0.05},
        team=NESTED,
    ),
]


def mutated(mutant: Mutant, folder: Path) -> None:
    """A copy of the source in the folder, with the bug in it; what has none is there compiled, if it was before."""
    shutil.copytree(ROOT / "src" / "interlock", folder / "interlock")
    for name, old, new in mutant.edits:
        file = folder / "interlock" / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{mutant.name}: {name} holds this {text.count(old)} times, not once:\n{old}"
        file.write_text(text.replace(old, new), encoding="utf-8")


HUNT = """
import json, sys
from interlock.testing.simulation.campaign import Recipe, play
from interlock.testing.injection.faults import Fault, Faults
team, seeds, shares = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
given = Faults(Fault(fault=kind, probability=share) for kind, share in shares.items())
faults = given if shares else Faults.everything()
report = play(Recipe(team=team, faults=faults.document).scenes(), seeds)
seed = report.first_broken
broken = report.broken[seed] if seed is not None else None
print(json.dumps([broken.invariant, seed, broken.message] if broken else ["", report.seeds, ""]))
"""


def hunt(mutant: Mutant | None, seeds: Iterable[int] = range(SEEDS_MAX)) -> Catch:
    """Simulate with the bug, or without any, until something breaks."""
    with tempfile.TemporaryDirectory() as folder:
        bug = mutant or Mutant("", [])
        mutated(bug, Path(folder))
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", HUNT, str(bug.team), json.dumps([*seeds]), json.dumps(dict(bug.faults))]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{mutant}: {done.stderr[-2_000:]}"
    return Catch(*json.loads(done.stdout))


def caught() -> dict[str, int]:
    """Bug -> the seed that found it when the table was printed the last time."""
    return json.loads(CAUGHT.read_text(encoding="utf-8"))


def main() -> None:
    """The table."""
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or any(word in mutant.name for word in sys.argv[1:])]
    width = max(len(mutant.name) for mutant in chosen)
    say = sys.stdout.write
    say(f"{'bug':<{width}}  invariant      seeds  what it said\n")
    known = {mutant.name for mutant in MUTANTS}
    by_seed = {name: seed for name, seed in caught().items() if name in known}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, catch in zip(chosen, pool.map(hunt, chosen), strict=True):
            if catch.invariant:
                by_seed[mutant.name] = catch.seed
            found, seeds = catch.invariant or "NOT CAUGHT", catch.seed + bool(catch.invariant)
            say(f"{mutant.name:<{width}}  {found:<13}  {seeds:>5}  {catch.message[:90]}\n")
            sys.stdout.flush()
    CAUGHT.write_text(json.dumps(by_seed, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
