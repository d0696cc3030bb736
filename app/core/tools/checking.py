"""Check calls against the tools that were offered, and mend what is safe to mend (docs/tools.md, Checking)."""

import json
from collections.abc import Sequence

from msgspec import Struct

from app.core.tools.definitions import ReadCall, Tool
from app.core.tools.json_text import seems_torn
from app.core.tools.mending import Mending
from app.core.tools.names import meant_name
from app.core.tools.schemas import schema_problems, usable


class Checked(Struct, frozen=True):
    """A call as it goes to the client; `mended` says what was changed, `problems` what is still wrong."""

    name: str
    arguments: str
    mended: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check(call: ReadCall, tools: Sequence[Tool]) -> Checked:
    """Check one call; without problems it can be run by the client."""
    name = meant_name(call.name, [tool.name for tool in tools])
    if name is None:
        known = ", ".join(tool.name for tool in tools)
        return Checked(
            call.name, call.raw or "{}", problems=(f"There is no tool {call.name}; the tools are: {known}.",)
        )
    mended = () if name == call.name else (f"name {call.name}",)
    if call.arguments is None:
        problem = f"The arguments of {name} are not a whole JSON object."
        return Checked(name, call.raw, mended, (problem,))
    what = f"the arguments of {name}"
    schema = usable(next(tool.parameters for tool in tools if tool.name == name), what)
    mending = Mending(schema)
    try:
        is_doubtful = call.is_guess and (seems_torn(call.arguments) or not mending.names_all(call.arguments, schema))
        arguments = mending.mend(call.arguments, schema)
    except RecursionError:  # a schema that asks for itself
        is_doubtful, arguments = call.is_guess, call.arguments
        mending.done.clear()
    if is_doubtful:
        problem = f"The arguments of {name} are not valid JSON: escape quotation marks and backslashes inside texts."
        return Checked(name, call.raw, mended, (problem,))
    text = written(arguments)
    if text is None:
        return Checked(name, call.raw, mended, (f"{what[0].upper()}{what[1:]} hold what JSON cannot say.",))
    return Checked(name, text, (*mended, *mending.done), tuple(schema_problems(arguments, schema, what)))


def written(value: object) -> str | None:
    """Write a value as JSON, None if JSON cannot: infinite numbers, half a surrogate pair."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (ValueError, RecursionError):
        return None
    return text
