"""The contract of adapters: an honest one passes, and each that is broken is caught by the promise it breaks."""

import asyncio
import inspect
import json
import logging
import subprocess
import sys
import threading
import urllib.request
from contextlib import asynccontextmanager

import pytest

import interlock as il
from interlock.errors import AgentError, BadRequest

from . import bench as bench_module
from . import contract as contract_module
from .bench import Lane
from .contract import AdapterContract
from .reference import Honest


def lane(adapter, **more):
    def make(server, model, *, stream=False):
        return adapter(server.port, server.key, model, stream=stream)

    return Lane(adapter.__name__, make, streams=True, **more)


class TestOfTheReference(AdapterContract):
    lane = lane(Honest)


# --- broken on purpose ---


class SharesUsage(Honest):
    """Adds up what all its calls consume, as a client object does that lives longer than a call."""

    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.total = il.Usage()

    def usage(self, told):
        usage, total = super().usage(told), self.total
        self.total = il.Usage(
            usage.input_tokens + total.input_tokens,
            usage.output_tokens + total.output_tokens,
            cached_tokens=usage.cached_tokens + total.cached_tokens,
            requests=usage.requests + total.requests,
            model=usage.model,
        )
        return self.total


class SwapsUsage(Honest):
    """Reports what the last call consumed that ended, which need not be its own."""

    last: il.Usage | None = None

    def usage(self, told):
        self.last, mine = super().usage(told), self.last
        return mine or self.last


class LosesUsageOfErrors(Honest):
    def reply(self, message, finish, usage):
        try:
            return super().reply(message, finish, usage)
        except AgentError as error:
            error.usage = None
            raise


class Remembers(Honest):
    """Tells the model of the calls before, as an agent with a memory does."""

    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.said = []

    def messages(self, job):
        self.said += super().messages(job)
        return self.said


class Shields(Honest):
    """Gives up the call and leaves the work."""

    async def exchange(self, request):
        return await asyncio.shield(asyncio.create_task(super().exchange(request)))


class Swallows(Honest):
    """Takes a cancellation for a reason to try again."""

    async def exchange(self, request):
        while True:
            try:
                return await super().exchange(request)
            except asyncio.CancelledError:
                continue


class WorksInThreads(Honest):
    """Hands the work to a thread, which no cancellation reaches."""

    async def exchange(self, request):
        return await asyncio.to_thread(self.asked, request)

    def asked(self, request):
        body = request.partition(b"\r\n\r\n")[2]
        told = {"authorization": f"Bearer {self.key}"}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", body, told)
        with urllib.request.urlopen(asked) as answer:
            return answer.status, {}, answer.read()


class Blocks(WorksInThreads):
    """Does not even take a thread."""

    async def exchange(self, request):
        return self.asked(request)


class StopsLate(Honest):
    """Tidies up for a while before it lets go."""

    @asynccontextmanager
    async def connected(self):
        async with super().connected() as connection:
            try:
                yield connection
            except asyncio.CancelledError:
                await asyncio.sleep(0.6)
                raise


class GivesUpEarly(Honest):
    """Has a timeout of its own, shorter than the one it was given."""

    async def exchange(self, request):
        try:
            async with asyncio.timeout(0.1):
                return await super().exchange(request)
        except TimeoutError:
            raise AgentError("no answer") from None


class KeepsAnswers(Honest):
    kept: list[bytes] = []  # noqa: RUF012 - the leak

    async def exchange(self, request):
        self.kept.append(b"".join([request]))
        return await super().exchange(request)


class KeepsConnections(Honest):
    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.open = []

    async def exchange(self, request):
        self.open.append(await asyncio.open_connection("127.0.0.1", self.port))
        return await super().exchange(request)

    async def close(self):
        for _, writer in self.open:
            writer.transport.abort()
        await asyncio.sleep(0.01)


class LeavesTasks(Honest):
    async def exchange(self, request):
        self.watch = asyncio.create_task(asyncio.sleep(30))
        answer = await super().exchange(request)
        self.watch.cancel()
        return answer


class TidiesUpInTurns(Honest):
    """Ends its work after a cancellation, unless it is cancelled again meanwhile."""

    async def exchange(self, request):
        watch = asyncio.create_task(asyncio.sleep(30))
        try:
            return await super().exchange(request)
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            watch.cancel()


class LeavesThreads(Honest):
    async def exchange(self, request):
        gate = threading.Event()
        threading.Thread(target=gate.wait, args=(8,), daemon=True).start()
        answer = await super().exchange(request)
        gate.set()
        return answer


class LeavesProcesses(Honest):
    left: list[subprocess.Popen] = []  # noqa: RUF012 - for the test to tidy up

    async def exchange(self, request):
        self.start()
        answer = await super().exchange(request)
        self.tidy_up()
        return answer

    def start(self):
        self.left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]))

    @classmethod
    def tidy_up(cls):
        while cls.left:
            process = cls.left.pop()
            process.kill()
            process.wait()


