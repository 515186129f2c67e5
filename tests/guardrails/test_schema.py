"""`schema` refuses what a model or a JSON Schema doesn't take, of the writes or of the output."""

import pytest

from interlock.core.job import DELETE
from interlock.errors import TeamError

from .drafts import draft, made, refusal, says

JSON = {"required": ["order.amount"], "properties": {"order.amount": {"type": "number", "maximum": 100}}}


def test_writes_are_held_against_a_json_schema():
    declared = {"schema": {"json": JSON}}
    assert says(declared, draft({"order.amount": 5})) == []
    assert says(declared, draft({"order.amount": 500})) == ["order.amount: Expected `float` <= 100.0"]
    for writes in ({}, {"order.amount": DELETE}):
        assert says(declared, draft(writes)) == ["order.amount is missing; the schema requires it"]
    assert made(declared).watches == ("order.amount",)


def test_the_output_is_held_against_a_json_schema():
    declared = {"schema": {"of": "output", "json": {"type": "array", "items": {"type": "string"}}}}
    assert says(declared, draft(output=["a"])) == []
    assert len(says(declared, draft(output=[1]))) == 1
    assert len(says(declared, draft())) == 1


def test_alone_it_stands_for_the_schemas_that_are_declared():
    assert made("schema").rests_on_schema
    assert says("schema", draft({"x": 1})) == []
    assert not hasattr(made({"schema": {"json": JSON}}), "rests_on_schema")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"model": "a:B", "json": {}}, "it has model and json"),
        ({"of": "output"}, "it says of: output, and has no schema"),
        ({"json": {"type": "array"}}, "is an object schema"),
        ({"json": {"properties": {"x": {"format": "date"}}}}, "uses format, which is not supported"),
        ({"of": "input"}, "of is 'input', not one of: output, writes"),
    ],
)
def test_what_is_no_schema_is_refused(options, part):
    assert part in refusal({"schema": options})


# --- pydantic ---


def model():
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel, extra="forbid"):
        amount: float
        note: str = ""

        @pydantic.field_validator("note")
        @classmethod
        def is_polite(cls, note):
            if note == "rude":
                raise ValueError("be polite")
            return note

    return pydantic.create_model("Reply", order=(Order, ...)), Order


def test_writes_are_held_against_a_model():
    whole, _ = model()
    declared = {"schema": {"model": "models:Reply"}}

    def told(writes):
        return says(declared, draft(writes), lambda _: whole)

    assert told({"order.amount": 5, "order.note": "hello"}) == []
    assert told({"order": {"amount": 5.5}}) == []
    assert told({"order.amount": "5"}) == ["order.amount: Input should be a valid number"]
    assert told({"order.note": "rude"}) == ["order.amount: Field required", "order.note: Value error, be polite"]
    assert told({"order.amount": 1, "order.more": 1}) == ["order.more: Extra inputs are not permitted"]
    assert told({"order": DELETE}) == ["order: Field required"]


def test_the_output_is_held_against_a_model():
    _, order = model()
    declared = {"schema": {"model": "models:Order", "of": "output"}}
    assert says(declared, draft(output={"amount": 1}), lambda _: order) == []
    assert says(declared, draft(), lambda _: order) == [
        "output: Input should be a valid dictionary or instance of Order"
    ]


def test_what_is_no_model_is_refused_before_a_run():
    with pytest.raises(TeamError, match="models:Order is no pydantic model"):
        made({"schema": {"model": "models:Order"}}, lambda _: dict).resolve()


def test_a_model_that_breaks_refuses():
    class Broken:
        @staticmethod
        def model_validate(value, strict):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        made({"schema": {"model": "models:Broken"}}, lambda _: Broken).check(draft())
