"""What the model server answers: chat completions, responses, and the plain endpoint of an agent; whole or streamed."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from .model_behaviours import Behaviour, as_json

ANSWER = {"category": "billing", "priority": "high"}
ECHO_FROM, ECHO_TO = "{{echo:", ":echo}}"
IN_WORDS = "that fits this JSON Schema: "
DEPTH_MAX = 12
DELTA_CHARS = 12
ESCAPES_MAX = 3
CREATED = 1_700_000_000


@dataclass(frozen=True)
class Count:
    """The tokens of one request, as the server counts them: they hang on its body alone, so no two are alike."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int

    @classmethod
    def of(cls, raw: bytes) -> "Count":
        digest = hashlib.sha256(raw).digest()
        numbers = [int.from_bytes(digest[n : n + 4], "big") for n in (0, 4, 8)]
        return cls(10_000 + numbers[0] % 90_000, 100 + numbers[1] % 9_900, 1 + numbers[2] % 9_999)


@dataclass(frozen=True)
class Turn:
    """What the model says: text, or why not, or a tool it wants called with JSON as its arguments."""

    text: str = ""
    refusal: str = ""
    finish: str = "stop"
    tool: str = ""
    arguments: str = ""


@dataclass(frozen=True)
class Stream:
    """Server-sent events; the one at `repeats` may come any number of times."""

    frames: list[bytes]
    repeats: int


# --- what is said ---


def turn_of(path: str, body: dict[str, Any], behaviour: Behaviour) -> Turn:
    """What the model says to a request: an answer valid for what was asked, as its behaviour then renders it."""
    if behaviour.tool:
        return Turn(tool=behaviour.tool, arguments='{"now": true}', finish="tool_calls")
    if behaviour.refusal or behaviour.finish:
        return Turn(refusal=behaviour.refusal, finish=behaviour.finish or "stop")
    known: dict[str, Any] = ANSWER | {
        key: _echoed(body) if value is None else value for key, value in behaviour.knows.items()
    }
    if path.startswith("/agent"):
        return Turn(behaviour.says({f"ticket.{key}": value for key, value in known.items()}))
    schema = _schema(body)
    tool = _tool_to_call(body, asked_for_text=schema is not None)
    if tool is not None:
        arguments = behaviour.says(filled(tool.get("parameters") or {"type": "object"}, known))
        return Turn(tool=tool["name"], arguments=arguments, finish="tool_calls")
    schema = schema or _schema_in_words(body)
    return Turn(behaviour.says(known if schema is None else filled(schema, known)))


def _echoed(body: dict[str, Any]) -> str:
    """The text between the marks, which holds no backslash: where there is one, it was written as JSON in a message."""
    for text in _texts(body):
        if ECHO_FROM in text:
            between = text.partition(ECHO_FROM)[2].partition(ECHO_TO)[0]
            for _ in range(ESCAPES_MAX):
                between = json.loads(f'"{between}"', strict=False) if "\\" in between else between
            return between
    return "nothing to echo"


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _texts(part)]


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that the answer is to fit, if any."""
    chat = (body.get("response_format") or {}).get("json_schema") or {}
    response = (body.get("text") or {}).get("format") or {}
    return chat.get("schema") or response.get("schema")


def _schema_in_words(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that a prompt tells, for models that are not given it by other means."""
    for text in _texts(body):
        _, told, after = text.partition(IN_WORDS)
        if told:
            schema, _ = json.JSONDecoder().raw_decode(after)
            return schema
    return None


