"""Check calls against the tools that were offered, and mend what is safe to mend (docs/tools.md, Checking)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from app.core.tools.definitions import ReadCall, Tool

_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """A call as it goes to the client; `mended` says what was changed, `problems` what is still wrong."""

    name: str
    arguments: str
    mended: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def offered_name(name: str, tools: Sequence[Tool]) -> str | None:
    """Return the offered tool that a name means; a near miss only if it can mean no other."""
    names = [tool.name for tool in tools]
    if name in names:
        return name
    ways: tuple[Callable[[str], str], ...] = (
        str.lower,
        lambda text: "".join(letter for letter in text.lower() if letter.isalnum()),
    )
    for way in ways:
        found = [each for each in names if way(each) == way(name)]
        if found:
            return found[0] if len(found) == 1 else None
    found = [
        each for each in names if each.endswith((f"__{name}", f".{name}", f"/{name}")) or name.endswith(f"__{each}")
    ]
    return found[0] if len(found) == 1 else None


def check(call: ReadCall, tools: Sequence[Tool]) -> Checked:
    """Check one call; without problems it can be run by the client."""
    name = offered_name(call.name, tools)
    if name is None:
        known = ", ".join(tool.name for tool in tools)
        return Checked(
            call.name, call.raw or "{}", problems=(f"There is no tool {call.name}; the tools are: {known}.",)
        )
    mended = [] if name == call.name else [f"name {call.name}"]
    if call.arguments is None:
        problem = f"The arguments of {name} are not a JSON object."
        return Checked(name, call.raw, tuple(mended), (problem,))
    schema = next(tool.parameters for tool in tools if tool.name == name) or {}
    arguments = _mend(call.arguments, schema, schema, "", mended)
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    return Checked(name, text, tuple(mended), tuple(schema_problems(arguments, schema, f"the arguments of {name}")))


def schema_problems(value: Any, schema: Mapping[str, Any], what: str) -> list[str]:
    """Return what is wrong with a value, in sentences. A schema that is none itself asks for nothing."""
    if not schema:
        return []
    try:
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, registry=Registry())  # nothing is ever fetched
        found = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    except (SchemaError, Unresolvable, RecursionError):
        return []
    return [
        f"In {what}{f' at {error.json_path[2:]}' if error.absolute_path else ''}: {error.message[:300]}."
        for error in found[:_MOST_PROBLEMS]
    ]


def _mend(value: Any, schema: Any, root: Mapping[str, Any], where: str, mended: list[str]) -> Any:
    """Change a value's type where the schema asks for another and the meaning stays the same."""
    schema = _resolved(schema, root)
    if not isinstance(schema, Mapping):
        return value
    value = _as_asked(value, schema, where, mended)
    properties = schema.get("properties")
    if isinstance(value, dict) and isinstance(properties, Mapping):
        required = schema.get("required") or ()
        whole = {}
        for key, part in value.items():
            inner = _resolved(properties.get(key), root)
            if part is None and key not in required and isinstance(inner, Mapping) and not _takes_null(inner):
                mended.append(f"{where}{key}: null left out")
                continue
            whole[key] = _mend(part, inner, root, f"{where}{key}.", mended)
        return whole
    if isinstance(value, list) and "items" in schema:
        return [_mend(part, schema["items"], root, f"{where}{number}.", mended) for number, part in enumerate(value)]
    return value


def _resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """Follow a reference inside the document."""
    for _ in range(10):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        schema = root
        for part in reference[2:].split("/"):
            schema = schema.get(part) if isinstance(schema, Mapping) else None
    return None


def _types(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _takes_null(schema: Mapping[str, Any]) -> bool:
    kinds = _types(schema)
    return (not kinds or "null" in kinds) and None in schema.get("enum", [None])


def _kind(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _as_asked(value: Any, schema: Mapping[str, Any], where: str, mended: list[str]) -> Any:
    kinds, kind = _types(schema), _kind(value)
    if not kinds or kind in kinds or (kind == "integer" and "number" in kinds):
        return value
    changed = _changed(value, kinds)
    if changed is not None:
        mended.append(f"{where.rstrip('.')}: {kind} to {_kind(changed)}")
        return changed
    return value


def _changed(value: Any, kinds: list[str]) -> Any:
    """Return the same value in one of these types, None if there is no safe way."""
    if isinstance(value, str):
        text = value.strip()
        try:
            read = json.loads(text)
        except ValueError:
            read = {"true": True, "false": False}.get(text.lower())
        fits = _kind(read) in kinds or (isinstance(read, int) and not isinstance(read, bool) and "number" in kinds)
        if read is not None and fits:
            return read
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and "string" in kinds:
        return json.dumps(value)
    if "array" in kinds and value is not None and not isinstance(value, dict | list):
        return [value]
    return None
