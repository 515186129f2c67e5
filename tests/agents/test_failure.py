"""Foreign errors, classified: whatever a framework wraps around what a server said."""

import asyncio
from types import SimpleNamespace

import pytest

import interlock as il
from interlock import errors
from interlock.agents.failure import classified, ending, of_status


class Status(Exception):
    def __init__(self, status_code, text="", **headers):
        super().__init__(text or f"status {status_code}")
        self.status_code = status_code
        self.response = SimpleNamespace(headers={key.replace("_", "-"): value for key, value in headers.items()})


class APIConnectionError(Exception):
    pass


class ReadTimeout(Exception):
    pass


def wrapped(error, *around):
    """An error inside others."""
    for kind in around:
        outer = kind("the framework failed")
        outer.__cause__, error = error, outer
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Status(429), errors.RateLimited),
        (Status(500), errors.Overloaded),
        (Status(503), errors.Overloaded),
        (Status(529), errors.Overloaded),
        (Status(408), errors.Overloaded),
        (Status(400), errors.BadRequest),
        (Status(404), errors.BadRequest),
        (Status(418), errors.BadRequest),
        (Status(401), errors.AccessDenied),
        (Status(403), errors.AccessDenied),
        (Status(413), errors.ContextTooLong),
        (Status(400, "This model's maximum context length is 8192 tokens"), errors.ContextTooLong),
        (Status(400, "code: context_length_exceeded"), errors.ContextTooLong),
        (Status(302), errors.AgentError),
        (ValueError("prompt is too long"), errors.ContextTooLong),
        (ConnectionResetError(), errors.Unreachable),
        (TimeoutError(), errors.Unreachable),
        (asyncio.IncompleteReadError(b"", 5), errors.Unreachable),
        (APIConnectionError("no route"), errors.Unreachable),
        (ReadTimeout(), errors.Unreachable),
        (ValueError("anything else"), errors.AgentError),
    ],
)
@pytest.mark.parametrize("around", [(), (RuntimeError,), (RuntimeError, ValueError)], ids=len)
def test_the_cause_says_what_kind_it_is(error, kind, around):
    assert type(classified(wrapped(error, *around))) is kind


def test_groups_are_looked_into():
    group = ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [Status(429)])])
    assert type(classified(group)) is errors.RateLimited


def test_a_circle_of_causes_ends():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert type(classified(one)) is errors.AgentError


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("nan", None), ("inf", None)],
)
def test_retry_after_is_found_wherever_it_is(header, seconds):
    assert classified(wrapped(Status(429, retry_after=header), RuntimeError)).retry_after == seconds
    assert of_status(429, "slow down", {"Retry-After": header}).retry_after == seconds


def test_only_who_asks_for_time_is_given_it():
    assert classified(Status(400, retry_after="7")).retry_after is None


def test_an_error_of_ours_stays_as_it_is_wherever_it_lies():
    ours = errors.AgentRefused("the account is closed")
    assert classified(wrapped(ours, RuntimeError), il.Usage(1)) is ours
    assert ours.usage == il.Usage(1)


def test_what_was_consumed_is_told():
    assert classified(Status(500), il.Usage(1, 2)).usage == il.Usage(1, 2)


def test_another_error_of_ours_is_no_use_to_try_again():
    failed = classified(errors.MissingExtra("langgraph is not installed", fix="pip install it"))
    assert (type(failed), str(failed)) == (errors.BadRequest, "langgraph is not installed; pip install it")


@pytest.mark.parametrize("headers", [None, 5, {"retry-after": None}, [("retry-after", "7")]])
def test_strange_headers_are_no_trouble(headers):
    assert of_status(429, "", headers).retry_after is None


def test_the_text_says_what_the_server_said():
    assert str(of_status(429, "slow down")) == "HTTP 429: slow down"
    assert str(of_status(500, "")) == "HTTP 500"
    assert "no route" in str(classified(APIConnectionError("no route")))


@pytest.mark.parametrize(
    ("code", "told"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-63, "killed by signal 63")]
)
def test_how_a_process_has_ended(code, told):
    assert ending(code) == told
