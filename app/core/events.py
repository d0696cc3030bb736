"""What an upstream says while it answers, in the program's own words."""

from typing import Literal

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Tokens as upstream counts them; output includes reasoning."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the count of two answers together."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cached_tokens + other.cached_tokens,
        )


class Started(Struct, frozen=True, gc=False):
    """Upstream accepted the prompt. The ids are upstream's own: of the stored user message and of the answer."""

    response_id: str
    user_message_id: str | None


class ReasoningDelta(Struct, frozen=True, gc=False):
    """The next piece of the model's thinking; never part of the answer."""

    text: str


class TextDelta(Struct, frozen=True, gc=False):
    """The next piece of the answer."""

    text: str


class Picture(Struct, frozen=True, gc=False):
    """An image that the answer holds, at an address that works for a limited time; the size is in pixels."""

    url: str
    width: int | None = None
    height: int | None = None


class Source(Struct, frozen=True, gc=False):
    """A page that the answer may cite; marks such as `[[3]]` in its text name it by `number`."""

    number: int
    url: str
    title: str


class Sources(Struct, frozen=True, gc=False):
    """What a web search found; several searches of one answer add up."""

    found: tuple[Source, ...]


class VideoTask(Struct, frozen=True, gc=False):
    """The answer is a video that is being made; `Upstream.video` tells how far it is."""

    task_id: str


class Citation(Struct, frozen=True, gc=False):
    """A source that the answer cites, and the characters of its text that do: from `start` up to `end`."""

    url: str
    title: str
    start: int
    end: int


class Citations(Struct, frozen=True, gc=False):
    """What the whole answer cites, in the order of its text."""

    cited: tuple[Citation, ...]


class CallStarted(Struct, frozen=True, gc=False):
    """The answer calls a tool; `index` counts its calls from 0."""

    index: int
    id: str
    name: str


class CallArguments(Struct, frozen=True, gc=False):
    """The next piece of a call's arguments, JSON text."""

    index: int
    text: str


class UsageReport(Struct, frozen=True, gc=False):
    """The count so far; each report replaces the one before."""

    usage: Usage


class Finished(Struct, frozen=True, gc=False):
    """The answer is whole."""


Event = Started | ReasoningDelta | TextDelta | Picture | Sources | VideoTask | UsageReport | Finished

FinishReason = Literal["stop", "length", "tool_calls"]


class Ended(Struct, frozen=True, gc=False):
    """How a whole answer ended; `usage` is None where upstream did not count.

    `stop_sequence` is the one that ended it, None where none did.
    """

    finish_reason: FinishReason
    usage: Usage | None
    stop_sequence: str | None = None


AnswerEvent = ReasoningDelta | TextDelta | Picture | CallStarted | CallArguments | VideoTask | Citations
