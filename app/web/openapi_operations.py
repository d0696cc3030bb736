"""Operations and what they give, as the description of the API writes them (OpenAPI 3.1)."""

from collections.abc import Mapping
from typing import Any

SCHEMAS = "#/components/schemas/"
HEADERS: Mapping[str, Any] = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in {
        "X-Session-Id": "The conversation.",
        "X-Session-Match": "How it was found: new, exact, window, tool-call or branch.",
        "X-Request-Id": "The request, as in the server's log.",
        "X-Ignored-Params": "The fields that had no effect.",
    }.items()
}


def operation(name: str, text: str, answer: dict[str, Any], *, guarded: bool = False) -> dict[str, Any]:
    """Describe an operation; a guarded one needs a key where the server has any."""
    described: dict[str, Any] = {
        "operationId": name,
        "description": text,
        "responses": {
            "200": answer,
            "default": json_body("Error", "What went wrong; docs/errors.md lists the codes."),
        },
    }
    if guarded:
        described["security"] = [{}, {"bearer": []}, {"key": []}]
    return described


def json_body(schema: str, text: str) -> dict[str, Any]:
    """Describe an answer of a type."""
    return {"description": text, **content("application/json", reference(schema))}


def content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe content of a media type."""
    return {"content": {kind: {"schema": schema}}}


def reference(name: str) -> dict[str, Any]:
    """Refer to a type."""
    return {"$ref": f"{SCHEMAS}{name}"}
