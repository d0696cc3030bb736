"""Reads a stream of bytes the way the adapter does, without a connection."""

from collections.abc import Sequence

from app.core.events import Event, Finished, Picture, ReasoningDelta, Source, Sources, TextDelta, Usage, UsageReport
from app.core.ports import Mode
from app.errors import UpstreamError
from app.upstream.qwen.sse import Splitter
from app.upstream.qwen.stream import AnswerReader
from tests.upstream.scripted import events


def joined(heard: Sequence[Event]) -> list[Event]:
    """Return events with one piece of text in place of several that follow one another: reads cut it anywhere."""
    whole: list[Event] = []
    for event in heard:
        before = whole[-1] if whole else None
        if isinstance(event, TextDelta) and isinstance(before, TextDelta):
            whole[-1] = TextDelta(before.text + event.text)
        else:
            whole.append(event)
    return whole


class Heard:
    """Everything one stream of bytes brings."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (), mode: Mode = "chat") -> None:
        self.notes: list[str] = []
        self.reader = AnswerReader(self.notes.append, mode)
        self.events: list[Event] = []
        splitter = Splitter()
        turn = 0
        while data:
            size = sizes[turn % len(sizes)] if sizes else len(data)
            self.events += self.reader.read(splitter.feed(data[:size]))
            data, turn = data[size:], turn + 1
        if not self.reader.finished and self.reader.failure is None:
            self.events += self.reader.close(splitter.close())

    @property
    def failure(self) -> UpstreamError | None:
        return self.reader.failure

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def pictures(self) -> list[Picture]:
        return [event for event in self.events if isinstance(event, Picture)]

    @property
    def sources(self) -> list[Source]:
        return [source for event in self.events if isinstance(event, Sources) for source in event.found]

    @property
    def usage(self) -> Usage | None:
        return next((event.usage for event in reversed(self.events) if isinstance(event, UsageReport)), None)

    @property
    def whole(self) -> bool:
        return bool(self.events) and self.events[-1] == Finished() and self.failure is None


def hear(*frames: object, mode: Mode = "chat") -> Heard:
    return Heard(events(frames), mode=mode)
