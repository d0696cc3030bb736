"""What the client is sent of an answer: upstream's events, as its form, its limits and its citations leave them."""

import logging
from collections.abc import Sequence

from app.core.answer import AnswerFormat, Piece
from app.core.canonical import picture_text, video_text
from app.core.citations import CitationReader
from app.core.cut import Cut
from app.core.events import (
    AnswerEvent,
    CallArguments,
    Event,
    Finished,
    FinishReason,
    Picture,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    UsageReport,
    VideoTask,
)
from app.core.record import TurnRecord
from app.core.tools.scheme import SCHEME

_log = logging.getLogger(__name__)


class Relay:
    """Reads one answer after the other into what the client is sent; `record` is told all of it.

    `video` is the task of a video that the answer is. `running_id` names the answer that upstream is generating, once
    it told. `is_whole` says that upstream ended it, `is_over` that nothing of it is wanted any more.
    """

    def __init__(self, record: TurnRecord, cut: Cut, written: AnswerFormat, citations: CitationReader) -> None:
        self.video: VideoTask | None = None
        self.running_id: str | None = None
        self.is_whole = False
        self._record = record
        self._cut = cut
        self._format = written
        self._citations = citations
        self._calls_before = 0  # how many calls were passed on of the answers before this one
        self._shown = False  # whether there was a picture
        self._stands_apart = False  # whether a new paragraph begins with the next words

    @property
    def is_over(self) -> bool:
        """Whether the answer came to its end, or to a limit that the client set."""
        return self.is_whole or self._cut.reason is not None

    @property
    def is_empty(self) -> bool:
        """Whether the model said and showed nothing; an answer that was cut at once is not empty."""
        has_content = self._shown or self.video is not None or any(map(str.strip, self._record.heard))
        return not has_content and self._cut.reason is None

    @property
    def is_enough(self) -> bool:
        """Whether what came is an answer, even if the rest fails."""
        return self._format.is_enough

    @property
    def reason(self) -> FinishReason:
        """How the answer ended, in the client's terms."""
        return "tool_calls" if self._format.calls else self._cut.reason or "stop"

    @property
    def stop_sequence(self) -> str | None:
        """The client's stop sequence that ended the answer; None where it ends with calls."""
        return None if self._format.calls else self._cut.stopped_by

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The calls that were passed on."""
        return tuple([call_id for call_id, _, _ in self._format.calls])

    def expect(self) -> None:
        """A message goes up: of the answer to it nothing is known yet."""
        self.running_id, self.is_whole = None, False

    def again(self) -> None:
        """The model was asked again: what it says next is another answer."""
        self._calls_before = len(self._format.calls)
        self._format.again()
        self._citations.again()

    def restore(self) -> None:
        """The other answer failed: the one before it is taken as it is.

        The conversation goes on below that one too, unless calls of the other were passed on: then it holds them.
        """
        self._format.restore()
        self._citations.restore()
        if len(self._format.calls) == self._calls_before:
            self._record.restore()

    def read(self, batch: Sequence[Event]) -> list[AnswerEvent]:
        """Return what the client is sent of these events; text that arrived together is one piece."""
        out: list[AnswerEvent] = []
        if self._cut.is_limited:
            self._count(batch)
        said: list[str] = []
        for event in batch:
            if isinstance(event, TextDelta):
                said.append(event.text)
                continue
            if said:
                self._hear("".join(said), out)
                said = []
                if self._cut.reason:
                    return out
            self._take(event, out)
        if said:
            self._hear("".join(said), out)
        return out

    def _take(self, event: Event, out: list[AnswerEvent]) -> None:
        """Take an event that is no text."""
        if isinstance(event, ReasoningDelta):
            self._think(event, out)
        elif isinstance(event, UsageReport):
            self._record.usage = event.usage
        elif isinstance(event, Finished):
            self.is_whole = True
        elif isinstance(event, Started):
            self._record.response_id = self.running_id = event.response_id
        elif isinstance(event, Picture):
            self._show(event, out)
        elif isinstance(event, Sources):
            self._citations.found(event.found)
        elif isinstance(event, VideoTask):
            self.video = event
            if self._record.draft.leaves_video:
                out.append(event)

    def rest(self) -> list[AnswerEvent]:
        """Return what was held back of an answer that is over."""
        out: list[AnswerEvent] = []
        if rest := self._cut.rest():
            self._hear_all(rest, out)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("The model wrote in chat %s:\n%s", self._record.chat_id, "".join(self._record.heard))
        return out

    def finish(self, *, may_ask: bool) -> tuple[list[AnswerEvent], str | None]:
        """Return the last of an answer, and what the model must be asked again, if so. Raises ResponseFormatUnmet."""
        if self._cut.reason:
            return self._last(self._format.cut()), None
        end = self._format.finish(may_ask=may_ask)
        return self._last(end.pieces), end.ask_again

    def last_words(self) -> list[AnswerEvent]:
        """Return what comes after the last answer: what all of it cites."""
        out = self._last(())
        whole = bool(self._record.text) and not self._format.calls and not self._cut.reason
        if cited := self._citations.citations(whole=whole):
            out.append(cited)
        return out

    def show_video(self, address: str) -> list[AnswerEvent]:
        """Return what shows a video that is there."""
        out: list[AnswerEvent] = []
        self._say_apart(video_text(address), out)
        return out

    def show_progress(self, seconds: float) -> list[AnswerEvent]:
        """Return what tells of a video that is not there yet."""
        out: list[AnswerEvent] = []
        self._think(ReasoningDelta(f"The video is being made ({seconds:.0f} s).\n"), out)
        return out

    def _count(self, batch: Sequence[Event]) -> None:
        """Take the count before the text that it stands for, though it comes after it."""
        for event in batch:
            if isinstance(event, UsageReport):
                self._record.usage = event.usage
                self._cut.count(event.usage)

    def _think(self, event: ReasoningDelta, out: list[AnswerEvent]) -> None:
        if self._record.draft.show_reasoning:
            self._record.reasoning.append(event.text)
            out.append(event)

    def _hear(self, said: str, out: list[AnswerEvent]) -> None:
        """Take the model's next words, as far as the client wants them."""
        if text := self._cut.feed(said):
            self._hear_all(text, out)

    def _hear_all(self, text: str, out: list[AnswerEvent]) -> None:
        self._record.heard.append(text)
        self._say(self._format.feed(text), out)

    def _last(self, pieces: Sequence[Piece]) -> list[AnswerEvent]:
        out: list[AnswerEvent] = []
        self._say(pieces, out)
        self._write(self._citations.rest(), out)
        return out

    def _say(self, pieces: Sequence[Piece], out: list[AnswerEvent]) -> None:
        """Send on what became of the model's words."""
        for piece in pieces:
            if isinstance(piece, TextDelta):
                text = f"\n\n{piece.text}" if self._stands_apart and piece.text else piece.text
                self._stands_apart = self._stands_apart and not text
                self._write(self._citations.feed(text), out)
                continue
            self._write(self._citations.rest(), out)
            if isinstance(piece, CallArguments):
                _, name, arguments = self._format.calls[piece.index]
                self._record.text.append("\n\n" + SCHEME.write_call(name, arguments))
            out.append(piece)

    def _show(self, picture: Picture, out: list[AnswerEvent]) -> None:
        self._shown = True
        if self._format.take_picture():
            self._say_apart(picture_text(picture.url), out)
        out.append(picture)

    def _say_apart(self, text: str, out: list[AnswerEvent]) -> None:
        """Send a paragraph of its own, whatever is said before and after it."""
        self._stands_apart = bool(self._record.text)
        self._say([TextDelta(text)], out)
        self._stands_apart = True

    def _write(self, text: str, out: list[AnswerEvent]) -> None:
        if text:
            self._record.text.append(text)
            out.append(TextDelta(text))
