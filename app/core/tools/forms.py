"""Make a call of what a model wrote: the taught form, and the forms that models fall into (docs/tools.md, Forms)."""

import ast
import html
import json
import re
from collections.abc import Collection
from typing import Any

from json_repair import repair_json

from app.core.tools.definitions import ReadCall

_TAG = r"<\s*{slash}\s*{name}\s*>"
_NAME = re.compile(r"<\s*name\s*>(.*?)<\s*/\s*name\s*>", re.DOTALL | re.IGNORECASE)
_ARGUMENTS = re.compile(r"<\s*(arguments|args|parameters|params|input)\s*>", re.IGNORECASE)
_FUNCTION = re.compile(r"<\s*function\s*=\s*[\"']?([\w.:/-]+)[\"']?\s*>", re.IGNORECASE)
_PARAMETER = re.compile(
    r"<\s*parameter\s*=\s*[\"']?([\w.:/-]+)[\"']?\s*>(.*?)(?:<\s*/\s*parameter\s*>|(?=<\s*parameter\s*=)|(?=<\s*/\s*function)|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_JSON_NAME = re.compile(r"[\"'](?:name|tool_name|tool|function)[\"']\s*:\s*[\"']([^\"']+)[\"']")
_FENCE = re.compile(r"^\s*```[\w-]*\s*\n?(.*?)\n?\s*(?:```\s*)?$", re.DOTALL)
_NAMES = ("name", "tool_name", "tool", "function")
_ARGUMENT_KEYS = ("arguments", "args", "parameters", "params", "input")


def plain(text: str, opening: str) -> str:
    """Undo the disguise of tags that an opening tag shows: full-width brackets, HTML entities."""
    if "＜" in opening:
        text = text.replace("＜", "<").replace("＞", ">").replace("／", "/")
    return html.unescape(text) if "&lt;" in opening else text


def early_name(body: str) -> str | None:
    """Return a call's name as soon as its beginning tells it."""
    if found := _NAME.search(body) or _FUNCTION.search(body):
        return found[1].strip() or None
    found = _JSON_NAME.search(body)
    return found[1] if found and "<" not in body[: found.start()] else None


def read_call(body: str) -> ReadCall | None:
    """Read what stands inside a call's tags; None if it names no tool."""
    function = _FUNCTION.search(body)
    if function is not None:
        return _function_call(function[1], body[function.end() :])
    name = _NAME.search(body)
    if name is None:
        return json_call(body)
    if not name[1].strip():
        return None
    rest = body[name.end() :]
    opening = _ARGUMENTS.search(rest)
    if opening is not None:
        closing = list(re.finditer(_TAG.format(slash="/", name=opening[1]), rest, re.IGNORECASE))
        rest = rest[opening.end() : closing[-1].start() if closing else len(rest)]
    return ReadCall(name[1].strip(), read_arguments(rest), rest.strip())


def json_call(text: str, known: Collection[str] | None = None) -> ReadCall | None:
    """Read a call that is a JSON object; with `known` only one of a known tool that holds nothing else."""
    value = read_arguments(text)
    if not value:
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
    arguments = value.get(key, {}) if key else {}
    if isinstance(arguments, str):
        return ReadCall(name.strip(), read_arguments(arguments), arguments)
    is_object = isinstance(arguments, dict)
    return ReadCall(name.strip(), arguments if is_object else None, json.dumps(arguments, ensure_ascii=False))


def _function_call(name: str, body: str) -> ReadCall:
    """Read Qwen-Coder's form: each parameter in a tag of its own, texts bare, everything else as JSON."""
    arguments: dict[str, Any] = {}
    for found in _PARAMETER.finditer(body):
        text = found[2].removeprefix("\n").removesuffix("\n")
        arguments[found[1]] = _value(text)
    if not arguments and "{" in body:
        return ReadCall(name, read_arguments(re.sub(r"<[^>]*>", "", body)), body.strip())
    return ReadCall(name, arguments, body.strip())


def _value(text: str) -> Any:
    """Read an object or a list; anything else stays text, which checking turns into what the schema asks for."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def read_arguments(text: str) -> dict[str, Any] | None:
    """Read a JSON object, mended if need be; {} for nothing at all, None where there is no object in it."""
    text = text.strip()
    if fence := _FENCE.match(text):
        text = fence[1].strip()
    if not text:
        return {}
    value = _strict(text)
    if isinstance(value, str):  # an object that was encoded twice
        value = _strict(value.strip())
    if value is None and text.startswith("{"):
        value = _mended(text)
    return value if isinstance(value, dict) else None


def _strict(text: str) -> Any:
    try:
        return json.loads(text, strict=False)  # a line break inside a text is meant as one
    except (ValueError, RecursionError):
        return None


def _mended(text: str) -> Any:
    """Mend what is not JSON: Python literals, single quotes, trailing commas, missing ends."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        try:
            value = repair_json(text, return_objects=True)
        except (RecursionError, ValueError):  # nested too deeply
            return None
        return value if isinstance(value, dict) else None
    return value if isinstance(value, dict) and _is_json(value) else None


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool | int | float)
