"""Marks such as `[[3]]` in an answer, by which the model cites what a web search found (docs/files-and-media.md)."""

import re
from collections.abc import Sequence

from msgspec import Struct

from app.core.events import Citation, Citations, Source

_MARK = re.compile(r"\[\[(\d{1,4})\]\]")
_BEGINNING = re.compile(r"\[(?:\[(?:\d{1,4}\]?)?)?\Z")  # of a mark that the next piece may complete


class _Cited(Struct, frozen=True):
    number: int
    start: int
    end: int


class CitationReader:
    """Reads one answer piece by piece, and may write its marks as Markdown links.

    The text that may become a mark is held back until that is clear. A mark whose source is not known stays as it is.
    """

    def __init__(self, *, as_links: bool) -> None:
        self._as_links = as_links
        self._sources: dict[int, Source] = {}
        self._held = ""
        self._written = 0  # characters
        self._cited: list[_Cited] = []

    def found(self, sources: Sequence[Source]) -> None:
        """Take what a search found."""
        for source in sources:
            self._sources.setdefault(source.number, source)

    def feed(self, text: str) -> str:
        """Take the next piece; return what may be sent on."""
        if not self._held and "[" not in text:
            self._written += len(text)
            return text
        text = self._held + text
        beginning = _BEGINNING.search(text)
        end = beginning.start() if beginning else len(text)
        self._held = text[end:]
        return self._write(text[:end])

    def rest(self) -> str:
        """Return what was held back, once no more comes."""
        held, self._held = self._held, ""
        return self._write(held)

    def citations(self) -> Citations | None:
        """Return what the answer cites, and where; all that was found, at its end, if it has no mark at all."""
        end = self._written
        cited = self._cited or [_Cited(number, end, end) for number in self._sources]
        known = [(each, self._sources[each.number]) for each in cited if each.number in self._sources]
        if not known:
            return None
        return Citations(tuple(Citation(source.url, source.title, each.start, each.end) for each, source in known))

    def _write(self, text: str) -> str:
        written, position = [], 0
        for mark in _MARK.finditer(text):
            number = int(mark[1])
            source = self._sources.get(number)
            written += [text[position : mark.start()], mark[0]]
            if self._as_links and source is not None:
                written[-1] = f"[{number}]({_address(source.url)})"
            start = self._written + sum(map(len, written[:-1]))
            self._cited.append(_Cited(number, start, start + len(written[-1])))
            position = mark.end()
        said = "".join([*written, text[position:]])
        self._written += len(said)
        return said


def _address(url: str) -> str:
    """Write an address so that a Markdown link cannot end in it."""
    return re.sub(r"[\s()<>]", lambda found: f"%{ord(found[0]):02X}", url)
