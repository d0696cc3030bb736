"""JSON that models write: read as it is, else mended where nothing of it is lost (docs/tools.md, Forms)."""

import ast
import json
import math
import re
from typing import Any

from json_repair import repair_json
from msgspec import Struct

_MOST_MENDED = 8_000  # characters; the library takes four times as long for twice as many, and nothing runs meanwhile
_OBJECT = re.compile(r"\{\s*(?:\"|'|“|}|[\w$-]+\s*:)")
_LITERALS = re.compile(r"True|False|None")
_PAIRS = ("{}", "[]", "()")
_MEANT = {"True": "true", "False": "false", "None": "null"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?", re.DOTALL)
_ESCAPES = frozenset("\"'\\/bfnrt")
_BACKSLASHES = re.compile(r"\\[\"'\\]|\\")
_COMMENT = re.compile(r"/\*(?:[^\"'*]|\*(?!/))*+(?P<end>\*/)?")  # without an end it is none, but read over once
_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"?|,(?=\s*+[}\]])', re.DOTALL)  # and texts, which are left as they are
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|"', re.DOTALL)


class WrittenFloat(float):
    """A number that knows how it was written: 3.10 may be a version."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "WrittenFloat":
        """Take the number as it stands in JSON."""
        number = super().__new__(cls, text)
        number.text = text
        return number


DECODER = json.JSONDecoder(strict=False, parse_float=WrittenFloat)


def strict(text: str, otherwise: Any = None) -> Any:
    """Return the value of proper JSON, else what is told; a line break inside a text is meant as one."""
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return otherwise


class Mended(Struct, frozen=True):
    """What JSON means that may have been broken. `is_guess`: where its texts begin and end was guessed."""

    value: Any
    is_guess: bool = False


def read_object(text: str) -> Mended | None:
    """Mend an object (`mend`); None where it is none."""
    read = mend(text) if _OBJECT.match(text) else None
    return read if read is not None and isinstance(read.value, dict) else None


def mend(text: str) -> Mended | None:
    """Mend JSON: Python literals, single quotes, trailing commas, bare keys, missing brackets.

    None where nobody knows which of its backslashes are escapes, where a letter or a digit of it would be lost on the
    way, or where it is too long to be guessed at while others wait.
    """
    text = _with_plain_slashes(_with_plain_backslashes(text))
    if not text:
        return None
    value, is_guess = strict(_LAST_COMMA.sub(lambda found: "" if found[0] == "," else found[0], text)), False
    if value is None:
        value = _literal(text)
    if value is None:
        value, is_guess = _repaired(text), True
    try:
        is_whole = is_json(value) and _letters(_said(value)) == _letters(_unescaped(text))
    except RecursionError:  # nested too deeply
        return None
    return Mended(value, is_guess) if is_whole else None


def _repaired(text: str) -> Any:
    """Return what the library makes of broken JSON; None for nothing, and for a text that would take it too long."""
    if len(text) > _MOST_MENDED:
        return None
    try:
        return repair_json(text, return_objects=True)
    except (RecursionError, ValueError):  # nested too deeply
        return None


def seems_torn(value: Any) -> bool:
    """Say whether a text in a guessed value seems to end where it was not meant to: at a quote, in a bracket."""
    if isinstance(value, dict):
        return any(map(seems_torn, value.values()))
    if isinstance(value, list):
        return any(map(seems_torn, value))
    if not isinstance(value, str):
        return False
    is_quoting = value.endswith(('"', "'", "`")) or value.count('"') % 2 == 1
    return is_quoting or any(value.count(pair[0]) != value.count(pair[1]) for pair in _PAIRS)


def _literal(text: str) -> Any:
    """Return the value of a literal of Python, None for anything else; it would join texts that stand side by side."""
    end = -1
    for found in _TEXT.finditer(text):
        if end >= 0 and not text[end : found.start()].strip():
            return None
        end = found.end()
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _with_plain_backslashes(text: str) -> str:
    """Double the backslashes of texts with escapes that JSON does not know: they were meant as they stand.

    "" where others beside them may be meant as what they are in JSON.
    """
    parts, end = [], 0
    for found in _TEXT.finditer(text) if "\\" in text else ():
        escapes = {escape[1] for escape in _ESCAPE.finditer(found[0])}
        if all(len(escape) == 5 or escape in _ESCAPES for escape in escapes):
            continue
        is_prose = len(found[0].split(maxsplit=1)) > 1  # a path and a pattern seldom are
        if any(len(escape) == 5 or (is_prose and escape in "nrt") for escape in escapes):
            return ""
        plain = _BACKSLASHES.sub(lambda each: each[0] if len(each[0]) == 2 else "\\\\", found[0])
        parts += [text[end : found.start()], plain]
        end = found.end()
    return "".join(parts) + text[end:]


def _with_plain_slashes(text: str) -> str:
    r"""Undo `\/`, which only JSON knows: a literal of Python and the library would keep the backslash."""
    return _ESCAPE.sub(lambda escape: "/" if escape[1] == "/" else escape[0], text) if "\\/" in text else text


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
    if isinstance(value, WrittenFloat):
        return value.text
    return _without_comments(value) if isinstance(value, str) else json.dumps(value)


def _unescaped(text: str) -> str:
    """Return what a text of JSON says, its escapes undone."""

    def meant(escape: re.Match[str]) -> str:
        what = escape[1]
        return chr(int(what[1:], 16)) if len(what) == 5 else " " if what in "nrtbf" else what

    return _ESCAPE.sub(meant, _without_comments(text))


def _without_comments(text: str) -> str:
    return _COMMENT.sub(lambda found: "" if found["end"] else found[0], text)


def _letters(text: str) -> str:
    """Return letters and digits; Python's words as those of JSON, also where they are words of a text."""
    letters = "".join(letter for letter in text if letter.isalnum())
    return _LITERALS.sub(lambda literal: _MEANT[literal[0]], letters)
