"""What writes without an agent owns its fields, and declares nothing that could never be taken."""

import pytest

from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.step import Step
from interlock.core.values import Limits
from interlock.errors import OwnershipError, TeamError

from .transcripts import ONCE, awaits, step

ANN = {"ann": Role(Scope(["act"], ["*"], ["a", "b.c"]), ONCE)}
LIMITS = Limits(value_bytes_max=50)
WHOLE = {"properties": {"paid": {"type": "integer"}}}


def settle(id_="settle", among="said", writes="deal", **given):
    ways = {"policy": given.pop("policy", "first")}
    return Step(id_, reconcile={"among": among, **ways}, writes=[writes], **given)


def judged(**given):
    return settle(policy="judge", agent="jo", action="act", **given)


def problems(*steps, roles=None, reducers=None):
    """All that is wrong with these steps."""
    with pytest.raises(TeamError) as caught:
        Rules(Plan(steps), ANN | (roles or {}), Sharing(reducers or {}), LIMITS)
    return caught.value.problems


def told(*steps, **given):
    return [(problem.message, problem.fix, ".".join(problem.place)) for problem in problems(*steps, **given)]


# --- who owns what ---


@pytest.mark.parametrize(
    ("steps", "what", "owner", "shared"),
    [
        ([awaits(writes=["a.x"])], "step pay writes a.x when payment comes", "agent ann", "a.x"),
        ([awaits(writes=["b"])], "step pay writes b.c when payment comes", "agent ann", "b.c"),
        ([settle(writes="a")], "step settle writes a", "agent ann", "a"),
        (
            [awaits(writes=["x"]), awaits("two", event="other", needs=["pay"], writes=["x.y"])],
            "step two writes x.y when other comes",
            "the event payment",
            "x.y",
        ),
        (
            [
                awaits(writes=["x"]),
                awaits("more", needs=["pay"], writes=["y"]),
                awaits("two", event="other", needs=["more"], writes=["x"]),
            ],
            "step two writes x when other comes",
            "the event payment",
            "x",
        ),
        ([settle("one"), settle("two", needs=["one"])], "step two writes deal", "step one", "deal"),
    ],
)
def test_what_writes_without_an_agent_owns_its_field(steps, what, owner, shared):
    [error] = problems(*steps, reducers={"z": "append"})
    last = steps[-1]
    assert isinstance(error, OwnershipError)
    assert (error.message, error.fix, error.place) == (
        f"{what}, and {owner} owns it",
        f"write another field, or declare a reducer for {last.writes[0]}",
        ("plan", last.id, "writes"),
    )
    assert (error.agents, error.paths) == (("ann",) if owner == "agent ann" else (), (shared,))


@pytest.mark.parametrize(
    "steps",
    [
        [awaits(writes=["x"]), awaits("two", needs=["pay"], writes=["x"])],
        [step("s", writes=["a"]), awaits(writes=["a.x"])],
        [awaits(writes=["a"]), awaits("two", event="other", writes=["a"])],
        [Step("w", wait="2h"), awaits(writes=["x"])],
    ],
)
def test_an_event_writes_its_own_field_again_and_all_write_what_has_a_reducer(steps):
    Rules(Plan(steps), ANN, Sharing({"a": "append"}))


# --- what never fits ---


@pytest.mark.parametrize(
    ("given", "key", "message", "fix"),
    [
        (
            {"schema": {"type": "array"}},
            "schema",
            "step pay: the schema of a reply's writes is an object schema",
            "use properties and required",
        ),
        (
            {"schema": {"properties": {"a..b": {}}}},
            "schema",
            "step pay: 'a..b' is not a dotted path: it has an empty segment",
            "write a key that is empty or holds . or * in double quotes",
        ),
        (
            {"schema": {"properties": {"paid": {}, "other": {}}}},
            "schema",
            "step pay may not write other, which its schema names",
            "put other into its writes",
        ),
        (
            {"schema": WHOLE, "deadline": "1d", "on_deadline": {"default": {"paid": "no"}}},
            "on_deadline",
            "step pay: its default: paid: Expected `int`, got `str`",
            "",
        ),
        (
            {"deadline": "1d", "on_deadline": {"default": {"paid": "x" * 49}}},
            "on_deadline",
            "step pay: its default for paid: it is 51 bytes of JSON, more than 50",
            "",
        ),
    ],
)
def test_a_schema_or_a_default_that_never_fits_is_refused(given, key, message, fix):
    assert told(awaits(writes=["paid"], **given)) == [(message, fix, f"plan.pay.{key}")]


def test_each_path_that_its_schema_names_and_it_may_not_write_is_told():
    assert told(settle(schema={"properties": {"other": {}, "deal": {}, "more": {}}})) == [
        (
            f"step settle may not write {path}, which its schema names",
            f"put {path} into its writes",
            "plan.settle.schema",
        )
        for path in ("other", "more")
    ]


def test_a_default_may_be_as_large_as_the_limits():
    pay = awaits(writes=["paid"], deadline="1d", on_deadline={"default": {"paid": "x" * 48}})
    Rules(Plan([pay]), ANN, limits=LIMITS)


# --- what a step that reconciles declares ---


@pytest.mark.parametrize(
    ("step_", "field", "path"),
    [
        (settle(), "said", "said"),
        (settle(), "said.ann", "said"),
        (settle(among="said.ann"), "said", "said.ann"),
        (settle(), "deal", "deal"),
    ],
)
def test_what_a_reducer_has_merged_can_not_be_reconciled(step_, field, path):
    assert told(step_, reducers={"z": "append", field: "append"}) == [
        (
            f"step settle reconciles with {path}, and {field} has a reducer, which merges what is there",
            f"let each step write a field of its own, not {field}",
            "plan.settle.reconcile",
        )
    ]


def test_a_judge_sees_what_it_is_to_judge():
    jo = {"jo": Role(Scope(["act"], ["said.ann"], ["deal"]), ONCE)}
    assert told(judged(among=["said.ann", "said.bob"]), roles=jo) == [
        (
            "step settle: its judge jo may not read said.bob, which it is to judge",
            "add said.bob to the context_access of jo",
            "plan.settle.reconcile",
        )
    ]


@pytest.mark.parametrize(
    ("escalate", "message", "fix"),
    [
        ({"deadline": "x"}, "'x' is not a duration", "write a number and a unit: 500ms, 2s, 1m, 1h, 1d"),
        ({"deadline": "1h", "then": "fallback"}, "fallback would be taken instead of what was said", "then: dead"),
    ],
)
def test_where_no_person_answers_nothing_is_taken_instead(escalate, message, fix):
    step_ = settle(policy="person", escalate=escalate)
    assert told(step_) == [(f"step settle: {message}", fix, "plan.settle.escalate")]
