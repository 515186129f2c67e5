"""The simulator as tests of users call it: runs, seeds, schedules, crashes, and what each says when it fails."""

import asyncio
import itertools

import pytest

import interlock as il
from interlock.errors import FaultsError, InputError, TeamError, UsageError
from interlock.testing import Fault, Faults, Generated, Probabilistic, Scripted, SimulationFailed, Simulator
from interlock.testing.simulated import LINES_MAX, shortened, stable

REQUEST = {"seed": 1}


async def first(job):
    return {"one": job.view["seed"] + 1}


def second(job):  # not async, and still called in virtual time
    return {"two": job.view["one"] * 10}


def a_team(one=first, two=second, **options):
    integer = {"type": "integer"}
    return il.Team(
        [
            il.Agent("ann", use=one, scope=il.Scope(["act"], ["seed"], ["one"]),
                     schema={"required": ["one"], "properties": {"one": integer}}, **options),
            il.Agent("bob", use=two, scope=il.Scope(["act"], ["one"], ["two"]),
                     schema={"required": ["two"], "properties": {"two": integer}}),
        ],
        il.Plan([il.Step("a", "ann", "act"), il.Step("b", "bob", "act", needs=["a"])]),
    )  # fmt: skip


@pytest.fixture
def mine():
    return Simulator(a_team())


# --- one run ---


def test_a_run_calls_the_real_code(mine):
    run = mine.run(REQUEST)
    assert (run.status, run.reason) == ("succeeded", "")
    assert run.context["two"] == 20
    assert run.context.to_dict() == {"seed": 1, "one": 2, "two": 20}
    assert run.steps == {"a": "committed", "b": "committed"}
    assert run.cost.calls == 2
    assert run.outcomes("a") == run.outcomes("b") == ["committed"]
    assert run.findings("a") == []
    assert run.faults == ()
    assert mine.last is run


def test_whoever_may_be_given_work_is_the_real_code():
    async def decide(job):
        made = {"id": "x", "agent": "ann", "action": "act", "writes": ["one"]}
        return {"add": [made]} if not job.progress["done"] else {"finish": {}}

    async def act(job):
        return {"one": 7}

    ann = il.Agent("ann", use=act, scope=il.Scope(["act"], ["seed"], ["one"]))
    lead = il.Agent("lead", use=decide, scope=il.Scope(["decide"], ["one"], []))
    run = Simulator(il.Team([ann, lead], supervisor={"agent": "lead", "action": "decide"})).run({"seed": 1})
    assert (run.status, run.context["one"]) == ("succeeded", 7)


def test_a_run_tells_itself(mine):
    run = mine.run(REQUEST)
    assert str(run) == run.transcript
    assert [line.split(maxsplit=3)[3] for line in run.transcript.splitlines()[2:6]] == [
        "a  ann called, attempt 1",
        "a  committed: wrote one",
        "b  bob called, attempt 1",
        "b  committed: wrote two",
    ]
    assert repr(run) == "<SimulatedRun succeeded>"


def test_the_same_run_tells_the_same(mine):
    faults = Faults.everything(0.3)
    assert mine.run(REQUEST, faults=faults, seed=3).transcript == mine.run(REQUEST, faults=faults, seed=3).transcript


def test_a_hallucination_is_refused_and_tried_again(mine):
    run = mine.run(REQUEST, faults=[Fault(fault="invented_fields", agent="ann", attempt=1)])
    assert run.outcomes("a") == ["refused", "committed"]
    assert run.faults == ("invented_fields",)
    assert "ann may not write" in run.findings("a")[0]


def test_hours_take_no_time():
    async def slow(job):
        await asyncio.sleep(7_200)
        return {"one": 1}

    run = Simulator(a_team(slow, timeout="3h")).run(REQUEST)
    assert run.duration == 7_200


