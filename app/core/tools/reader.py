"""Tell a model's calls from its text while it writes (docs/tools.md, Reading).

No character of a call is said as text, and no text is held back unless it may still become a call. Where the pieces of
the answer begin and end makes no difference, and every character is looked at a bounded number of times.
"""

import re
from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from app.core.tools.call_body import Body, BodyReader
from app.core.tools.code_blocks import BlockReader, CodeReader, Fence, Line
from app.core.tools.definitions import ReadCall
from app.core.tools.forms import json_calls, read_calls
from app.core.tools.names import meant_name
from app.core.tools.tags import MARKS, Opening, may_open, opening_at

_TOKEN = re.compile(rf"(?P<line>\n)|(?P<ticks>`{{1,64}}|~{{1,64}})|(?P<mark>[{MARKS}])")
_MOST_BLANKS = 256  # between an opening tag and what makes it one
_AT_ONCE = 1024  # characters; at each line, block or call that is read, what follows it is copied
_LEADS = "<＜{["


class Say(Struct, frozen=True):
    """Text for the person."""

    text: str


class Called(Struct, frozen=True):
    """A call is whole."""

    call: ReadCall


Found = Say | Called


class CallReader:
    """Reads one answer. `known` are the names of the offered tools.

    After the first call only further calls count: clients and keys need the text to end there.
    """

    def __init__(self, known: Collection[str]) -> None:
        self.calls = 0
        self._known = frozenset(known)
        self._rest = ""  # what is not decided yet
        self._later: list[str] = []  # what follows it, the first part last
        self._blanks: list[str] = []  # decided, but a call may follow, and then they belong to nobody
        self._words: list[str] = []  # to be said; none come after a call
        self._out: list[Found] = []
        self._line = Line()
        self._opening: Opening | None = None
        self._in_ticks = False  # whether the call's opening stands behind an odd number of backticks
        self._body: BodyReader | None = None
        self._ended: Body | None = None  # a whole call, while it is open whether a backtick follows
        self._code: CodeReader | None = None
        self._block: BlockReader | None = None
        self._unending: dict[str, int] = {}  # by their marks, how long fences are that nothing ends any more

    @property
    def in_call(self) -> bool:
        """Whether a call has begun that is not whole yet."""
        return self._body is not None

    def feed(self, text: str) -> list[Found]:
        """Take the next piece of the answer."""
        self._rest += self._part_of(text)
        self._read_on(last=False)
        return self._found()

    def finish(self) -> list[Found]:
        """Take the end of the answer."""
        self._read_on(last=True)
        out = self._found()
        if self._blanks and not self.calls:
            out.append(Say("".join(self._blanks)))
            self._blanks = []
        return out

    def _part_of(self, text: str) -> str:
        """Return the beginning of a text; the rest of it is read later."""
        if len(text) <= _AT_ONCE:
            return text
        self._later += [text[at : at + _AT_ONCE] for at in reversed(range(_AT_ONCE, len(text), _AT_ONCE))]
        return text[:_AT_ONCE]

    def _found(self) -> list[Found]:
        out, self._out = self._out, []
        if self._words:
            out.insert(0, Say("".join(self._words)))
            self._words = []
        return out

    def _read_on(self, *, last: bool) -> None:
        """Let the state at hand read until it needs more of the answer."""
        while True:
            at_end = last and not self._later
            if self._body is not None:
                goes_on = self._read_body(last=at_end)
            elif self._code is not None:
                goes_on = self._read_code(last=at_end)
            elif self._block is not None:
                goes_on = self._read_block(last=at_end)
            else:
                goes_on = self._read_text(last=at_end)
            if goes_on:
                self._rest = self._part_of(self._rest)
            elif self._later:
                self._rest += self._later.pop()
            else:
                return

    def _say(self, text: str) -> None:
        """Say text, its last blanks only when more follows."""
        body = text.rstrip()
        if not body:
            if text:
                self._blanks.append(text)
            return
        if not self.calls:
            self._words += (*self._blanks, body)
        self._blanks = [text[len(body) :]] if len(body) < len(text) else []

    def _call(self, *calls: ReadCall) -> None:
        self._blanks = []
        self.calls += len(calls)
        self._out += map(Called, calls)

    def _read_text(self, *, last: bool) -> bool:
        """Read text; return whether something else begins behind it."""
        text, decided = self._rest, 0
        for token in _TOKEN.finditer(text):
            start = token.start()
            if start < decided:
                continue
            self._line.take(text[decided:start])
            if token["line"]:
                decided = token.end()
                if self._line.fence is not None:
                    self._leave_text(decided)
                    self._code = self._code_behind(self._line.fence)
                    return True
                self._line = Line()
            elif token["ticks"]:
                grows = token.end() == len(text) and len(token[0]) < 64
                if grows and not last:
                    decided = start
                    break
                if self._known and self._line.is_blank and len(token[0]) >= 3:
                    self._leave_text(start)
                    fence = Fence(token[0][0], len(token[0]))
                    self._block = BlockReader(fence, self._is_call, is_unending=self._is_unending(fence))
                    return True
                decided = token.end()
                self._line.take_ticks(token[0])
            else:
                verdict = self._opens(start, last=last)
                if verdict is None:
                    decided = start
                    break
                if isinstance(verdict, Opening):
                    self._begin_call(start, verdict)
                    return True
                self._line.take(token[0])
                decided = start + verdict
        else:
            self._line.take(text[decided:])
            decided = len(text)
        self._leave_text(decided)
        return False

    def _leave_text(self, decided: int) -> None:
        self._say(self._rest[:decided])
        self._rest = self._rest[decided:]

    def _opens(self, start: int, *, last: bool) -> Opening | int | None:
        """Return the opening that begins there, or how many characters are text, or None: not known yet."""
        text = self._rest
        opening = opening_at(text, start)
        if opening is None:
            return None if may_open(text[start:]) and not last else 1
        length = len(opening.text)
        if opening.function and meant_name(opening.function, self._known) is None:
            return length
        behind = text[start + length : start + length + _MOST_BLANKS].lstrip()
        if not behind:
            too_far = len(text) - start - length >= _MOST_BLANKS
            return length if too_far or last else None
        if behind[0] in _LEADS or (behind[0] == "&" and opening.is_encoded) or behind.startswith("```"):
            return opening
        return None if "```".startswith(behind) and not last else length

    def _begin_call(self, start: int, opening: Opening) -> None:
        self._in_ticks = self._line.is_in_ticks
        end = start + len(opening.text)
        lead = self._rest[end:].lstrip()[0]
        rest = self._rest[end:]
        self._leave_text(start)
        self._rest, self._opening, self._body = rest, opening, BodyReader(opening, lead)

    def _read_body(self, *, last: bool) -> bool:
        assert self._body is not None
        if self._ended is not None:
            body: Body | None = replace(self._ended, rest=self._rest)
        else:
            body = self._body.feed(self._rest) or (self._body.finish() if last else None)
        self._rest = ""
        self._ended = body if body is not None and self._in_ticks and not last and not body.rest else None
        if body is None or self._ended is not None:
            return False
        self._end_call(body)
        return True

    def _end_call(self, body: Body) -> None:
        assert self._opening is not None
        opening, self._opening, self._body = self._opening, None, None
        self._rest = body.rest
        calls = read_calls(opening, body)
        if calls and not (self._in_ticks and body.rest.startswith("`")):
            self._call(*calls)
        elif not body.closed and not body.text.strip():
            self._blanks.append(opening.text + body.text)  # another opening stands right behind
        else:
            said = opening.text + body.text + body.end
            self._say(said)
            self._line = Line() if "\n" in said else self._line
            self._line.take(said.rpartition("\n")[2])

    def _read_code(self, *, last: bool) -> bool:
        """Read inside a code block, where calls are examples; one in a block that nothing ends is none."""
        assert self._code is not None
        said, self._rest, ended = self._code.read(self._rest, last=last)
        self._say(said)
        if ended:
            fence = self._code.fence
            if self._code.is_unending and not self._is_unending(fence):
                self._unending[fence.mark] = fence.length
            self._code, self._line = None, Line()
        return ended

    def _code_behind(self, fence: Fence) -> CodeReader:
        return CodeReader(fence, is_unending=self._is_unending(fence))

    def _is_unending(self, fence: Fence) -> bool:
        """Say whether the end of this fence was looked for already, up to the end of the answer."""
        return fence.length >= self._unending.get(fence.mark, fence.length + 1)

    def _read_block(self, *, last: bool) -> bool:
        """Read a code block that may be a call."""
        assert self._block is not None
        block = self._block.read(self._rest, last=last)
        self._rest = block.rest
        if block.kind == "undecided":
            return False
        fence, self._block = self._block.fence, None
        if block.kind == "calls":
            self._call(*json_calls(block.text, known=self._known))
        else:
            self._say(block.text)
        if block.kind == "run":
            self._line.take_ticks(block.text)
        else:
            self._line = Line()
        if block.kind == "code":
            self._code = self._code_behind(fence)
        return True

    def _is_call(self, body: str) -> bool:
        return bool(json_calls(body, known=self._known))
