"""Decode a chat completion request: once, strictly where it matters, with an error that names the field."""

import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from app.core.attachments import Attachment
from app.core.messages import ChatRequest, Message, ToolCall
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai.decoding import decode_body
from app.openai.parts import Part, attachment, part_text
from app.openai.tools import Function, OfferedTool, ResponseFormat, json_format, tool_use

_EFFORTS = {"none": False, "minimal": False, "low": True, "medium": True, "high": True, "xhigh": True, "max": True}
_SWITCH = re.compile(r"/(no_)?think\s*$")
_MAX_STOPS = 4
_MOST_MESSAGES = 20_000  # reading so many takes about half a second, in which nobody else is served


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str = "{}"


class _ToolCall(msgspec.Struct):
    function: _CalledFunction
    id: str = ""


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _CalledFunction | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _TemplateArguments(msgspec.Struct):
    enable_thinking: bool | None = None
    thinking_budget: int | None = None


class ChatBody(msgspec.Struct):
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
    chat_template_kwargs: _TemplateArguments | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    web_search_options: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: Any = None


_decoder = msgspec.json.Decoder(ChatBody)


class ChatCall(Struct, frozen=True):
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
    parsed, ignored = decode_body(body, _decoder)
    _refuse_unsupported(parsed)
    messages = _messages(parsed.messages)
    thinking, budget = _thinking(parsed, messages)
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
        json_format=json_format(parsed.response_format),
        mode="chat" if parsed.web_search_options is None else "search",
    )
    options = parsed.stream_options
    return ChatCall(
        request=request,
        old_functions=not parsed.tools and bool(parsed.functions),
        stream=bool(parsed.stream),
        include_usage=bool(options and options.include_usage),
        ignored=(*ignored, *(f"web_search_options.{name}" for name in parsed.web_search_options or ())),
    )


def _refuse_unsupported(body: ChatBody) -> None:
    if not body.messages:
        raise InvalidRequest("'messages' is empty; at least one message is needed.", param="messages")
    if len(body.messages) > _MOST_MESSAGES:
        raise InvalidRequest(
            f"'messages' holds {len(body.messages):,} messages; at most {_MOST_MESSAGES:,} are possible.",
            param="messages",
        )
    if body.n not in {None, 1}:
        raise InvalidRequest("'n' must be 1: the site gives one answer at a time.", param="n")
    if body.audio is not None or any(kind != "text" for kind in body.modalities or ()):
        raise UnsupportedFeature("'modalities': only text is answered.", param="modalities")


def _messages(wire: list[_Message]) -> tuple[Message, ...]:
    messages = tuple(_message(message, f"messages[{index}]") for index, message in enumerate(wire))
    if all(message.role == "system" for message in messages):
        raise InvalidRequest(
            "'messages' holds nothing but system messages; a user message is needed.", param="messages"
        )
    return messages


def _message(wire: _Message, path: str) -> Message:
    calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in wire.tool_calls or ()]
    if wire.function_call is not None:
        calls.append(ToolCall("", wire.function_call.name, wire.function_call.arguments))
    if wire.content is None and wire.role != "assistant":
        raise InvalidRequest(f"'{path}.content' is missing.", param=f"{path}.content")
    role: Literal["system", "user", "assistant", "tool"]
    match wire.role:
        case "system" | "developer":
            role = "system"
        case "tool" | "function":
            role = "tool"
        case "user" | "assistant":
            role = wire.role
    text, attachments = _content(wire, path)
    return Message(role, text, tuple(calls), wire.tool_call_id, wire.name, attachments)


def _content(wire: _Message, path: str) -> tuple[str, tuple[Attachment, ...]]:
    """Join the text of the parts; other parts are a user's files, named in a tool's result, else ignored."""
    if wire.content is None or isinstance(wire.content, str):
        return wire.content or "", ()
    texts, files = [], []
    for index, part in enumerate(wire.content):
        text = part_text(part)
        if text is not None:
            texts.append(text)
        elif wire.role in {"tool", "function"}:
            texts.append(f"[{part.type} not passed on]")
        elif wire.role == "user":
            files.append(attachment(part, f"{path}.content[{index}]"))
        elif wire.role != "assistant":
            raise UnsupportedFeature(
                f"'{path}.content[{index}]': a {wire.role} message holds text only.",
                param=f"{path}.content[{index}].type",
            )
    return "".join(texts), tuple(files)


def _thinking(body: ChatBody, messages: tuple[Message, ...]) -> tuple[bool | None, int | None]:
    """Return whether to think and with how many tokens; the more explicit parameter wins."""
    template = body.chat_template_kwargs or _TemplateArguments()
    budget = body.thinking_budget if body.thinking_budget is not None else template.thinking_budget
    if budget is not None and budget < 0:
        raise InvalidRequest("'thinking_budget' must be 0 or more tokens.", param="thinking_budget")
    if body.reasoning_effort is not None and body.reasoning_effort not in _EFFORTS:
        raise InvalidRequest(f"'reasoning_effort' must be one of {', '.join(_EFFORTS)}.", param="reasoning_effort")
    last_user = next((message.text for message in reversed(messages) if message.role == "user"), "")
    switch = _SWITCH.search(last_user[-16:])
    candidates = (
        body.enable_thinking,
        template.enable_thinking,
        False if budget == 0 else None,
        _EFFORTS[body.reasoning_effort] if body.reasoning_effort is not None else None,
        not switch[1] if switch else None,
    )
    return next((said for said in candidates if said is not None), None), budget or None


def _limit(body: ChatBody) -> int | None:
    limits = [
        (name, value)
        for name, value in (
            ("max_completion_tokens", body.max_completion_tokens),
            ("max_tokens", body.max_tokens),
        )
        if value is not None
    ]
    for name, value in limits:
        if value < 1:
            raise InvalidRequest(f"'{name}' must be 1 or more.", param=name)
    return min((value for _, value in limits), default=None)


def _stops(body: ChatBody) -> tuple[str, ...]:
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stops) > _MAX_STOPS or not all(stops):
        raise InvalidRequest(
            f"'stop' must be a text or a list of at most {_MAX_STOPS}, none of them empty.", param="stop"
        )
    return stops
