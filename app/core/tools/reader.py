"""Tell a model's calls from its text while it writes (docs/tools.md, Reading).

No character of a call is said as text, and no text is held back unless it may still become a call. Where the pieces of
the answer begin and end makes no difference.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from app.core.tools.definitions import ReadCall
from app.core.tools.forms import early_name, json_call, plain, read_call

_OPEN, _CLOSE, _SLASH = r"(?:<|＜|&lt;)", r"(?:>|＞|&gt;)", r"(?:/|／)"
_OPENING = (
    rf"{_OPEN}\s*(?P<tag>tool_use|tool_call)\s*{_CLOSE}"
    rf"|{_OPEN}\s*(?P<function>function)\s*=\s*[\"']?[\w.:/-]+[\"']?\s*{_CLOSE}"
)
_TOKEN = re.compile(rf"(?P<fence>^[ \t]*(?:```|~~~)[^\n]*\n)|(?P<tick>`)|(?P<line>\n)|{_OPENING}", re.I | re.M)
_FENCE_END = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*(?:\n|\Z)", re.M)
_OPENING_TOKEN = re.compile(_OPENING, re.I)
_END = {
    "tool_use": re.compile(rf"{_OPEN}\s*{_SLASH}\s*tool_use\s*{_CLOSE}", re.I),
    "tool_call": re.compile(rf"{_OPEN}\s*{_SLASH}\s*tool_call\s*{_CLOSE}", re.I),
    "function": re.compile(
        rf"{_OPEN}\s*{_SLASH}\s*function\s*{_CLOSE}(?:\s*{_OPEN}\s*{_SLASH}\s*tool_call\s*{_CLOSE})?", re.I
    ),
}
_MARK = re.compile("[<＜&]")
_LINE_MARK = re.compile(r"[ \t]*(?:[`~]{1,2}|(?:```|~~~)[^\n]*)")
_LONGEST_OPENING = 120
_NAMED_WITHIN = 4096  # characters, in which a call tells its tool
_LONG_LINE = 256  # characters, above which a line is not looked through again for every piece
_BEGUN = "\0"  # stands for the beginning of a line that was said already
_CALL_BEGINNING = re.compile(r"\s*(?:\{\s*(?:[\"'](?:[ntfapi]\w*(?:[\"'].*)?)?)?)?\Z", re.S)
_ARGUMENTS = re.compile(r"<\s*(?:arguments|args|parameters|params|input)\s*>", re.I)
_ARGUMENTS_END = re.compile(r"\s*<\s*/\s*(?:arguments|args|parameters|params|input)\s*>\s*\Z", re.I)
_TEXTS = re.compile(r'\\.|"(?:[^"\\]|\\.)*"', re.S)


@dataclass(frozen=True, slots=True)
class Say:
    """Text for the person."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A call is whole."""

    call: ReadCall


Found = Say | Ended


