"""Text that arrives in pieces or as growing snapshots, turned into what is new (docs/upstream-protocol.md, Stream)."""

from collections.abc import Sequence

_TELLING_LENGTH = 4
_TELLING_VARIETY = 3


class AnswerText:
    """Text of an answer or of raw thinking: increments, unless a piece repeats all so far and goes on: a snapshot.

    After a text as short as "1" an increment such as "10" looks like a snapshot too. Such a piece is held until the
    next one tells which it is; the end of the answer takes it for a snapshot.
    """

    __slots__ = ("_held", "_increments", "_length", "_parts", "_snapshots")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._held: list[str] = []
        self._increments = False
        self._snapshots = False

    def feed(self, piece: str) -> str:
        """Return the new text that this piece brings, perhaps none."""
        if 0 < len(piece) < self._length and not self._held:
            self._increments = True
            self._parts.append(piece)
            self._length += len(piece)
            return piece
        if not piece:
            return ""
        if self._held:
            return self._settle(piece)
        if len(piece) >= self._length > 0:
            so_far = self._so_far()
            if piece == so_far and self._snapshots:
                return ""
            if len(piece) > self._length and piece.startswith(so_far):
                if _is_telling(so_far):
                    self._snapshots = True
                    return self._append(piece[self._length :])
                if not self._increments:
                    self._held.append(piece)
                    return ""
        if self._length:
            self._increments = True
        return self._append(piece)

    def finish(self) -> str:
        """Return what was held."""
        if not self._held:
            return ""
        latest = self._held[-1]
        self._held.clear()
        return self._append(latest[self._length :])

    def _settle(self, piece: str) -> str:
        latest = self._held[-1]
        self._held.append(piece)
        if not piece.startswith(latest):
            self._increments = True
            text = "".join(self._held)
            self._held.clear()
            return self._append(text)
        if _is_telling(latest):
            self._snapshots = True
            return self.finish()
        return ""

    def _append(self, text: str) -> str:
        if text:
            self._parts.append(text)
            self._length += len(text)
        return text

    def _so_far(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0]


def _is_telling(text: str) -> bool:
    """Say whether a text is long and varied enough that repeating it is no accident."""
    return len(text) >= _TELLING_LENGTH and len(set(text[:64])) >= _TELLING_VARIETY


class Thoughts:
    """Thinking as one text: raw pieces, or snapshots of a list of thoughts; both start again with each segment.

    A blank line stands between two thoughts.
    """

    __slots__ = ("_raw", "_seen", "_speaking")

    def __init__(self) -> None:
        self._raw = AnswerText()
        self._seen: list[str] = []
        self._speaking: int | None = None

    def add(self, piece: str) -> str:
        """Return what a piece of the raw thinking adds."""
        return self._say(0, self._raw.feed(piece))

    def update(self, snapshot: Sequence[object]) -> str:
        """Return what a snapshot of the segment's thoughts adds."""
        thoughts = [thought if isinstance(thought, str) else "" for thought in snapshot]
        if self._seen and len(thoughts) < len(self._seen) and thoughts[:1] != self._seen[:1]:
            self.end_segment()
        new = []
        for index, thought in enumerate(thoughts):
            before = self._seen[index] if index < len(self._seen) else ""
            if thought.startswith(before):
                new.append(self._say(index, thought[len(before) :]))
            elif not before.startswith(thought):
                new.append(self._say(-1, thought))
            else:
                continue
            self._seen[index : index + 1] = [thought]
        return "".join(new)

    def line(self, text: str) -> str:
        """Return a line that stands by itself among the thoughts."""
        return self._say(0, self._raw.finish()) + self._say(-1, text)

    def end_segment(self) -> str:
        """Return what was held, and forget the snapshots: the next segment counts from its own first thought."""
        rest = self._say(0, self._raw.finish())
        self._raw, self._seen = AnswerText(), []
        if self._speaking is not None:
            self._speaking = -1
        return rest

    def _say(self, thought: int, text: str) -> str:
        if not text:
            return ""
        goes_on = self._speaking is None or self._speaking == thought >= 0
        separator = "" if goes_on else "\n\n"
        self._speaking = thought
        return separator + text
