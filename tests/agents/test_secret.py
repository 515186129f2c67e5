"""Secrets are handed out by name, and found again wherever their values turn up."""

import json
import logging
import threading
import time
from urllib.parse import quote

import pytest

from interlock import errors
from interlock.agents import secret as secrets
from interlock.agents.secret import VALUES_KEPT_MAX, Vault, check_placeholders
from interlock.errors import AccessDenied, TeamError

KEY = "sk-planted-5f1d0c7e9b3a4286"


@pytest.fixture
def vault():
    return Vault({"DESK_API_KEY": KEY, "LANG": "C.UTF-8-with-a-long-value"})


def among(vault, value):
    return vault.among(json.dumps({"field": value}, ensure_ascii=False).encode())


# --- handing out ---


def test_a_secret_comes_from_the_environment(vault):
    assert vault.secret("DESK_API_KEY") == KEY


def test_without_it_there_is_an_error_that_names_it(vault):
    with pytest.raises(AccessDenied, match="there is no OTHER_KEY; set OTHER_KEY in the environment"):
        vault.secret("OTHER_KEY")


def test_a_provider_is_asked_instead_and_every_time(vault):
    tokens = iter(["first-token-1", "second-token-2"])
    vault.provide(lambda name: next(tokens) if name == "token of the desk" else None)
    assert [vault.secret("token of the desk") for _ in range(2)] == ["first-token-1", "second-token-2"]
    with pytest.raises(AccessDenied):
        vault.secret("DESK_API_KEY")
    assert vault.hidden("first-token-1 second-token-2") == "[token of the desk] [token of the desk]"


def test_a_variable_that_is_no_unicode_breaks_nothing():
    value = "sk-planted\udc80-5f1d0c7e"
    known = Vault({"A_TOKEN": value, "B_TOKEN": "sk-other-5f1d0c7e"})
    assert known.hidden(f"{value} and {value!r} and sk-other-5f1d0c7e") == "[A_TOKEN] and '[A_TOKEN]' and [B_TOKEN]"
    assert known.among(b"sk-other-5f1d0c7e") == "B_TOKEN"


@pytest.mark.parametrize("given", [b"sk-planted-5f1d0c7e", 5_000_000_000, ["sk-planted-5f1d0c7e"], b"", 0])
def test_a_secret_that_is_no_text_is_refused_and_not_kept(vault, given):
    vault.provide(lambda _: given)
    kind = type(given).__name__
    with pytest.raises(AccessDenied, match=f"the secret A_TOKEN is a {kind}, not a str; let the function") as raised:
        vault.secret("A_TOKEN")
    assert "planted" not in str(raised.value)
    assert vault.hidden(f"{KEY} is hidden as before") == "[DESK_API_KEY] is hidden as before"
    vault.provide({"A_TOKEN": "planted-1"}.get)
    assert vault.secret("A_TOKEN") == "planted-1"


def test_of_a_secret_that_changes_the_last_values_are_remembered(vault):
    values = [f"token-number-{number:03}" for number in range(VALUES_KEPT_MAX + 5)]
    left = iter(values)
    vault.provide(lambda _: next(left))
    for _ in values:
        vault.secret("TOKEN")
    assert vault.hidden(values[-1]) == vault.hidden(values[5]) == "[TOKEN]"
    assert vault.hidden(values[4]) == values[4]


def test_a_text_is_filled_in(vault):
    assert vault.filled_in("Bearer ${DESK_API_KEY}, $5") == f"Bearer {KEY}, $5"
    with pytest.raises(AccessDenied):
        vault.filled_in("${NOBODY}")


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${A B}", "${A-B}", "${1}", "${${A}}", "$" * 3 + "{}"])
def test_a_placeholder_without_a_name_is_refused(text):
    with pytest.raises(TeamError, match=r"the header x has a \$\{ without a name; write \$\{NAME\}") as raised:
        check_placeholders(text, "the header x", ("headers", "x"))
    assert raised.value.place == ("headers", "x")


def test_a_placeholder_with_a_name_is_none_of_those():
    check_placeholders("Bearer ${A_1} ${b} $C {D}", "the header x", ())


# --- which values ---


def test_a_variable_with_a_telling_name_is_secret():
    assert Vault({"OPENAI_API_KEY": KEY, "LANG": "en"}).hidden(f"{KEY} en") == "[OPENAI_API_KEY] en"


