"""Marks such as `[[3]]` in an answer, by which the model cites what a web search found (docs/files-and-media.md)."""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from app.core.events import Citation, Citations, Source
from app.core.tools.code_blocks import Fence, Line

Marks = Literal["kept", "links", "ignored"]
"""What becomes of marks: they stay and are cited, they become Markdown links, or they are text like any other."""

_TOKEN = re.compile(r"(?P<line>\n)|(?P<ticks>`+|~+)|(?P<call></?tool_use>)|\[\[(?P<number>\d{1,4})\]\](?P<link>\(?)")
_UNDECIDED = re.compile(r"(?:(?<!`)`++|(?<!~)~++|</?[a-z_]{0,8}|\[(?:\[(?:\d{1,4}(?:\]\]?)?)?)?)\Z")


class _Cited(Struct, frozen=True):
    number: int
    start: int
    end: int


class CitationReader:
    """Reads an answer piece by piece, and may write its marks as Markdown links.

    Text that may become a mark is held back until that is clear. A mark whose source is not known stays as it is, and
    one in code or in a tool call is none.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._sources: dict[int, Source] = {}
        self._sources_before: dict[int, Source] = {}  # those of the answer before this one
        self._unread: list[str] = []  # text in which nothing had to be looked for when it came
        self._held = ""
        self._length = 0  # characters that were read
        self._last = ""  # the last of them
        self._place = _Place()
        self._cited: list[_Cited] = []  # in the answer that is being read
        self._settled: list[Citation] = []  # in those before it

    def found(self, sources: Iterable[Source]) -> None:
        """Take what a search found."""
        if self._marks != "ignored":
            self._read_up()
        for source in sources:
            self._sources.setdefault(source.number, source)

    def feed(self, text: str) -> str:
        """Take the next piece; return what may be sent on."""
        if not self._sources or self._marks == "ignored":
            self._unread.append(text)
            return text
        text = self._held + text
        undecided = _UNDECIDED.search(text)
        end = undecided.start() if undecided else len(text)
        self._held = text[end:]
        return self._read(text[:end])

    def rest(self) -> str:
        """Return what was held back, once no more of this answer comes."""
        held, self._held = self._held, ""
        return self._read(held) if held else ""

    def again(self) -> None:
        """Begin anew: the model was asked again, and its next answer cites what is found for that."""
        self._read_up()
        self._settled += self._named(self._cited)
        self._sources_before = self._sources
        self._cited, self._sources, self._place = [], {}, _Place()

    def restore(self) -> None:
        """Go back to what was found for the answer before this one, which failed."""
        sources = self._sources_before
        self.again()
        self._sources = sources

    def citations(self, *, whole: bool) -> Citations | None:
        """Return what was cited, and where; a `whole` answer that cites nothing: all that was found, at its end."""
        if not self._sources and not self._settled:
            return None
        cited = [*self._settled, *self._named(self._cited)]
        if not cited and whole:
            self._read_up()
            cited = self._named(_Cited(number, self._length, self._length) for number in self._sources)
        return Citations(tuple(cited)) if cited else None

    def _named(self, cited: Iterable[_Cited]) -> list[Citation]:
        known = ((each, self._sources[each.number]) for each in cited if each.number in self._sources)
        return [Citation(source.url, source.title, each.start, each.end) for each, source in known]

    def _read_up(self) -> None:
        """Read what was passed on unread: its marks may be cited yet, and what follows may stand in its code."""
        unread, self._unread = self._unread, []
        self._read("".join(unread))

    def _read(self, text: str) -> str:
        """Read text whose tokens are whole; return what stands for it."""
        said, position = [], 0
        for token in _TOKEN.finditer(text):
            said.append(self._take(text[position : token.start()]))
            position = token.end()
            number = token["number"]
            if number is not None and self._marks != "ignored" and self._place.is_prose:
                said.append(self._mark(int(number), token))
            else:
                said.append(self._take(token[0], token))
        said.append(self._take(text[position:]))
        return "".join(said)

    def _take(self, text: str, token: re.Match[str] | None = None) -> str:
        self._place.take(text, token)
        self._length += len(text)
        self._last = text[-1:] or self._last
        return text

    def _mark(self, number: int, token: re.Match[str]) -> str:
        """Cite a source; the model's own link stays as it is."""
        source = self._sources.get(number)
        before, said, behind = "", token[0].removesuffix("("), token["link"]
        if self._marks == "links" and source is not None and not behind:
            said = f"[{number}]({_address(source.url)})"
            before = " " if self._last == "!" else ""  # or the link would show a picture
        start = self._length + len(before)
        self._cited.append(_Cited(number, start, start + len(said)))
        return self._take(before + said + behind)


class _Place:
    """Knows whether the text stands in code, or in a tool call."""

    def __init__(self) -> None:
        self._line = Line()
        self._fence: Fence | None = None
        self._code: list[str] = []  # a line of the block that is open
        self._in_call = False

    @property
    def is_prose(self) -> bool:
        return self._fence is None and not self._in_call and not self._line.is_in_ticks

    def take(self, text: str, token: re.Match[str] | None) -> None:
        """Take text, as the token that it is, if it is one."""
        if token is not None and token["call"]:
            self._in_call = token["call"] == "<tool_use>" and (self._in_call or self.is_prose)
        if token is not None and token["line"]:
            self._end_line()
        elif self._fence is not None:
            self._code.append(text)
        elif token is not None and token["ticks"]:
            self._line.take_ticks(text)
        else:
            self._line.take(text)

    def _end_line(self) -> None:
        if self._fence is None:
            self._fence = self._line.fence
        elif self._fence.is_end("".join(self._code)):
            self._fence = None
        self._line, self._code = Line(), []


def _address(url: str) -> str:
    """Write an address so that a Markdown link cannot end in it."""
    return re.sub(r"[\s()<>]", lambda found: quote(found[0], safe=""), url)
