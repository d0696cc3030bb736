"""Decode a Responses request: once, strictly where it matters, with an error that names the field."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from app.core.messages import ChatRequest, Message
from app.core.tools.json_output import JsonFormat
from app.errors import PreviousResponseNotFound, UnsupportedFeature
from app.openai.response_items import InputItem, read_items
from app.openai.thinking import TemplateArguments, thinking_of
from app.openai.tools import Choice, Function, OfferedTool, json_format, tool_use
from app.wire.decoding import BodyDecoder, check_count, check_limit

_ID = re.compile(r"resp_([0-9a-f]{32})")
_SEARCHES = re.compile(r"web_search(_preview)?(_\d{4}_\d{2}_\d{2})?")


class ResponseTool(msgspec.Struct, omit_defaults=True):
    """An entry of `tools`: a function, or `web_search`, whose own fields have no effect."""

    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(msgspec.Struct, rename={"definition": "schema"}, omit_defaults=True):
    """The form of the answer's text: `text`, `json_object` or `json_schema`."""

    type: str
    name: str = ""
    definition: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextOptions(msgspec.Struct):
    """`text`."""

    format: TextFormat | None = None
    verbosity: str | None = None


class ReasoningOptions(msgspec.Struct):
    """How the model is to think; what it thought is its summary, whichever is asked for."""

    effort: str | None = None
    summary: str | None = None


class ResponseBody(msgspec.Struct, gc=False):
    """The fields that are honoured or refused; every other one is ignored and named."""

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    chat_template_kwargs: TemplateArguments | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None


_decoder = BodyDecoder(ResponseBody)


class ResponseCall(Struct, frozen=True, gc=False):
    """A decoded request: what the core answers, and what of it the response repeats."""

    request: ChatRequest
    body: ResponseBody
    stream: bool
    ignored: tuple[str, ...]


def decode_body(raw: bytes) -> tuple[ResponseBody, tuple[str, ...]]:
    """Return a request's body and the names of the fields that are ignored.

    Raises InvalidRequest with `param`, UnsupportedFeature for what does not exist here.
    """
    body, ignored = _decoder.decode(raw)
    _refuse_unsupported(body)
    return body, (*ignored, *_without_effect(body))


def read_body(
    body: ResponseBody, ignored: tuple[str, ...], owner: str, known: Mapping[str, Message] | None = None
) -> ResponseCall:
    """Return what a body asks for; `known` are the items that it refers to. Raises as `decode_body` does."""
    messages = read_items(body.input, known or {})
    reasoning = body.reasoning or ReasoningOptions()
    thinking, budget = thinking_of(
        messages,
        enabled=body.enable_thinking,
        budget=body.thinking_budget,
        template=body.chat_template_kwargs,
        effort=reasoning.effort,
        effort_field="reasoning.effort",
    )
    functions, searches = _offered(body.tools or [])
    request = ChatRequest(
        owner=owner,
        model=body.model,
        messages=messages,
        thinking=thinking,
        thinking_budget=budget,
        max_tokens=body.max_output_tokens,
        tool_use=tool_use(
            functions,
            None if searches and _means_search(body.tool_choice, functions) else body.tool_choice,
            parallel=body.parallel_tool_calls,
            functions=None,
            old=None,
        ),
        json_format=_json_format(body.text),
        mode="search" if searches else "chat",
        follows=None if body.previous_response_id is None else _node_id(body.previous_response_id),
        instructions=body.instructions or "",
    )
    return ResponseCall(request, body, bool(body.stream), ignored)


def response_id(name: str) -> str:
    """Return the id of a response by the name of its answer."""
    return f"resp_{name.removeprefix('node_')}"


def answer_name(id_of_response: str) -> str | None:
    """Return the name of the answer that a response's id names; None for what is no id of ours."""
    named = _ID.fullmatch(id_of_response)
    return None if named is None else f"node_{named[1]}"


def previous_not_found(id_of_response: str) -> PreviousResponseNotFound:
    """Return the error for a response that nobody knows, in OpenAI's words."""
    told = f"Previous response with id '{id_of_response}' not found."
    return PreviousResponseNotFound(told, param="previous_response_id")


def _node_id(previous: str) -> str:
    name = answer_name(previous)
    if name is None:
        raise previous_not_found(previous)
    return name


def _refuse_unsupported(body: ResponseBody) -> None:
    if body.background:
        raise UnsupportedFeature("'background': a response is written while its request waits.", param="background")
    if body.conversation is not None:
        raise UnsupportedFeature(
            "'conversation': there are no conversation objects here; 'previous_response_id' goes on from a response.",
            param="conversation",
        )
    if body.prompt is not None:
        raise UnsupportedFeature("'prompt': no prompts are stored here; send 'instructions'.", param="prompt")
    if not isinstance(body.input, str):
        check_count(len(body.input), "input", "items")
    check_limit(body.max_output_tokens, "max_output_tokens")


def _offered(tools: list[ResponseTool]) -> tuple[list[OfferedTool], bool]:
    """Return the functions, as chat completions have them, and whether the web may be searched."""
    functions, searches = [], False
    for index, tool in enumerate(tools):
        if tool.type == "function":
            functions.append(OfferedTool(tool.type, Function(tool.name, tool.description, tool.parameters)))
        elif _SEARCHES.fullmatch(tool.type):
            searches = True
        else:
            raise UnsupportedFeature(
                f"'tools[{index}]': tools of type {tool.type!r} do not exist here; function and web_search do.",
                param=f"tools[{index}].type",
            )
    return functions, searches


def _means_search(choice: Choice, functions: list[OfferedTool]) -> bool:
    """Say whether the tool that has to be used is the web search, which the site's own mode is."""
    if choice == "required":
        return not functions
    return isinstance(choice, dict) and bool(_SEARCHES.fullmatch(str(choice.get("type"))))


def _json_format(text: TextOptions | None) -> JsonFormat | None:
    wanted = text.format if text is not None else None
    if wanted is None:
        return None
    return json_format(wanted.type, wanted.definition, wanted.name, field="text.format", place="text.format.schema")


def _without_effect(body: ResponseBody) -> tuple[str, ...]:
    """Return the fields that are known and have no effect all the same."""
    verbosity = body.text is not None and body.text.verbosity is not None
    return ("text.verbosity",) * verbosity + ("store",) * (body.store is False)
