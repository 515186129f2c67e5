"""Plans that grow in simulated worlds: whatever strikes and whatever is decided, a run ends within its bounds."""

from collections import Counter

import msgspec
import pytest

import interlock as il
from interlock.core import events as e
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes

GROWN = TEAMS / "grown.yaml"
PLANNED = TEAMS / "planned.yaml"
OTHERWISE = TEAMS / "otherwise.yaml"
WATCHED = TEAMS / "watched.yaml"


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_nothing_breaks_and_every_bound_is_kept(faults):
    made, seen = scenes(GROWN, faults=faults), Counter()
    for episode in episodes(made, range(60)):
        for account in episode.runs.values():
            called = [event.step for event in account.events if isinstance(event, e.DecisionCalled)]
            assert len(called) == len(set(called)) <= 6
            committed = Counter(event.step for event in account.events if isinstance(event, e.AttemptCommitted))
            assert all(count == 1 for count in committed.values())
            for event in account.events:
                if isinstance(event, e.PlanRevised):
                    seen["finished" if event.finished else "revised"] += 1
                elif isinstance(event, e.StepSkipped):
                    seen["repeats"] += event.reason.startswith("it repeats ")
                elif isinstance(event, e.AttemptRefused):
                    seen["refused"] += any(finding.code == "decision" for finding in event.findings)
                elif isinstance(event, e.RunFinished):
                    seen["nothing"] += event.reason.endswith("come to nothing")
    assert {"finished", "revised", "repeats", "refused", "nothing"} <= (+seen).keys()


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_a_supervisor_that_is_asked_after_each_step_keeps_its_bounds(faults):
    made, seen = scenes(WATCHED, faults=faults), Counter()
    for episode in episodes(made, range(60)):
        for account in episode.runs.values():
            called = [
                event.step for event in account.events if isinstance(event, e.DecisionCalled) and not event.reason
            ]
            assert len(called) == len(set(called)) <= 5
            committed = Counter(event.step for event in account.events if isinstance(event, e.AttemptCommitted))
            assert all(count == 1 for count in committed.values())
            for event in account.events:
                if isinstance(event, e.PlanRevised):
                    seen["dropped"] += bool(event.dropped)
                elif isinstance(event, e.DecisionCalled):
                    seen["a person decides"] += bool(event.reason)
                elif isinstance(event, e.QuestionAsked):
                    seen["for itself"] += event.question.text.startswith("May it give work to itself?")
    assert {"dropped", "a person decides", "for itself"} <= (+seen).keys()


def test_a_step_may_repeat_what_another_has_taken_over_since():
    made, taken_over = scenes(WATCHED, faults=every_fault(), runs=3), 0
    for episode in episodes(made, (85, 87, 142)):
        for account in episode.runs.values():
            begun = {(event.step, event.agent) for event in account.events if isinstance(event, e.AttemptStarted)}
            for event in account.events:
                if isinstance(event, e.StepSkipped) and event.reason.startswith("it repeats decide-"):
                    taken_over += (event.reason.split()[2].rstrip(":"), "deputy") in begun
    assert taken_over


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_where_no_proposal_could_be_taken_the_last_resort_is(faults):
    made, seen = scenes(OTHERWISE, faults=faults), Counter()
    for episode in episodes(made, range(40)):
        for account in episode.runs.values():
            seen.update(event.otherwise for event in account.events if isinstance(event, e.PlanRevised))
    assert seen[True]
    assert seen[False]


@pytest.mark.parametrize("team", [GROWN, PLANNED], ids=["static", "planned"])
@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_nothing_runs_that_a_person_has_not_approved(team, faults):
    made, seen = scenes(team, faults=faults), Counter()
    for seed in range(40):
        episode = World(msgspec.structs.replace(made.of(seed), approve=True), seed).play()
        assert episode.broken is None, (seed, episode.broken)
        for account in episode.runs.values():
            for event in account.events:
                if isinstance(event, e.QuestionAnswered) and event.step in {"decide-1", "read"}:
                    seen[event.decision] += 1
                elif isinstance(event, e.QuestionExpired):
                    seen["expired"] += 1
                elif isinstance(event, e.RunFinished):
                    seen[event.status] += 1
    assert {"approve", "reject", "succeeded", "failed"} <= (+seen).keys()


@pytest.mark.parametrize("team", [GROWN, OTHERWISE], ids=["grown", "otherwise"])
def test_a_crash_at_any_write_comes_to_the_same_end(team):
    for seed in range(3):
        report = explore_crashes(scene(team, runs=1), seed=seed)
        assert report.ok, report.differences[0].message
        assert report.writes >= 5


def test_with_a_real_journal():
    assert World(scene(GROWN, faults=every_fault(), sqlite=True, seed=5), 5).play().broken is None


