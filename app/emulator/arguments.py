"""Made-up values by a JSON Schema, for the calls and the JSON that the emulator's model answers with."""

import json
import math
import re
from typing import Any

_TOPIC = re.compile(r"\b(?:for|in|of|about)\s+(\w[\w -]{0,40}\w|\w)")
_MOST_PARTS = 500  # of a value: a schema may ask for itself, and for more each time
_DEEPEST = 20


def topic(asked: str) -> str:
    """Return what a question is about, which texts of an answer hold."""
    found = _TOPIC.search(asked)
    return found[1] if found else "example"


def sample_arguments(schema: Any, asked: str) -> str:
    """Return JSON with a value for each required argument; texts are what the user asked about."""
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        return "{}"
    return sample({"required": [], **schema, "type": "object"}, asked)


def sample(schema: Any, asked: str) -> str:
    """Return JSON that fits a schema as far as its plain words go; texts are what the user asked about."""
    return json.dumps(_Samples(schema, topic(asked)).of(schema), ensure_ascii=False)


class _Samples:
    """Makes up values for the parts of one schema."""

    def __init__(self, root: Any, text: str) -> None:
        self._root = root
        self._text = text
        self._left = _MOST_PARTS

    def of(self, schema: Any, depth: int = 0) -> Any:
        """Return a value; None where there is no end of it."""
        schema = self._resolved(schema)
        if not isinstance(schema, dict):
            return self._text
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        for name in ("enum", "anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                first = schema[name][0]
                return first if name == "enum" else self.of(first, depth + 1)
        match _kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return [self.of(schema.get("items"), depth + 1) for _ in range(min(_number(schema, "minItems"), 10))]
            case "boolean":
                return True
            case "null":
                return None
            case "integer" | "number":
                least = max(1, _number(schema, "minimum"), _number(schema, "exclusiveMinimum", -1) + 1)
                return min(least, _number(schema, "maximum", least))
            case _:
                text = self._text.ljust(min(_number(schema, "minLength"), 1000), ".")
                return text[: _number(schema, "maxLength", len(text))]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Return a value for each key that is required, for all where the schema says nothing of that."""
        parts = schema.get("properties")
        if not isinstance(parts, dict):
            return {}
        wanted = schema.get("required", list(parts))
        names = [name for name in wanted if isinstance(name, str) and name in parts] if isinstance(wanted, list) else []
        return {name: self.of(parts[name], depth + 1) for name in names}

    def _resolved(self, schema: Any) -> Any:
        """Follow references inside the schema."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            schema = self._root
            for part in filter(None, reference[1:].split("/")):
                schema = schema.get(part) if isinstance(schema, dict) else None
        return schema


def _kind(schema: dict[str, Any]) -> str:
    """Return the type that a schema asks for, or which its keywords are for."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    if isinstance(kinds, str):
        return kinds
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _number(schema: dict[str, Any], name: str, otherwise: int = 0) -> int:
    told = schema.get(name)
    return math.ceil(told) if isinstance(told, int | float) and abs(told) < 10**15 else otherwise