def test_every_outcome_has_a_word(mine):
    faults = [
        Fault(fault="timeout", agent="ann", attempt=1),
        Fault(fault="exception", agent="ann", attempt=2),
    ]
    run = Simulator(a_team(retries=3)).run(REQUEST, faults=faults)
    assert run.outcomes("a") == ["timed out", "failed", "committed"]
    asked = mine.run(REQUEST, agents={"ann": lambda job: il.Reply(ask=il.Question("How much?"))})
    assert asked.outcomes("a") == ["asked"]
    assert asked.outcomes("b") == []
    assert (asked.status, asked.reason) == ("parked", "a asks: How much?")
    assert repr(asked) == "<SimulatedRun parked: a asks: How much?>"


def test_a_lost_call_is_made_again(mine):
    faults = [Fault(fault="crash_before_write", probability=0.3)]
    runs = [mine.run(REQUEST, faults=faults, seed=seed) for seed in range(20)]
    assert {run.context["two"] for run in runs} == {20}
    assert ["interrupted", "committed"] in [run.outcomes("b") for run in runs]


def test_a_cancelled_call_says_so():
    async def slow(job):
        await asyncio.sleep(20)
        return {"one": 1}

    run = Simulator(a_team(slow, timeout="30s")).run(REQUEST, faults=[Fault(fault="cancel")])
    assert (run.status, run.outcomes("a")) == ("cancelled", ["cancelled"])


def test_an_unknown_step_is_named(mine):
    run = mine.run(REQUEST)
    for asked in (run.outcomes, run.findings):
        with pytest.raises(UsageError, match=r"no step aa; did you mean a[?]; its steps are a, b"):
            asked("aa")


def test_what_is_no_request_is_refused(mine):
    with pytest.raises(InputError, match="a request is an object"):
        mine.run([1])


def test_faults_that_can_never_strike_are_refused(mine):
    with pytest.raises(FaultsError, match="no agent anne; did you mean ann"):
        mine.run(REQUEST, faults=[Fault(fault="timeout", agent="anne")])
    with pytest.raises(UsageError, match=r"faults is .timeout.; give a list of Fault"):
        mine.run(REQUEST, faults="timeout")


def test_a_real_agent_finds_no_network():
    async def online(job):
        await asyncio.open_connection("example.org", 80)

    with pytest.raises(SimulationFailed, match=r"virtual_time: .* can't use the network"):
        Simulator(a_team(online)).run(REQUEST)


def test_it_refuses_to_run_inside_a_loop(mine):
    async def main():
        mine.run(REQUEST)

    with pytest.raises(UsageError, match="not async def"):
        asyncio.run(main())


# --- who plays whom ---


def test_fakes_stand_in_by_name(mine):
    ann = Scripted({"one": "not a number"}, {"one": 5})
    run = mine.run(REQUEST, agents={"ann": ann})
    assert run.outcomes("a") == ["refused", "committed"]
    assert run.context["two"] == 50
    assert ann.calls[1].feedback == ("one: Expected `int`, got `str`",)


def test_a_script_that_is_too_short_says_so(mine):
    run = mine.run(REQUEST, agents={"ann": Scripted()})
    assert "the script of ann has 0 answers" in run.reason


def test_all_may_be_generated(mine):
    run = mine.run(REQUEST, agents="generated", seed=1)
    assert run.status == "succeeded"
    assert run.context["two"] != 20
    assert run.context.to_dict() == mine.run(REQUEST, agents="generated", seed=1).context.to_dict()


def test_what_a_method_is_given_goes_first():
    simulator = Simulator(a_team(), {"ann": "generated", "bob": lambda job: {"two": 7}})
    assert simulator.run(REQUEST).context["two"] == 7
    assert simulator.run(REQUEST, agents={"ann": "real", "bob": "real"}).context["two"] == 20
    assert Simulator(a_team(), "generated").run(REQUEST, agents={"ann": "real"}).context["one"] == 2


def test_fakes_take_virtual_time(mine):
    run = mine.run(REQUEST, agents={"ann": Probabilistic(first, seconds=3.0, spread=0.0)})
    assert run.duration == pytest.approx(3.0)


