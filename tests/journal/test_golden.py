"""Journals that earlier versions wrote: every later one must open them, and fold them to the same end."""

import asyncio
import functools
import gzip
import operator
from collections import Counter
from typing import Any, get_args

import msgspec
import pytest

import interlock.core.events as e
from interlock.agents.function import FunctionAdapter
from interlock.core.job import Job, Usage
from interlock.core.values import content_hash
from interlock.engine.engine import Engine
from interlock.history import Record, replay, story
from interlock.journal.projection import status_after
from interlock.journal.sqlite import SqliteJournal
from interlock.ports import RunRow
from interlock.team import Team

from .conftest import opened
from .golden_runs import FOLDER, MEND, NAMES, end, end_of, machine_of, read, stored, team_document, view_hash

KINDS = {kind.__struct_config__.tag: kind for kind in get_args(e.AnyEvent)}
# What an event means that doesn't say otherwise. Never change one: it would change the meaning of what is stored.
DEFAULTS = {
    "run_started": {"version": 1, "faults": "", "origin": None, "approval": None, "chosen": None, "parent": None},
    "call_held": {"until_us": 0},
    "attempt_committed": {
        "writes": {},
        "deletes": (),
        "reads": (),
        "coarse": False,
        "output": b"null",
        "usage": None,
        "confidence": None,
        "score": None,
        "scores": {},
        "findings": (),
        "effects": (),
        "request": None,
    },
    "attempt_refused": {"reply": b"null", "reads": (), "usage": None, "score": None, "scores": {}, "effects": ()},
    "reply_drafted": {
        "writes": {},
        "deletes": (),
        "reads": (),
        "coarse": False,
        "output": b"null",
        "usage": None,
        "confidence": None,
        "scores": {},
        "findings": (),
        "effects": (),
        "request": None,
    },
    "reply_judged": {"findings": (), "usage": None, "reads": ()},
    "attempt_failed": {"retryable": True, "usage": None, "retry_after_ms": 0},
    "reply_arrived_late": {"usage": None},
    "question_asked": {"usage": None, "reads": (), "due_us": 0, "effect": "", "plan": b"null"},
    "step_escalated": {"due_us": 0, "budget": ""},
    "budget_raised": {"whose": "", "calls": 0, "tokens": 0, "usd": 0, "others": (), "reason": "", "asked_us": 0},
    "share_raised": {"calls": 0, "tokens": 0, "usd": 0, "reason": ""},
    "question_expired": {"writes": {}, "reason": ""},
    "child_started": {"due_us": 0, "seq": 0},
    "child_ended": {"reason": "", "usage": Usage(), "calls": 0, "writes": "", "late": False},
    "wait_begun": {"due_us": 0, "event": ""},
    "wait_ended": {"event_id": "", "by": "", "writes": {}, "then": "", "reason": ""},
    "event_received": {"data": b"null"},
    "event_refused": {"step": ""},
    "conflicts_resolved": {"writes": {}, "settled": (), "agreed": 0, "left_out": ()},
    "question_answered": {
        "text": "",
        "writes": {},
        "deletes": (),
        "reads": (),
        "reason": "",
        "effects": (),
        "effect": "",
        "plan": b"null",
    },
    "effect_started": {"number": 1},
    "effect_done": {"result": b"null", "flaw": ""},
    "effect_failed": {"retryable": True},
    "effect_became_unknown": {"lost": False},
    "run_cancelled": {"reason": "", "goes_on_as": ""},
    "step_skipped": {"by": ""},
    "decision_called": {"needs": (), "reason": ""},
    "plan_revised": {"added": b"[]", "finished": False, "dropped": (), "otherwise": False},
    "effect_shared": {"result": b"null", "flaw": "", "reason": ""},
    "step_shared": {
        "writes": {},
        "deletes": (),
        "reads": (),
        "changed": (),
        "request": None,
        "event_id": "",
        "score": None,
    },
    "step_buried": {"agent": "", "attempts": 0},
    "run_finished": {"reason": ""},
    "run_reopened": {"reason": "", "skip": False},
}


