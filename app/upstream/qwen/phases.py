"""What an answer consists of: the deltas of its phases (docs/upstream-protocol.md, Phases). Pure."""

from collections.abc import Callable
from functools import cached_property

from app.core.events import Event, ReasoningDelta, TextDelta
from app.core.ports import Mode
from app.errors import UpstreamError
from app.upstream.qwen.causes import classify
from app.upstream.qwen.frames import Delta
from app.upstream.qwen.hosted import IMAGE_PHASES, IMAGE_TOOLS, TOOLS, HostedTools, Pictures
from app.upstream.qwen.pieces import AnswerText, Thoughts
from app.upstream.qwen.replies import failure_from

TEXT_PHASES = frozenset({"answer", "deep_research_answer"})
RESEARCH_PHASES = frozenset({"DeepThinking", "ReportGeneration", "PdfMdGen"})


class Content:
    """Turns the deltas of one answer into events.

    `ended` says that the answer is whole, `may_end` that it is if the stream ends here; `failure` is an error that took
    the place of a phase.
    """

    def __init__(self, note: Callable[[str], None], mode: Mode) -> None:
        self.ended = False
        self.may_end = False
        self.failure: UpstreamError | None = None
        self._note = note
        self._mode = mode
        self._answer = AnswerText()
        self._text_phase: str | None = None
        self._knows_phases = False
        self._speaks_plainly = False

    @cached_property
    def _thoughts(self) -> Thoughts:
        return Thoughts()

    @cached_property
    def _pictures(self) -> Pictures:
        return Pictures(self._note)

    @cached_property
    def _tools(self) -> HostedTools:
        return HostedTools(self._thoughts, self._pictures, self._note)

    def goes_on(self, delta: Delta, pieces: list[str]) -> bool:
        """Take a delta that only begins the text of the answer or goes on with it; say whether it is one."""
        content = delta.content
        if delta.phase != "answer" or delta.status != "typing" or not isinstance(content, str):
            return False
        if self._text_phase != "answer" and self._text_phase is not None:
            return False
        self._knows_phases = True
        if content or delta.extra or delta.function_call:
            self.may_end = False
        if text := self._answer.feed(content):
            self._text_phase = "answer"
            pieces.append(text)
        return True

    def take(self, delta: Delta, events: list[Event]) -> None:
        """Take a delta as its phase says; one of a phase that is unknown is never shown."""
        if delta.status != "finished" and (delta.content or delta.extra or delta.function_call):
            self.may_end = False
        phase = delta.phase
        if not phase or not isinstance(phase, str):
            self._unphased(delta, events)
            return
        self._knows_phases = True
        researches = self._mode == "research"
        if phase == "answer" or (researches and phase in TEXT_PHASES):
            self._text(delta, events, ends=True, phase=phase)
        elif phase in ("thinking_summary", "think") or (researches and phase in RESEARCH_PHASES):
            self._think(phase, delta, events)
        elif phase in IMAGE_PHASES:
            self._image(delta, events)
        elif phase in TOOLS:
            events += self._tools.take(phase, delta)
            if phase in IMAGE_TOOLS and self._mode == "image" and delta.status == "finished":
                self.may_end = True
        else:
            self._note(f"the phase {phase[:40]!r}")

    def _text(self, delta: Delta, events: list[Event], *, ends: bool, phase: str | None = None) -> None:
        """Take a piece of the answer; with `ends`, its `finished` is the answer's.

        Nobody recorded in which order research writes, so there only the end of the stream ends the answer.
        """
        if isinstance(delta.content, str):
            if text := self._answer.feed(delta.content):
                if phase is not None and phase != self._text_phase:
                    text = f"\n\n{text}" if self._text_phase else text
                    self._text_phase = phase
                events.append(TextDelta(text))
        elif delta.content is not None:
            self._note("answer content that is no text")
        if delta.status == "finished" and ends:
            if self._mode == "research":
                self.may_end = True
            else:
                self.ended = True
        elif delta.status == "error":
            self._refused(delta)

    def _refused(self, delta: Delta) -> None:
        error = delta.extra.get("error") if isinstance(delta.extra, dict) else None
        self.failure = classify(failure_from(error, None), "chat")

    def _image(self, delta: Delta, events: list[Event]) -> None:
        """Take an image, whose address is the content; where images were asked for, the `finished` ends the answer."""
        sizes = delta.extra.get("output_image_hw") if isinstance(delta.extra, dict) else None
        if isinstance(delta.content, str):
            events += self._pictures.take(delta.content.split(), sizes)
        elif delta.content is not None:
            self._note("image content that is no text")
        if self._mode == "image":
            if delta.status == "finished":
                self.ended = True
            elif delta.status == "error":
                self._refused(delta)

    def _unphased(self, delta: Delta, events: list[Event]) -> None:
        """Take a delta without a phase: answer text where the site was asked for no phases, or an old tool's."""
        if delta.name or delta.function_call:
            if isinstance(delta.name, str) and delta.name in TOOLS:
                events += self._tools.take(delta.name, delta)
            else:
                self._note("a tool without a phase")
            return
        if delta.content:
            self._speaks_plainly = True
        self._text(delta, events, ends=self._speaks_plainly or not self._knows_phases)

    def _think(self, phase: str, delta: Delta, events: list[Event]) -> None:
        """Take raw thinking and the work of research, or a snapshot of a summary, whose titles are left out."""
        summary = delta.extra.get("summary_thought") if isinstance(delta.extra, dict) else None
        thoughts = summary.get("content") if isinstance(summary, dict) else None
        if phase == "thinking_summary" and isinstance(thoughts, list):
            text = self._thoughts.update(thoughts)
        else:
            text = self._thoughts.add(delta.content) if isinstance(delta.content, str) else ""
        if delta.status == "finished":
            text += self._thoughts.end_segment()
        if text:
            events.append(ReasoningDelta(text))

    def finish(self, events: list[Event]) -> None:
        """Let go of the text that was held until more of it would tell how to read it."""
        if "_thoughts" in vars(self) and (thought := self._thoughts.end_segment()):  # most answers have none
            events.append(ReasoningDelta(thought))
        if rest := self._answer.finish():
            events.append(TextDelta(rest))


def is_keep_alive(phase: object) -> bool:
    """Say whether a delta of this phase is a mere sign of life."""
    return isinstance(phase, str) and phase.lower() == "keepalive"
