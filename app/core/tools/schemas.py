"""A client's JSON Schema as far as it can be relied on, and what a value lacks by it (docs/tools.md, Checking).

jsonschema is imported where the first schema comes: it takes 3 MB and a tenth of the start, and many never send one.
"""

import logging
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger(__name__)
_MOST_PROBLEMS = 5
_NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required"})
_BY_PATTERN = frozenset({"patternProperties", "additionalProperties", "unevaluatedProperties"})


def usable(schema: Mapping[str, Any] | None, what: str) -> Mapping[str, Any]:
    """Return a schema without what cannot be checked safely; {}, which asks for nothing, for one that is none.

    A pattern of a client could keep the server busy for ever, so patterns are told to the model but not checked.
    """
    if not schema:
        return {}
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, Unresolvable, RecursionError) as problem:
        said = getattr(problem, "message", type(problem).__name__)
        _log.warning("The JSON Schema of %s cannot be used, so nothing is checked by it: %.200s", what, said)
        return {}
    plain = _without_patterns(schema)
    return plain if isinstance(plain, Mapping) else {}


def _without_patterns(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_patterns(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    dropped = {"pattern", *(_BY_PATTERN if "patternProperties" in schema else ())}
    return {
        key: {name: _without_patterns(part) for name, part in value.items()}
        if key in _NAMED and isinstance(value, Mapping)
        else value
        if key in _VALUES
        else _without_patterns(value)
        for key, value in schema.items()
        if key not in dropped
    }


def schema_problems(value: Any, schema: Mapping[str, Any], what: str) -> list[str]:
    """Return what is wrong with a value by a usable schema, in sentences."""
    if not schema:
        return []
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(schema, registry=Registry())  # nothing is ever fetched
    try:
        found = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    except (Unresolvable, RecursionError) as problem:
        _log.warning("The JSON Schema of %s cannot be followed: %.200s", what, problem)
        return []
    return [
        f"In {what}{f' at {error.json_path[2:]}' if error.absolute_path else ''}: {error.message[:300]}."
        for error in found[:_MOST_PROBLEMS]
    ]
