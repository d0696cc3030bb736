"""Bodies that would break or stall a careless reader are answered at once, by an error that names what is wrong."""

import asyncio
import json
from io import BytesIO
from typing import Any

import pytest

from tests.e2e.harness import MODEL, Server

HI = [{"role": "user", "content": "hi"}]
ASKED = [*HI, {"role": "assistant", "content": "x"}]
SECONDS = 5.0


def body(messages: Any = HI, **fields: Any) -> str:
    return json.dumps({"model": MODEL, "messages": messages, **fields})


def parts(count: int, **part: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part] * count}]


def nested(levels: int) -> str:
    return '{"a":' * levels + "{}" + "}" * levels


def with_parameters(levels: int) -> str:
    tool = body(tools=[{"type": "function", "function": {"name": "f", "parameters": "HERE"}}])
    return tool.replace('"HERE"', nested(levels))


def with_schema(levels: int) -> str:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": "HERE"}}
    return body(response_format=wanted).replace('"HERE"', nested(levels))


def answered(text: str) -> str:
    return body([*HI, {"role": "assistant", "content": text}, *HI])


REFUSED = {
    "a field nested without end": (body(x="HERE").replace('"HERE"', "[" * 100_000 + "]" * 100_000), None, "nested"),
    "parameters nested deeply": (with_parameters(500), "tools", "nested more than 100 levels"),
    "a schema nested deeply": (with_schema(500), "response_format.json_schema.schema", "nested more than 100 levels"),
    "half a character": (body([{"role": "user", "content": "a\ud83d"}]), None, "in the middle of a character"),
    "half a character as a name": (body(**{"\udc00": 1}), None, "in the middle of a character"),
    "a number without end": (body(max_tokens=1).replace(": 1}", ": 1e400}"), "max_tokens", "out of range"),
    "too many messages": (body(HI * 20_001), "messages", "at most 20,000"),
    "too many parts": (body(parts(50_001, type="text", text="a")), "messages[0]", "more than 50,000 parts and calls"),
    "too many parts in all": (
        body([*parts(25_000, type="text", text="a"), *parts(25_001, type="text", text="a")]),
        "messages[1]",
        "more than 50,000 parts and calls",
    ),
    "too many calls": (
        body([*HI, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}] * 50_001}, *HI]),
        "messages[1]",
        "more than 50,000 parts and calls",
    ),
    "too many files": (
        body(parts(5001, type="image_url", image_url={"url": "http://a/b.png"})),
        "messages[0].content[5000]",
        "more than 5,000 files",
    ),
    "parameters without end": (
        body(
            tools=[
                {"type": "function", "function": {"name": "f", "parameters": dict.fromkeys(map(str, range(50_001)))}}
            ]
        ),
        "tools",
        "larger than 50,000 values",
    ),
    "a name without end": (body(model="x" * 100_000), "model", "does not exist"),
    "a name of suffixes": (body(model="qwen" + "-fast-thinking-search" * 5000), "model", "does not exist"),
}

SERVED = {
    "parameters nested a little": with_parameters(50),
    "numbers of many digits": body(max_tokens=10**300, thinking_budget=2**70),
    "text that looks like JSON": body([{"role": "user", "content": "[" * 20_000}]),
    "a long text that looks like JSON": body([{"role": "user", "content": "[" * 100_000}]),
    "a long conversation": body([*ASKED * 9000, *HI]),
    "thinking that never ends": answered("<think>" * 10_000),
    "details that never end": answered('<details type="reasoning">' * 3000),
    "details without a head": answered("<details " * 9000),
    "many blanks before a switch": body([{"role": "user", "content": "x" + " " * 60_000 + "y think"}]),
    "a schema that refers to itself": body(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}], tool_choice="required"
    ),
    "a schema that is none": body(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "odd", "properties": 3}}}]
    ),
    "many parts": body(parts(50_000, type="text", text="a")),
}


async def post(server: Server, text: str) -> tuple[int, Any]:
    url, headers = f"{server.url}/v1/chat/completions", {"Content-Type": "application/json"}
    async with (
        asyncio.timeout(SECONDS),
        server.client.session.post(url, data=BytesIO(text.encode()), headers=headers) as response,
    ):
        return response.status, await response.json()


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_served_is_refused_by_name(server: Server, name: str) -> None:
    text, param, words = REFUSED[name]
    status, answer = await post(server, text)
    assert 400 <= status < 500
    assert (answer["error"]["type"], answer["error"]["param"]) == ("invalid_request_error", param)
    assert words in answer["error"]["message"]


@pytest.mark.no_cover  # for its volume
@pytest.mark.parametrize("name", SERVED)
async def test_what_only_looks_hostile_is_served(server: Server, name: str) -> None:
    status, answer = await post(server, SERVED[name])
    assert status == 200, answer
    assert answer["choices"][0]["message"]["role"] == "assistant"