class TellsTheKey(Honest):
    def error(self, status, headers, told):
        return BadRequest(told["error"]["message"])


class TellsTheKeyInItsCause(Honest):
    """The message is clean, but its traceback is not."""

    def error(self, status, headers, told):
        error = super().error(status, headers, told)
        error.__cause__ = ValueError(told["error"]["message"])
        return error


class LogsTheKey(Honest):
    def request(self, messages):
        request = super().request(messages)
        logging.getLogger("adapter").debug("asking: %r", request)
        return request


class PrintsTheKey(Honest):
    def request(self, messages):
        print("asking with", self.key)  # noqa: T201 - what is to be caught
        return super().request(messages)


class RepliesTheKey(Honest):
    def reply(self, message, finish, usage):
        return il.Reply(writes=super().reply(message, finish, usage).writes, output={"client": self.key}, usage=usage)


class TellsNothingApart(Honest):
    def error(self, status, headers, told):
        return AgentError(f"the model answered {status}")


class RaisesWhatItMeets(Honest):
    async def exchange(self, request):
        status, headers, payload = await super().exchange(request)
        if status != 200:
            raise RuntimeError(status)
        return status, headers, payload


class ForgetsRetryAfter(Honest):
    def error(self, status, headers, told):
        return super().error(status, {}, told)


class InventsRetryAfter(Honest):
    def error(self, status, headers, told):
        return super().error(status, {"retry-after": "1"} | headers, told)


class AsksAgain(Honest):
    """Has retries of its own below the engine's."""

    async def exchange(self, request):
        answer = await super().exchange(request)
        return answer if answer[0] == 200 else await super().exchange(request)


class StaysBroken(Honest):
    """A breaker of its own that never closes."""

    tripped: AgentError | None = None

    async def exchange(self, request):
        if self.tripped:
            raise self.tripped
        return await super().exchange(request)

    def error(self, status, headers, told):
        self.tripped = super().error(status, headers, told)
        return self.tripped


class HidesRefusals(Honest):
    def reply(self, message, finish, usage):
        return super().reply({"content": '{"category": "none", "priority": "none"}'}, "stop", usage)


class TakesHalfStreams(Honest):
    """Takes the end of the connection for the end of the answer."""

    async def exchange(self, request):
        status, headers, payload = await super().exchange(request)
        whole = payload.rpartition(b"\n\n")[0]
        text = b'{"category": "billing", "priority": "high"}'
        event = b'data: {"choices": [{"delta": {"content": %s}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        if self.stream and b"[DONE]" not in whole:
            payload = event % str(text.decode()).replace('"', '\\"').join('""').encode()
        return status, headers, payload


class Mangles(Honest):
    """Speaks only the Unicode of the first plane."""

    def reply(self, message, finish, usage):
        message = message | {"content": "".join(one if one < "\U00010000" else "?" for one in message["content"])}
        return super().reply(message, finish, usage)


class CutsTickets(Honest):
    def messages(self, job):
        told = super().messages(job)
        return [told[0], {"role": "user", "content": told[1]["content"][:100_000]}]


class TakesSurrogates(Honest):
    """Replaces what it can't read, so that nobody hears of it."""

    def reply(self, message, finish, usage):
        reply = super().reply(message, finish, usage)
        writes = {path: value.encode(errors="replace").decode() for path, value in reply.writes.items()}
        return il.Reply(writes=writes, usage=usage)


class WritesAll(Honest):
    """Writes whatever the model says."""

    def reply(self, message, finish, usage):
        reply = super().reply(message, finish, usage)
        said = json.loads(message["content"])
        return il.Reply(writes={f"ticket.{name}": said[name] for name in said}, usage=reply.usage)


class AnswersADict(Honest):
    def reply(self, message, finish, usage):
        return dict(super().reply(message, finish, usage).writes)


class ForgetsFeedback(Honest):
    def messages(self, job):
        return super().messages(
            il.Job(**{name: getattr(job, name) for name in job.__struct_fields__} | {"feedback": ()})
        )


class NeverBegins(Honest):
    async def call(self, job, began):
        return await super().call(job, lambda: None)


GOOD = "a_good_answer_is_a_reply_with_its_writes"
USAGE = "under_many_calls_at_once_each_reports_its_own_usage"
ERROR = "what_goes_wrong_is_an_error_that_says_whether_to_try_again"
STREAM = "the_same_goes_for_a_stream"
IN_TIME = "a_call_that_is_cancelled_stops_in_time"
ANYWHERE = "wherever_it_is_cancelled_nothing_stays_behind"
TWICE = "cancelled_twice_nothing_stays_behind"
SENDING = "cancelled_while_it_still_sends_nothing_stays_behind"
ANY_TURN = "cancelled_after_any_turn_of_the_loop_nothing_stays_behind"
SECRET = "the_key_is_in_no_error_no_log_and_no_reply"
LEAK = "a_thousand_calls_leak_nothing"
slow = pytest.mark.slow

