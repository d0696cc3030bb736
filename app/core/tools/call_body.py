"""Find the end of a call while it arrives: an end tag inside a text of its JSON is a part of that text.

Every character is looked at once, whatever the pieces.
"""

import re

from msgspec import Struct

from app.core.tools.tags import ARGUMENTS, END, LONGEST_TAG, OPENING, Opening

_TOKEN = re.compile(
    rf"(?P<escape>\\.)|(?P<quote>\"|&quot;|&\#34;)|(?P<close>{END.pattern})|(?P<open>{OPENING.pattern})"
    rf"|(?P<begin>{ARGUMENTS.pattern})|(?P<brace>[{{\[])",
    re.I | re.S,
)


class Body(Struct, frozen=True):
    """What stood in a call's tags, what came after it, and whether the call was `closed` by its end tag.

    `end` is that tag as it was written. A body that is `torn` ends inside a text.
    """

    text: str
    end: str
    rest: str
    closed: bool
    torn: bool = False


class BodyReader:
    """Reads the body of one call, from behind its opening tag."""

    def __init__(self, opening: Opening, lead: str) -> None:
        """`lead` is the first character behind the opening tag that is no blank."""
        self._opening = opening
        self._has_form = opening.kind == "function" and lead != "{"  # Qwen-Coder's, with values in tags of their own
        self._parts: list[str] = []  # what was looked at
        self._tail = ""  # what was not, as a tag may still begin in it
        self._in_json = False
        self._in_text = False

    def feed(self, text: str) -> Body | None:
        """Take the next piece; return the body once it is whole."""
        self._tail += text
        done = 0
        for token in _TOKEN.finditer(self._tail):
            done = token.end()
            if token["quote"]:
                if self._in_json and (self._opening.is_encoded or token["quote"] == '"'):
                    self._in_text = not self._in_text
            elif token["escape"] or self._in_text:
                continue
            elif token["begin"] or token["brace"]:
                self._in_json = self._in_json or not self._has_form
            elif token["open"] and not self._is_inner_form(token):
                return self._ended(token.start(), token.start(), closed=False)
            elif token["close"] and self._closes(token["end"].lower()):
                return self._ended(token.start(), token.end(), closed=True)
        keep = max(done, len(self._tail) - LONGEST_TAG)
        self._parts.append(self._tail[:keep])
        self._tail = self._tail[keep:]
        return None

    def finish(self) -> Body:
        """Return the body that the end of the answer left: what seems a text without an end may hold the end tag."""
        text = "".join(self._parts) + self._tail
        if self._in_text:
            for end in END.finditer(text):
                if self._closes(end["end"].lower()):
                    return Body(text[: end.start()], end[0], text[end.end() :], closed=True, torn=True)
        return Body(text, "", "", closed=False, torn=self._in_text)

    def _is_inner_form(self, token: re.Match[str]) -> bool:
        if self._opening.kind == "tool_call" and token["function"] and not self._in_json:
            self._has_form = True
            return True
        return False

    def _closes(self, name: str) -> bool:
        if self._opening.kind == "function":
            return name in {"function", "tool_call"}
        return name == self._opening.kind

    def _ended(self, at: int, rest: int, *, closed: bool) -> Body:
        return Body("".join(self._parts) + self._tail[:at], self._tail[at:rest], self._tail[rest:], closed)
