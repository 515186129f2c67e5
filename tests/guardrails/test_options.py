"""What is wrong with the options of a guardrail is said in words, whichever option it is."""

import msgspec
import pytest

from interlock.guardrails.declared import KINDS, kind
from interlock.guardrails.options import problem


class Nothing:
    """A value that no option may have."""


OPTIONS = [(name, field) for name in KINDS for field in msgspec.structs.fields(kind(name))]


@pytest.mark.parametrize(("name", "field"), OPTIONS, ids=lambda given: getattr(given, "encode_name", given))
def test_every_option_of_every_guardrail_has_words(name, field):
    needed = {one.encode_name: "x" for one in msgspec.structs.fields(kind(name)) if one.required}
    found = problem(name, kind(name), needed | {field.encode_name: Nothing()})
    assert found.message.startswith(f"{name}: {field.encode_name} is <"), found.message
    words = found.message.partition(", not ")[2]
    assert words, found.message
    assert not {*"`$<>"} & {*words}, words
    assert found.place == (name, field.encode_name)


def test_what_can_not_be_told_is_not_told_wrongly():
    assert problem("judge", kind("judge"), {"agent": "x"}).message == "judge can't be made of these options"
