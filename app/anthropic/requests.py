"""Decode a Messages request: once, strictly where it matters, with an error that names the field."""

import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from app.anthropic.content import Content, ContentReader, InputBlock
from app.core.messages import ChatRequest, Message
from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, UnsupportedFeature
from app.wire.decoding import BodyDecoder, check_count, check_limit, checked_stops
from app.wire.thinking import thinking_switch
from app.wire.tools import checked, checked_schema

_SEARCHES = re.compile(r"web_search_\d{8}")
_MOST_STOPS = 64
# Claude Code's first system text; part of it is another one in every request, and the model has no use for it.
_BILLING = "x-anthropic-billing-header:"
_NOTHING = msgspec.Raw(b"null")


class InputMessage(msgspec.Struct, gc=False):
    """A message of the history."""

    role: Literal["user", "assistant", "system"]
    content: str | list[InputBlock]


class InputTool(msgspec.Struct, gc=False):
    """An entry of `tools`: one of the client's, or `web_search_...`, whose own fields have no effect."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct):
    """How the tools may be used: `auto`, `any`, `none`, or `tool` with a `name`."""

    type: str
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct):
    """Whether the model is to think: `enabled`, `adaptive` or `disabled`; `display` may leave out what it thought."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct, rename={"definition": "schema"}):
    """The JSON that the answer has to be."""

    type: str
    definition: dict[str, Any] | None = None


class OutputConfig(msgspec.Struct):
    """The form of the answer; `effort` has no effect."""

    format: OutputFormat | None = None
    effort: str | None = None


