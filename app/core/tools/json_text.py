"""JSON that models write: read as it is, else mended where nothing of it is lost (docs/tools.md, Forms)."""

import ast
import json
import math
import re
from typing import Any

from json_repair import repair_json

_OBJECT = re.compile(r"\{\s*(?:\"|'|“|}|[\w$-]+\s*:)")
_LITERALS = re.compile(r"\b(?:True|False|None)\b")
_MEANT = {"True": "true", "False": "false", "None": "null"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_COMMENT = re.compile(r"/\*(?:[^\"'*]|\*(?!/))*+(?P<end>\*/)?")  # without an end it is none, but read over once
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|"', re.DOTALL)


def strict(text: str, otherwise: Any = None) -> Any:
    """Return the value of proper JSON, else what is told; a line break inside a text is meant as one."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return otherwise


def read_object(text: str) -> dict[str, Any] | None:
    """Mend an object: Python literals, single quotes, trailing commas, bare keys, missing brackets.

    None where it is no object, or where a letter or a digit of it would be lost on the way.
    """
    if not _OBJECT.match(text):
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        try:
            value = repair_json(text, return_objects=True)
        except (RecursionError, ValueError):  # nested too deeply
            return None
    if not isinstance(value, dict) or not is_json(value):
        return None
    return value if _letters(_said(value)) == _letters(_unescaped(text)) else None


def is_json(value: Any) -> bool:
    """Say whether a value can be written as JSON."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int)


def end_of_json(text: str, begin: int) -> int | None:
    """Return where the bracket that opens at `begin` is closed; None where the text ends before, or inside a text."""
    depth = 0
    for token in _TOKENS.finditer(text, begin):  # not all at once: what follows a text without an end is not looked at
        mark = token[0]
        if mark == '"':
            return None
        depth += (mark in "{[") - (mark in "}]")
        if not depth:
            return token.end()
    return None


def _said(value: Any) -> str:
    """Return all keys and values, in their order."""
    if isinstance(value, dict):
        return " ".join(f"{key} {_said(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(map(_said, value))
    return value if isinstance(value, str) else json.dumps(value)


def _unescaped(text: str) -> str:
    """Return what a text of JSON says, its escapes undone."""

    def meant(escape: re.Match[str]) -> str:
        what = escape[1]
        return chr(int(what[1:], 16)) if len(what) == 5 else " " if what in "nrtbf" else what

    def comment(found: re.Match[str]) -> str:
        return "" if found["end"] else found[0]

    return _ESCAPE.sub(meant, _LITERALS.sub(lambda literal: _MEANT[literal[0]], _COMMENT.sub(comment, text)))


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())