# --- folding ---


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_folded_to_the_same_end_hash_for_hash(name):
    machine = machine_of(name)
    for event in read(name):
        if isinstance(event, e.AttemptStarted):
            assert view_hash(machine, machine.number[event.step]) == event.view, f"the view of {event.step} is another"
        machine.apply(event)
    assert end_of(machine) == end(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_replay_finds_nothing_that_the_machine_would_do_otherwise(name):
    events, document = [*read(name)], team_document(name)
    status, reason, ended_us = status_after(events) or ("running", "", 0)
    row = RunRow(name, status, reason, events[0].team, events[0].plan, "", "", 0, events[0].at_us, ended_us)
    record = Record(row, content_hash(document), Team.of_document(document).rules, events)
    assert [moment.mismatches for moment in replay(record) if moment.mismatches] == []
    assert story(record).status == end(name)["status"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_declarations_have_the_same_hash(name):
    """Otherwise no run of that version could be resumed: its team would seem to have changed."""
    team, started = Team.of_document(team_document(name)), next(read(name))
    assert team.hash == content_hash(team_document(name)) == started.team
    assert team.rules.plan.hash == started.plan


# --- what they hold ---


def test_together_they_hold_every_kind_of_event():
    found = {msgspec.json.decode(line)["t"] for name in NAMES for line in stored(name)}
    assert found == set(KINDS), "add a run to write_golden.py that has it"


def test_together_they_hold_every_optional_field_and_its_absence():
    given: Counter[tuple[str, str]] = Counter()
    total: Counter[str] = Counter()
    for name in NAMES:
        for line in stored(name):
            event = msgspec.json.decode(line)
            total[event["t"]] += 1
            given.update((event["t"], key) for key in event)
    for tag, fields in DEFAULTS.items():
        for field in fields:
            if field != "version":  # there is no second one yet
                assert 0 < given[tag, field] < total[tag], f"{tag}.{field}: add a run to write_golden.py that has it"


def test_what_is_left_out_means_the_same_for_ever():
    found = {
        tag: {f.name: _default(f) for f in msgspec.structs.fields(kind) if not f.required}
        for tag, kind in KINDS.items()
    }
    assert {tag: fields for tag, fields in found.items() if fields} == DEFAULTS


def _default(field):
    made = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return bytes(made) if isinstance(made, msgspec.Raw) else made


# --- a change that would make them unreadable ---


def changed(tag, change, new_tag=""):
    """A decoder for events of which one kind has been changed: its fields are given to `change` as a dict."""
    kind = KINDS[tag]
    fields = {field.name: (field.type, _declared(field)) for field in msgspec.structs.fields(kind)}
    del fields["at_us"]
    change(fields)
    ordered = sorted(fields.items(), key=lambda item: item[1][1] is not msgspec.NODEFAULT)
    declared = [(name, type_) if d is msgspec.NODEFAULT else (name, type_, d) for name, (type_, d) in ordered]
    other = msgspec.defstruct(kind.__name__, declared, bases=(e.Event,), frozen=True, tag=new_tag or tag)
    kinds = [other if one is kind else one for one in KINDS.values()]
    return msgspec.json.Decoder(functools.reduce(operator.or_, kinds)).decode


def _declared(field):
    if field.required:
        return msgspec.NODEFAULT
    if field.default is not msgspec.NODEFAULT:
        return msgspec.field(default=field.default)
    return msgspec.field(default_factory=field.default_factory)


def renamed(old, new):
    return lambda fields: fields.update({new: fields.pop(old)})


def without(name):
    return lambda fields: fields.pop(name)


def now(name, type_, default=msgspec.NODEFAULT):
    return lambda fields: fields.update({name: (type_, default)})


@pytest.mark.parametrize(
    ("tag", "change", "new_tag", "said"),
    [
        ("attempt_committed", renamed("step", "step_id"), "", "line 3 of chain.jsonl: Object missing required field"),
        ("attempt_committed", renamed("writes", "values"), "", "line 3 of chain.jsonl: writes is lost"),
        ("attempt_committed", without("reads"), "", "line 3 of chain.jsonl: reads is lost"),
        ("attempt_committed", now("cost", int), "", "line 3 of chain.jsonl: Object missing required field `cost`"),
        ("attempt_committed", now("attempt", str), "", "line 3 of chain.jsonl: Expected `str`, got `int`"),
        ("attempt_committed", lambda _: None, "committed", "line 3 of chain.jsonl: Invalid value 'attempt_committed'"),
        ("attempt_started", without("view"), "", "line 2 of chain.jsonl: view is lost"),
        ("run_finished", lambda _: None, "run_ended", "line 10 of chain.jsonl: Invalid value 'run_finished'"),
    ],
)
def test_an_incompatible_change_names_the_event_and_says_what_to_do(tag, change, new_tag, said):
    with pytest.raises(AssertionError) as raised:
        list(read("chain", changed(tag, change, new_tag)))
    assert f"{tag}, {said}" in str(raised.value)
    assert str(raised.value).endswith(f". {MEND}")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        now("model", str, ""),
        lambda fields: fields.update(values=(fields.pop("writes")[0], msgspec.field(default={}, name="writes"))),
    ],
    ids=["none", "a new field with a default", "another name in the code alone"],
)
def test_a_compatible_change_is_none(change):
    decode = changed("attempt_committed", change)
    assert [type(event).__name__ for event in read("chain", decode)][2] == "AttemptCommitted"


