"""Code blocks in an answer: what stands in them is an example, unless the block itself is a call (docs/tools.md)."""

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from app.core.tools.tags import LONGEST_TAG, may_open, opening_at

_LONGEST_HEAD = 200  # characters of a block that tell whether it may be a call
_CALL_BEGINNING = re.compile(r"\s*\[?\s*(?:\{\s*(?:[\"'](?:[ntfapi]\w*(?:[\"'].*)?)?)?)?\Z", re.DOTALL)


class Fence(Struct, frozen=True):
    """What opens a code block: a run of backticks or tildes; one as long at least ends it."""

    mark: str
    length: int

    def is_end(self, line: str) -> bool:
        """Say whether a line ends the block."""
        run = line.strip()
        return len(run) >= self.length and not run.strip(self.mark)

    def may_end(self, line: str) -> bool:
        """Say whether the beginning of a line may become its end."""
        return not line.strip().strip(self.mark)


class Line:
    """What the line that is being read holds so far."""

    def __init__(self) -> None:
        self.is_blank = True
        self._ticks = 0  # length of the run that opened inline code
        self.fence: Fence | None = None  # that the line opens, if it ends like this

    def take(self, text: str) -> None:
        """Take text without backticks."""
        self.is_blank = self.is_blank and not text.strip()

    def take_ticks(self, run: str) -> None:
        """Take a run of backticks or tildes."""
        if run[0] == "~":
            if self.is_blank and len(run) >= 3:
                self.fence = Fence("~", len(run))
        elif self.fence is not None and self.fence.mark == "`":
            self.fence = None  # it was inline code
        elif self.fence is None and len(run) >= 3:
            self.fence = Fence("`", len(run))
        elif not self._ticks:
            self._ticks = len(run)
        elif self._ticks == len(run):
            self._ticks = 0
        self.is_blank = False

    @property
    def is_in_ticks(self) -> bool:
        """Whether inline code was opened and not closed; that alone says little, people forget to."""
        return self._ticks > 0


class CodeReader:
    """Reads inside a code block. A call on a line of its own is held until the block ends: then it was an example.

    `is_unending`: nothing ends the block, so that nothing is held. That is told, or the answer's end shows it.
    """

    def __init__(self, fence: Fence, *, is_unending: bool) -> None:
        self.fence = fence
        self.is_unending = is_unending
        self._held: list[str] = []
        self._partial: list[str] = []  # of a line that is held or may end the block
        self._opens = False  # whether that line, or one before it, begins a call
        self._begun = False  # whether a part of the line was said

    def read(self, text: str, *, last: bool) -> tuple[str, str, bool]:
        """Return what is said, what is left, and whether the block ended.

        A block that nothing ends is none: what was held in it is left to be read as text.
        """
        waits = self._opens or not text.strip().strip(self.fence.mark)
        if self._partial and waits and "\n" not in text and not last:
            self._partial.append(text)
            return "", "", False
        text, self._partial = "".join((*self._partial, text)), []
        said: list[str] = []
        *lines, partial = re.split(r"(?<=\n)", text)
        for number, line in enumerate(lines):
            if not self._begun and self.fence.is_end(line):
                return "".join((*said, *self._held, line)), "".join((*lines[number + 1 :], partial)), True
            if self._held or (not self._begun and opening_at(line.lstrip(), 0)):
                if self.is_unending:
                    return "".join(said), "".join((*lines[number:], partial)), True
                self._held.append(line)
            else:
                said.append(line)
            self._begun = False
        return self._read_partial(said, partial, last=last)

    def _read_partial(self, said: list[str], line: str, *, last: bool) -> tuple[str, str, bool]:
        begin = line.lstrip()[: 2 * LONGEST_TAG]
        is_end = not self._begun and self.fence.may_end(line)
        self._opens = bool(self._held) or (not self._begun and opening_at(begin, 0) is not None)
        is_call = self._opens or (not self._begun and may_open(begin))
        if last:
            if not self._begun and self.fence.is_end(line):
                return "".join((*said, *self._held, line)), "", True
            if is_call:
                self.is_unending = True
                return "".join(said), "".join((*self._held, line)), True
            return "".join((*said, line)), "", False
        if is_end or is_call:
            self._partial = [line] if line else []
            return "".join(said), "", False
        self._begun = self._begun or bool(line)
        return "".join((*said, line)), "", False


