"""Decode what a request says about tools and the form of the answer: today's fields and the older `functions`."""

from typing import Any, Literal

import msgspec

from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, UnsupportedFeature
from app.wire.tools import checked, checked_schema


class Function(msgspec.Struct):
    """A function that the client offers."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(msgspec.Struct):
    """An entry of `tools`."""

    type: str
    function: Function | None = None


Choice = str | dict[str, Any] | None


def tool_use(
    tools: list[OfferedTool] | None,
    choice: Choice,
    *,
    parallel: bool | None,
    functions: list[Function] | None,
    old: Choice,
) -> ToolUse | None:
    """Return the tools of a request, None without any. `functions` and `old` are the fields of before `tools`."""
    if not tools and not functions and choice is None:
        return None
    offered = [_function(tool, f"tools[{number}]") for number, tool in enumerate(tools or ())]
    field, wanted = "tool_choice", choice
    if not offered and functions:
        offered, field, wanted = functions, "function_call", old
    if not offered:
        if isinstance(wanted, dict) or wanted not in {None, "auto", "none"}:
            raise InvalidRequest(f"'{field}' asks for a tool, but none is offered.", param=field)
        return None
    mode, only = _choice(wanted, field)
    return checked(
        ToolUse(
            tools=tuple(Tool(each.name, each.description or "", each.parameters) for each in offered),
            mode=mode,
            only=only,
            parallel=parallel is not False and field == "tool_choice",
        ),
        field,
    )


def _function(tool: OfferedTool, path: str) -> Function:
    if tool.type != "function":
        raise UnsupportedFeature(
            f"'{path}': tools of type {tool.type!r} do not exist here; functions do.", param=f"{path}.type"
        )
    if tool.function is None:
        raise InvalidRequest(f"'{path}.function' is missing.", param=f"{path}.function")
    return tool.function


def _choice(choice: Choice, field: str) -> tuple[Literal["auto", "none", "required"], str | None]:
    match choice:
        case None | "auto":
            return "auto", None
        case "none":
            return "none", None
        case "required":
            return "required", None
        case {"type": "function", "function": {"name": str(name)}} | {"name": str(name)}:
            return "required", name
        case {"type": "allowed_tools"}:
            raise UnsupportedFeature(f"'{field}': a choice of allowed tools does not exist here.", param=field)
        case _:
            raise InvalidRequest(f"'{field}' must be auto, none, required, or name one function.", param=field)


def json_format(kind: str, schema: dict[str, Any] | None, name: str, *, field: str, place: str) -> JsonFormat | None:
    """Return the JSON that an answer must be, None for text. `field` and `place` (of the schema) are told in errors."""
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonFormat()
    if kind != "json_schema":
        raise InvalidRequest(f"'{field}': {kind!r} must be text, json_object or json_schema.", param=f"{field}.type")
    if schema is None:
        raise InvalidRequest(f"'{place}' is missing.", param=place)
    return JsonFormat(checked_schema(schema, field, place), name)