BROKEN = [
    (NeverBegins, GOOD, (False,), "began was called 0 times"),
    (AnswersADict, GOOD, (False,), "answered a dict, not a Reply"),
    (ForgetsFeedback, "the_model_is_told_of_the_ticket_the_instructions_and_the_feedback", (), "False"),
    (SharesUsage, USAGE, (False,), "input_tokens"),
    (SwapsUsage, USAGE, (True,), "input_tokens"),
    (Remembers, USAGE, (False,), "was told of another call"),
    (LosesUsageOfErrors, "an_answer_that_is_refused_was_still_paid_for", ("refusal",), "not a Usage"),
    (Mangles, "any_unicode_comes_back_as_it_was", (False,), "ticket|na"),
    (TakesSurrogates, "text_that_is_not_unicode_is_refused", (), "became something else"),
    (CutsTickets, "a_ticket_of_a_megabyte_reaches_the_model_whole", (), "500000"),
    (TellsNothingApart, ERROR, ("limited",), "AgentError, not RateLimited"),
    (TellsNothingApart, ERROR, ("bad-request",), "AgentError, not BadRequest"),
    (RaisesWhatItMeets, ERROR, ("broken",), "which is no AgentError"),
    (ForgetsRetryAfter, ERROR, ("limited",), "None == 7"),
    (InventsRetryAfter, ERROR, ("limited-without-end",), "1.0 == None"),
    (AsksAgain, ERROR, ("overloaded",), "only the engine asks again"),
    (StaysBroken, ERROR, ("unavailable",), "it never recovered"),
    (HidesRefusals, ERROR, ("filtered",), "as if nothing was wrong"),
    (TakesHalfStreams, STREAM, ("cut",), "as if nothing was wrong"),
    (WritesAll, "what_the_model_makes_up_writes_nothing_else", ("extra",), "unasked"),
    (TellsTheKey, SECRET, ("unauthorised",), "the key is in .*str"),
    (TellsTheKeyInItsCause, SECRET, ("unauthorised",), "the key is in .*traceback"),
    (LogsTheKey, SECRET, ("normal",), "the key is in .*log"),
    (PrintsTheKey, SECRET, ("normal",), "the key is in .*log"),
    (RepliesTheKey, SECRET, ("normal",), "the key is in .*repr"),
    (Shields, IN_TIME, (False,), "still connected"),
    (WorksInThreads, IN_TIME, (False,), "still connected"),
    (Swallows, IN_TIME, (False,), "went on after it was cancelled"),
    (StopsLate, IN_TIME, (False,), "its work stopped after"),
    (GivesUpEarly, IN_TIME, (False,), "ended by itself"),
    (Shields, ANYWHERE, ("hung", False), "still connected"),
    (LeavesTasks, ANYWHERE, ("silent", False), "'tasks': 1"),
    (LeavesThreads, ANYWHERE, ("endless", False), "'threads': 1"),
    (LeavesProcesses, ANYWHERE, ("midway", False), "'processes': 1"),
    (TidiesUpInTurns, TWICE, (5,), "'tasks': 1"),
    (LeavesTasks, SENDING, (), "'tasks': 1"),
    (LeavesTasks, ANY_TURN, (), "'tasks':"),
    (Blocks, "the_loop_is_never_held_up", (), "the loop stood still for 2"),
    pytest.param(KeepsAnswers, LEAK, (), "bytes stay for every call", marks=slow),
    pytest.param(KeepsConnections, LEAK, (), "'files':", marks=slow),
]


@pytest.mark.parametrize(("adapter", "test", "case", "why"), BROKEN)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_what_is_broken_is_caught(adapter, test, case, why, monkeypatch):
    for module in (bench_module, contract_module):
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.8)
    monkeypatch.setattr(contract_module, "TRIES", 1)
    contract = AdapterContract()
    contract.lane = lane(adapter)
    try:
        with pytest.raises(AssertionError, match=why):
            getattr(contract, f"test_{test}")(*case)
    finally:
        LeavesProcesses.tidy_up()
        KeepsAnswers.kept.clear()


def test_every_promise_has_been_seen_to_catch_something():
    caught = {f"test_{row.values[1] if hasattr(row, 'values') else row[1]}" for row in BROKEN}
    assert caught == {name for name, _ in inspect.getmembers(AdapterContract, callable) if name.startswith("test_")}
