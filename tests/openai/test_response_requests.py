"""A Responses request is decoded once; what is wrong with it is said with the field's name."""

import json
from typing import Any

import pytest

from app.core.messages import Message, ToolCall
from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, PreviousResponseNotFound
from app.openai.response_requests import ResponseCall, answer_name, decode_body, read_body, response_id
from tests.samples import PNG, data_url

DIGITS = "0123456789abcdef0123456789abcdef"
TOOL = {"type": "function", "name": "f", "description": "does", "parameters": {"type": "object"}, "strict": True}
F = Tool("f", "does", {"type": "object"})


def decode(given: Any = "hi", **fields: Any) -> ResponseCall:
    return read_body(*decode_body(json.dumps({"model": "qwen", "input": given, **fields}).encode()), "owner")


def refusal(given: Any = "hi", **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        decode(given, **fields)
    return refused.value.message, refused.value.param


def test_a_text_is_the_users() -> None:
    request = decode("hi").request
    assert (request.messages, request.instructions, request.follows) == ((Message("user", "hi"),), "", None)


def test_items_of_every_role_are_messages_with_or_without_a_type() -> None:
    items = [
        {"role": "developer", "content": "S"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b", "annotations": []}, {"type": "refusal", "refusal": "c"}],
        },
        {"role": "user", "content": "d"},
    ]
    assert decode(items).request.messages == (
        Message("system", "S"),
        Message("user", "a"),
        Message("assistant", "bc"),
        Message("user", "d"),
    )


def test_calls_belong_to_the_answer_that_they_follow() -> None:
    items = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}', "id": "fc_1"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c3", "output": [{"type": "input_image", "image_url": "x"}]},
    ]
    assert decode(items).request.messages[1:] == (
        Message("assistant", "I look.", (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "{}"))),
        Message("tool", "one", tool_call_id="c1"),
        Message("tool", "two", tool_call_id="c2"),
        Message("assistant", "", (ToolCall("c3", "f", "{}"),)),
        Message("tool", "[input_image not passed on]", tool_call_id="c3"),
    )


def test_files_of_a_user_come_along() -> None:
    parts = [
        {"type": "input_image", "image_url": data_url(PNG, "image/png"), "detail": "auto"},
        {"type": "input_file", "file_id": "file-1"},
    ]
    [message] = decode([{"role": "user", "content": parts}]).request.messages
    assert [file.kind for file in message.attachments] == ["image", "document"]


def test_what_a_request_says_reaches_the_core() -> None:
    request = decode(
        instructions="Be brief.",
        max_output_tokens=100,
        reasoning={"effort": "none", "summary": "auto"},
        previous_response_id=f"resp_{DIGITS}",
    ).request
    assert (request.instructions, request.max_tokens, request.thinking) == ("Be brief.", 100, False)
    assert request.follows == f"node_{DIGITS}"


@pytest.mark.parametrize(
    ("fields", "use"),
    [
        ({"tools": [TOOL]}, ToolUse((F,))),
        ({"tools": [TOOL], "parallel_tool_calls": False}, ToolUse((F,), parallel=False)),
        ({"tools": [TOOL], "tool_choice": "required"}, ToolUse((F,), "required")),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}}, ToolUse((F,), "required", "f")),
        ({"tools": [], "tool_choice": "auto"}, None),
        ({"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, None),
    ],
)
def test_tools_are_flat(fields: dict[str, Any], use: ToolUse | None) -> None:
    assert decode(**fields).request.tool_use == use


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
def test_a_web_search_may_come_beside_functions(kind: str) -> None:
    request = decode(tools=[{"type": kind, "search_context_size": "low"}, TOOL]).request
    assert (request.mode, request.tool_use) == ("search", ToolUse((F,)))


def test_the_form_of_the_text_is_the_cores() -> None:
    schema = {"type": "object", "properties": {}}
    named = {"type": "json_schema", "name": "dog", "schema": schema, "strict": True}
    assert decode(text={"format": named}).request.json_format == JsonFormat(schema, "dog")
    assert decode(text={"format": {"type": "json_object"}}).request.json_format == JsonFormat()
    assert decode(text={"format": {"type": "text"}, "verbosity": "low"}).request.json_format is None


