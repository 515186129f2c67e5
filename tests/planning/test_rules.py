"""Which of several plans a request has, and why; and plans that a function makes."""

import pytest

import interlock as il
from interlock.errors import InputError, ProposalRefused, TeamError
from interlock.planning import Bounds, FunctionPlanner, Rule, RulesPlanner

RUSH = il.Condition("ticket.priority", "==", "high")


async def work(job):
    return {}


@pytest.fixture(scope="module")
def team():
    return il.Team([il.Agent("ann", use=work, scope=il.Scope(["act"], ["ticket"], ["out"]))])


def step(id_="a", **more):
    return il.Step(id_, "ann", "act", **more)


def plans():
    return {"short": il.Plan([step()]), "long": il.Plan([step(), step("b", needs=["a"])])}


def planner(team, default=None, *rules):
    return RulesPlanner(team, plans(), rules or [Rule("short", [RUSH]), Rule("long", [_open()])], default)


def _open():
    return il.Condition("ticket.state", "in", ["open", "new"])


def test_the_first_rule_that_a_request_fulfils_chooses_the_plan(team):
    choose = planner(team).choose
    both = choose({"ticket": {"priority": "high", "state": "open"}})
    assert (both.plan, both.why) == ("short", 'rule 1: ticket.priority == "high"')
    second = choose({"ticket": {"priority": "low", "state": "new"}})
    assert (second.plan, second.why) == ("long", 'rule 2: ticket.state in ["open","new"]')
    assert [one.id for one in second.team.rules.plan.steps[1:]] == ["a", "b"]
    assert both.team.hash != second.team.hash, "a run is pinned to the plan that was chosen for it"


def test_all_conditions_of_a_rule_must_hold_and_none_means_any_request(team):
    choose = planner(team, None, Rule("short", [RUSH, _open()]), Rule("long")).choose
    assert choose({"ticket": {"priority": "high"}}).why == "rule 2: any request"
    found = choose({"ticket": {"priority": "high", "state": "new"}})
    assert found.why == 'rule 1: ticket.priority == "high" and ticket.state in ["open","new"]'


def test_a_request_that_fulfils_no_rule_has_the_default(team):
    choice = planner(team, "long").choose({})
    assert (choice.plan, choice.why) == ("long", "no rule fits: the default")


def test_without_a_default_it_is_refused(team):
    with pytest.raises(InputError) as refused:
        planner(team).choose({"ticket": 7})
    assert str(refused.value) == (
        "no rule chooses a plan for this request, and there is no default; its rules ask for: "
        'ticket.priority == "high"; ticket.state in ["open","new"]'
    )
    with pytest.raises(InputError, match="give it rules, or a default"):
        RulesPlanner(team, plans(), []).choose({})


def test_every_plan_is_proved_before_a_request_comes(team):
    racing = il.Plan([step(), step("b")])
    with pytest.raises(TeamError) as refused:
        RulesPlanner(team, {"short": il.Plan([step()]), "wide": racing}, [])
    assert refused.value.place == ("plans", "wide", "b", "writes")
    assert refused.value.sentence.startswith("plan wide: steps a and b may run at the same time")


def test_rules_name_plans(team):
    with pytest.raises(TeamError) as refused:
        RulesPlanner(team, {"short": il.Plan([step()]), "a b": il.Plan([step()])}, [Rule("shrt")], "none")
    assert [(problem.place, str(problem)) for problem in refused.value.problems] == [
        (("plans",), "'a b' is no name of a plan; use letters, digits, _ and -"),
        (("planner", "rules", "0", "plan"), "there is no plan 'shrt'; did you mean short?; the plans: short, a b"),
        (("planner", "default"), "there is no plan 'none'; the plans: short, a b"),
    ]
    with pytest.raises(TeamError, match=r"there are 1,001 rules, more than 1,000"):
        RulesPlanner(team, plans(), [Rule("short")] * 1_001)


# --- functions ---


def test_a_function_makes_a_plan_or_proposes_one(team):
    def own_plan(request):
        return plans()[request["size"]]

    choice = FunctionPlanner(team, own_plan).choose({"size": "long"})
    assert len(choice.team.plan.steps) == 3
    assert choice.why.startswith("made by ")
    assert choice.why.endswith("own_plan")

    proposal = {"steps": [{"id": "x", "agent": "ann", "action": "act"}]}
    choice = FunctionPlanner(team, lambda _: proposal).choose({})
    assert choice.team.plan.number == {"x": 1}
    assert choice.why.startswith("proposed by ")


def test_a_function_gets_a_request_of_its_own(team):
    def grabs(request):
        request["ticket"].clear()
        return plans()["short"]

    request = {"ticket": {"id": 1}}
    FunctionPlanner(team, grabs).choose(request)
    assert request == {"ticket": {"id": 1}}


@pytest.mark.parametrize(
    "made",
    [
        il.Plan([step(), step("b")]),
        il.Plan([il.Step("a", "ann", "sudo")]),
        il.Plan([step(f"s{n}", needs=[f"s{n - 1}"] if n else []) for n in range(4)]),
        {"steps": [{"id": "x", "agent": "ann", "action": "sudo"}]},
        b"no",
    ],
)
def test_what_a_function_makes_is_validated_alike(made, team):
    with pytest.raises(ProposalRefused):
        FunctionPlanner(team, lambda _: made, Bounds(steps_max=3)).choose({})


def test_a_function_that_makes_no_plan_is_told_so(team):
    class Planner:
        def __call__(self, request):
            return ["a", "b"]

    with pytest.raises(InputError, match="Planner returned a list; return a Plan, or a proposal as bytes or an object"):
        FunctionPlanner(team, Planner()).choose({})