@pytest.mark.parametrize("value", ["short-1", "postgres", "correcthorse", "", "       1       "])
def test_what_stands_in_ordinary_texts_by_chance_is_not_looked_for(value):
    vault = Vault({"DB_PASSWORD": value})
    assert vault.hidden(f"it is {value}") == f"it is {value}"
    assert among(vault, value) == ""


def test_the_name_of_a_file_with_a_secret_is_none(tmp_path):
    file = tmp_path / "credentials.json"
    vault = Vault({"CREDENTIALS": str(file)})
    assert vault.hidden(str(file)) == "[CREDENTIALS]"
    file.touch()
    assert vault.hidden(str(file)) == str(file)


def test_what_the_environment_gets_later_is_found_when_it_is_looked_at_again():
    environment = {}
    vault = Vault(environment)
    environment["A_TOKEN"] = KEY
    assert among(vault, KEY) == ""
    vault.refresh()
    assert among(vault, KEY) == "A_TOKEN"


def test_what_another_thread_is_handed_meanwhile_is_kept(vault, monkeypatch):
    others, forms = [], secrets.forms_of

    def while_another_asks(value):
        if not others:
            others.append(threading.Thread(target=vault.secret, args=("SECOND_NAME",)))
            others[0].start()
            others[0].join(0.2)  # it may have to wait until this one is through
        return forms(value)

    monkeypatch.setattr(secrets, "forms_of", while_another_asks)
    vault.provide(lambda name: f"{name}-5f1d0c7e")
    vault.secret("FIRST_NAME")
    others[0].join()
    assert among(vault, "FIRST_NAME-5f1d0c7e SECOND_NAME-5f1d0c7e") == "SECOND_NAME"
    assert among(vault, "FIRST_NAME-5f1d0c7e") == "FIRST_NAME"


# --- in which forms ---

ODD = 'p"a\\ss/w?ö rd\t5'


@pytest.mark.parametrize("value", [KEY, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize(
    "told",
    [str, json.dumps, lambda v: json.dumps(v, ensure_ascii=False), lambda v: quote(v, safe=""), repr, quote],
    ids=["itself", "json", "unicode-json", "address", "repr", "path"],
)
def test_a_value_is_found_in_whatever_form(value, told):
    vault = Vault({"A_TOKEN": value})
    text = f"failed: {told(value)}!"
    assert "rd" not in vault.hidden(text)
    assert "[A_TOKEN]" in vault.hidden(text)
    assert among(vault, text) == among(vault, {"deep": [text]}) == "A_TOKEN"


def test_a_value_as_a_key_is_found_too(vault):
    assert vault.among(json.dumps({KEY: 1}).encode()) == "DESK_API_KEY"


def test_each_line_of_a_long_secret_is_one():
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq1\nhkiG9w0BAQEFAASC2\n-----END PRIVATE KEY-----\n"
    vault = Vault({"TLS_PRIVATE_KEY": pem})
    assert vault.hidden(f"read: {pem}") == "read: [TLS_PRIVATE_KEY]"
    assert vault.hidden("bad line hkiG9w0BAQEFAASC2") == "bad line [TLS_PRIVATE_KEY]"
    assert vault.hidden("-----BEGIN PRIVATE KEY----- is odd") == "-----BEGIN PRIVATE KEY----- is odd"
    assert among(vault, pem) == "TLS_PRIVATE_KEY"


def test_of_two_values_the_longer_one_is_told_first():
    vault = Vault({"A_TOKEN": "planted-1", "B_TOKEN": "planted-1-and-more", "C_TOKEN": "all planted-1-and-more"})
    assert vault.hidden("planted-1 planted-1-and-more; all planted-1-and-more") == "[A_TOKEN] [B_TOKEN]; [C_TOKEN]"


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (KEY[:12], "[DESK_API_KEY]"),
        (f"{KEY[:10]}... more", "[DESK_API_KEY]... more"),
        (f"...{KEY[-9:]} more", "...[DESK_API_KEY] more"),
        (f"{KEY[:12]}, no", f"{KEY[:12]}, no"),
        (KEY[:7], KEY[:7]),
    ],
)
def test_a_piece_that_is_left_of_a_value_is_hidden(vault, cut, told):
    assert vault.hidden(f"it is {cut}") == f"it is {told}"


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        ("sk-proj-sk-proj-5f...", "[A_KEY]..."),
        ("sk-proj-sk-proj-sk-proj-5f", "sk-proj-[A_KEY]"),
        ("sk-proj-sk-proj-5f1d....9b3a4286 and ...9b3a4286sk-proj-", "[A_KEY]....[A_KEY] and ...[A_KEY][A_KEY]"),
        ("9b3a4286", "[A_KEY]"),
        ("9b3a42869b3a4286", "[A_KEY]9b3a4286"),
    ],
)
def test_the_pieces_of_a_value_that_repeats_itself_are_hidden(cut, told):
    assert Vault({"A_KEY": "sk-proj-sk-proj-5f1d9b3a4286"}).hidden(cut) == told


