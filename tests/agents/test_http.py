"""Endpoints as agents: what is sent to them, and what comes of whatever they answer."""

import asyncio
import gc
import gzip
import logging
import ssl
import sys

import pytest

import interlock as il
from interlock.agents.http import from_http
from interlock.core.values import Limits
from interlock.errors import (
    AccessDenied,
    AgentError,
    AgentRefused,
    BadRequest,
    ContextTooLong,
    MissingExtra,
    Overloaded,
    RateLimited,
    ReplyRefused,
    TeamError,
    Unreachable,
)
from interlock.team.load import load

from .endpoints import endpoint, http
from .scenes import job, until

KEY = "sk-planted-5f1d0c7e9b3a4286"
JOB = job(view={"ticket": {"text": "late"}}, writes=("ticket.category",))
FINE = http({"category": "cards"})


def outcome(answer, given=JOB, **options):
    """What comes of one call to an endpoint that answers this."""

    async def main():
        async with endpoint(answer if callable(answer) else lambda _: answer) as there:
            adapter = from_http(there.url, **options)
            try:
                return await adapter(given), there
            except AgentError as error:
                return error, there
            finally:
                await adapter.close()

    return asyncio.run(main())


# --- what is sent ---


def test_the_job_is_posted_and_the_reply_comes_back():
    reply, there = outcome(FINE)
    assert reply == il.Reply(writes={"ticket.category": "cards"})
    [posted] = there.posted
    assert posted.job["view"] == {"ticket": {"text": "late"}}
    assert posted.target == "/triage"
    sent = posted.headers
    assert (sent["idempotency-key"], sent["content-type"]) == ("run/s0/1", "application/json")


def test_headers_are_filled_in_anew_for_each_call(monkeypatch):
    async def main():
        async with endpoint(lambda _: FINE) as there:
            adapter = from_http(there.url, headers={"Authorization": "Bearer ${DESK_TOKEN}", "X-Team": "desk"})
            for token in ("first-token-1", "second-token-2"):
                monkeypatch.setenv("DESK_TOKEN", token)
                await adapter(JOB)
            await adapter.close()
            return [(posted.headers["authorization"], posted.headers["x-team"]) for posted in there.posted]

    assert asyncio.run(main()) == [("Bearer first-token-1", "desk"), ("Bearer second-token-2", "desk")]


def test_a_secret_that_there_isnt_is_asked_for():
    error, there = outcome(FINE, headers={"Authorization": "Bearer ${NOBODYS_TOKEN}"})
    assert isinstance(error, AccessDenied)
    assert "there is no NOBODYS_TOKEN" in error.message
    assert not there.posted


def test_a_secret_that_no_header_may_hold_is_not_sent(monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", f"{KEY}\r\nX-Other: 1")
    error, there = outcome(FINE, headers={"Authorization": "Bearer ${DESK_TOKEN}"})
    assert (type(error), KEY in str(error), there.posted) == (BadRequest, False, [])


# --- connections ---


def test_a_connection_serves_many_calls_and_cookies_none():
    async def main():
        async with endpoint(lambda _: http({"category": "cards"}, set_cookie="run=1; Path=/")) as there:
            adapter = from_http(there.url)
            for _ in range(3):
                await adapter(JOB)
            assert (there.connections, len(there.open)) == (1, 1)
            assert not any("cookie" in posted.headers for posted in there.posted)
            await adapter.close()
            await until(lambda: not there.open)
            await adapter(JOB)  # one that was closed opens again
            await adapter.close()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_adapter_serves_many_loops_even_if_it_is_not_closed():
    reached = []

    async def main(adapter_of):
        async with endpoint(lambda _: FINE) as there:
            adapter = adapter_of(there.url)
            reached.append((await adapter(JOB)).writes)
            return adapter

    adapter = asyncio.run(main(from_http))
    host = adapter._foreigner

    def same(url):
        host._address = host._address.copy_with(port=int(url.rpartition(":")[2].partition("/")[0]))
        return adapter

    asyncio.run(main(same))
    asyncio.run(adapter.close())
    gc.collect()
    assert reached == [{"ticket.category": "cards"}] * 2


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, BadRequest),
        (413, ContextTooLong),
        (422, BadRequest),
        (429, RateLimited),
        (500, Overloaded),
        (503, Overloaded),
        (599, Overloaded),
    ],
)
def test_a_status_says_whether_to_try_again(status, kind):
    error, there = outcome(http({"detail": "no"}, status, retry_after="7"))
    assert (type(error), error.message) == (kind, f'HTTP {status}: {{"detail": "no"}}')
    assert error.retry_after == (7 if kind in {RateLimited, Overloaded} else None)
    assert len(there.posted) == 1


def test_an_error_without_words_is_told_in_those_of_its_status():
    assert outcome(http(b"", 503))[0].message == "HTTP 503: Told"
    assert outcome(b"HTTP/1.1 599\r\ncontent-length: 0\r\n\r\n")[0].message == "HTTP 599"


def test_an_endless_complaint_is_cut():
    error, _ = outcome(http(b"x" * 5_000_000, 500))
    assert len(error.message) == 2_000


