"""End an answer where the client asked for it: at a stop sequence or after so many tokens.

Upstream knows neither, so the answer is watched here, piece by piece, and upstream is told to stop.
"""

from typing import Literal

from app.core.budget import estimate_tokens
from app.core.events import Usage


class Cut:
    """Watches one answer.

    `reason` is set once the answer is to end: "stop" at a stop sequence, which `stopped_by` names then, "length" at
    `max_tokens` tokens of answer (thinking does not count). Text that may still become a stop sequence is held back
    until that is clear.
    """

    def __init__(self, stop: tuple[str, ...], max_tokens: int | None) -> None:
        self.reason: Literal["stop", "length"] | None = None
        self.stopped_by: str | None = None
        self._stop = stop
        self._longest = max(map(len, stop), default=0)
        self._held = ""
        self._max_tokens = max_tokens
        self._tokens = 0
        self._reported = 0

    @property
    def is_limited(self) -> bool:
        """Whether tokens are counted at all."""
        return self._max_tokens is not None

    def count(self, usage: Usage) -> None:
        """Take upstream's count so far, which includes the piece that comes next."""
        self._reported = usage.output_tokens - usage.reasoning_tokens

    def feed(self, text: str) -> str:
        """Take the next piece of the answer; return what may be sent on."""
        if self.reason:
            return ""
        if self._max_tokens is not None:
            text = self._within_length(text, self._max_tokens)
        return self._before_stop(text) if self._stop else text

    def rest(self) -> str:
        """Return what was held back, once no more comes."""
        held, self._held = self._held, ""
        return "" if self.reason == "stop" else held

    def _within_length(self, text: str, limit: int) -> str:
        """Cut a piece in proportion where the limit falls inside it."""
        tokens = self._reported - self._tokens if self._reported > self._tokens else _at_least_one(text)
        room = limit - self._tokens
        if tokens > room:
            self.reason = "length"
            return text[: len(text) * room // tokens]
        self._tokens += tokens
        return text

    def _before_stop(self, text: str) -> str:
        """Send on all but the longest tail that a stop sequence may still begin with; cut at a whole one."""
        text = self._held + text
        ends = [(at, sequence) for sequence in self._stop if (at := text.find(sequence)) >= 0]
        if ends:
            self.reason, self._held = "stop", ""
            at, self.stopped_by = min(ends)
            return text[:at]
        keep = next(
            (
                length
                for length in range(min(self._longest - 1, len(text)), 0, -1)
                if any(sequence.startswith(text[-length:]) for sequence in self._stop)
            ),
            0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _at_least_one(text: str) -> int:
    """Estimate the tokens of a piece; no piece but an empty one is free."""
    return max(1, estimate_tokens(text)) if text else 0
