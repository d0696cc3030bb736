"""Which tool the emulator's model calls, of those that its prompt offers."""

import json
import re
from collections.abc import Sequence

from app.emulator.arguments import sample_arguments
from app.emulator.wishes import Wish

Seen = Sequence[tuple[str, str]]
_TOOL = re.compile(r"<tool>\s*<name>\s*(?P<name>[^<\s]+)\s*</name>(?P<rest>.*?)</tool>", re.DOTALL)
_SCHEMA = re.compile(r"<arguments>(.*)</arguments>", re.DOTALL)
_QUESTION = re.compile(
    r"[?？]|^(?:please\s+)?(?:tell|show|give|get|find|fetch|check|look|list|read|search)\b",
    re.IGNORECASE | re.MULTILINE,
)
_WORDS = re.compile(r"[A-Z][a-z]{2,}|[a-z]{3,}|[A-Z]{3,}")  # of getWeather, get_weather, GET_WEATHER
_OF_ANY_TOOL = re.compile(
    "all|and|any|are|call|can|check|current|data|does|fetch|find|for|from|function|get|has|have|how|info|information"
    "|latest|list|look|lookup|make|not|now|query|read|run|search|set|show|the|this|tool|use|was|what|when|where|which"
    "|who|will|with|you|your"
)


def named_call(wish: Wish, seen: Seen) -> str | None:
    """Call the offered tool that the user or the note names, with arguments that stand behind its name."""
    offered = _offered(seen)
    for asked in (wish.note, wish.plain):
        for name, schema in offered.items():
            if re.search(rf"\b{re.escape(name)}\b", asked):
                _, _, behind = wish.plain.partition(name)
                return _call(name, _json_object(behind) or sample_arguments(schema, wish.plain))
    return None


def fitting_call(wish: Wish, seen: Seen) -> str | None:
    """Call the offered tool whose name shares most words with a question, None where none shares any."""
    if not _QUESTION.search(wish.plain):
        return None
    said, offered = _words(wish.plain), _offered(seen)
    shared = {name: len(_words(re.split(r"__|[./]", name)[-1]) & said) for name in offered}
    best = max(shared, key=shared.__getitem__, default=None)
    return _call(best, sample_arguments(offered[best], wish.plain)) if best is not None and shared[best] else None


def any_call(wish: Wish, seen: Seen) -> str | None:
    """Call the tool that fits, else the first one that is offered, None where none is."""
    first = next(iter(_offered(seen).items()), None)
    call = named_call(wish, seen) or fitting_call(wish, seen)
    return call or (_call(first[0], sample_arguments(first[1], wish.plain)) if first else None)


def _offered(seen: Seen) -> dict[str, object]:
    """Return the schemas of the tools by name, as they were last told."""
    for _, text in reversed(seen):
        if offers := {tool["name"]: _schema_of(tool["rest"]) for tool in _TOOL.finditer(text)}:
            return offers
    return {}


def _schema_of(text: str) -> object:
    found = _SCHEMA.search(text)
    try:
        return json.loads(found[1]) if found else None
    except (ValueError, RecursionError):
        return None


def _words(text: str) -> set[str]:
    return {word for word in map(str.lower, _WORDS.findall(text)) if not _OF_ANY_TOOL.fullmatch(word)}


def _call(name: str, arguments: str) -> str:
    """Write a call in Cherry Studio's form."""
    return f"I use the tool.\n\n<tool_use>\n  <name>{name}</name>\n  <arguments>{arguments}</arguments>\n</tool_use>"


def _json_object(text: str) -> str | None:
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, ensure_ascii=False)
