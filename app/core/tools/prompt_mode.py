"""A client that teaches the scheme itself (Cherry Studio's prompt mode): its text passes, up to the last call.

Some versions drop what a model says after a call, others keep it: the two agree only if there is nothing.
"""

import re
from typing import Literal

_OPENING = "<tool_use>"
_END = "</tool_use>"
_LONGEST_END = max(len(_END), len(_OPENING) + 1)  # with a backtick before it
_RUN = re.compile(r"[^\n>]*[\n>]|[^\n>]+")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_FENCE_END = re.compile(r"[ \t]*(?:```|~~~)\s*\Z")


def teaches_tools(system: str) -> bool:
    """Say whether a system prompt teaches the scheme."""
    return _OPENING in system and _END in system


class PromptModeCut:
    """Passes an answer byte for byte; after the first whole call only further calls, and the blanks between them.

    A call inside a code block is an example and stays text.
    """

    def __init__(self) -> None:
        self._state: Literal["text", "call", "after"] = "text"
        self._line: list[str] = []  # the line that is being read
        self._line_end = ""  # as much of it as tells whether a tag ends there
        self._in_fence = False
        self._held: list[str] = []  # what came after the last call

    def feed(self, text: str) -> str:
        """Take the next piece; return what is passed on."""
        return "".join(map(self._take, _RUN.findall(text)))

    def _take(self, run: str) -> str:
        """Take a run of text, which ends with a line, with what may be a tag, or with the piece."""
        self._line.append(run)
        self._line_end = (self._line_end + run)[-_LONGEST_END:]
        passed = run
        if self._state == "after":
            self._held.append(run)
            passed = ""
        if self._state == "call":
            if self._line_end.endswith(_END):
                self._state = "after"
        elif not self._in_fence and run.endswith(">") and self._opens():
            if self._state == "after":
                between = "".join(self._held).removesuffix(_OPENING)
                passed = _OPENING if between.strip() else between + _OPENING
                self._held = []
            self._state = "call"
        if run.endswith("\n"):
            self._end_line()
        return passed

    def _opens(self) -> bool:
        """Say whether a call begins; one behind a backtick is named, not made."""
        return self._line_end.endswith(_OPENING) and not self._line_end.endswith(f"`{_OPENING}")

    def _end_line(self) -> None:
        if self._state != "call" and (_FENCE_END if self._in_fence else _FENCE).match("".join(self._line)):
            self._in_fence = not self._in_fence
        self._line, self._line_end = [], ""
