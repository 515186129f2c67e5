"""`notify test`, and what people are told of runs that the command line starts."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ASKING = """
import interlock as il
async def ask(job):
    return il.Reply(ask=il.Question("Refund?")) if not job.answer else {"first": job.answer}
def tell(message):
    (HERE / "told.log").open("a").write(message.title + "\\n")
def fail(message):
    raise ValueError("the line is dead")
"""


class Sink(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Keeping)
        self.told = []


class _Keeping(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def sink():
    with Sink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def declare(desk, notify):
    text = (desk.folder / "team.yaml").read_text("utf-8").replace("use: agents:work", "use: agents:ask")
    (desk.folder / "team.yaml").write_text(f"{text}notify: {json.dumps(notify)}\n")
    with (desk.folder / "agents.py").open("a") as file:
        file.write(ASKING)


def told(desk):
    log = desk.folder / "told.log"
    return log.read_text().splitlines() if log.exists() else []


def hook(sink):
    return {"SINK_URL": f"json://127.0.0.1:{sink.server_address[1]}/"}


@pytest.mark.slow
def test_a_test_goes_to_everybody_and_says_what_came_of_it(desk, sink):
    declare(desk, ["${SINK_URL}", {"use": "agents:tell", "on": ["dead"]}])
    ended = desk.run("notify", "test", ".", env=hook(sink))
    assert ended.code == 0, ended.err
    assert "delivered; told of question, breaker" in ended.out
    assert "delivered; told of dead" in ended.out
    assert "everybody was reached" in ended.out
    assert told(desk) == ["desk: a test"]
    assert [one["title"] for one in sink.told] == ["desk: a test"]


def test_who_was_not_reached_is_named(desk):
    declare(desk, ["${SINK_URL}", {"use": "agents:fail"}, {"use": "agents:tell"}])
    ended = desk.run("notify", "test", ".")
    assert ended.code == 1
    assert "there is no SINK_URL" in ended.out
    assert "the line is dead" in ended.out
    assert "2 of 3 recipients not reached" in ended.out
    found = json.loads(desk.run("notify", "test", ".", "--json").out)["recipients"]
    assert [(one["subject"], one["kind"], one["state"]) for one in found] == [
        ("SINK_URL", "url", "missing"),
        ("agents:fail", "use", "failed"),
        ("agents:tell", "use", "ok"),
    ]


def test_a_team_that_tells_nobody(desk):
    ended = desk.run("notify", "test", ".")
    assert (ended.code, ended.out) == (0, "nobody is told: the team has no notify\n")


@pytest.mark.slow
def test_a_run_that_waits_is_told_before_its_command_ends(desk, sink):
    declare(desk, ["${SINK_URL}", {"use": "agents:tell"}])
    desk.write("in.jsonl", "refund")
    assert desk.run("run", ".", "--input", "in.jsonl", env=hook(sink)).code == 3
    assert told(desk) == ["desk: work waits for a person"]
    [message] = [one["message"] for one in sink.told]
    command = message.partition("To answer it: interlock ")[2].split()
    shown = desk.run(*command)
    assert shown.code == 0, shown.err
    assert "Refund?" in shown.out


def test_what_cannot_be_told_here_is_said_and_kept(desk):
    declare(desk, ["${SINK_URL}"])
    desk.write("in.jsonl", "refund", "refund")
    ended = desk.run("run", ".", "--input", "in.jsonl")
    assert ended.code == 3
    assert ended.err.count("SINK_URL can't be told what waits for people: there is no SINK_URL") == 1


@pytest.mark.slow
def test_the_doctor_says_who_could_not_be_told(desk, sink):
    declare(desk, ["${SINK_URL}", {"use": "agents:tell"}])
    ended = desk.run("doctor", ".")
    assert ended.code == 1
    assert "there is no SINK_URL" in ended.out
    assert "every agent can work; 1 recipient of notices can't be told" in ended.out
    found = json.loads(desk.run("doctor", ".", "--json", env=hook(sink)).out)
    assert [(one["subject"], one["state"], one["text"]) for one in found["notify"]] == [
        ("SINK_URL", "ok", "JSON; told of question, breaker"),
        ("agents:tell", "ok", "agents:tell; told of question, breaker"),
    ]
    assert (sink.told, told(desk)) == ([], [])
