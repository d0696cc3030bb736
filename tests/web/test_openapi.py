"""The description of the API says what the server does: every route, every shape."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.web.openapi import description
from app.web.routes import ROUTES
from tests.e2e.harness import MODEL, Server

HI = [{"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def problems(name: str, value: Any) -> list[str]:
    """Return what a value lacks of a described shape, and every field that the shape does not know."""
    document = {**description(), "$ref": f"#/components/schemas/{name}"}
    wrong = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(document).iter_errors(value)]
    return wrong + unknown(document["components"]["schemas"], {"$ref": document["$ref"]}, value, name)


def unknown(schemas: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> list[str]:
    if "$ref" in schema:
        return unknown(schemas, schemas[schema["$ref"].rpartition("/")[2]], value, path)
    if "discriminator" in schema:
        kinds = schema["discriminator"]
        return unknown(schemas, {"$ref": kinds["mapping"][value[kinds["propertyName"]]]}, value, path)
    if "anyOf" in schema:
        named = [each for each in schema["anyOf"] if "$ref" in each]
        return unknown(schemas, named[0], value, path) if named and value is not None else []
    if isinstance(value, list):
        return [each for item in value for each in unknown(schemas, schema["items"], item, f"{path}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    found = [f"{path}.{name} is not described" for name in value if name not in schema["properties"]]
    for name, inner in schema["properties"].items():
        found += unknown(schemas, inner, value.get(name), f"{path}.{name}")
    return found


async def test_it_is_served_and_describes_every_route(server: Server) -> None:
    served = await server.client.get("/openapi.json")
    assert (served.status, served.body["openapi"]) == (200, "3.1.0")
    described = {(method.upper(), path) for path, methods in served.body["paths"].items() for method in methods}
    assert described == {(method, path) for method, path, _ in ROUTES}


def test_every_reference_leads_to_a_schema_and_every_schema_is_one() -> None:
    document = description()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)

    def references(value: Any) -> list[str]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value["$ref"]] if isinstance(value, dict) and "$ref" in value else []
        return own + [each for part in inner for each in references(part)]

    found = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert found <= schemas.keys()
    assert schemas.keys() - found == {"ChatCompletionChunk"}, "only told of in words"


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/", "ServerInfo"),
        ("/health", "Health"),
        ("/ready", "Readiness"),
        ("/v1/models", "ModelList"),
        (f"/v1/models/{MODEL}", "Model"),
        ("/v1/models/none", "Error"),
        ("/nowhere", "Error"),
    ],
)
async def test_what_is_read_has_its_shape(server: Server, path: str, shape: str) -> None:
    assert not problems(shape, (await server.client.get(path)).body)


CALL = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>'
ANSWERS: list[tuple[str, str, dict[str, Any]]] = [
    ("One two.", "stop", {}),
    ("One two.", "stop", {"enable_thinking": False, "stream_options": {"include_usage": True}}),
    (CALL, "tool_calls", {"tools": [WEATHER]}),
    (CALL, "function_call", {"functions": [WEATHER["function"]]}),
]


@pytest.mark.parametrize(("answer", "reason", "fields"), ANSWERS)
async def test_an_answer_has_its_shape_whole_and_in_pieces(
    server: Server, answer: str, reason: str, fields: dict[str, Any]
) -> None:
    for stream, shape in ((False, "ChatCompletion"), (True, "ChatCompletionChunk")):
        server.emulator.script.answer(answer, thinking=["I look."])
        reply = await server.client.chat(HI, stream=stream, **fields)
        assert (reply.status, reply.finish_reason) == (200, reason), reply
        for part in reply.chunks or [reply.body]:
            assert not problems(shape, part)


async def test_a_response_has_its_shape_also_where_it_is_kept(server: Server) -> None:
    weather = {"type": "function", **WEATHER["function"]}  # type: ignore[dict-item]
    server.emulator.script.answer(CALL, thinking=["I look."])
    made = await server.client.post("/v1/responses", {"model": MODEL, "input": "hi", "tools": [weather]})
    assert [item["type"] for item in made.body["output"]] == ["reasoning", "function_call"]
    assert not problems("Response", made.body)
    assert not problems("KeptResponse", (await server.client.get(f"/v1/responses/{made.body['id']}")).body)


async def test_a_message_and_its_error_have_their_shapes(server: Server) -> None:
    tool = {"name": "weather", "input_schema": {"type": "object"}}
    body = {"model": MODEL, "max_tokens": 1000, "messages": HI, "tools": [tool], "thinking": {"type": "adaptive"}}
    assert not problems("MessagesBody", body)
    server.emulator.script.answer(f"I look.\n{CALL}", thinking=["Hm."])
    made = await server.client.post("/v1/messages", body)
    assert [block["type"] for block in made.body["content"]] == ["thinking", "text", "tool_use"]
    assert not problems("AnthropicMessage", made.body)
    searching = {**body, "messages": [{"role": "user", "content": "Search the web for tides"}]}
    found = await server.client.post(
        "/v1/messages", {**searching, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    )
    assert any(block.get("citations") for block in found.body["content"])
    assert not problems("AnthropicMessage", found.body)
    refused = await server.client.post("/v1/messages", {**body, "max_tokens": 0})
    assert refused.status == 400
    assert not problems("AnthropicError", refused.body)


@pytest.mark.parametrize("fault", ["error_in_stream_text", "rate_limited"])
async def test_an_error_has_its_shape_also_in_a_stream(server: Server, fault: str) -> None:
    server.emulator.script.answer("One two.", pieces=["One ", "two."], fault=fault)
    reply = await server.client.chat(HI, stream=True, enable_thinking=False)
    assert not problems("Error", {"error": reply.error})


def test_a_field_that_is_decoded_is_described() -> None:
    body = {"model": "m", "messages": [*HI, {"role": "tool", "content": [{"type": "text"}], "tool_call_id": "c"}]}
    assert not problems("ChatBody", {**body, "tools": [WEATHER], "stop": ["x"], "max_tokens": 5})
    assert problems("ChatBody", {"model": "m"})
    assert problems("ChatBody", {**body, "max_tokens": "5"})
    assert problems("ChatBody", {"model": "m", "messages": [{"role": "odd"}]})