class CallReader:
    """Reads one answer. `known` are the names of the offered tools.

    After the first call only further calls count: clients and keys need the text to end there.
    """

    def __init__(self, known: Collection[str]) -> None:
        self.calls = 0
        self._known = frozenset(known)
        self._text = ""  # from the beginning of the line that is being read, or from the opening of a call
        self._done = 0  # how much of it was said
        self._in_fence = False  # whether it begins inside a code block
        self._in_code = False  # whether it begins inside backticks
        self._call: str | None = None  # the kind of call that is being read
        self._opening = ""
        self._named = False  # whether the call has told its tool
        self._searched = 0  # how far its end was looked for

    @property
    def in_call(self) -> bool:
        """Whether a call has begun that is not whole yet."""
        return self._call is not None

    def feed(self, text: str) -> list[Found]:
        """Take the next piece of the answer."""
        self._text += text
        if self._call is not None and not any(mark in text for mark in ">＞;"):
            return []  # no tag ends here
        return self._read(last=False)

    def finish(self) -> list[Found]:
        """Take the end of the answer: what is still open is a call if it names a tool, else text."""
        out = self._read(last=True)
        if self._call is not None:
            self._end_call(self._text, len(self._text), out)
        return out

    def _read(self, *, last: bool) -> list[Found]:
        out: list[Found] = []
        while self._read_call(out, last=last) if self._call is not None else self._read_text(out, last=last):
            pass
        return out

    def _say(self, text: str, out: list[Found]) -> None:
        if text and not self.calls:
            if out and isinstance(out[-1], Say):
                out[-1] = Say(out[-1].text + text)
            else:
                out.append(Say(text))

    def _say_to(self, end: int, out: list[Found]) -> None:
        """Say the text up to a place, as far as it was not said yet."""
        self._say(self._text[self._done : end], out)
        self._done = max(self._done, end)

    def _read_text(self, out: list[Found], *, last: bool) -> bool:
        """Say what is text; return whether something else begins after it."""
        position, in_fence, in_code = 0, self._in_fence, self._in_code
        fences = [(0, in_fence)]
        while True:
            if in_fence:
                end = _FENCE_END.search(self._text, position)
                if end is None or (end.end() == len(self._text) and not last and not end.group().endswith("\n")):
                    break
                in_fence, position = False, end.end()
                fences.append((position, in_fence))
                continue
            token = _TOKEN.search(self._text, position)
            if token is None:
                break
            position = token.end()
            if token["fence"]:
                verdict = self._fenced_call(token.start(), token.end(), last=last)
                if verdict == "unclear":
                    self._say_to(len(self._text[: token.start()].rstrip()), out)
                    return False
                if isinstance(verdict, Ended):
                    self._say_to(len(self._text[: token.start()].rstrip()), out)
                    self._leave_fence(token.end(), verdict, out)
                    return True
                in_fence = True
                fences.append((position, in_fence))
            elif token["tick"]:
                in_code = not in_code
            elif token["line"]:
                in_code = False
            elif not in_code:
                self._begin_call(token, out)
                return True
        end_of_text = len(self._text) - (0 if last else self._undecided(in_fence=in_fence, in_code=in_code))
        self._say_to(end_of_text, out)
        self._drop_said(fences, in_code=in_code)
        return False

    def _drop_said(self, fences: list[tuple[int, bool]], *, in_code: bool) -> None:
        """Keep the line that is being read, or of a long one a mark that it has begun."""
        line = self._text.rfind("\n", 0, self._done) + 1
        if self._done - line <= _LONG_LINE:
            if line:
                self._in_fence, self._in_code = [state for at, state in fences if at <= line][-1], False
            self._text, self._done = self._text[line:], self._done - line
        else:
            self._in_fence, self._in_code = fences[-1][1], in_code
            self._text, self._done = _BEGUN + self._text[self._done :], len(_BEGUN)

    def _begin_call(self, token: re.Match[str], out: list[Found]) -> None:
        before = len(self._text[: token.start()].rstrip())
        self._say_to(before, out)
        self._opening = self._text[max(before, self._done) : token.end()]
        self._text, self._done = self._text[token.end() :], 0
        self._in_fence = self._in_code = self._named = False
        self._searched = 0
        self._call = (token["tag"] or "function").lower()

    def _undecided(self, *, in_fence: bool, in_code: bool) -> int:
        """Return how many characters at the end may still be the beginning of a call or of a code block."""
        text = self._text
        line = text.rfind("\n") + 1
        if in_fence:
            return len(text) - line if re.fullmatch(r"[ \t]*(?:[`~]{1,3}[ \t]*)?", text[line:]) else 0
        begin = len(text)
        if not in_code:
            near = max(0, len(text) - _LONGEST_OPENING)
            marks = (found.start() for found in _MARK.finditer(text, near))
            begin = next((at for at in marks if _may_open(text[at:])), begin)
        if _LINE_MARK.fullmatch(text, line):
            begin = min(begin, line)
        return len(text) - len(text[:begin].rstrip())

    def _fenced_call(self, start: int, body_start: int, *, last: bool) -> Ended | str:
        """Return the call that a code block is, else "text", or "unclear" yet: only a JSON call at the end is one."""
        end = _FENCE_END.search(self._text, body_start)
        body = self._text[body_start : end.start() if end else len(self._text)]
        if start < self._done or not self._known or _CALL_BEGINNING.match(body) is None:
            return "text"
        if end is None:
            return "text" if last else "unclear"
        call = json_call(body, self._known)
        after = self._text[end.end() :].lstrip()
        if call is None:
            return "text"
        if not after:
            return Ended(call) if last else "unclear"
        if _OPENING_TOKEN.match(after):
            return Ended(call)
        return "unclear" if not last and _may_open(after) else "text"

    def _leave_fence(self, body_start: int, ended: Ended, out: list[Found]) -> None:
        end = _FENCE_END.search(self._text, body_start)
        assert end is not None
        self._text, self._done, self._in_fence = self._text[end.end() :].lstrip(), 0, False
        self.calls += 1
        out.append(ended)

    def _read_call(self, out: list[Found], *, last: bool) -> bool:
        """Read inside a call; return whether it ended."""
        assert self._call is not None
        begin = 0 if last else max(0, self._searched - _LONGEST_OPENING)
        self._searched = len(self._text)
        if not self._named:
            head = self._plain(_name_in(self._opening) + self._text[:_NAMED_WITHIN])
            self._named = early_name(head) is not None
            begin = 0
        ends = [(end.start(), end.end()) for end in _END[self._call].finditer(self._text, begin)]
        if self._named:  # its end is missing where another call begins; but Qwen-Coder puts its form inside
            inner = self._call == "tool_call"
            others = _OPENING_TOKEN.finditer(self._text, begin)
            ends += [(other.start(), other.start()) for other in others if not (inner and other["function"])]
        for body_end, end_at in sorted(ends):
            body = self._text[:body_end]
            if last or not _breaks_off(self._plain(body)):
                return self._end_call(body, end_at, out)
        return False

    def _plain(self, text: str) -> str:
        return plain(text, self._opening)

    def _end_call(self, body: str, length: int, out: list[Found]) -> bool:
        call = read_call(self._plain(_name_in(self._opening) + body))
        if call is None:
            self._say(self._opening + self._text[:length], out)
        else:
            self.calls += 1
            out.append(Ended(call))
        self._call, self._text, self._done = None, self._text[length:], 0
        return True


