"""Decode a chat completion request: once, strictly where it matters, with an error that names the field."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from app.core.messages import ChatRequest, Message, Role, ToolCall
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai.parts import Contents, Part
from app.openai.thinking import TemplateArguments, thinking_of
from app.openai.tools import Function, OfferedTool, json_format, tool_use
from app.wire.decoding import BodyDecoder, check_count, check_limit, checked_stops

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_MOST_STOPS = 4


class _CalledFunction(msgspec.Struct, gc=False):
    name: str
    arguments: str = "{}"


class _ToolCall(msgspec.Struct, gc=False):
    function: _CalledFunction
    id: str = ""


class _Message(msgspec.Struct, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _CalledFunction | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _JsonSchema(msgspec.Struct, rename={"definition": "schema"}):
    name: str = ""
    definition: dict[str, Any] | None = None


class _ResponseFormat(msgspec.Struct):
    type: str = "text"
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class ChatBody(msgspec.Struct, gc=False):
    """The fields that are honoured or refused; every other one is ignored and named."""

    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: TemplateArguments | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: _ResponseFormat | None = None
    web_search_options: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: Any = None


_decoder = BodyDecoder(ChatBody, roles="system, developer, user, assistant, tool and function")


class ChatCall(Struct, frozen=True, gc=False):
    """A decoded request: what the core answers, and how the answer is written.

    `old_functions`: the client offered `functions`, and knows `function_call` only.
    """

    request: ChatRequest
    old_functions: bool
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]


def decode_chat(body: bytes, owner: str) -> ChatCall:
    """Decode a request body. Raises InvalidRequest with `param`, UnsupportedFeature for what does not exist here."""
    parsed, ignored = _decoder.decode(body)
    _refuse_unsupported(parsed)
    messages = _messages(parsed.messages)
    thinking, budget = thinking_of(
        messages,
        enabled=parsed.enable_thinking,
        budget=parsed.thinking_budget,
        template=parsed.chat_template_kwargs,
        effort=parsed.reasoning_effort,
        effort_field="reasoning_effort",
    )
    request = ChatRequest(
        owner=owner,
        model=parsed.model,
        messages=messages,
        thinking=thinking,
        thinking_budget=budget,
        max_tokens=_limit(parsed),
        stop=_stops(parsed),
        tool_use=tool_use(
            parsed.tools,
            parsed.tool_choice,
            parallel=parsed.parallel_tool_calls,
            functions=parsed.functions,
            old=parsed.function_call,
        ),
        json_format=_json_format(parsed.response_format),
        mode="chat" if parsed.web_search_options is None else "search",
    )
    options = parsed.stream_options
    if parsed.web_search_options:
        ignored = (*ignored, *(f"web_search_options.{name}" for name in parsed.web_search_options))
    return ChatCall(
        request=request,
        old_functions=not parsed.tools and bool(parsed.functions),
        stream=bool(parsed.stream),
        include_usage=bool(options and options.include_usage),
        ignored=ignored,
    )


def _refuse_unsupported(body: ChatBody) -> None:
    if not body.messages:
        raise InvalidRequest("'messages' is empty; at least one message is needed.", param="messages")
    check_count(len(body.messages), "messages", "messages")
    if body.n not in {None, 1}:
        raise InvalidRequest("'n' must be 1: the site gives one answer at a time.", param="n")
    if body.audio is not None or (body.modalities and any(kind != "text" for kind in body.modalities)):
        raise UnsupportedFeature("'modalities': only text is answered.", param="modalities")


def _messages(wire: list[_Message]) -> tuple[Message, ...]:
    messages, contents = [], Contents()
    for index, each in enumerate(wire):
        text = each.content
        if isinstance(text, str) and each.tool_calls is None and each.function_call is None:
            messages.append(Message(_ROLES[each.role], text, (), each.tool_call_id, each.name))
        else:
            messages.append(_message(each, contents, f"messages[{index}]"))
    for message in messages:
        if message.role != "system":
            return tuple(messages)
    raise InvalidRequest("'messages' holds nothing but system messages; a user message is needed.", param="messages")


def _message(wire: _Message, contents: Contents, path: str) -> Message:
    """Read a message of parts, with calls or without content."""
    contents.count(len(wire.tool_calls or ()), path)
    calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in wire.tool_calls or ()]
    if wire.function_call is not None:
        calls.append(ToolCall("", wire.function_call.name, wire.function_call.arguments))
    if wire.content is None and wire.role != "assistant":
        raise InvalidRequest(f"'{path}.content' is missing.", param=f"{path}.content")
    text, attachments = contents.read(wire.content, wire.role, path)
    return Message(_ROLES[wire.role], text, tuple(calls), wire.tool_call_id, wire.name, attachments)


def _json_format(wanted: _ResponseFormat | None) -> JsonFormat | None:
    if wanted is None:
        return None
    schema = wanted.json_schema or _JsonSchema()
    field = "response_format"
    return json_format(wanted.type, schema.definition, schema.name, field=field, place=f"{field}.json_schema.schema")


def _limit(body: ChatBody) -> int | None:
    limit = None
    for name, value in (("max_completion_tokens", body.max_completion_tokens), ("max_tokens", body.max_tokens)):
        if value is None:
            continue
        check_limit(value, name)
        limit = value if limit is None else min(limit, value)
    return limit


def _stops(body: ChatBody) -> tuple[str, ...]:
    if body.stop is None:
        return ()
    return checked_stops((body.stop,) if isinstance(body.stop, str) else body.stop, "stop", _MOST_STOPS)