def _tool_to_call(body: dict[str, Any], *, asked_for_text: bool) -> dict[str, Any] | None:
    """The tool that must be called, then one that was not called yet, then the one that takes the answer."""
    tools = [tool.get("function") or tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        wanted = (choice.get("function") or choice).get("name")
        return next((tool for tool in tools if tool["name"] == wanted), None)
    answers = [tool for tool in tools if _takes_answer(tool)]
    others = [tool for tool in tools if tool not in answers]
    said = body.get("messages") or (body["input"] if isinstance(body.get("input"), list) else [])
    called = any(item.get("role") == "tool" or item.get("type") == "function_call_output" for item in said)
    if others and not called:
        return others[0]
    return answers[0] if answers and not asked_for_text else None


def _takes_answer(tool: dict[str, Any]) -> bool:
    return tool["name"].startswith("final_result") or '"priority"' in json.dumps(tool).replace("ticket.", "")


def filled(schema: dict[str, Any], known: dict[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value valid for a JSON schema; `known` values stand where their names do and they fit."""
    root = known if depth else {**known, "$defs": schema.get("$defs", {})}
    if depth > DEPTH_MAX:
        return None
    if "$ref" in schema:
        return filled(root["$defs"][schema["$ref"].rpartition("/")[2]], root, name, depth + 1)
    leaf = name.rpartition(".")[2]
    if leaf in ANSWER and _takes(schema, root[leaf]):
        return root[leaf]
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            options = [option for option in schema[word] if option.get("type") != "null"]
            return filled((options or schema[word])[0], root, name, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_kind(kind[0] if isinstance(kind, list) else kind, schema, root, name, depth)


def _takes(schema: dict[str, Any], value: Any) -> bool:
    kind = schema.get("type", "string")
    return value in schema.get("enum", [value]) and value == schema.get("const", value) and "string" in kind


def _of_kind(kind: str, schema: dict[str, Any], root: dict[str, Any], name: str, depth: int) -> Any:
    if kind == "object":
        parts = schema.get("properties", {})
        return {key: filled(part, root, key, depth + 1) for key, part in parts.items()}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [filled(schema.get("items", {}), root, name, depth + 1) for _ in range(count)]
    if kind in {"integer", "number"}:
        least = schema.get("minimum", 0)
        return least if kind == "integer" else max(0.5, least)
    return {"boolean": True, "null": None}.get(kind, "x" * max(7, schema.get("minLength", 0)))


# --- how it travels ---


def whole(path: str, body: dict[str, Any], turn: Turn, count: Count) -> bytes:
    """The body of an answer that isn't streamed."""
    if path.startswith("/agent"):
        return _agent(body, turn, count)
    payload = _response(body, turn, count) if path.endswith("/responses") else _completion(body, turn, count)
    # ASCII, so that a text that is not Unicode travels as an escape, as it does in the world.
    return json.dumps(payload).encode()


def streamed(path: str, body: dict[str, Any], turn: Turn, count: Count) -> Stream:
    """The same as server-sent events."""
    return _response_events(body, turn, count) if path.endswith("/responses") else _chunks(body, turn, count)


def _agent(body: dict[str, Any], turn: Turn, count: Count) -> bytes:
    """An agent behind an address: the fields of a Reply. What is no JSON there is no JSON here."""
    usage = {**vars(count), "requests": 1, "model": body.get("model", "")}
    if turn.tool:
        return as_json({"tool": turn.tool, "usage": usage}).encode()
    if turn.refusal or turn.finish != "stop":
        return as_json({"refused": turn.refusal or turn.finish, "usage": usage}).encode()
    try:
        return json.dumps({"writes": json.loads(turn.text), "usage": usage}).encode()
    except ValueError:
        return turn.text.encode()


def _call(turn: Turn) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": turn.tool, "arguments": turn.arguments}}


def _chat_usage(count: Count) -> dict[str, Any]:
    return {
        "prompt_tokens": count.input_tokens,
        "completion_tokens": count.output_tokens,
        "total_tokens": count.input_tokens + count.output_tokens,
        "prompt_tokens_details": {"cached_tokens": count.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _completion(body: dict[str, Any], turn: Turn, count: Count) -> dict[str, Any]:
    message = {"role": "assistant", "content": turn.text, "refusal": turn.refusal or None}
    if turn.tool or turn.refusal or turn.finish == "content_filter":
        message["content"] = None
    if turn.tool:
        message["tool_calls"] = [_call(turn)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": turn.finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": body.get("model")}
    return {**head, "choices": [choice], "usage": _chat_usage(count)}


def _chunks(body: dict[str, Any], turn: Turn, count: Count) -> Stream:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED, "model": body.get("model")}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    if turn.tool:
        started = {**_call(turn), "index": 0}
        started["function"] = {"name": turn.tool, "arguments": ""}
        deltas = [{"tool_calls": [started]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in _parts(turn.arguments)]
    else:
        deltas = [{"refusal" if turn.refusal else "content": part} for part in _parts(turn.refusal or turn.text)]
    frames = [chunk({"role": "assistant"}), *map(chunk, deltas), chunk({}, turn.finish)]
    if (body.get("stream_options") or {}).get("include_usage"):
        frames.append(_event({**head, "choices": [], "usage": _chat_usage(count)}))
    return Stream([*frames, b"data: [DONE]\n\n"], len(deltas))


def _response(body: dict[str, Any], turn: Turn, count: Count) -> dict[str, Any]:
    usage = {
        "input_tokens": count.input_tokens,
        "input_tokens_details": {"cached_tokens": count.cached_tokens},
        "output_tokens": count.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": count.input_tokens + count.output_tokens,
    }
    head = {"id": "resp_1", "object": "response", "created_at": CREATED, "model": body.get("model"), "error": None}
    if turn.finish == "content_filter":
        ended = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []}
    else:
        ended = {"status": "completed", "incomplete_details": None, "output": [_item(turn)]}
    settings = {"instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0}
    tools = {"tool_choice": "auto", "tools": body.get("tools") or []}
    return {**head, **ended, **settings, **tools, "usage": usage}


def _item(turn: Turn) -> dict[str, Any]:
    if turn.tool:
        call = {"name": turn.tool, "arguments": turn.arguments, "status": "completed"}
        return {"id": "fc_1", "type": "function_call", "call_id": "call_1", **call}
    part: dict[str, Any] = {"type": "refusal", "refusal": turn.refusal}
    if not turn.refusal:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _response_events(body: dict[str, Any], turn: Turn, count: Count) -> Stream:
    response = _response(body, turn, count)
    begun = ("created", {"response": {**response, "status": "in_progress", "output": [], "usage": None}})
    told, repeats = _item_events(turn) if response["output"] else ([], 0)
    frames = [
        _event({"type": f"response.{name}", "sequence_number": number, **data}, f"response.{name}")
        for number, (name, data) in enumerate([begun, *told, (response["status"], {"response": response})])
    ]
    return Stream(frames, 1 + repeats)


def _item_events(turn: Turn) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """What is told of a piece of output, and which of it may be told again and again."""
    item = _item(turn)
    begun = {**item, "status": "in_progress"} | ({"arguments": ""} if turn.tool else {"content": []})
    kind = "function_call_arguments" if turn.tool else "refusal" if turn.refusal else "output_text"
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
    if not turn.tool:
        place["content_index"] = 0
    whole_text = turn.arguments or turn.refusal or turn.text
    ends = {"output_text": "text", "refusal": "refusal", "function_call_arguments": "arguments"}[kind]
    more = {"logprobs": []} if kind == "output_text" else {"name": turn.tool} if turn.tool else {}
    parts = _parts(whole_text)
    events: list[tuple[str, dict[str, Any]]] = [
        ("output_item.added", {"output_index": 0, "item": begun}),
    ]
    if not turn.tool:
        blank = {**item["content"][0], ends: ""}
        events.append(("content_part.added", {**place, "part": blank}))
    events += [(f"{kind}.delta", {**place, "delta": part, "logprobs": []}) for part in parts]
    repeats = len(events) - 1
    events.append((f"{kind}.done", {**place, ends: whole_text, **more}))
    if not turn.tool:
        events.append(("content_part.done", {**place, "part": item["content"][0]}))
    events.append(("output_item.done", {"output_index": 0, "item": item}))
    return events, repeats


def _parts(text: str) -> list[str]:
    return [text[at : at + DELTA_CHARS] for at in range(0, len(text), DELTA_CHARS)] or [""]


def _event(data: dict[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"
