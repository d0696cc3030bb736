"""Read the `input` of a Responses request: items as messages."""

import re
from collections.abc import Mapping

import msgspec

from app.core.messages import Message, Role, ToolCall
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai.parts import Contents, Part

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_KNOWN = "message, function_call, function_call_output, reasoning and item_reference"
_ITEM = re.compile(r"(msg|fc|rs|ig)_([0-9a-f]{32})_(\d{1,6})")  # as response_output.py names them
_ASSISTANTS_OWN = {"reasoning", "image_generation_call"}  # not told again: thoughts, and what the chat shows


class InputItem(msgspec.Struct, gc=False):
    """An item of `input`; which fields count is said by `type`, a message may leave it out."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None


class Reference(msgspec.Struct, frozen=True):
    """What an item's id says: its `kind`, the name of the answer that holds it, and its number there."""

    kind: str
    answer: str
    number: int


def reference_of(item_id: str) -> Reference | None:
    """Return what an id says, None for one that is not ours."""
    said = _ITEM.fullmatch(item_id)
    return None if said is None else Reference(said[1], f"node_{said[2]}", int(said[3]))


def references(given: str | list[InputItem]) -> dict[str, Reference]:
    """Return the items of stored answers that `input` refers to and that are told again, by their ids."""
    if isinstance(given, str):
        return {}
    named = [item.id for item in given if item.type == "item_reference" and item.id]
    found = {item_id: reference for item_id in named if (reference := reference_of(item_id)) is not None}
    return {item_id: reference for item_id, reference in found.items() if reference.kind in {"msg", "fc"}}


def read_items(given: str | list[InputItem], known: Mapping[str, Message]) -> tuple[Message, ...]:
    """Return `input` as messages: a text is the user's, and calls belong to the answer that they follow.

    `known` are the items that it refers to, as messages. Raises InvalidRequest with `param`, UnsupportedFeature for
    items and parts that do not exist here.
    """
    if isinstance(given, str):
        return (Message("user", given),)
    messages: list[Message] = []
    calls: list[ToolCall] = []  # of the answer right before: it is several items as OpenAI writes it
    contents = Contents()
    for index, item in enumerate(given):
        said = _said(item, contents, f"input[{index}]", known)
        if isinstance(said, ToolCall):
            calls.append(said)
        elif said is not None and said.tool_calls:
            calls += said.tool_calls
        elif said is not None:
            _add_calls(messages, calls)
            messages.append(said)
    _add_calls(messages, calls)
    if not any(message.role != "system" for message in messages):
        raise InvalidRequest(
            "'input' holds nothing to answer; a user message or a function_call_output is needed.", param="input"
        )
    return tuple(messages)


def _said(item: InputItem, contents: Contents, path: str, known: Mapping[str, Message]) -> Message | ToolCall | None:
    """Return what an item says, None for one that is not told again."""
    kind = item.type or "message"
    if kind == "message":
        return _message(item, contents, path)
    if kind == "function_call":
        return _call(item, path)
    if kind == "function_call_output":
        return _result(item, contents, path)
    if kind == "item_reference":
        return _referred(item, path, known)
    if kind not in _ASSISTANTS_OWN:
        raise UnsupportedFeature(
            f"'{path}': items of type {kind!r} do not exist here; {_KNOWN} do.", param=f"{path}.type"
        )
    return None


def _add_calls(messages: list[Message], calls: list[ToolCall]) -> None:
    """Add calls to the answer right before them; none are left to add."""
    if not calls:
        return
    before = messages.pop() if messages and messages[-1].role == "assistant" else Message("assistant", "")
    messages.append(Message("assistant", before.text, tuple(calls)))
    calls.clear()


def _message(item: InputItem, contents: Contents, path: str) -> Message:
    role = _ROLES.get(item.role or "")
    if role is None:
        fault = f"{item.role!r} is none; the roles are {', '.join(_ROLES)}" if item.role else "it is missing"
        raise InvalidRequest(f"'{path}.role': {fault}.", param=f"{path}.role")
    if item.content is None:
        raise InvalidRequest(f"'{path}.content' is missing.", param=f"{path}.content")
    text, files = contents.read(item.content, role, path)
    return Message(role, text, attachments=files)


def _referred(item: InputItem, path: str, known: Mapping[str, Message]) -> Message | None:
    """Return what an item of an earlier answer says, None for one without words or calls."""
    item_id = item.id or ""
    reference = reference_of(item_id)
    if reference is not None and reference.kind not in {"msg", "fc"}:
        return None
    message = known.get(item_id)
    if message is None:
        raise InvalidRequest(f"'{path}': Item with id '{item_id}' not found.", param=f"{path}.id")
    return message if message.tool_calls or message.text else None


def _call(item: InputItem, path: str) -> ToolCall:
    for field, value in (("call_id", item.call_id), ("name", item.name)):
        if not value:
            raise InvalidRequest(f"'{path}.{field}' is missing.", param=f"{path}.{field}")
    return ToolCall(item.call_id or "", item.name or "", item.arguments or "{}")


def _result(item: InputItem, contents: Contents, path: str) -> Message:
    for field, value in (("call_id", item.call_id or None), ("output", item.output)):
        if value is None:
            raise InvalidRequest(f"'{path}.{field}' is missing.", param=f"{path}.{field}")
    text, _ = contents.read(item.output, "tool", path)
    return Message("tool", text, tool_call_id=item.call_id)
