"""The site's own tools in an answer: what they do, what they found, what they drew (Hosted tools, Pictures). Pure."""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from app.core.events import Event, Picture, ReasoningDelta, Source, Sources
from app.errors import UpstreamProtocolError
from app.upstream.qwen.decoding import decode
from app.upstream.qwen.frames import Delta
from app.upstream.qwen.pieces import Thoughts

IMAGE_PHASES = frozenset({"image_gen", "image", "image_edit", "generate_image"})
IMAGE_TOOLS = frozenset({"image_gen_tool", "image_edit_tool"})
_DEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "web_search": ("Searching the web", ("queries", "query", "q")),
    "web_extractor": ("Reading pages", ("urls", "url")),
    "image_search": ("Searching for images", ("queries", "query")),
    "code_interpreter": ("Running code", ()),
    "image_gen_tool": ("Making an image", ("prompt",)),
    "image_edit_tool": ("Editing an image", ("prompt",)),
}
TOOLS = frozenset(_DEEDS)
_LONGEST_LINE = 240
_LONGEST_URL = 4096
_LONGEST_TITLE = 300
_LONGEST_SIDE = 1_000_000
_MOST_CALLS = 500
_MOST_PICTURES = 100
_MOST_SOURCES = 1000
_LARGEST_NUMBER = 1_000_000
Note = Callable[[str], None]


class Pictures:
    """The images of one answer, each address once."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._seen: set[str] = set()

    def take(self, addresses: Sequence[object], sizes: object = None) -> list[Event]:
        """Return the images at these addresses that are new; `sizes` are `[height, width]` in their order."""
        listed = sizes if isinstance(sizes, list) else []
        new: list[Event] = []
        for index, address in enumerate(addresses):
            if not is_address(address):
                self._note("an image without an address")
            elif address not in self._seen and len(self._seen) < _MOST_PICTURES:
                self._seen.add(address)
                width, height = _read_size(listed[index]) if index < len(listed) else (None, None)
                new.append(Picture(address, width, height))
        return new


class SourceNumbers:
    """Gives the documents of an answer's searches the numbers that its marks name.

    The numbers run on from 1 over all searches, and `used_id` is the first one that a search left free: 20 documents
    with 21, then 16 with 37, and the third search begins at 37 (docs/upstream-protocol.md, Hosted tools).
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._next = 1
        self._count = 0
        self._last: tuple[object, list[str]] = (None, [])

    def take(self, extra: dict[str, Any]) -> tuple[Source, ...]:
        """Return the sources that a search's result adds. One that is repeated, or that has grown, adds the rest."""
        result = extra.get("tool_result")
        docs, used_id = _member(result, "docs") or extra.get("web_search_info"), _member(result, "used_id")
        if not isinstance(docs, list):
            return ()
        addresses = [_text(_member(doc, "url")) for doc in docs[:_MOST_SOURCES]]
        said, before = self._last
        self._last = (used_id, addresses)
        known = len(before) if before and said == used_id and addresses[: len(before)] == before else 0
        if isinstance(used_id, int) and not isinstance(used_id, bool) and not known:
            self._next = max(self._next, min(used_id - len(docs), _LARGEST_NUMBER))
        found: list[Source] = []
        for doc, address in zip(docs[known:], addresses[known:], strict=False):
            number, self._next = self._next, self._next + 1
            if not is_address(address) or self._count >= _MOST_SOURCES:
                self._note("a source without an address, or one too many")
                continue
            self._count += 1
            title = " ".join(_text(_member(doc, "title")).split())[:_LONGEST_TITLE]
            found.append(Source(number, address, title or address))
        return tuple(found)


class HostedTools:
    """The calls of hosted tools in one answer. Each becomes one line among the thoughts, its results sources or images.

    A line is written once: when the call's arguments, which arrive as growing JSON, are whole, or at its result.
    """

    def __init__(self, thoughts: Thoughts, pictures: Pictures, note: Note) -> None:
        self._thoughts = thoughts
        self._pictures = pictures
        self._citations = SourceNumbers(note)
        self._note = note
        self._announced: set[str] = set()

    def take(self, tool: str, delta: Delta) -> list[Event]:
        """Take a delta of a tool in `TOOLS`."""
        call = f"{tool} {delta.function_id}"
        if isinstance(delta.function_call, dict):
            arguments = _whole_arguments(delta.function_call.get("arguments"))
            return [] if arguments is None else self._announce(call, tool, arguments)
        extra = delta.extra if isinstance(delta.extra, dict) else {}
        if delta.status == "error":
            self._note(f"the error of a tool, {tool}")
        if not delta.name and not extra:
            return []
        events = self._announce(call, tool, {})
        if delta.status == "finished" and not delta.function_id:
            self._announced.discard(call)  # the next call of the tool has no other name
        return events + self._read_result(tool, extra)

    def _announce(self, call: str, tool: str, arguments: dict[str, Any]) -> list[Event]:
        if call in self._announced or len(self._announced) >= _MOST_CALLS:
            return []
        self._announced.add(call)
        return [ReasoningDelta(self._thoughts.line(describe(tool, arguments)))]

    def _read_result(self, tool: str, extra: dict[str, Any]) -> list[Event]:
        if tool in IMAGE_TOOLS:
            return self._pictures.take(drawn(extra))
        found = self._citations.take(extra) if tool == "web_search" else ()
        return [Sources(found)] if found else []


def drawn(extra: dict[str, Any]) -> list[object]:
    """Return the addresses that the result of a picture tool holds.

    `image_list` is what the page shows; `tool_result` has the same pictures at addresses of their own.
    """
    found: list[object] = []
    for key in ("image_list", "tool_result"):
        images = extra.get(key)
        if isinstance(images, list):
            found = [_member(image, "image") or _member(image, "url") for image in images]
        if any(map(is_address, found)):
            break
    return found


def describe(tool: str, arguments: dict[str, Any]) -> str:
    """Return one line about a call: what the tool does, and with what."""
    deed, keys = _DEEDS[tool]
    value = next((arguments[key] for key in keys if arguments.get(key)), "")
    parts = value if isinstance(value, list) else [value]
    line = "; ".join(
        " ".join(part[: 2 * _LONGEST_LINE].split()) for part in parts[:20] if isinstance(part, str) and part
    )
    if not line:
        return f"{deed}."
    return f"{deed}: {line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + '…'}"


def is_address(value: object) -> TypeGuard[str]:
    """Say whether a member is the address of something on the web."""
    return isinstance(value, str) and len(value) <= _LONGEST_URL and value.startswith(("https://", "http://"))


def _whole_arguments(text: object) -> dict[str, Any] | None:
    """Read a call's arguments; None while they are torn."""
    if isinstance(text, str) and text.rstrip().endswith("}"):
        try:
            text = decode(text)
        except UpstreamProtocolError:
            return None
    return text if isinstance(text, dict) else None


def _read_size(pair: object) -> tuple[int | None, int | None]:
    """Return the width and the height of a `[height, width]`."""
    if isinstance(pair, list) and len(pair) == 2 and all(map(_is_side, pair)):
        return pair[1], pair[0]
    return None, None


def _is_side(value: object) -> bool:
    return type(value) is int and 0 < value <= _LONGEST_SIDE


def _member(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
