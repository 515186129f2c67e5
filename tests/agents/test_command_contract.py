"""The adapter of commands keeps the contract."""

import os
import sys

import pytest

from interlock.agents.command import from_command

from .bench import Lane
from .contract import AdapterContract

# Asks an endpoint, and tells an error of it as a program does.
ASKS = """
import http.client, json, os, sys
key = os.environ["DESK_API_KEY"]
asked = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
asked.request("POST", "/agent/" + sys.argv[2], sys.stdin.buffer.read(), {"authorization": "Bearer " + key})
answer = asked.getresponse()
if answer.status == 200:
    sys.stdout.buffer.write(answer.read())
    sys.exit()
told = answer.read().decode()
kinds = {429: "rate_limited", 401: "access_denied", 400: "bad_request"}
kind = "context_too_long" if "context_length" in told else kinds.get(answer.status, "overloaded")
after = answer.headers["retry-after"]
failure = {"kind": kind, "message": told, "retry_after": after and float(after)}
print(json.dumps({"error": failure}))
print("asked with", key, file=sys.stderr)
"""


def make(server, model):
    os.environ["DESK_API_KEY"] = server.key
    run = [sys.executable, "-S", "-I", "-c", ASKS, str(server.port), model]
    return from_command(run, env={"DESK_API_KEY": "${DESK_API_KEY}"})


class TestOfCommands(AdapterContract):
    lane = Lane("command", make, stops="process", usage_of_errors=False)

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch):
        monkeypatch.setenv("DESK_API_KEY", "")