# --- supervisors that would never end ---


async def work(job):
    return {f"out.{job.step}": 1}


def new(job, n=0, **more):
    name = f"{job.step.replace('-', '')}x{n}"
    return {"id": name, "agent": "worker", "action": "work", "writes": [f"out.{name}"], **more}


def adds_for_ever(job):
    return {"add": [new(job, n) for n in range(3)]}


def repeats_itself(job):
    return {"add": [new(job, reads=["seed"])]}


def loops(_):
    return {"add": [{"id": "again", "agent": "worker", "action": "work"}]}


def contradicts_itself(job):
    return {"add": [new(job)], "finish": {}} if job.attempt % 2 else {"add": []}


def calls_itself(job):
    return {"add": [new(job, agent="lead", action="decide", writes=[])]}


def answers_garbage(job):
    return ["add", {"finish": job.step}]


def adds_nothing(_):
    return {"add": []}


def drops_what_it_adds(job):
    still_open = [one["id"] for one in job.progress["open"] if not one["begun"]]
    names = [new(job, n)["id"] for n in range(3)]
    return {"add": [new(job, n, needs=names[:n]) for n in range(3)], "drop": still_open}


def drops_what_it_adds_at_once(job):
    return {"add": [new(job)], "drop": [new(job)["id"]]}


def drops_what_is_done(job):
    return {"drop": [one["id"] for one in job.progress["done"]] or ["x"]}


@pytest.mark.parametrize(
    ("decides", "ended"),
    [
        (adds_for_ever, "failed: decide-4: $.add: there are 3 steps; 1 to 1"),
        (repeats_itself, "failed: the last 3 decisions have come to nothing"),
        (loops, "failed: decide-2: $.add[0] (step again): two steps have the id again; rename one of them"),
        (contradicts_itself, "failed: the last 3 decisions have come to nothing"),
        (calls_itself, "failed: decide-1: $.add[0].agent (step decide1x0): there is no agent lead; agents: worker"),
        (answers_garbage, "failed: decide-1: the agent returned a list; return a dict of writes or an interlock.Reply"),
        (adds_nothing, "failed: the last 3 decisions have come to nothing"),
    ],
)
def test_a_supervisor_always_ends_within_its_bounds(decides, ended):
    async def lead(job):
        return decides(job)

    team = il.Team(
        [
            il.Agent("worker", use=work, scope=il.Scope(["work"], ["seed"], ["out.*"])),
            il.Agent("lead", use=lead, scope=il.Scope(["decide"], ["out"], ["answer"])),
        ],
        supervisor={"agent": "lead", "action": "decide", "steps_max": 10},
    )
    run = il.run(team, {"seed": 1})
    assert f"{run.status}: {run.reason}" == ended


@pytest.mark.parametrize(
    ("decides", "ended"),
    [
        (adds_for_ever, "failed: decide-4: $.add: there are 3 steps; 1 to 2"),
        (adds_nothing, "failed: the last 3 decisions have come to nothing"),
        (drops_what_it_adds, "failed: decide-4: $.add: there are 3 steps; 1 to 2"),
        (drops_what_it_adds_at_once, "failed: decide-1: $.drop[0]: decide1x0 is no step of the plan"),
        (drops_what_is_done, "failed: decide-1: $.drop[0]: x is no step of the plan"),
        (answers_garbage, "failed: decide-1: the agent returned a list; return a dict of writes or an interlock.Reply"),
    ],
)
def test_one_that_is_asked_after_each_step_ends_within_its_bounds(decides, ended):
    async def lead(job):
        return decides(job)

    team = il.Team(
        [
            il.Agent("worker", use=work, scope=il.Scope(["work"], ["seed"], ["out.*"])),
            il.Agent("lead", use=lead, scope=il.Scope(["decide"], ["out"], ["answer"])),
        ],
        supervisor={"agent": "lead", "action": "decide", "ask": "each", "steps_max": 11},
    )
    run = il.run(team, {"seed": 1})
    assert f"{run.status}: {run.reason}" == ended


@pytest.mark.parametrize("decides", [adds_nothing, repeats_itself, contradicts_itself])
def test_at_its_bounds_a_person_is_asked_where_that_is_declared(decides):
    async def lead(job):
        return decides(job)

    team = il.Team(
        [
            il.Agent("worker", use=work, scope=il.Scope(["work"], ["seed"], ["out.*"])),
            il.Agent("lead", use=lead, scope=il.Scope(["decide"], ["out"], ["answer"])),
        ],
        supervisor={"agent": "lead", "action": "decide", "steps_max": 10, "then": "escalate"},
    )
    run = il.run(team, {"seed": 1})
    assert run.status == "parked"
    assert run.reason.endswith(" needs a person: the last 3 decisions have come to nothing")
