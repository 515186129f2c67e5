"""Guardrails that could never look at anything, and what is said of them."""

from types import SimpleNamespace

import pytest

from interlock.core.guardrail import Seat
from interlock.core.idle import blind, empty, looks_at, unread
from interlock.core.scope import Sight


def seat(**given):
    return Seat(SimpleNamespace(name="says", **given), 1.0)


@pytest.mark.parametrize(
    ("watches", "writable", "sees"),
    [
        ({}, ["x"], True),
        ({"watches": ()}, [], True),
        ({"watches": ("x.z",)}, ["x"], True),
        ({"watches": ("x",)}, ["x.*"], True),
        ({"watches": ("y", "x")}, ["w", "x"], True),
        ({"watches": ("y", "z")}, ["w", "x"], False),
        ({"watches": ("y",)}, [], False),
    ],
)
def test_a_guardrail_looks_at_what_may_be_written(watches, writable, sees):
    assert looks_at(seat(**watches), writable) is sees
    assert (blind(seat(**watches), "agent ann", writable) is None) is sees


@pytest.mark.parametrize(
    ("writable", "told"),
    [
        ([], "it may write nothing"),
        (["x"], "it may write x"),
        ([f"x{n}" for n in range(9)], "it may write x0, x1, x2, x3, x4"),
    ],
)
def test_of_one_that_looks_at_nothing_it_is_told_what_may_be_written(writable, told):
    message = "the guardrail says looks at y, z.*, which agent ann can't write"
    assert blind(seat(watches=("y", "z.*")), "agent ann", writable) == (message, told)


@pytest.mark.parametrize(
    ("consults", "path"),
    [
        ({}, None),
        ({"consults": ("q.z", "p.a.b")}, None),
        ({"consults": ("q.z", "r")}, "r"),
        ({"consults": ("r", "s")}, "r"),
        ({"consults": ("p",)}, None),
    ],
)
def test_a_guardrail_compares_with_what_is_shown(consults, path):
    told = (
        f"the guardrail says compares with {path}, which ann is not shown",
        f"let it read {path}: a guardrail sees what the agent was shown",
    )
    sight = Sight(("q", "p.a"), narrowed=True)
    assert unread(seat(**consults), "ann", sight) == (None if path is None else told)


@pytest.mark.parametrize(
    ("rests", "has_schema", "idle"),
    [
        ({}, False, False),
        ({"rests_on_schema": False}, False, False),
        ({"rests_on_schema": True}, True, False),
        ({"rests_on_schema": True}, False, True),
    ],
)
def test_a_guardrail_may_rest_on_a_schema(rests, has_schema, idle):
    told = (
        "the guardrail says checks nothing of ann in step a: no schema is declared",
        "name a model or a JSON Schema in it, or declare a schema",
    )
    assert empty(seat(**rests), "ann in step a", has_schema=has_schema) == (told if idle else None)
