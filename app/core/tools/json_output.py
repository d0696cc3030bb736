"""`response_format`: an answer that is JSON and nothing else (docs/tools.md, JSON answers)."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from app.core.tools.checking import written
from app.core.tools.json_text import end_of_json, mend, strict
from app.core.tools.mending import Mending
from app.core.tools.schemas import schema_problems, usable
from app.core.tools.scheme import compact

_log = logging.getLogger(__name__)
_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_BRACKET = re.compile(r"[{}\[\]]")
_MOST_PIECES = 50  # each is checked by the schema


class JsonFormat(Struct, frozen=True):
    """What the answer must be: any JSON object, or one that fits a schema."""

    schema: Mapping[str, Any] | None = None
    name: str = ""

    def teach(self) -> str:
        """Return the instruction for the model."""
        if self.schema is None:
            return "Answer with one JSON object and nothing else: no code block, no words before or after it."
        schema = json.dumps(compact(self.schema), ensure_ascii=False, separators=(",", ":"))
        return (
            "Answer with one JSON value that fits this JSON Schema, and nothing else: no code block, no words before "
            f"or after it.\n{schema}"
        )

    def read(self, text: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the JSON that an answer holds, and what is wrong with it; no problems means that it fits."""
        schema = usable(self.schema, "the answer")
        value = find_json(
            text, lambda value: not self._judge(value, schema)[1], lambda value: self._as_asked(value, schema)
        )
        return (None, (value.value,)) if isinstance(value, Lack) else self._judge(value, schema)

    def _as_asked(self, value: Any, schema: Mapping[str, Any]) -> Any:
        """Return a value of other types as the schema asks for it, where it then fits and means the same."""
        mending = Mending(schema)
        try:
            changed = mending.mend(value, schema)
        except RecursionError:  # a schema that asks for itself
            return Lack.ALL
        if not mending.done or self._judge(changed, schema)[1]:
            return Lack.ALL
        _log.info("A JSON answer was mended: %s", ", ".join(mending.done))
        return changed

    def _judge(self, value: Any, schema: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        said = written(value)
        if said is None:
            return None, ("The answer holds numbers or characters that JSON cannot say.",)
        if self.schema is None:
            return said, () if isinstance(value, dict) else ("The answer is not a JSON object.",)
        return said, tuple(schema_problems(value, schema, "the answer"))


class Lack(Enum):
    """What an answer lacks out of which no JSON can be taken; not None, which is a value."""

    ALL = "The answer holds no whole JSON."
    CHOICE = "The answer holds several JSON values that fit; only one is wanted."


_Span = tuple[int, int, Any]  # begin, end, and the value if it is JSON


def find_json(text: str, fits: Callable[[Any], bool], as_asked: Callable[[Any], Any]) -> Any:
    """Return the JSON value of an answer, out of prose or a code block, or what it lacks.

    It is the first code block that fits, else the one piece of prose that does, else the first, to say what is wrong
    with it. Where none fits as it is, they are mended, but not where one breaks off: nobody knows how it would have
    gone on. At last they are taken for what they mean, which `as_asked` says; in prose only objects are, since a list
    there may be a citation.
    """
    text = text.strip()
    if (whole := strict(text, Lack.ALL)) is not Lack.ALL:
        return whole if fits(whole) or (changed := as_asked(whole)) is Lack.ALL else changed
    blocks = _found(strict(block, Lack.ALL) for block in _FENCE.findall(text)[:_MOST_PIECES])
    if fitting := [value for value in blocks if fits(value)]:
        return fitting[0]
    pieces = _pieces(text)
    proper = _found(value for _, value in pieces)
    if (value := _only(proper, fits)) is not Lack.ALL:
        return value
    mended = _found(_mended(piece) for piece, value in pieces if value is Lack.ALL)
    if (value := _only(mended, fits)) is not Lack.ALL:
        return value
    changed = (value for value in map(as_asked, blocks) if value is not Lack.ALL)
    if (value := next(changed, Lack.ALL)) is not Lack.ALL:
        return value
    objects = (value for value in (*proper, *mended) if isinstance(value, dict))
    if (value := _only(_found(map(as_asked, objects)), fits)) is not Lack.ALL:
        return value
    return next(iter((*blocks, *proper, *mended)), Lack.ALL)


def _found(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not Lack.ALL]


def _only(values: Iterable[Any], fits: Callable[[Any], bool]) -> Any:
    """Return the one value that fits, however often it is said; of several nobody knows which is meant."""
    found: Any = Lack.ALL
    for value in filter(fits, values):
        if found is not Lack.ALL and written(value) != written(found):
            return Lack.CHOICE
        found = value
    return found


def _pieces(text: str) -> list[tuple[str, Any]]:
    """Return what stands in brackets, each with its value if it is JSON; nothing where one breaks off.

    What follows many of them is not looked at: an answer that cites a lot is no reason to lose what it began with.
    """
    spans: list[_Span] = []
    at = 0
    while mark := _BRACKET.search(text, at):
        begin, at = mark.span()
        if mark[0] in "{[":
            end = end_of_json(text, begin)
            if end is None:
                return []
            if len(spans) == _MOST_PIECES:
                break
            spans.append((begin, end, strict(text[begin:end], Lack.ALL)))
            at = end
        else:
            _close_later(spans, text, at)
    return [(text[begin:end], value) for begin, end, value in spans]


def _close_later(spans: list[_Span], text: str, end: int) -> None:
    """Take a bracket that closes what nobody opened for the end of a piece that is no JSON: its texts hold brackets."""
    number = next((number for number, (*_, value) in enumerate(spans) if value is Lack.ALL), None)
    if number is None:
        return  # it is of the prose
    begin = spans[number][0]
    is_one = text[begin] == "{" or number + 1 == len(spans)  # else mending would make a list of them
    spans[number:] = [(begin, end, Lack.ALL)] if is_one else []


def _mended(piece: str) -> Any:
    """Mend a piece; what becomes something else on the way, as a list of several values, was none."""
    read = mend(piece)
    value = None if read is None else read.value
    return value if value and isinstance(value, dict if piece[0] == "{" else list) else Lack.ALL
