"""What any wire format may ask for with tools and schemas; what is more than can be read is refused."""

from typing import Any

from app.core.tools.definitions import ToolUse
from app.errors import InvalidRequest

_MOST_TOOLS = 512
_DEEPEST_SCHEMA = 100  # levels; more than a person writes, less than breaks the code that reads it
_LARGEST_SCHEMA = 50_000  # values in the parameters of all tools; so many take about half a second


def checked(wanted: ToolUse, field: str) -> ToolUse:
    """Return what a request says of its tools. Raises InvalidRequest; `field` is where it chooses among them."""
    count, names = len(wanted.tools), {tool.name for tool in wanted.tools}
    if count > _MOST_TOOLS:
        raise InvalidRequest(f"'tools' holds {count} tools; at most {_MOST_TOOLS} are possible.", param="tools")
    if len(names) < count or not all(names):
        raise InvalidRequest("'tools': every tool needs a name of its own.", param="tools")
    if fault := _schema_fault([tool.parameters for tool in wanted.tools]):
        raise InvalidRequest(f"'tools': the parameters are {fault}.", param="tools")
    if wanted.only is not None and wanted.only not in names:
        raise InvalidRequest(f"'{field}' names {wanted.only!r}, which is not among the tools.", param=field)
    return wanted


def checked_schema(schema: dict[str, Any], field: str, place: str) -> dict[str, Any]:
    """Return the schema that an answer is to follow; `field` and `place` are told in InvalidRequest."""
    if fault := _schema_fault([schema]):
        raise InvalidRequest(f"'{field}': the schema is {fault}.", param=place)
    return schema


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