def _name_in(opening: str) -> str:
    """Return an opening that belongs to the call itself: Qwen-Coder's holds the tool's name."""
    return opening if "=" in opening else ""


def _may_open(text: str) -> bool:
    """Say whether a text may be the beginning of an opening tag."""
    begun = re.sub(r"\s+", "", text.replace("＜", "<").replace("＞", ">")).lower()
    if "&lt;".startswith(begun):
        return True
    begun = begun.replace("&lt;", "<")
    begun = begun.removesuffix(next((part for part in ("&gt", "&g", "&") if begun.endswith(part)), ""))
    if any(whole.startswith(begun) for whole in ("<tool_use>", "<tool_call>", "<function=")):
        return True
    return re.fullmatch(r"<function=[\"']?[\w.:/-]*[\"']?", begun) is not None


def _breaks_off(body: str) -> bool:
    """Say whether a body ends inside a text of its JSON, so that a tag there is a part of that text."""
    opening = _ARGUMENTS.search(body)
    text = _ARGUMENTS_END.sub("", body[opening.end() :] if opening else body)
    begin = text.find("{")
    if begin < 0 or _TEXTS.sub("", text[begin:]).count('"') % 2 == 0:
        return False
    try:
        json.loads(text, strict=False)
    except ValueError:
        return True
    return False
