"""The arguments of calls in one form, by which they are compared."""

import json

_MOST = 2_000_000  # characters, which take half a second
_EXACT_DIGITS = 15  # of a whole number that JavaScript keeps as it is


def canonical_arguments(text: str) -> str:
    """Return arguments in one form: keys in order, numbers as JavaScript has them, whose clients write them anew.

    Raises ValueError for what is no JSON, or more of it than is worth the time: nobody else is served meanwhile.
    """
    if len(text) > _MOST:
        raise ValueError(f"It is longer than {_MOST:,} characters.")
    try:
        return json.dumps(json.loads(text, parse_float=_number, parse_int=_whole), sort_keys=True)
    except RecursionError as problem:
        raise ValueError("It is nested too deeply.") from problem


def plain_arguments(text: str) -> str:
    """Return arguments in one form where they have one, else as they are."""
    try:
        return canonical_arguments(text)
    except ValueError:
        return text


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _whole(text: str) -> float | int:
    return int(text) if len(text) <= _EXACT_DIGITS else _number(text)