class Block(Struct, frozen=True):
    """What a code block turned out to be; `rest` follows its `text`.

    `calls`, a `whole` block without any, the first line of a block of `code`, or no block but a `run` of backticks.
    """

    kind: Literal["undecided", "run", "code", "whole", "calls"]
    text: str = ""
    rest: str = ""


class BlockReader:
    """Reads a code block that may be a call: JSON at the end of the answer, or before another call.

    `is_unending`: nothing ends the block.
    """

    def __init__(self, fence: Fence, is_call: Callable[[str], bool], *, is_unending: bool) -> None:
        self.fence = fence
        self._is_unending = is_unending
        self._is_call = is_call
        self._head: str | None = None  # the line that opens it
        self._plausible = False
        self._fresh = True  # whether no line of it was looked at
        self._lines: list[str] = []
        self._tail: list[str] = []
        self._closed: str | None = None  # the line that ends it

    def read(self, text: str, *, last: bool) -> Block:
        """Take what follows; the reader keeps what is not decided."""
        self._tail.append(text)
        if self._head is None and (block := self._read_head(last=last)):
            return block
        if self._is_unending and self._head is not None:
            return Block("code", self._head, "".join(self._tail))
        if not self._plausible and (block := self._look(last=last)):
            return block
        if self._closed is None and (block := self._read_lines(last=last)):
            return block
        return self._look_behind(last=last) if self._closed is not None else Block("undecided")

    def _read_head(self, *, last: bool) -> Block | None:
        text = "".join(self._tail)
        line, newline, rest = text.partition("\n")
        if (self.fence.mark == "`" and "`" in line[self.fence.length :]) or len(line) > _LONGEST_HEAD:
            return Block("run", text[: self.fence.length], text[self.fence.length :])
        if not newline:
            return Block("run", text[: self.fence.length], text[self.fence.length :]) if last else Block("undecided")
        self._head, self._tail = line + newline, [rest]
        return None

    def _look(self, *, last: bool) -> Block | None:
        """See whether the block begins like a call."""
        assert self._head is not None
        text = "".join((*self._lines, *self._tail))  # the lines before it are blank
        head = text[:_LONGEST_HEAD]
        self._plausible = (bool(head.strip()) and "\n" in head.lstrip()) or len(text) >= _LONGEST_HEAD
        if _CALL_BEGINNING.match(head) is None or (len(text) >= _LONGEST_HEAD and not head.strip()):
            return Block("code", self._head, text)
        return Block("code", self._head, text) if last and not head.strip() else None

    def _read_lines(self, *, last: bool) -> Block | None:
        assert self._head is not None
        if not last and not self._fresh and "\n" not in self._tail[-1]:
            return Block("undecided")
        self._fresh = False
        *lines, partial = "".join(self._tail).split("\n")
        for number, line in enumerate(lines):
            if self.fence.is_end(line):
                self._closed = line + "\n"
                self._tail = ["\n".join((*lines[number + 1 :], partial))]
                return self._judge()
            self._lines.append(line + "\n")
        self._tail = [partial]
        if last and self.fence.is_end(partial):
            self._closed, self._tail = partial, [""]
            return self._judge()
        if last:
            return Block("code", self._head, "".join((*self._lines, partial)))
        return Block("undecided")

    def _judge(self) -> Block | None:
        if self._is_call("".join(self._lines)):
            return None
        return self._whole()

    def _whole(self) -> Block:
        assert self._head is not None and self._closed is not None
        return Block("whole", "".join((self._head, *self._lines, self._closed)), "".join(self._tail))

    def _look_behind(self, *, last: bool) -> Block:
        rest = "".join(self._tail)
        behind = rest.lstrip()
        if (not behind and last) or opening_at(behind, 0) or behind.startswith(("```", "~~~")):
            return Block("calls", "".join(self._lines), behind)
        if not last and (not behind or may_open(behind) or "```".startswith(behind) or "~~~".startswith(behind)):
            self._tail = [rest]
            return Block("undecided")
        return self._whole()
