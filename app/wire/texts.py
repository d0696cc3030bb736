"""The texts of an answer that comes in pieces of several kinds."""

from typing import Generic, TypeVar

_Holder = TypeVar("_Holder")


class Texts(Generic[_Holder]):
    """Knows where the texts of an answer begin, since citations count the characters of all of them.

    What is blank between two other pieces is no text by itself: it belongs to the next one.
    """

    def __init__(self) -> None:
        self._blank = ""
        self._length = 0
        self._next = 0
        self._begun: list[tuple[int, _Holder]] = []

    def take(self, text: str, *, is_open: bool) -> str:
        """Take the next words; return what is said now, "" for what waits. `is_open`: a text goes on with them."""
        if not is_open:
            self._next = self._length - len(self._blank)
        self._length += len(text)
        if is_open:
            return text
        text, self._blank = self._blank + text, ""
        if text.strip():
            return text
        self._blank = text
        return ""

    def begin(self, holder: _Holder) -> None:
        """Note what holds the text that begins with the words taken last."""
        self._begun.append((self._next, holder))

    def at(self, place: int) -> tuple[int, _Holder] | None:
        """Return where the text begins that a character of the answer is in, and its holder; None before the first."""
        return next((begun for begun in reversed(self._begun) if begun[0] <= place), None)
