"""Requests made up from the description of the API: such as it allows, and such as are spoilt in any way."""

import json
from typing import Any

from hypothesis import strategies as st

from app.web.openapi import description
from tests.characters import CHARACTERS
from tests.e2e.harness import MODEL

Schema = dict[str, Any]
ODD_TEXTS = [
    "",
    "\0",
    "\ud83d",
    "\udc00",
    "\U0001f600",
    "\u202e",
    "[" * 3000,
    "a" * 3000,
    "<think>" * 300,
    "../..",
    "%s",
]
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(CHARACTERS, max_size=8)
NUMBERS = st.sampled_from([0, -1, 2**31, 2**63, -(2**63), 2**64, 10**400, 1e308, -0.0, 1.5]) | st.integers()
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
# what a schema leaves open and the server does not; many bodies should get past it
_CALL = {"name": "f", "arguments": "{}"}
_PART = st.builds(lambda text: {"type": "text", "text": text}, st.text(CHARACTERS, max_size=12))
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from([MODEL, f"{MODEL}-fast", "qwq-32b"]),
    "n": st.just(1),
    "role": st.sampled_from(["user", "user", "user", "assistant", "system", "tool"]),
    "content": st.sampled_from(["hi", "My dog is called Rex.", "/think", "[" * 2000]) | st.lists(_PART, max_size=3),
    "type": st.just("function"),
    "tool_choice": st.sampled_from(["auto", "none"]),
    "function_call": st.none(),
    "tool_calls": st.none() | st.just([{"id": "c", "function": _CALL}]),
    "functions": st.none(),
    "response_format": st.none() | st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    "reasoning_effort": st.sampled_from(["low", "none"]),
    "thinking_budget": st.sampled_from([0, 1, 2**63, 10**30]),
    "modalities": st.just(["text"]),
    "stop": st.none() | st.sampled_from(["x", ["a", "\0"]]),
    "name": st.sampled_from(["f", "g"]),
    "audio": st.none(),
    "max_tokens": st.sampled_from([1, 100, 2**63, 10**300]),
    "max_completion_tokens": st.sampled_from([1, 100]),
}
_TEXT = st.sampled_from(["", "hi", "My dog is called Rex.", "/think"])
_BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, _TEXT),
    st.builds(lambda text: {"type": "tool_result", "tool_use_id": "c", "content": text}, _TEXT),
    st.builds(lambda name: {"type": "tool_use", "id": "c", "name": name, "input": {}}, st.sampled_from(["f", "g"])),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["thinking", "image", "web_search_tool_result", "x"])),
)
_TOOLS = st.sampled_from(
    [{"name": "f"}, {"name": "g", "input_schema": {}}, {"name": "s", "type": "web_search_20250305"}]
)
LIKELY_BLOCKS: dict[str, st.SearchStrategy[Any]] = {
    "model": LIKELY["model"],
    "content": _TEXT | st.lists(_BLOCKS, max_size=3),
    "system": st.none() | _TEXT,
    "role": st.sampled_from(["user", "user", "assistant", "system"]),
    "stream": st.booleans(),
    "max_tokens": LIKELY["max_tokens"],
    "thinking": st.none()
    | st.builds(lambda budget: {"type": "enabled", "budget_tokens": budget}, st.integers(-1, 2**70)),
    "tools": st.none() | st.lists(_TOOLS, max_size=2),
    "tool_choice": st.none() | st.sampled_from([{"type": "auto"}, {"type": "none", "disable_parallel_tool_use": True}]),
    "output_config": st.none() | st.just({"effort": "high"}),
    "output_format": st.none() | st.just({"type": "json_schema", "schema": {"type": "object"}}),
    "stop_sequences": st.none() | st.just(["a", "\0"]),
    "container": st.none(),
    "mcp_servers": st.just([]),
}


def nested(levels: int) -> Schema:
    inner: Schema = {}
    for _ in range(levels):
        inner = {"properties": inner}
    return inner