def test_strange_agents_are_refused():
    with pytest.raises(UsageError, match=r"no agent anne; did you mean ann[?]; its agents are ann, bob"):
        Simulator(a_team(), {"anne": "real"})
    with pytest.raises(UsageError, match="agent ann can't be played by a dict; give a function"):
        Simulator(a_team()).run(REQUEST, agents={"ann": {"one": 1}})
    with pytest.raises(UsageError, match="agent ann can't be played by a str"):
        Simulator(a_team(), {"ann": "fake"})
    with pytest.raises(UsageError, match="agent ann can't be played by a str"):
        Simulator(a_team(), "fake")


def test_real_code_that_is_missing_is_named():
    scopes_only = il.Team(
        [il.Agent("ann", scope=il.Scope(["act"], ["seed"], ["one"]))], il.Plan([il.Step("a", "ann", "act")])
    )
    with pytest.raises(TeamError, match="agent ann has no use"):
        Simulator(scopes_only).run(REQUEST)
    assert Simulator(scopes_only).run(REQUEST, agents="generated").status == "succeeded"


def test_whoever_does_no_step_needs_no_code():
    team = a_team()
    idle = il.Agent("idle", scope=il.Scope(["act"], ["seed"], ["three"]))
    assert Simulator(il.Team([*team.agents.values(), idle], team.plan)).run(REQUEST).status == "succeeded"


def test_a_team_without_a_plan_is_refused():
    with pytest.raises(TeamError, match="no plan"):
        Simulator(il.Team([il.Agent("ann", scope=il.Scope(["act"], ["seed"], ["one"]))]))


# --- many seeds ---


def test_many_seeds_break_nothing(mine):
    report = mine.seeds(30)
    assert (report.seeds, sum(report.statuses.values()), report.broken) == (30, 90, {})
    assert report.faults


def test_seeds_of_real_code_and_given_requests(mine):
    seen = []
    report = mine.seeds(4, requests=[{"seed": 1}, {"seed": 5}], runs=2, agents={"ann": "real"}, faults=(),
                        invariants=[lambda account, event: seen.append(account.context.get("one"))])  # fmt: skip
    assert report.statuses == {"succeeded": 8}
    assert set(seen) == {None, 2, 6}


def test_a_broken_invariant_is_told_by_a_small_world(mine):
    def nothing_fails(account, event):
        return "a run has failed" if account.status == "failed" else None

    with pytest.raises(SimulationFailed) as caught:
        mine.seeds(100, invariants=[nothing_fails])
    failed = caught.value
    assert (failed.invariant, failed.message) == ("nothing_fails", "a run has failed")
    assert str(failed).startswith(f"nothing_fails: a run has failed\n(seed {failed.seed}, made smaller in ")
    assert failed.transcript.splitlines()[-1].endswith("BROKEN  nothing_fails: a run has failed")
    assert "injected: " in failed.transcript


def test_a_failure_that_does_not_come_again_says_why(mine):
    calls = itertools.count()

    def once(account, event):
        return "it happened" if next(calls) == 40 else None

    with pytest.raises(SimulationFailed, match="it did not happen again: an agent hangs on something besides its job"):
        mine.seeds(10, invariants=[once])


def test_numbers_of_no_use_are_refused(mine):
    for asked in (lambda: mine.seeds(0), lambda: mine.stress(count=0), lambda: mine.seeds(runs=True)):
        with pytest.raises(UsageError, match="ask for 1 or more"):
            asked()
    with pytest.raises(InputError, match="there are no requests"):
        mine.seeds(requests=[])


def test_a_script_is_for_one_run():
    simulator = Simulator(a_team(), {"ann": Scripted({"one": 1})})
    for asked in (simulator.seeds, simulator.stress, simulator.crashes):
        with pytest.raises(UsageError, match="the script of ann is for one run"):
            asked()


# --- schedules ---


def test_the_same_comes_out_under_every_schedule(mine):
    for agents in ("generated", "real"):
        report = mine.stress(agents=agents, count=20)
        assert report.schedules == 20
        assert report.compared >= 50