def test_what_has_no_effect_is_named() -> None:
    call = decode(temperature=0.5, include=["x"], store=False, text={"verbosity": "low"}, truncation=None)
    assert call.ignored == ("temperature", "include", "text.verbosity", "store")
    assert decode(store=True, background=False, conversation=None).ignored == ()


@pytest.mark.parametrize(
    ("given", "fields", "param", "told"),
    [
        ([], {}, "input", "nothing to answer"),
        ([{"role": "system", "content": "S"}], {}, "input", "nothing to answer"),
        ([{"type": "reasoning", "summary": []}], {}, "input", "nothing to answer"),
        ([{"role": "tool", "content": "x"}], {}, "input[0].role", "system, developer, user, assistant"),
        ([{"content": "x"}], {}, "input[0].role", "missing"),
        ([{"role": "user"}], {}, "input[0].content", "missing"),
        ([{"role": "user", "content": 5}], {}, "input[0].content", "a text or a list"),
        ([{"type": "item_reference", "id": "msg_1"}], {}, "input[0].id", "Item with id 'msg_1' not found"),
        ([{"type": "item_reference"}], {}, "input[0].id", "not found"),
        ([{"type": "custom_tool_call", "name": "f"}], {}, "input[0].type", "do not exist here"),
        ([{"type": "function_call", "name": "f"}], {}, "input[0].call_id", "missing"),
        ([{"type": "function_call", "call_id": "c"}], {}, "input[0].name", "missing"),
        ([{"type": "function_call_output", "output": "x"}], {}, "input[0].call_id", "missing"),
        ([{"type": "function_call_output", "call_id": "c"}], {}, "input[0].output", "missing"),
        ([{"role": "user", "content": [{"type": "odd"}]}], {}, "input[0].content[0].type", "do not exist"),
        ([{"role": "system", "content": [{"type": "input_image"}]}], {}, "input[0].content[0].type", "text only"),
        ([{"role": "user", "content": "x"}] * 20_001, {}, "input", "at most 20,000"),
        ([{"role": "user", "content": [{"type": "input_text"}] * 50_001}], {}, "input[0]", "more than 50,000 parts"),
        ("hi", {"background": True}, "background", "while its request waits"),
        ("hi", {"conversation": "conv_1"}, "conversation", "previous_response_id"),
        ("hi", {"prompt": {"id": "p"}}, "prompt", "instructions"),
        ("hi", {"max_output_tokens": 0}, "max_output_tokens", "1 or more"),
        ("hi", {"metadata": {"a": 1}}, "metadata[...]", "a text"),
        ("hi", {"tools": [{"type": "file_search"}]}, "tools[0].type", "file_search"),
        ("hi", {"tools": [{"type": "function"}]}, "tools", "a name of its own"),
        ("hi", {"tools": [{"type": "web_search"}, {"type": "mcp"}]}, "tools[1].type", "mcp"),
        ("hi", {"tool_choice": {"type": "web_search"}}, "tool_choice", "none is offered"),
        ("hi", {"reasoning": {"effort": "huge"}}, "reasoning.effort", "minimal"),
        ("hi", {"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
        ("hi", {"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema", "missing"),
        (None, {}, "input", "a text or a list"),
    ],
)
def test_what_is_wrong_is_named(given: Any, fields: dict[str, Any], param: str, told: str) -> None:
    message, named = refusal(given, **fields)
    assert named == param
    assert told in message


def test_input_is_needed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_body(b'{"model": "qwen"}')
    assert refused.value.param == "input"


@pytest.mark.parametrize("previous", ["", "resp_", "resp_1", f"RESP_{DIGITS}", f"msg_{DIGITS}", f"resp_{DIGITS}0"])
def test_an_id_that_is_none_of_ours_is_not_found(previous: str) -> None:
    with pytest.raises(PreviousResponseNotFound) as refused:
        decode(previous_response_id=previous)
    assert refused.value.param == "previous_response_id"


def test_the_id_of_a_response_names_its_answer() -> None:
    assert answer_name(response_id(f"node_{DIGITS}")) == f"node_{DIGITS}"