class MessagesBody(msgspec.Struct, gc=False):
    """The fields that are honoured or refused; every other one is ignored and named."""

    model: str
    messages: list[InputMessage]
    system: str | list[InputBlock] | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    thinking: ThinkingConfig | None = None
    tools: list[InputTool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    container: msgspec.Raw = msgspec.field(default_factory=lambda: _NOTHING)  # bytes, as it is refused, not read
    mcp_servers: msgspec.Raw = msgspec.field(default_factory=lambda: _NOTHING)


_decoder = BodyDecoder(MessagesBody, roles="user, assistant and system")


class MessagesCall(Struct, frozen=True, gc=False):
    """A decoded request: what the core answers, and how the answer is written.

    `form_field` is where the client asked for JSON, or would have to.
    """

    request: ChatRequest
    stream: bool
    shows_thinking: bool
    form_field: str
    ignored: tuple[str, ...]


def decode_messages(raw: bytes, owner: str) -> MessagesCall:
    """Decode a request body. Raises InvalidRequest with `param`, UnsupportedFeature for what does not exist here."""
    body, ignored = _decoder.decode(raw)
    _refuse_unsupported(body)
    reader = ContentReader()
    messages = _messages(body.messages, reader)
    thinking, budget = _thinking(body.thinking, messages)
    tools, searches = _offered(body.tools or [])
    form_field, form = _form(body)
    request = ChatRequest(
        owner=owner,
        model=body.model,
        messages=messages,
        thinking=thinking,
        thinking_budget=budget,
        max_tokens=body.max_tokens,
        stop=checked_stops(body.stop_sequences or (), "stop_sequences", _MOST_STOPS),
        tool_use=_tool_use(tools, body.tool_choice, searches=searches),
        json_format=_json_format(form, form_field),
        mode="search" if searches and (body.tool_choice is None or body.tool_choice.type != "none") else "chat",
        instructions=_system(body.system, reader),
    )
    shows_thinking = body.thinking is None or body.thinking.display != "omitted"
    return MessagesCall(request, bool(body.stream), shows_thinking, form_field, (*ignored, *_without_effect(body)))


def _refuse_unsupported(body: MessagesBody) -> None:
    check_count(len(body.messages), "messages", "messages")
    check_limit(body.max_tokens, "max_tokens")
    if bytes(body.mcp_servers) not in {b"null", b"[]", b"[ ]"}:
        raise UnsupportedFeature(
            "'mcp_servers': this server calls no tools by itself; the client has to.", param="mcp_servers"
        )
    if bytes(body.container) != b"null":
        raise UnsupportedFeature("'container': there are no containers here.", param="container")


def _messages(wire: list[InputMessage], reader: ContentReader) -> tuple[Message, ...]:
    messages: list[Message] = []
    for index, each in enumerate(wire):
        path = f"messages[{index}].content"
        if each.role == "user":
            messages += reader.user(each.content, path)
        elif each.role == "assistant":
            messages.append(reader.assistant(each.content, path))
        else:
            messages.append(Message("system", reader.system(each.content, path)))
    last = next((message.role for message in reversed(messages) if message.role != "system"), None)
    if last is None:
        raise InvalidRequest("'messages' holds nothing to answer; a user message is needed.", param="messages")
    if last == "assistant":
        raise UnsupportedFeature(
            "'messages' ends with words of the assistant, which the site cannot go on from: the last message has to be "
            "the user's.",
            param="messages",
        )
    return tuple(messages)


def _system(content: Content | None, reader: ContentReader) -> str:
    """Return the system prompt, without what Claude Code counts its requests by."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = reader.system_texts(content, "system")
    return "\n\n".join(text for text in texts if not text.startswith(_BILLING))


def _thinking(config: ThinkingConfig | None, messages: tuple[Message, ...]) -> tuple[bool, int | None]:
    """Return whether to think and with how many tokens; in this API a model does so only when it is asked to."""
    if config is None:
        return bool(thinking_switch(messages)), None
    if config.type not in {"enabled", "adaptive", "disabled"}:
        raise InvalidRequest("'thinking.type' must be enabled, adaptive or disabled.", param="thinking.type")
    if config.budget_tokens is not None and config.budget_tokens < 0:
        raise InvalidRequest("'thinking.budget_tokens' must be 0 or more tokens.", param="thinking.budget_tokens")
    return config.type != "disabled", config.budget_tokens or None


def _offered(offered: list[InputTool]) -> tuple[list[Tool], bool]:
    """Return the client's tools, and whether the web may be searched."""
    tools, searches = [], False
    for index, tool in enumerate(offered):
        if tool.type in {None, "custom"}:
            tools.append(Tool(tool.name, tool.description or "", tool.input_schema))
        elif _SEARCHES.fullmatch(tool.type or ""):
            searches = True
        else:
            raise UnsupportedFeature(
                f"'tools[{index}]': tools of type {tool.type!r} do not exist here; the client's own and web_search do.",
                param=f"tools[{index}].type",
            )
    return tools, searches


def _tool_use(tools: list[Tool], choice: ToolChoice | None, *, searches: bool) -> ToolUse | None:
    """Return the tools and how they may be used, None without any."""
    wanted = choice or ToolChoice("auto")
    if wanted.type not in {"auto", "any", "none", "tool"}:
        raise InvalidRequest("'tool_choice.type' must be auto, any, none or tool.", param="tool_choice.type")
    if wanted.type == "tool" and not wanted.name:
        raise InvalidRequest("'tool_choice.name' is missing.", param="tool_choice.name")
    means_search = searches and (wanted.name == "web_search" or (wanted.type == "any" and not tools))
    if not tools:
        if wanted.type in {"any", "tool"} and not means_search:
            raise InvalidRequest("'tool_choice' asks for a tool that is not offered.", param="tool_choice")
        return None
    required = wanted.type in {"any", "tool"} and not means_search
    return checked(
        ToolUse(
            tools=tuple(tools),
            mode="none" if wanted.type == "none" else "required" if required else "auto",
            only=wanted.name if wanted.type == "tool" and not means_search else None,
            parallel=not wanted.disable_parallel_tool_use,
        ),
        "tool_choice",
    )


def _form(body: MessagesBody) -> tuple[str, OutputFormat | None]:
    """Return the form that an answer must have, and the field that says so; `output_format` is its older place."""
    config = body.output_config
    if body.output_format is not None and (config is None or config.format is None):
        return "output_format", body.output_format
    return "output_config.format", config.format if config is not None else None


def _json_format(wanted: OutputFormat | None, field: str) -> JsonFormat | None:
    """Return the JSON that an answer must be."""
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        raise InvalidRequest(f"'{field}.type' must be json_schema.", param=f"{field}.type")
    if wanted.definition is None:
        raise InvalidRequest(f"'{field}.schema' is missing.", param=f"{field}.schema")
    return JsonFormat(checked_schema(wanted.definition, field, f"{field}.schema"), "")


def _without_effect(body: MessagesBody) -> tuple[str, ...]:
    """Return the fields that are known and have no effect all the same."""
    has_effort = body.output_config is not None and body.output_config.effort is not None
    return ("output_config.effort",) if has_effort else ()
