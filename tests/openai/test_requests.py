"""A request is decoded once; what is wrong with it is said with the field's name."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Message, ToolCall
from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai.requests import ChatCall, decode_chat
from tests.characters import CHARACTERS

HI = [{"role": "user", "content": "hi"}]

TOOL = {"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "f"}}
F = Tool("f", "does", {"type": "object"})


def decode(messages: Any = HI, **fields: Any) -> ChatCall:
    return decode_chat(json.dumps({"model": "qwen", "messages": messages, **fields}).encode(), "owner")


def refusal(messages: Any = HI, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        decode(messages, **fields)
    return refused.value.message, refused.value.param


def test_parts_give_one_text_and_stand_apart() -> None:
    parts = [{"type": "text", "text": "a", "extra": 1}, {"type": "input_text", "text": "b"}]
    call = decode([{"role": "developer", "content": "S"}, {"role": "user", "content": parts}])
    assert call.request.messages == (Message("system", "S"), Message("user", "a\nb"))


def test_tool_calls_and_results_of_both_generations_are_read() -> None:
    call = decode(
        [
            *HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "done"}]},
            {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": "{}"}},
            {"role": "function", "name": "g", "content": "old"},
        ]
    )
    assert call.request.messages[1:] == (
        Message("assistant", "", (ToolCall("c1", "f", "{}"),)),
        Message("tool", "done", tool_call_id="c1"),
        Message("assistant", "", (ToolCall("", "g", "{}"),)),
        Message("tool", "old", name="g"),
    )


def test_parts_that_an_assistant_message_may_hold_are_tolerated() -> None:
    parts = [
        {"type": "output_text", "text": "a"},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": {}},
    ]
    call = decode([*HI, {"role": "assistant", "content": parts}, *HI])
    assert call.request.messages[1].text == "ano"


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"model": 3}, "model", "expected a text, got a whole number"),
        ({"messages": "hi"}, "messages", "expected a list, got a text"),
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages", "a user message is needed"),
        (
            {"messages": [{"role": "king", "content": "x"}]},
            "messages[0].role",
            "invalid enum value 'king'; the roles are",
        ),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "got a whole number"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "is missing"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "is missing"),
        (
            {"messages": [*HI, {"role": "assistant", "tool_calls": [{"id": "1"}]}]},
            "messages[1].tool_calls[0].function",
            "missing",
        ),
        ({"stream": "yes"}, "stream", "expected true or false, got a text"),
        ({"n": 2}, "n", "must be 1"),
        ({"max_tokens": 0}, "max_tokens", "1 or more"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "1 or more"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "at most 4"),
        ({"stop": "x" * 1_001}, "stop", "1 to 1,000 characters"),
        ({"stop": [""]}, "stop", "1 to 1,000 characters"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "must be one of none"),
        ({"thinking_budget": -5}, "thinking_budget", "0 or more"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'web_search'"),
        ({"tools": [TOOL, TOOL]}, "tools", "a name of its own"),
        ({"tools": [TOOL] * 513}, "tools", "at most 512"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools", "a name of its own"),
        ({"tools": [TOOL], "tool_choice": "always"}, "tool_choice", "must be auto"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "allowed tools"),
        ({"tools": [TOOL], "tool_choice": NAMED | {"function": {"name": "g"}}}, "tool_choice", "not among"),
        ({"tool_choice": "required"}, "tool_choice", "none is offered"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call", "not among"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "must be text"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema", "missing"),
        ({"modalities": ["text", "audio"]}, "modalities", "only text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0].type",
            "'hologram'",
        ),
    ],
)
def test_a_fault_is_told_with_its_field(fields: dict[str, Any], param: str, told: str) -> None:
    message, named = refusal(**fields)
    assert (named, told in message) == (param, True), message


def test_what_does_not_exist_here_is_refused_as_such() -> None:
    with pytest.raises(UnsupportedFeature):
        decode(tools=[{"type": "web_search"}])
    decode(tools=[], tool_choice="auto")
    decode(tools=[], functions=None, response_format={"type": "text"}, n=1, modalities=["text"])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"model":"m"}', b'{"model":"\xff","messages":[]}', b"[" * 100_000]
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_chat(body, "owner")


@pytest.mark.no_cover  # for its volume
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(CHARACTERS),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(CHARACTERS), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_body_brings_the_decoder_down(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_chat(body, "owner")


def test_parameters_without_effect_are_named_and_the_others_are_not() -> None:
    call = decode(temperature=1, top_p=0.5, seed=None, stream=True, user="anna", max_tokens=9)
    assert call.ignored == ("temperature", "top_p", "user")


@pytest.mark.parametrize("value", [b"1e999", b'"\xff"', b"null"])
def test_a_value_that_no_type_can_hold_does_no_harm_where_it_is_ignored(value: bytes) -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "top_p": 1, "temperature": %b}' % value
    call = decode_chat(body, "owner")
    assert call.request.messages == (Message("user", "hi"),)
    assert call.ignored == (("top_p",) if value == b"null" else ("top_p", "temperature"))
    with pytest.raises(InvalidRequest) as refused:
        decode_chat(body.replace(b'"hi"', b"1e999"), "owner")
    assert refused.value.param == "messages[0].content"


@pytest.mark.parametrize("pairs", [1_000, 500_000])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "foo": [HERE], "messages": [{"role": "user", "content": "hi"}]}',
        b'{"model": "m", "foo": 1, "messages": [{"role": "user", "foo": [HERE], "content": "hi"}]}',
    ],
)
def test_what_is_ignored_takes_no_memory_however_large_it_is(body: bytes, pairs: int) -> None:
    body = body.replace(b"HERE", b"[]," * pairs + b"[]")
    tracemalloc.start()
    try:
        call = decode_chat(body, "owner")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (call.request.messages, call.ignored) == ((Message("user", "hi"),), ("foo",))
    assert most < 50_000


@pytest.mark.parametrize("padding", [0, 1_000_000])
def test_of_equal_names_the_last_one_counts_and_each_has_to_be_right_in_a_body_of_any_size(padding: int) -> None:
    said = b'{"role": "tool", "role": "user", "content": "a", "content": "b"}'
    body = b'{"x": 1, "model": "a", "model": "m", "messages": [%b], "x": null, "y": null, "y": 1%b}' % (
        said,
        b" " * padding,
    )
    call = decode_chat(body, "owner")
    assert (call.request.model, call.request.messages, call.ignored) == ("m", (Message("user", "b"),), ("y",))
    for name, wrong in ((b'"model": "a"', "model"), (b'"role": "tool"', "messages[0].role")):
        with pytest.raises(InvalidRequest) as refused:
            decode_chat(body.replace(name, name.partition(b":")[0] + b": 3"), "owner")
        assert refused.value.param == wrong


def test_the_smaller_limit_counts() -> None:
    assert decode(max_tokens=9, max_completion_tokens=7).request.max_tokens == 7
    assert decode().request.max_tokens is None


def test_stop_is_a_text_or_a_list() -> None:
    assert decode(stop="END").request.stop == ("END",)
    assert decode(stop=["a", "b"]).request.stop == ("a", "b")
    assert decode(stop=None).request.stop == ()


@pytest.mark.parametrize(
    ("fields", "thinking", "budget"),
    [
        ({}, None, None),
        ({"enable_thinking": False}, False, None),
        ({"enable_thinking": True, "thinking_budget": 1024}, True, 1024),
        ({"thinking_budget": 0}, False, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False, None),
        ({"chat_template_kwargs": {"thinking_budget": 7, "other": 1}}, None, 7),
        ({"reasoning_effort": "none"}, False, None),
        ({"reasoning_effort": "high"}, True, None),
        ({"enable_thinking": True, "reasoning_effort": "none"}, True, None),
        ({"messages": [{"role": "user", "content": "hi /no_think"}]}, False, None),
        ({"messages": [{"role": "user", "content": "hi /think"}]}, True, None),
        ({"messages": [{"role": "user", "content": "hi /think"}], "enable_thinking": False}, False, None),
    ],
)
def test_thinking_is_read_from_every_place_clients_put_it(
    fields: dict[str, Any], thinking: bool | None, budget: int | None
) -> None:
    request = decode(**fields).request
    assert (request.thinking, request.thinking_budget) == (thinking, budget)


@pytest.mark.parametrize(
    ("fields", "use"),
    [
        ({}, ToolUse((F,))),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, ToolUse((F,), parallel=False)),
        ({"tool_choice": "none"}, ToolUse((F,), "none")),
        ({"tool_choice": "required"}, ToolUse((F,), "required")),
        ({"tool_choice": NAMED}, ToolUse((F,), "required", "f")),
    ],
)
def test_tools_are_read_with_their_choice(fields: dict[str, Any], use: ToolUse) -> None:
    call = decode(tools=[TOOL], **fields)
    assert (call.request.tool_use, call.old_functions) == (use, False)


def test_the_older_functions_are_tools_one_at_a_time() -> None:
    call = decode(functions=[TOOL["function"]], function_call={"name": "f"})
    assert (call.request.tool_use, call.old_functions) == (ToolUse((F,), "required", "f", parallel=False), True)


def test_a_response_format_is_read() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}
    assert decode(response_format=wanted).request.json_format == JsonFormat(schema, "n")
    assert decode(response_format={"type": "json_object"}).request.json_format == JsonFormat()
    assert decode(response_format={"type": "text"}).request.json_format is None


def test_what_a_tool_gives_besides_text_is_named() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    said = decode(messages=[{"role": "user", "content": "hi"}, {"role": "tool", "content": parts}]).request.messages
    assert said[1].text == "a\n[image_url not passed on]"
