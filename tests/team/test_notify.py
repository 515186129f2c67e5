"""Who is told what waits for people, as it is declared in a file and in Python."""

import pytest

import interlock as il
from interlock.errors import TeamError
from interlock.team import Team
from interlock.team.notify import RECIPIENTS_MAX, Declared

from .test_load import load, only

AGENTS = """\
agents:
  ann: {allowed_actions: [work], context_access: [], write_permissions: [out], use: agents:ann}
plan: [{id: s, agent: ann, action: work}]
"""
WHOLE = """\
notify:
  - ${SLACK_URL}
  - url: mailtos://ann:${MAIL_PASSWORD}@example.com?to=desk@example.com
    on: [dead, question, dead]
    name: mail
    reasons: true
  - {url: "json://localhost/a"}
  - {url: "json://localhost/b"}
  - {use: hooks:tell, on: [breaker]}
"""


def tell(message):
    return message


def team(notify):
    return il.Team([il.Agent("ann", use=tell)], notify=notify)


def test_recipients_of_a_file(tmp_path):
    assert load(tmp_path, AGENTS + WHOLE).notify == (
        Declared("SLACK_URL", "${SLACK_URL}"),
        Declared(
            "mail", "mailtos://ann:${MAIL_PASSWORD}@example.com?to=desk@example.com", None, ("dead", "question"), True
        ),
        Declared("json", "json://localhost/a"),
        Declared("json-2", "json://localhost/b"),
        Declared("hooks:tell", "", "hooks:tell", ("breaker",)),
    )


def test_recipients_of_python():
    notify = team([tell, {"use": tell, "on": ["dead"]}, "json://localhost"]).notify
    assert [one.name for one in notify] == [f"{__name__}:tell", f"{__name__}:tell-2", "json"]
    assert [one.use for one in notify] == [tell, tell, None]
    assert notify[0].on == ("question", "breaker")


def test_nobody_is_told_of_dead_letters_who_did_not_say_so():
    assert Declared("a").on == ("question", "breaker")


def test_who_is_told_is_no_part_of_what_a_run_is_pinned_to(tmp_path):
    with_it, without = load(tmp_path, AGENTS + WHOLE), load(tmp_path, AGENTS)
    assert (with_it.hash, with_it.document) == (without.hash, without.document)
    assert Team.of_document(with_it.document).notify == ()


@pytest.mark.parametrize(
    ("notify", "sentence"),
    [
        ("[{on: [dead]}]", "notify[0] has neither url nor use"),
        ("[{url: '${A}', use: a:b}]", "notify[0] has url and use"),
        ("[{url: '${A}', on: [deaths]}]", "notify[0].on[0] is 'deaths', not one of question, dead, breaker"),
        ("[{url: '${A}', on: []}]", "notify[0].on has 0 items; at least 1 are needed"),
        ("[{use: post}]", "notify[0].use is 'post', not module:function"),
        ("[{url: '${A}', name: a b}]", "notify[0].name is 'a b', not a name of 1 to 80 letters, digits, _ and -"),
        ("[{url: '${A}', to: ann}]", "notify[0].to: a recipient has no key to"),
        (
            "[5]",
            "notify[0] is the number 5, not an address that apprise knows, such as json://host/path, or ${SLACK_URL}",
        ),
        ("${A}", "notify is '${A}', not a list"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, notify, sentence):
    assert only(tmp_path, AGENTS + f"notify: {notify}\n")[2].startswith(sentence)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("hooks.slack.com/services/T0/sesame", "it is no address such as json://host/path, or ${SLACK_URL}"),
        ("json://ann:sesame@localhost", "it holds a secret itself"),
        ("json://:sesame@localhost", "it holds a secret itself"),
        ("json://localhost/?api_key=sesame&x=${Y}", "it holds a secret itself"),
        ("json://localhost/${}sesame", "it has a ${ without a name"),
        ("json://localhost/sesame${A B}", "it has a ${ without a name"),
        ("json://local host/sesame", "it is no address such as json://host/path, or ${SLACK_URL}"),
    ],
)
def test_a_bad_address_is_refused_and_not_shown(url, sentence):
    with pytest.raises(TeamError) as refused:
        team([{"url": url}])
    assert f"notify[0].url: {sentence}" in str(refused.value)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["json://ann:${P}@localhost", "json://localhost/?api_key=${K}", "slack://${A}/${B}/${C}/#desk", "${ALL}"]
)
def test_an_address_with_secrets_by_name(url):
    assert team([url]).notify[0].url == url


def test_two_of_one_name_are_refused():
    with pytest.raises(TeamError, match="two recipients of notices are called x; rename one"):
        team([{"url": "json://a", "name": "x"}, {"url": "json://b", "name": "x"}])


def test_so_many_and_no_more():
    assert len(team(["${A}"] * RECIPIENTS_MAX).notify) == RECIPIENTS_MAX
    with pytest.raises(TeamError, match=f"notify has {RECIPIENTS_MAX + 1} entries"):
        team(["${A}"] * (RECIPIENTS_MAX + 1))
