"""The model server: it answers as it is told, counts by the request alone, and knows when a client hangs up."""

import asyncio
import json

import pytest

import interlock as il

from .model_answers import ANSWER, Count, filled
from .model_behaviours import BEHAVIOURS
from .model_server import ModelServer
from .scenes import in_loop, until

SCHEMA = {"type": "object", "properties": {"category": {"type": "string"}, "priority": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}}
USER = [{"role": "user", "content": "Sort it."}]


@pytest.fixture
def server():
    with ModelServer() as server:
        yield server


async def post(server, body, path="/v1/chat/completions", more=""):
    """The status and the body of an answer, as far as it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    payload = json.dumps(body).encode()
    writer.write(f"POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {len(payload)}\r\n{more}\r\n".encode())
    writer.write(payload)
    head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), answer


async def said(server, **body):
    _, answer = await post(server, {"model": "normal", "messages": USER, **body})
    return json.loads(answer)["choices"][0]["message"]


@in_loop
async def test_an_answer_fits_what_was_asked_for(server):
    assert json.loads((await said(server))["content"]) == ANSWER
    assert json.loads((await said(server, response_format=FORMAT))["content"]) == ANSWER
    tools = [{"type": "function", "function": {"name": "Answer", "parameters": SCHEMA}}]
    [call] = (await said(server, tools=tools))["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("Answer", ANSWER)


@in_loop
async def test_a_tool_is_called_once_before_the_answer(server):
    tools = [{"type": "function", "function": TOOL}]
    [call] = (await said(server, tools=tools))["tool_calls"]
    assert call["function"] == {"name": "look_up", "arguments": '{"id": 0}'}
    after = [*USER, {"role": "tool", "content": "found", "tool_call_id": call["id"]}]
    assert json.loads((await said(server, tools=tools, messages=after))["content"]) == ANSWER


@in_loop
async def test_a_response_is_the_same_by_another_name(server):
    asked = {"model": "normal", "input": "Sort it.", "text": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    _, answer = await post(server, asked, "/v1/responses")
    response = json.loads(answer)
    assert json.loads(response["output"][0]["content"][0]["text"]) == ANSWER
    assert response["usage"]["input_tokens"] == server.requests[0].usage.input_tokens


@in_loop
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_stream_is_put_together_from_its_events(server, path):
    body = {"model": "normal", "messages": USER, "stream": True, "stream_options": {"include_usage": True}}
    _, answer = await post(server, body, path)
    events = [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: {")]
    deltas = [e["choices"][0]["delta"].get("content") or "" if e.get("choices") else "" for e in events]
    deltas += [e["delta"] for e in events if e.get("type") == "response.output_text.delta"]
    assert json.loads("".join(deltas)) == ANSWER
    assert str(server.requests[0].usage.input_tokens) in json.dumps(events[-1])


@in_loop
async def test_what_it_counts_hangs_on_the_request_alone(server):
    bodies = [{"model": "normal", "messages": [{"role": "user", "content": str(n)}]} for n in range(50)]
    answers = await asyncio.gather(*(post(server, body) for body in bodies))
    told = [json.loads(answer)["usage"]["prompt_tokens"] for _, answer in answers]
    assert told == [Count.of(json.dumps(body).encode()).input_tokens for body in bodies]
    assert len(set(told)) > 45


@in_loop
async def test_an_agent_behind_an_address_answers_with_the_fields_of_a_reply(server):
    _, answer = await post(server, {"view": {}}, "/agent/normal")
    told = json.loads(answer)
    assert told["writes"] == {"ticket.category": "billing", "ticket.priority": "high"}
    assert il.Usage(**told["usage"]).requests == 1


@in_loop
async def test_a_script_goes_on_with_its_last_behaviour(server):
    server.behave("m", "limited", "broken", "normal")
    statuses = [(await post(server, {"model": "m", "messages": USER}))[0] for _ in range(4)]
    assert statuses == [429, 500, 200, 200]
    server.answers("🙂\x00")
    assert (await said(server))["content"] == "🙂\x00"


@in_loop
@pytest.mark.parametrize("model", [name for name, one in BEHAVIOURS.items() if one.status != 200])
async def test_an_error_has_its_status(server, model):
    status, answer = await post(server, {"model": model}, more=f"authorization: Bearer {server.key}\r\n")
    assert status == BEHAVIOURS[model].status
    assert (server.key in json.loads(answer)["error"]["message"]) == (model == "unauthorised")


@in_loop
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["silent", "hung", "midway", "endless"])
async def test_a_client_that_hangs_up_is_noticed(server, model, stream):
    task = asyncio.create_task(post(server, {"model": model, "messages": USER, "stream": stream}))
    request = await server.asked("Sort it.")
    await asyncio.sleep(0.02)
    assert (task.done(), request.closed_at) == (False, None)
    server.hang_up()
    await asyncio.wait({task})
    assert await server.closed(request) > request.at
    await until(lambda: not server.wires)


@in_loop
async def test_it_stops_whatever_hangs_on_it(server):
    with ModelServer() as other:
        task = asyncio.create_task(post(other, {"model": "silent"}))
        await other.asked()
    await asyncio.wait({task})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"ticket.category": {"type": "string"}}}, {"ticket.category": "billing"}),
        ({"properties": {"category": {"enum": ["billing", "other"]}}}, {"category": "billing"}),
        ({"properties": {"category": {"enum": ["a", "b"]}}}, {"category": "a"}),
        ({"properties": {"priority": {"type": "integer", "minimum": 1}}}, {"priority": 1}),
        ({"properties": {"x": {"anyOf": [{"type": "null"}, {"type": "number"}]}}}, {"x": 0.5}),
        (
            {"properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": "array", "items": {}}}},
            {"x": ["xxxxxxx"]},
        ),
        ({"properties": {"x": {"type": ["string", "null"], "minLength": 9}}}, {"x": "x" * 9}),
    ],
)
def test_a_schema_is_filled_with_what_fits(schema, value):
    assert filled(schema, ANSWER) == value
