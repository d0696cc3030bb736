"""Decode what a request says about tools and the form of the answer: today's fields and the older `functions`."""

from typing import Any, Literal

import msgspec

from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.json_output import JsonFormat
from app.errors import InvalidRequest, UnsupportedFeature

_MOST_TOOLS = 512
_DEEPEST_SCHEMA = 100  # levels; more than a person writes, less than breaks the code that reads it
_LARGEST_SCHEMA = 50_000  # values in the parameters of all tools; so many take about half a second


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
    if len(offered) > _MOST_TOOLS:
        raise InvalidRequest(f"'tools' holds {len(offered)} tools; at most {_MOST_TOOLS} are possible.", param="tools")
    names = [function.name for function in offered]
    if len(set(names)) < len(names) or not all(names):
        raise InvalidRequest("'tools': every tool needs a name of its own.", param="tools")
    if fault := _schema_fault([function.parameters for function in offered]):
        raise InvalidRequest(f"'tools': the parameters are {fault}.", param="tools")
    mode, only = _choice(wanted, field)
    if only is not None and only not in names:
        raise InvalidRequest(f"'{field}' names {only!r}, which is not among the tools.", param=field)
    return ToolUse(
        tools=tuple(Tool(each.name, each.description or "", each.parameters) for each in offered),
        mode=mode,
        only=only,
        parallel=parallel is not False and field == "tool_choice",
    )


def _function(tool: OfferedTool, path: str) -> Function:
    if tool.type != "function":
        raise UnsupportedFeature(
            f"'{path}': tools of type {tool.type!r} do not exist here; functions do.", param=f"{path}.type"
        )
    if tool.function is None:
        raise InvalidRequest(f"'{path}.function' is missing.", param=f"{path}.function")
    return tool.function


def _schema_fault(schemas: list[Any]) -> str | None:
    """Say how schemas are more than can be read, None if they are not."""
    level, count = schemas, 0
    for _ in range(_DEEPEST_SCHEMA):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        count += sum(map(len, inner))
        if count > _LARGEST_SCHEMA:
            return f"larger than {_LARGEST_SCHEMA:,} values"
        level = [value for values in inner for value in values]
        if not level:
            return None
    return f"nested more than {_DEEPEST_SCHEMA} levels deep"


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
    if fault := _schema_fault([schema]):
        raise InvalidRequest(f"'{field}': the schema is {fault}.", param=place)
    return JsonFormat(schema, name)