def wide(agent):
    """Five steps at the same time, then one that sees what they wrote."""
    scope = il.Scope(["act"], ["out.*"], ["out.*", "end"])
    steps = [il.Step(f"s{n}", "ann", "act", writes=[f"out.s{n}"]) for n in range(5)]
    end = il.Step("end", "ann", "act", writes=["end"], needs=[step.id for step in steps])
    return il.Team([il.Agent("ann", use=agent, scope=scope)], il.Plan([*steps, end]))


def test_an_agent_with_a_memory_of_its_own_is_found():
    calls = itertools.count()

    async def counting(job):
        return {"end" if job.step == "end" else f"out.{job.step}": next(calls)}

    with pytest.raises(SimulationFailed, match=r"schedules: s0 wrote .* its agent hangs on something besides its job"):
        Simulator(wide(counting)).stress(agents="real")


def test_an_agent_without_one_is_not():
    async def honest(job):
        return {"end" if job.step == "end" else f"out.{job.step}": sorted(job.view.get("out", {}))}

    assert Simulator(wide(honest)).stress(agents="real", count=20).compared == 60


def test_a_view_that_hangs_on_the_schedule_is_found(monkeypatch):
    from interlock.core.context import Bank

    honest = Bank.view

    def leaky(self, label, sight):  # shows whatever is committed by now, as shared state would
        return honest(self, label if label < 6 else 5, sight)

    monkeypatch.setattr(Bank, "view", leaky)
    with pytest.raises(SimulationFailed, match=r"^views: what end is shown"):
        Simulator(wide(None), "generated").stress()


def test_differences_are_told_with_the_cause_first(mine):
    """What no built-in invariant would let happen: two runs of the same steps that were shown different things."""
    from interlock.testing.overlap import _differences
    from interlock.testing.simulation.world import Scene, World

    def account(seed):
        scene = Scene(
            team=mine.team, agents={"ann": first, "bob": second}, requests=[b'{"seed": %d}' % seed], calm=True
        )
        return World(scene, 0).play().runs["sim-0"]

    one, other = account(1), account(2)
    assert list(_differences(one, account(1))) == []
    told = list(_differences(one, other))
    assert told[0] == "a is shown something else than under another schedule"
    assert told[1].startswith('a wrote {"one":3}, under another schedule {"one":2}, though it was shown the same')
    assert told[-1].startswith("the context is {'seed': 2, 'one': 3, 'two': 30}, under another schedule {'seed': 1")


# --- crashes ---


def test_every_crash_comes_to_the_same_end(mine):
    report = mine.crashes(REQUEST)
    assert report.points == 2 * report.writes >= 10


def test_a_crash_that_changes_the_end_is_told(mine):
    calls = itertools.count()
    with pytest.raises(SimulationFailed, match=r"^crashes: crash_"):
        mine.crashes(REQUEST, agents={"ann": lambda job: {"one": next(calls)}})


def test_a_world_that_breaks_without_a_crash_is_told(mine, monkeypatch):
    from interlock.testing.simulation.account import calls

    monkeypatch.setattr(calls, "_check_view", lambda run, job, one: run.require("views", False, "wrong"))
    for asked in (mine.crashes, mine.stress, lambda: mine.run(REQUEST)):
        with pytest.raises(SimulationFailed, match=r"^views: wrong"):
            asked()


# --- texts ---


def test_a_long_story_is_shortened():
    lines = [str(n) for n in range(LINES_MAX + 1)]
    assert shortened(lines[:-1]) == lines[:-1]
    short = shortened(lines)
    assert len(short) == LINES_MAX + 1
    assert short[LINES_MAX // 2] == "    ... 1 lines left out ..."


def test_a_stable_transcript_has_no_lines_of_code_and_no_addresses():
    told = "failed: KeyError (agents.py:41 in triage) of <object at 0x7f001122aabb> in /home/ann/desk/x"
    assert stable(told, ["/home/ann/desk"]) == "failed: KeyError (agents.py in triage) of <object at 0x...> in .../x"


def test_a_generated_agent_may_be_given(mine):
    assert mine.run(REQUEST, agents={"ann": Generated(mine.rules)}).outcomes("a") == ["committed"]
