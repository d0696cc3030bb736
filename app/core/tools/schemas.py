"""A client's JSON Schema as far as it can be relied on, and what a value lacks by it (docs/tools.md, Checking).

jsonschema is imported where the first schema comes: it takes 3 MB and a tenth of the start, and many never send one.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any

_log = logging.getLogger(__name__)
_MOST_PROBLEMS = 5
_NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required"})
_BY_PATTERN = frozenset({"patternProperties", "additionalProperties", "unevaluatedProperties"})
_MOST_STEPS = 50_000  # about half a second
_steps: ContextVar[list[int]] = ContextVar("steps of the check under way")


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
    # another `$schema` inside would be checked by another validator, which counts no steps
    dropped = {"pattern", "$schema", *(_BY_PATTERN if "patternProperties" in schema else ())}
    return {
        key: {name: _without_patterns(part) for name, part in value.items()}
        if key in _NAMED and isinstance(value, Mapping)
        else value
        if key in _VALUES
        else _without_patterns(value)
        for key, value in sorted(schema.items(), key=_looks_at_others)
        if key not in dropped
    }


def _looks_at_others(keyword: tuple[str, Any]) -> bool:
    """Say whether a keyword goes through its neighbours itself, uncounted: it has to come after they were counted."""
    return keyword[0].startswith("unevaluated")


@cache
def _validator() -> Any:
    """Return the library's validator, which follows whatever a client writes, made to end after so many steps."""
    from jsonschema import Draft202012Validator, validators

    counted = {name: _counted(keyword) for name, keyword in Draft202012Validator.VALIDATORS.items()}
    return validators.extend(Draft202012Validator, counted)  # type: ignore[no-untyped-call]


def _counted(keyword: Callable[..., Iterable[Any] | None]) -> Callable[..., Iterable[Any] | None]:
    """Count a keyword: references that double at each level ask for more than any server can do."""

    def step(validator: Any, told: Any, value: Any, schema: Any) -> Iterable[Any] | None:
        steps = _steps.get()
        steps[0] += 1 + (len(told) if isinstance(told, list | dict) else 0)
        if steps[0] > _MOST_STEPS:
            raise RecursionError(f"it takes more than {_MOST_STEPS:,} steps")
        return keyword(validator, told, value, schema)

    return step


def schema_problems(value: Any, schema: Mapping[str, Any], what: str) -> list[str]:
    """Return what is wrong with a value by a usable schema, in sentences."""
    if not schema:
        return []
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = _validator()(schema, registry=Registry())  # nothing is ever fetched
    _steps.set([0])
    try:
        found = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    except (Unresolvable, RecursionError) as problem:
        _log.warning("The JSON Schema of %s cannot be followed: %.200s", what, problem)
        return []
    return [f"In {what}{_place_of(error)}: {error.message[:300]}." for error in found[:_MOST_PROBLEMS]]


def _place_of(error: Any) -> str:
    """Say where in a value something is wrong, nothing where it is the whole of it."""
    return f" at {error.json_path[1:].removeprefix('.')}" if error.absolute_path else ""
