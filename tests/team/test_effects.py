"""Effects as they are declared, in a file and in Python."""

import pytest

import interlock as il
from interlock.core.effects import EffectRule
from interlock.errors import TeamError
from interlock.team import Team

from .test_load import load, only

AGENTS = """\
agents:
  ann: {allowed_actions: [work, mail, pay], context_access: [], write_permissions: [out], use: agents:ann}
plan: [{id: s, agent: ann, action: work}]
"""
WHOLE = AGENTS + "effects: {mail: {use: post:mail, timeout: 3s, retries: 4, on_unknown: retry}, pay: bank:pay}\n"


async def mail(payload, key):
    return payload, key


def test_effects_of_a_file(tmp_path):
    team = load(tmp_path, WHOLE)

    assert team.effects["pay"] == {"use": "bank:pay"}
    assert team.rules.effects == {"mail": EffectRule(3_000, 4, "retry"), "pay": EffectRule()}
    (duty,) = team.rules.duties[1]
    assert (duty.effects, duty.immediate) == (("mail", "pay"), False)
    again = Team.of_document(team.document)
    assert (again.hash, again.rules.effects) == (team.hash, team.rules.effects)


def test_effects_of_python():
    scope = il.Scope(["work", "mail"], [], ["out"])
    ann = il.Agent("ann", scope=scope, use=mail, effects="immediate")
    team = il.Team([ann], il.Plan([il.Step("s", "ann", "work")]), effects={"mail": mail, "pay": {"use": mail}})

    assert team.effects == {"mail": {"use": mail}, "pay": {"use": mail}}
    assert team.rules.duties[1][0].immediate
    assert b'"effects":{"mail":{"use":"' in team.document
    assert Team.of_document(team.document).hash == team.hash


def test_a_function_of_a_document_that_nobody_can_import_is_left_out():
    team = il.Team([il.Agent("ann")], effects={"mail": lambda _payload, _key: None})

    assert Team.of_document(team.document).effects == {"mail": {}}


@pytest.mark.parametrize(
    ("effects", "sentence"),
    [
        ("{mail: {use: post:mail, approve: eve}}", "effects.mail.approve is 'eve', not true or false"),
        ("{mail: {on_unknown: never}}", "effects.mail.on_unknown is 'never', not one of retry, ask, fail"),
        ("{mail: {retries: -1}}", "effects.mail.retries is the number -1, not a whole number from 0 to 100"),
        ("{mail: post}", "effects.mail is 'post', not module:function"),
        ("{a b: post:mail}", "the key effects.a b is 'a b', not a name of 1 to 80 letters, digits, _ and -"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, effects, sentence):
    assert only(tmp_path, f"{AGENTS}effects: {effects}\n") == (TeamError, 4, sentence)


def test_an_agent_has_no_other_effects_than_immediate_ones(tmp_path):
    text = WHOLE.replace("use: agents:ann", "use: agents:ann, effects: all")

    assert only(tmp_path, text)[2] == "agents.ann.effects is 'all', not one of immediate"


def test_effects_that_are_no_mapping_are_refused():
    with pytest.raises(TeamError, match="effects is a list, not a mapping"):
        il.Team([il.Agent("ann")], effects=["mail"])
