"""What becomes of a model's text on its way to the client: text, tool calls, or JSON that was asked for.

A format is given an answer piece by piece. At its end it may ask the model again, in the same chat and unseen by the
client (docs/tools.md, Asking again).
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from app.core.events import CallArguments, CallStarted, TextDelta
from app.core.tools.prompt_mode import PromptModeCut
from app.errors import ResponseFormatUnmet

_MOST_WORDS = 500  # characters of what a model said in place of a picture

Piece = TextDelta | CallStarted | CallArguments


class AnswerEnd(Struct, frozen=True, gc=False):
    """The end of one answer of the model: what is left to say, and what the model must be asked again, if so."""

    pieces: Sequence[Piece] = ()
    ask_again: str | None = None


class AnswerFormat(Protocol):
    """Turns one answer into what the client is sent."""

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """The calls that were passed on, as id, name and arguments."""
        ...

    @property
    def is_enough(self) -> bool:
        """Whether what came is an answer, even if the rest fails."""
        ...

    def feed(self, text: str) -> Sequence[Piece]:
        """Take the next piece of the model's text."""
        ...

    def take_picture(self) -> bool:
        """Take note of a picture; return whether the text is to show it."""
        ...

    def finish(self, *, may_ask: bool) -> AnswerEnd:
        """Take the end of an answer; without `may_ask` it is what it is. Raises ResponseFormatUnmet."""
        ...

    def again(self) -> None:
        """Begin anew: the model was asked again, and another answer comes."""
        ...

    def restore(self) -> None:
        """Go back to the answer before this one, which failed; what was passed on of both stays."""
        ...

    def cut(self) -> Sequence[Piece]:
        """End an answer that was cut where the client asked for it: what is not whole is left out."""
        ...


class PlainAnswer:
    """Text as it comes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    @property
    def is_enough(self) -> bool:
        """Half a text is none."""
        return False

    def feed(self, text: str) -> Sequence[Piece]:
        """Pass on the text."""
        return [TextDelta(text)]

    def take_picture(self) -> bool:
        """Text may show it."""
        return True

    def finish(self, *, may_ask: bool) -> AnswerEnd:
        """End."""
        return AnswerEnd()

    def again(self) -> None:
        """Nothing is kept from one answer to the next."""

    def restore(self) -> None:
        """Nor is there anything to go back to."""

    def cut(self) -> Sequence[Piece]:
        """End."""
        return ()


class PromptModeAnswer(PlainAnswer):
    """Text as it comes, up to the last call of a client that reads calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self._cut = PromptModeCut()

    def feed(self, text: str) -> Sequence[Piece]:
        """Pass on the text before and in calls."""
        passed = self._cut.feed(text)
        return [TextDelta(passed)] if passed else []


class PicturesAnswer(PlainAnswer):
    """Pictures, as many as are wanted: the model is asked again for those that did not come."""

    def __init__(self, wanted: int, prompt: str) -> None:
        super().__init__()
        self._wanted = wanted
        self._prompt = prompt
        self._pictures = 0
        self._said: list[str] = []

    @property
    def is_enough(self) -> bool:
        """One picture is worth more than an error."""
        return self._pictures > 0

    def feed(self, text: str) -> Sequence[Piece]:
        """Pass on the text; without any picture it says why there is none."""
        self._said.append(text)
        return super().feed(text)

    def take_picture(self) -> bool:
        """Count it."""
        self._pictures += 1
        return True

    def finish(self, *, may_ask: bool) -> AnswerEnd:
        """Ask for those that are missing. Raises ResponseFormatUnmet if none came at all."""
        if self._pictures < self._wanted and may_ask:
            return AnswerEnd(ask_again=f"Make another image, different from those before: {self._prompt}")
        if not self._pictures:
            words = "".join(self._said).strip()[:_MOST_WORDS]
            raise ResponseFormatUnmet(f"The model made no image, but said: {words}")
        return AnswerEnd()
