"""Change a value's type where a schema asks for another and the meaning stays the same (docs/tools.md, Checking)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.core.tools.json_text import WrittenFloat

_KINDS = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
_MOST_REFERENCES = 10
_MOST_STEPS = 50_000  # about a quarter of a second
_MOST_NESTED = 4  # of alternatives: a schema may hold itself


class Mending:
    """Mends values by one document; `done` says what was changed, and where."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._steps = 0
        self.done: list[str] = []

    def mend(self, value: Any, schema: Any, where: str = "") -> Any:
        """Return a value as the schema asks for it, as far as that is safe. Raises RecursionError if it is endless."""
        schema = self._resolved(schema)
        if not isinstance(schema, Mapping):
            return value
        for part in schema.get("allOf", ()):
            value = self.mend(value, part, where)
        kinds = self._kinds(schema)
        value = self._as_asked(value, kinds, where)
        if branch := self._branch(value, schema):
            value = self.mend(value, branch, where)
        if isinstance(value, dict) and "properties" in schema:
            return self._members(value, schema, where)
        if isinstance(value, list) and "items" in schema:
            return [self.mend(part, schema["items"], f"{where}{number}.") for number, part in enumerate(value)]
        return value

    def names_all(self, value: Any, schema: Any) -> bool:
        """Say whether a schema has a name for every key of a value: a guess where a text ends makes others.

        A schema that names none, or says what others may hold, has a place for every key.
        """
        if not isinstance(value, dict | list):
            return True
        parts = list(self._parts(schema))
        if isinstance(value, list):
            items = [part["items"] for part in parts if "items" in part]
            return all(self._one_names_all(item, items or [None]) for item in value)
        if not any("properties" in part or "additionalProperties" in part for part in parts):
            kinds = self._kinds(self._resolved(schema))
            return not kinds or "object" in kinds
        return all(self._one_names_all(inner, self._inner(key, parts)) for key, inner in value.items())

    def _one_names_all(self, value: Any, schemas: Iterable[Any]) -> bool:
        return any(self.names_all(value, schema) for schema in schemas)

    def _inner(self, key: str, parts: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
        """Return what each part of a schema asks of a key that it has a place for."""
        for part in parts:
            named, others = part.get("properties", {}), part.get("additionalProperties", False)
            if key in named:
                yield named[key]
            elif others is not False:
                yield others

    def _parts(self, schema: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
        """Return a schema and those that it is put together from."""
        schema = self._resolved(schema)
        if isinstance(schema, Mapping) and depth <= _MOST_NESTED:
            yield schema
            for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
                yield from self._parts(part, depth + 1)

    def _members(self, value: dict[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        required, whole = schema.get("required", ()), {}
        for key, part in value.items():
            inner = self._resolved(schema["properties"].get(key))
            if part is None and key not in required and isinstance(inner, Mapping) and not self._takes_null(inner):
                self.done.append(f"{where}{key}: null left out")
                continue
            whole[key] = self.mend(part, inner, f"{where}{key}.")
        return whole

    def _resolved(self, schema: Any) -> Any:
        """Follow a reference inside the document; those that double at each level would never end."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise RecursionError
        for _ in range(_MOST_REFERENCES):
            reference = schema.get("$ref") if isinstance(schema, Mapping) else None
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return schema
            schema = self._root
            for part in reference[2:].split("/"):
                schema = schema.get(part) if isinstance(schema, Mapping) else None
        return None

    def _alternatives(self, schema: Mapping[str, Any]) -> Sequence[Any]:
        return [self._resolved(part) for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]

    def _kinds(self, schema: Any, depth: int = 0) -> list[str]:
        """Return the types that a schema takes, nothing where it takes any."""
        if not isinstance(schema, Mapping) or depth > _MOST_REFERENCES:
            return []
        kinds = schema.get("type", [])
        if kinds:
            return [kinds] if isinstance(kinds, str) else list(kinds)
        inner = [self._kinds(part, depth + 1) for part in self._alternatives(schema)]
        return [kind for part in inner for kind in part] if all(inner) else []

    def _branch(self, value: Any, schema: Mapping[str, Any]) -> Any:
        """Return the only alternative that takes values of this type."""
        kind = _kind(value)
        fitting = [part for part in self._alternatives(schema) if kind in self._kinds(part)]
        return fitting[0] if len(fitting) == 1 and kind in {"object", "array"} else None

    def _takes_null(self, schema: Mapping[str, Any]) -> bool:
        kinds = self._kinds(schema)
        return (not kinds or "null" in kinds) and None in schema.get("enum", [None])

    def _as_asked(self, value: Any, kinds: Sequence[str], where: str) -> Any:
        kind = _kind(value)
        if not kinds or kind in kinds or (kind == "integer" and "number" in kinds):
            return value
        changed = _changed(value, kinds)
        if changed is None:
            return value
        self.done.append(f"{where.rstrip('.')}: {kind} to {_kind(changed)}")
        return changed


def _kind(value: Any) -> str:
    return "number" if isinstance(value, float) else _KINDS.get(type(value), "null")


def _changed(value: Any, kinds: Sequence[str]) -> Any:
    """Return the same value in one of these types, None if there is no safe way."""
    if isinstance(value, str):
        text = value.strip()
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            read = {"true": True, "false": False}.get(text.lower())
        if isinstance(read, float) and read.is_integer() and "integer" in kinds and "number" not in kinds:
            read = int(read)
        fits = _kind(read) in kinds or (_kind(read) == "integer" and "number" in kinds)
        if read is not None and fits:
            return read
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return int(value)
    if isinstance(value, bool | int | float) and "string" in kinds:
        return value.text if isinstance(value, WrittenFloat) else json.dumps(value)
    if "array" in kinds and value is not None and not isinstance(value, dict | list):
        return [value]
    return None