def matching(
    schema: Schema, schemas: dict[str, Schema], likely: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    """Return values that a schema allows."""
    if "$ref" in schema:
        return matching(schemas[schema["$ref"].rpartition("/")[2]], schemas, likely)
    if "anyOf" in schema:
        return st.one_of([matching(each, schemas, likely) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            inner = {
                name: likely[name] if name in likely else matching(each, schemas, likely)
                for name, each in schema["properties"].items()
            }
            needed = {name: inner.pop(name) for name in [*schema["required"], "content", "function"] if name in inner}
            return st.fixed_dictionaries(needed, optional=inner)
        case "object":
            loose = st.dictionaries(st.sampled_from(["type", "properties", "$ref", "a"]), ANYTHING, max_size=3)
            return loose | st.sampled_from([2, 150, 450]).map(nested)
        case "array":
            return st.lists(matching(schema["items"], schemas, likely), min_size=1, max_size=3)
        case "string":
            return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="#"), max_size=12)
        case "integer":
            return st.integers(-1, 2**70)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return ANYTHING


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in entries for place in places(inner, (*path, key)))]


@st.composite
def spoilt(draw: st.DrawFn, bodies: st.SearchStrategy[Any]) -> Any:
    """Return a body with something in it replaced, added or taken away."""
    body = json.loads(json.dumps(draw(bodies)))
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from([place for place in places(body) if place] or [("x",)]))
        parent = body
        for key in path:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "take away", "wrap", "deepen"]))
        if how == "take away":
            parent.pop(last, None) if isinstance(parent, dict) else parent.pop(last)
        elif how == "wrap":
            parent[last] = [parent.get(last)] if isinstance(parent, dict) else [parent[last]]
        elif how == "deepen":
            for _ in range(draw(st.sampled_from([5, 150, 400]))):
                parent[last] = {"a": parent.get(last)} if isinstance(parent, dict) else [parent[last]]
        else:
            parent[last] = draw(ANYTHING)
    return body


@st.composite
def torn(draw: st.DrawFn, bodies: st.SearchStrategy[Any]) -> bytes:
    """Return a body whose bytes are cut, doubled or overwritten."""
    raw = json.dumps(draw(bodies)).encode()
    at = draw(st.integers(0, len(raw)))
    how = draw(st.sampled_from(["cut", "twice", "overwrite"]))
    if how == "cut":
        return raw[:at]
    if how == "twice":
        return raw + raw[at:]
    odd = draw(st.sampled_from([b"\xff", b"\\ud800", b"\0", b"NaN", b"1e999", b"[" * 5000, b'{"":' * 1200, b'"', b","]))
    return raw[:at] + odd + raw[at:]


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


_DOCUMENT = description()
_SCHEMAS: dict[str, Schema] = _DOCUMENT["components"]["schemas"]


def bodies_of(schema: str, likely: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[bytes]:
    """Return bodies that a route takes, and such as are spoilt in any way."""
    allowed = matching({"$ref": f"#/components/schemas/{schema}"}, _SCHEMAS, likely)
    return (
        allowed.map(encoded)
        | allowed.map(encoded)
        | spoilt(allowed).map(encoded)
        | torn(allowed)
        | ANYTHING.map(encoded)
    )


BODIES = bodies_of("ChatBody", LIKELY)
MESSAGES_BODIES = bodies_of("MessagesBody", LIKELY_BLOCKS)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
HEADERS = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from(["application/json"] * 30 + ["text/plain", "application/json; charset=odd", "x"])},
    optional={
        "Authorization": VISIBLE,
        "X-Api-Key": VISIBLE,
        "X-Request-Id": VISIBLE,
        "Accept": VISIBLE,
        "Origin": st.sampled_from(["null", "http://localhost:1", "https://evil.example", "%"]),
        "Accept-Encoding": st.sampled_from(["identity", "gzip", "odd;q=2"]),
    },
)
