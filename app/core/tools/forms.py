"""Make calls of what a model wrote: the taught form, and the forms that models fall into (docs/tools.md, Forms)."""

import html
import json
import re
from collections.abc import Collection
from typing import Any

from app.core.tools.call_body import Body
from app.core.tools.definitions import ReadCall
from app.core.tools.json_text import DECODER, Mended, read_object, strict
from app.core.tools.tags import ARGUMENTS, ARGUMENTS_END, Opening

_NAME = re.compile(r"<\s{0,8}name\s{0,8}>([^<]*)(?:<\s{0,8}/\s{0,8}name\s{0,8}>)?", re.IGNORECASE)
_FUNCTION = re.compile(r"<\s{0,8}function\s{0,8}=\s{0,8}[\"']?([\w.:/-]+)[\"']?\s{0,8}>", re.IGNORECASE)
_FUNCTION_END = re.compile(r"<\s{0,8}/\s{0,8}function\s{0,8}>\s*\Z", re.IGNORECASE)
_PARAMETER = re.compile(r"<\s{0,8}parameter\s{0,8}=\s{0,8}[\"']?([\w.:/-]+)[\"']?\s{0,8}>", re.IGNORECASE)
_PARAMETER_END = re.compile(r"<\s{0,8}/\s{0,8}parameter\s{0,8}>", re.IGNORECASE)
_NAMES = ("name", "tool_name", "tool", "function")
_JSON_NAME = re.compile(rf"\s*(?:\[\s*)?\{{\s*[\"'](?:{'|'.join(_NAMES)})[\"']\s*:\s*[\"']([\w.:/-]+)[\"']")
_ARGUMENT_KEYS = ("arguments", "args", "parameters", "params", "input")
_CALL_KEYS = frozenset({*_NAMES, *_ARGUMENT_KEYS, "id", "type"})


def read_calls(opening: Opening, body: Body) -> list[ReadCall]:
    """Read what stands inside a call's tags; nothing if it names no tool.

    A call that the answer's end cut off has arguments only where they are whole all the same.
    """
    whole = body.closed and not body.torn
    text = opening.plain(body.text)
    if opening.function:
        return [_function_call(opening.function, text, whole=whole)]
    if function := _FUNCTION.search(text):
        ended = _FUNCTION_END.search(text)
        return [_function_call(function[1], text[function.end() :], whole=whole or ended is not None)]
    begin = ARGUMENTS.search(text)
    name = _NAME.search(text, 0, begin.start() if begin else len(text))
    if name is not None:
        return _named_call(name[1], text[name.end() :], whole=whole)
    if begin is None:
        return json_calls(text, whole=whole) or _unreadable(text)
    ends = list(ARGUMENTS_END.finditer(text))
    late = _NAME.search(text, ends[-1].end()) if ends else None  # the arguments came first
    return _named_call(late[1], text[begin.start() : ends[-1].end()], whole=True) if late else []


def _named_call(name: str, rest: str, *, whole: bool) -> list[ReadCall]:
    if not name.strip():
        return []
    if begin := ARGUMENTS.search(rest):
        ends = list(ARGUMENTS_END.finditer(rest, begin.end()))
        whole = whole or bool(ends)
        rest = rest[begin.end() : ends[-1].start() if ends else len(rest)]
    return [_call(name.strip(), rest, rest.strip(), whole=whole)]


def _call(name: str, text: str, raw: str, *, whole: bool, is_guess: bool = False) -> ReadCall:
    read = read_arguments(text, whole=whole)
    return ReadCall(name, None, raw) if read is None else ReadCall(name, read.value, raw, is_guess or read.is_guess)


def _unreadable(text: str) -> list[ReadCall]:
    """Return a call whose JSON cannot be read, as long as it says whose it is: the model is asked again for it."""
    name = _JSON_NAME.match(text)
    return [ReadCall(name[1], None, text.strip())] if name else []


