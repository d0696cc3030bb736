"""Made-up arguments for a tool that the emulator calls, by the schema that its prompt shows."""

import json
import re
from collections.abc import Sequence
from typing import Any

_OFFER = re.compile(
    r"<tool>\s*<name>\s*(?P<name>[^<\s]+)\s*</name>.*?<arguments>(?P<schema>.*?)</arguments>\s*</tool>", re.DOTALL
)
_WORD = re.compile(r"\b(?:for|in|of|about)\s+(\w[\w -]{0,40}\w|\w)")


def sample_arguments(tool: str, asked: str, seen: Sequence[tuple[str, str]]) -> str:
    """Return JSON with a value for each required argument; texts are what the user asked about."""
    offers = {offer["name"]: offer["schema"] for _, text in seen for offer in _OFFER.finditer(text)}
    try:
        schema = json.loads(offers.get(tool, "{}"))
    except ValueError:
        return "{}"
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        return "{}"
    topic = _WORD.search(asked)
    text = topic[1] if topic else "example"
    required = [name for name in schema.get("required", ()) if name in schema["properties"]]
    return json.dumps({name: _sample(schema["properties"][name], text) for name in required}, ensure_ascii=False)


def _sample(schema: Any, text: str) -> Any:
    if not isinstance(schema, dict):
        return text
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    values: dict[str, Any] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    kind = schema.get("type")
    return values.get(kind, text) if isinstance(kind, str) else text