def test_a_redirect_is_not_followed():
    error, there = outcome(http(b"", 307, location="https://elsewhere.example/"))
    assert (type(error), error.message) == (AgentRefused, "HTTP 307: no answer, and redirects are not followed")
    assert len(there.posted) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (http(b""), ReplyRefused, "the answer is empty"),
        (http(b"", 204), ReplyRefused, "the answer is empty"),
        (http(b"<html>"), ReplyRefused, "the answer is no JSON"),
        (http({"writes": 7}), ReplyRefused, "this is no reply"),
        (b"SSH-2.0-OpenSSH\r\n", Unreachable, ""),
        (b"HTTP/1.1 200 Told\r\nbroken\r\n\r\n", Unreachable, ""),
        (http({"refused": "closed"}), AgentRefused, "closed"),
    ],
)
def test_what_is_no_reply_is_an_error(answer, kind, why):
    error, _ = outcome(answer)
    assert isinstance(error, kind)
    assert why in error.message


def test_nobody_there_is_worth_another_try():
    with pytest.raises(Unreachable):
        asyncio.run(from_http("http://127.0.0.1:1/")(JOB))


PACKED = gzip.compress(b" " * 60_000_000)


def test_what_could_unpack_to_gigabytes_is_not_unpacked():
    error, _ = outcome(http(PACKED, content_encoding="gzip"))
    assert (type(error), error.message) == (AgentRefused, "it compresses what it sends, which it was asked not to")


def test_a_packed_complaint_is_told_by_its_status():
    error, _ = outcome(http(PACKED, 429, content_encoding="gzip", retry_after="7"))
    assert (type(error), error.message, error.retry_after) == (RateLimited, "HTTP 429: Told", 7)


def test_an_answer_that_is_too_large_is_cut_off():
    error, _ = outcome(http(b" " * 60_000_000))
    assert (type(error), error.message) == (ReplyRefused, "the answer is larger than 6,291,456 bytes")


def test_how_large_an_answer_may_be_is_up_to_the_team():
    error, _ = outcome(http(b" " * 3_000), limits=Limits(commit_bytes_max=1_000, value_bytes_max=500))
    assert error.message == "the answer is larger than 2,000 bytes"


def test_a_server_that_nobody_vouches_for_is_not_spoken_to():
    """Its certificate isn't even looked at here: the handshake fails, and nothing is sent."""

    async def main():
        seen = []

        async def serve(reader, writer):
            seen.append(await reader.read(65_536))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        adapter = from_http(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", headers={"X": KEY})
        with pytest.raises(Unreachable):
            await adapter(JOB)
        await adapter.close()
        server.close()
        return seen

    [hello] = asyncio.run(main())
    assert KEY.encode() not in hello
    assert ssl.OPENSSL_VERSION  # there is TLS at all


def test_an_echo_of_the_key_is_told_nowhere(monkeypatch, caplog):
    monkeypatch.setenv("DESK_TOKEN", KEY)
    caplog.set_level(logging.DEBUG)
    error, _ = outcome(
        lambda posted: http({"error": posted.headers["authorization"]}, 401),
        headers={"Authorization": "Bearer ${DESK_TOKEN}"},
    )
    assert error.message == 'HTTP 401: {"error": "Bearer [DESK_TOKEN]"}'
    assert KEY not in caplog.text


# --- declarations ---


@pytest.mark.parametrize(
    "url",
    [
        "",
        "desk",
        "ftp://a.example/",
        "http://",
        "http:///x",
        "https://ann:planted@a.example/",
        "https://a.example/${KEY}",
        "http://a\nb/",
    ],
)
def test_what_is_no_address_is_told_before_anything_runs(url):
    with pytest.raises(TeamError) as error:
        from_http(url)
    assert error.value.place == ("url",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("A B", "x"), ("Host", "x"), ("idempotency-key", "x"), ("X", "a\nb"), ("X", "${"), ("X", "ü")],
)
def test_a_header_that_cant_be_is_told_too(name, value):
    with pytest.raises(TeamError) as error:
        from_http("http://a.example/", headers={name: value})
    assert error.value.place == ("headers", name)


def test_without_its_extra_the_mend_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'interlock\[http\]'"):
        from_http("http://a.example/")


TEAM = """
agents:
  triage:
    allowed_actions: [sort]
    context_access: [ticket]
    write_permissions: [ticket.category]
    http:
      url: {url}
      headers: {{Authorization: {authorization}}}
plan:
  - {{id: sort, agent: triage, action: sort}}
"""


def test_it_can_be_declared_in_a_team_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", KEY)

    async def main():
        async with endpoint(lambda _: FINE) as there:
            (tmp_path / "team.yaml").write_text(TEAM.format(url=there.url, authorization="'Bearer ${DESK_TOKEN}'"))
            async with il.Orchestrator(load(tmp_path), ":memory:") as orchestrator:
                run = await orchestrator.run({"ticket": {"text": "late"}})
            return run, there.posted

    run, [posted] = asyncio.run(main())
    assert (run.status, run.context["ticket.category"]) == ("succeeded", "cards")
    assert posted.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("url", "authorization", "why"),
    [
        ("ftp://a.example", "Bearer ${DESK_TOKEN}", "not an address"),
        ("https://ann:pw@a.example", "Bearer ${DESK_TOKEN}", "not an address"),
        ("https://a.example", "Bearer abc", "agents.triage.http.headers.Authorization holds a secret itself"),
        ("https://a.example", "Bearer ${", "not a text in which"),
    ],
)
def test_a_mistake_in_a_team_file_is_told_with_its_place(tmp_path, url, authorization, why):
    (tmp_path / "team.yaml").write_text(TEAM.format(url=url, authorization=f'"{authorization}"'))
    with pytest.raises(TeamError, match=why) as error:
        load(tmp_path)
    assert error.value.line > 7