def json_calls(text: str, *, whole: bool = True, known: Collection[str] | None = None) -> list[ReadCall]:
    """Read calls that are JSON objects, one after the other or in a list.

    With `known` only those of known tools that hold nothing else; if one is none, all are none.
    """
    calls = []
    values, is_guess = _values(text.strip(), whole=whole)
    for value in values:
        call = _json_call(value, known, is_guess=is_guess)
        if call is None:
            return []
        calls.append(call)
    return calls


def _values(text: str, *, whole: bool) -> tuple[list[Any], bool]:
    """Return the values of a text, and whether they are a guess."""
    one, is_guess = strict(text), False
    if one is None:
        values, at = [], 0
        try:
            while at < len(text):
                value, at = DECODER.raw_decode(text, at)
                values.append(value)
                at = next((place for place in range(at, len(text)) if text[place] not in " \t\r\n,;"), len(text))
        except (ValueError, RecursionError):
            if whole and (mended := read_object(text)):
                one, is_guess = mended.value, mended.is_guess
        else:
            return values, False
    return one if isinstance(one, list) else [] if one is None else [one], is_guess


def _json_call(value: Any, known: Collection[str] | None, *, is_guess: bool) -> ReadCall | None:
    if not isinstance(value, dict) or (is_guess and not _CALL_KEYS.issuperset(value)):
        return None
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if name is None and isinstance(value.get("function"), dict):
        value = value["function"]
        name = value.get("name")
    if not isinstance(name, str) or not name.strip():
        return None
    key = next((key for key in _ARGUMENT_KEYS if key in value), None)
    if known is not None and (name not in known or key is None or len(value) > 3):
        return None
    arguments = value[key] if key else {}
    if arguments is None:
        arguments = {}
    if isinstance(arguments, str):
        return _call(name.strip(), arguments, arguments, whole=True, is_guess=is_guess)
    raw = json.dumps(arguments, ensure_ascii=False)
    return ReadCall(name.strip(), arguments if isinstance(arguments, dict) else None, raw, is_guess)


def _function_call(name: str, body: str, *, whole: bool) -> ReadCall:
    """Read Qwen-Coder's form: each parameter in a tag of its own, texts bare, everything else as JSON."""
    openings = list(_PARAMETER.finditer(body))
    if not openings:
        text = _FUNCTION_END.sub("", body)
        return _call(name, text, body.strip(), whole=whole)
    arguments: dict[str, Any] = {}
    limits = [*(each.start() for each in openings[1:]), len(body)]
    for opening, limit in zip(openings, limits, strict=True):
        ends = list(_PARAMETER_END.finditer(body, opening.end(), limit))
        if not ends and limit == len(body) and not whole:
            return ReadCall(name, None, body.strip())  # its value may go on
        end = ends[-1].start() if ends else limit
        text = body[opening.end() : end] if ends else _FUNCTION_END.sub("", body[opening.end() : end]).rstrip()
        arguments[opening[1]] = _value(text.removeprefix("\n").removesuffix("\n"))
    return ReadCall(name, arguments, body.strip())


def _value(text: str) -> Any:
    """Read an object or a list; anything else stays text, which checking turns into what the schema asks for."""
    value = strict(text) if text.lstrip()[:1] in {"{", "["} else None
    return text if value is None else value


def read_arguments(text: str, *, whole: bool) -> Mended | None:
    """Read a JSON object; {} for nothing at all or null, None where there is no object in it.

    It is mended if need be, but not where it is not `whole`: nobody knows how it would have gone on.
    """
    text = _unfenced(text.strip())
    if not text:
        return Mended({}) if whole else None
    value = strict(text)
    if isinstance(value, str):  # an object that was encoded twice
        value = strict(value.strip())
    if value is None and "&quot;" in text:
        value = strict(html.unescape(text))
    if value is None:
        if text == "null":
            return Mended({})
        return read_object(text) if whole else None
    return Mended(value) if isinstance(value, dict) else None


def _unfenced(text: str) -> str:
    if not text.startswith("```"):
        return text
    return re.sub(r"\n?\s*```\s*\Z", "", re.sub(r"\A```[\w-]*[ \t]*\n?", "", text)).strip()