# --- a journal file ---


class Ann:
    """The agent of the journal file, in a process that doesn't die."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    async def __call__(self, job: Job) -> dict[str, Any]:
        self.calls.append((job.run_id, job.step, job.idempotency_key))
        return {f"out.{job.step}": job.view["text"]}


@pytest.fixture
def file(path):
    path.write_bytes(gzip.decompress(FOLDER.joinpath("format-1.db.gz").read_bytes()))
    return path


def test_a_journal_file_is_opened_listed_and_loaded(file):
    async def look():
        async with opened(file) as journal:
            rows = {row.run_id: row for row in await journal.runs(limit=0)}
            events = {run_id: await journal.load(run_id) for run_id in rows}
            return rows, events, await journal.batch("golden"), await journal.requests("golden-3")

    rows, events, batch, requests = asyncio.run(look())
    assert {name: row.status for name, row in rows.items()} == {
        "golden-0": "succeeded",
        "golden-1": "parked",
        "golden-2": "running",
        "golden-3": "running",
    }
    assert rows["golden-1"].reason == "s2 asks: may I?"
    assert [len(told) for told in events.values()] == [6, 6, 8, 8]
    assert (batch.rows, batch.origin) == (5, "golden.jsonl")
    assert [(request.kind, request.by, request.reason) for request in requests] == [
        ("cancel", "person:eve", "too dear")
    ]


def test_a_journal_file_is_resumed_to_its_end_and_no_committed_step_is_called_again(file):
    agent = Ann()

    async def resume():
        journal = SqliteJournal(file)
        row = await journal.run("golden-2")
        team = Team.of_document(await journal.blob(row.team))
        async with Engine(team, {"ann": FunctionAdapter(agent)}, journal, watch=False) as engine:
            ended = {run.run_id: run async for run in engine.resume()}
            return ended, {row.run_id: row.status for row in await journal.runs(limit=0)}

    ended, statuses = asyncio.run(resume())
    assert statuses == {
        "golden-0": "succeeded",
        "golden-1": "parked",
        "golden-2": "succeeded",
        "golden-3": "cancelled",
        "golden-4": "succeeded",
    }
    assert agent.calls[0] == ("golden-2", "s2", "golden-2/s2/1")
    assert [call[:2] for call in agent.calls[1:]] == [("golden-4", step) for step in ("s0", "s1", "s2")]
    assert ended["golden-2"].context.to_dict() == {"text": "hang", "out": dict.fromkeys(("s0", "s1", "s2"), "hang")}
    assert ended["golden-2"].cost.tokens == 30
    assert ended["golden-3"].reason == "cancelled by person:eve: too dear"


def test_what_a_journal_file_says_of_its_runs_still_holds(file):
    async def records():
        async with opened(file) as journal:
            for row in await journal.runs(limit=0):
                document = await journal.blob(row.team)
                rules = Team.of_document(document).rules
                yield Record(row, content_hash(document), rules, await journal.load(row.run_id))

    async def mismatches():
        return [moment.mismatches async for record in records() for moment in replay(record) if moment.mismatches]

    assert asyncio.run(mismatches()) == []
