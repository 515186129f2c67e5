"""An MCP server without a library, run as a program: it says whatever a file has it say, by method, as JSON.

`{"tools/list": {"result": ...}}`; in place of a message there may be the name of a misdeed.
"""

import itertools
import json
import os
import pathlib
import sys
import time

SAID = json.loads(pathlib.Path(sys.argv[1]).read_text())
MANY = 90
HELLO = {
    "server/discover": {"error": {"code": -32601, "message": "unknown"}},
    "initialize": {
        "result": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw", "version": "1"},
        }
    },
    "tools/list": {"result": {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}},
}


def send(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def misdo(what):
    if what == "exit":
        sys.exit("it can't go on")
    while what == "endless line":
        sys.stdout.write("x" * 65536)
    if what == "close":
        os.close(1)
    if what == "sleep":
        time.sleep(600)
    for number in itertools.count() if what == "endless pings" else range(MANY if what == "many pings" else 0):
        send(json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}))


for line in sys.stdin:
    asked = json.loads(line)
    answer = {**HELLO, **SAID}.get(asked.get("method"))
    if isinstance(answer, str):
        misdo(answer)
    elif answer is not None and "id" in asked:
        send("starting up, not JSON")
        for part in answer if isinstance(answer, list) else [answer]:
            send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **part}))