@pytest.mark.parametrize("piece", ["sk-proj-", "a9b3a4286", "sk-proj-5f1d...", "...9b3a4286"])
def test_a_text_is_hidden_in_a_time_that_grows_with_its_length(piece):
    vault = Vault({"A_KEY": "sk-proj-5f1d0c7e9b3a4286"})
    assert hiding_seconds(vault, piece * 16_000) < 32 * hiding_seconds(vault, piece * 2_000)


def hiding_seconds(vault, text):
    """The least of a few tries: others may slow down any."""
    tries = []
    for _ in range(5):
        begin = time.process_time()
        vault.hidden(text)
        tries.append(time.process_time() - begin)
    return min(tries)


# --- in what is cut short ---


@pytest.mark.parametrize("before", range(60, 101))
def test_an_excerpt_holds_no_piece_of_a_value(vault, before):
    told = vault.excerpt("x" * before + KEY + "y" * 100, 100)
    assert told.startswith("x" * 60)
    assert told.endswith("...")
    assert "sk-" not in told
    assert len(told) == 100


def test_an_excerpt_says_whether_it_is_all(vault):
    assert vault.excerpt("x" * 100, 100) == "x" * 100
    assert vault.excerpt("x" * 101, 100) == "x" * 97 + "..."
    # What is hidden may make it shorter, or longer.
    assert vault.excerpt(KEY * 4, 100) == "[DESK_API_KEY]" * 4
    assert vault.excerpt(KEY * 6, 100) == "[DESK_API_KEY]" * 5 + "..."
    assert Vault({"A_LONG_NAME_OF_A_KEY": "planted-1"}).excerpt("planted-1" * 2, 20) == "[A_LONG_NAME_OF_A..."


def test_of_a_long_text_no_more_is_looked_at_than_is_told(vault, monkeypatch):
    looked_at = []
    monkeypatch.setattr(vault, "hidden", lambda text: looked_at.append(len(text)) or text)
    vault.excerpt("x" * 1_000_000, 100)
    assert looked_at == [100 + len(KEY)]


# --- where they are told ---


def test_an_error_is_told_without_them(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", KEY)
    assert errors.describe(ValueError(f"no {KEY}")) == "ValueError: no [DESK_API_KEY]"
    # A text that is cut doesn't keep half of one.
    told = errors.describe(ValueError("x" * 1_980 + KEY))
    assert "sk-p" not in told


class Hostile(str):
    """A text that denies what stands in it."""

    __slots__ = ()

    def __contains__(self, _):
        return False

    def replace(self, *_):
        return self


def test_an_error_whose_text_denies_everything_is_told_without_them(monkeypatch):
    monkeypatch.setenv("DESK_API_KEY", KEY)
    odd = type("Odd", (Exception,), {"__str__": lambda _: Hostile(f"no {KEY}")})
    assert errors.describe(odd()) == "Odd: no [DESK_API_KEY]"


def test_the_log_is_told_without_them(monkeypatch, caplog):
    monkeypatch.setenv("DESK_API_KEY", KEY)
    log = logging.getLogger("interlock")
    log.warning("agent %s: %s", "ann", KEY)
    log.warning("agent %s is late", "ann")
    try:
        raise ValueError(KEY)  # noqa: TRY301 - what is logged
    except ValueError:
        log.exception("it failed")
    assert KEY not in caplog.text
    assert [record.getMessage() for record in caplog.records][:2] == ["agent ann: [DESK_API_KEY]", "agent ann is late"]
    assert caplog.records[1].args == ("ann",)
    assert "ValueError: [DESK_API_KEY]" in caplog.text


def test_a_record_whose_arguments_dont_fit_is_told_without_them_too(monkeypatch, caplog):
    monkeypatch.setenv("DESK_API_KEY", KEY)
    logging.getLogger("interlock").warning("%d agents", KEY)
    assert [record.getMessage() for record in caplog.records] == ["%d agents ('[DESK_API_KEY]',)"]


def test_one_vault_serves_the_program():
    assert errors.hide == secrets.VAULT.hidden == secrets.hidden
    assert errors.excerpt == secrets.VAULT.excerpt == secrets.excerpt
