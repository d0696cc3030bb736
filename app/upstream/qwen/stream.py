"""Reads the events of one answer (docs/upstream-protocol.md, Stream). Pure: payloads in, events out."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from app.core.events import Event, Finished, Started, TextDelta, Usage, UsageReport, VideoTask
from app.core.ports import Mode
from app.errors import UpstreamCut, UpstreamError, UpstreamProtocolError
from app.upstream.qwen.causes import classify
from app.upstream.qwen.decoding import decode, is_deep, is_json
from app.upstream.qwen.frames import Delta, Frame, decode_frame
from app.upstream.qwen.phases import Content, is_keep_alive
from app.upstream.qwen.replies import failure_in, page_error
from app.upstream.qwen.usage import read_usage
from app.upstream.qwen.video import read_video_reply


class AnswerReader:
    """The state of one answer.

    Now and then the site writes two candidates into one stream. The first of them is the answer (index "0", or the
    first id that speaks where none is announced); text, finish and errors of the other one are passed over.
    `failure` is what to raise once the events read so far are delivered. `note` is told of each thing unknown.
    `is_taken`: an event named an answer, so that the site has the prompt, whatever else it says.
    `mode` is what the prompt asked for: it tells what an answer consists of, and so what ends it.
    """

    def __init__(self, note: Callable[[str], None], mode: Mode = "chat") -> None:
        self.response_id: str | None = None
        self.finished = False
        self.failure: UpstreamError | None = None
        self.is_taken = False
        self.progress = 0
        self._note = note
        self._mode = mode
        self._user_messages: dict[str, str | None] = {}
        self._content = Content(note, mode)
        self._counts: list[msgspec.Raw] = []  # of this batch: only the newest that can be read is
        self._reported: Usage | None = None
        self._elsewhere: UpstreamError | None = None

    def is_over(self) -> bool:
        """Say whether the answer is whole or failed; what follows no longer counts."""
        return self.finished or self.failure is not None

    def read(self, payloads: Iterable[bytes]) -> list[Event]:
        """Return the events of these payloads; answer text that goes on from one to the next is one event.

        `progress` counts the payloads that were more than a sign of life.
        """
        events: list[Event] = []
        if self.is_over():
            return events
        pieces: list[str] = []
        for payload in payloads:
            frame = decode_frame(payload)
            if frame is not None and frame.choices and self._goes_on(frame, frame.choices[0].delta, pieces):
                continue
            if pieces:
                events.append(TextDelta("".join(pieces)))
                pieces.clear()
            self._take(frame, payload, events)
            if self._mode == "video" and self.failure is None:
                self._find_task(payload, events)
            if self.is_over():
                break
        if pieces:
            events.append(TextDelta("".join(pieces)))
        self._conclude(events)
        return events

    def close(self, payloads: Iterable[bytes]) -> list[Event]:
        """Read what the end of the stream completed; an answer that is unfinished after it failed."""
        whole = [payload for payload in payloads if _is_whole(payload)]
        events = self.read(whole)
        if self._content.may_end and not self.is_over():
            self._finish(events)
            self._conclude(events)
        if not self.is_over():
            self.failure = self._elsewhere or UpstreamCut(_CUT if self.response_id else _SILENT, cause="eof")
            self._conclude(events)
        return events

    def _goes_on(self, frame: Frame, delta: Delta | None, pieces: list[str]) -> bool:
        """Take a frame that only goes on with the text of the answer, as most do; say whether it did."""
        if self.response_id is None or frame.response_id != self.response_id:
            return False
        if frame.is_refusal or self._mode == "video":
            return False
        if delta is None or not self._content.goes_on(delta, pieces):
            return False
        self.progress += 1
        if frame.usage:
            self._counts.append(frame.usage)
        return True

    def _take(self, frame: Frame | None, payload: bytes, events: list[Event]) -> None:
        if frame is not None and not self.is_taken:
            self.is_taken = _names_answer(frame)
        if frame is None or is_deep(payload, frame):
            self._take_other(payload)
        elif frame.choices and not frame.is_refusal:
            self.progress += 1
            self._delta(frame, frame.choices[0].delta, events)
        elif frame.created is not None:
            self.progress += 1
            self._created(frame.created, events)
        elif frame.stopped is not None:
            self._stopped(frame.stopped, events)
        elif frame.info is None:
            self._trouble(frame, payload)

    def _take_other(self, payload: bytes) -> None:
        """Take what is no object: the end mark of other services, or a page in mid-stream."""
        if payload.startswith(b"<"):
            self.failure = page_error(payload, 200)
        elif payload == b"[DONE]":
            self._note("[DONE]")
        elif is_json(payload):
            self._note("an event that is no object")
        else:
            self.break_off(UpstreamProtocolError("The site sent an event that is not JSON.", cause="json"))

    def break_off(self, problem: UpstreamProtocolError) -> None:
        """End at what cannot be read: of an answer that began it is the cut, since the site may have all of it."""
        self.failure = UpstreamCut(str(problem), cause=problem.cause) if self.response_id else problem

    def _created(self, created: Any, events: list[Event]) -> None:
        """Take the announcement of a candidate."""
        response_id = _member(created, "response_id")
        if not response_id:
            self._note("response.created without an id")
            return
        index = created.get("response_index")
        self._user_messages[response_id] = _member(created, "parent_id") or None
        if self.response_id is None and (index is None or str(index) == "0"):
            self._start(response_id, events)

    def _start(self, response_id: str, events: list[Event]) -> None:
        self.response_id = response_id
        events.append(Started(response_id, self._user_messages.get(response_id)))

    def _stopped(self, stopped: Any, events: list[Event]) -> None:
        """Take the end that a stop call brings."""
        response_id = _member(stopped, "response_id")
        if self.response_id is None and response_id:
            self._start(response_id, events)
        if self.response_id is not None and response_id in ("", self.response_id):
            self._finish(events)

    def _trouble(self, frame: Frame, payload: bytes) -> None:
        """Take an error, or an event that means nothing to us."""
        failure = failure_in(frame)
        if failure is None:
            self.progress += 1
            self._note(f"an event with {_names(payload)[:80]}")
            return
        problem = classify(failure, "chat")
        if self._is_other(frame.response_id):
            self._elsewhere = problem
        else:
            self.failure = problem

    def _is_other(self, response_id: object) -> bool:
        """Say whether an event belongs to another candidate than the answer."""
        known = self.response_id is not None and isinstance(response_id, str)
        return known and response_id not in ("", self.response_id)

    def _delta(self, frame: Frame, delta: Delta | None, events: list[Event]) -> None:
        if frame.response_id != self.response_id or self.response_id is None:
            if self._is_other(frame.response_id):
                self._note("a second candidate")
                return
            if self.response_id is None:
                if not isinstance(frame.response_id, str) or not frame.response_id:
                    if delta is not None and (delta.content or delta.status == "finished"):
                        self.failure = UpstreamProtocolError("The site's answer carries no id.", cause="response_id")
                    return
                self._start(frame.response_id, events)
        if frame.usage:
            self._counts.append(frame.usage)
        if delta is None:
            return
        if delta.phase != "answer" and is_keep_alive(delta.phase):
            self.progress -= 1
            return
        self._content.take(delta, events)
        self.failure = self._content.failure
        if self._content.ended:
            self._finish(events)

    def _find_task(self, payload: bytes, events: list[Event]) -> None:
        """Look for the task of a video, which may stand anywhere: nobody recorded this stream."""
        try:
            value: Any = decode(payload)
        except UpstreamProtocolError:
            return
        video = read_video_reply(value.get("data") or value if isinstance(value, dict) else value)
        if not video.task_id:
            return
        if self.response_id is None and video.response_id:
            self._start(video.response_id, events)
        if self.response_id is None:
            self.failure = UpstreamProtocolError("The site's answer carries no id.", cause="response_id")
            return
        events.append(VideoTask(video.task_id))
        self._finish(events)

    def _finish(self, events: list[Event]) -> None:
        self.finished = True
        self._content.finish(events)

    def _conclude(self, events: list[Event]) -> None:
        """End a batch: the text that was held if nothing follows, the newest count, the finish."""
        if self.failure:
            self._content.finish(events)
        if self._counts:
            self._report(events)
        if self.finished:
            events.append(Finished())

    def _report(self, events: list[Event]) -> None:
        """Tell the newest count that can be read."""
        usage = None
        while usage is None and self._counts:
            usage = read_usage(self._counts.pop())
        self._counts.clear()
        if usage is not None and usage != self._reported:
            self._reported = usage
            events.append(UsageReport(usage))


_CUT = "The site's stream ended before the answer did; the answer may be whole on the site."
_SILENT = "The site's stream ended without an answer."


def _names_answer(frame: Frame) -> bool:
    if isinstance(frame.response_id, str) and frame.response_id:
        return True
    return bool(_member(frame.created, "response_id") or _member(frame.info, "response_id"))


def _member(value: object, key: str) -> str:
    """Return a text member of an object, "" where there is none."""
    member = value.get(key) if isinstance(value, dict) else None
    return member if isinstance(member, str) else ""


def _is_whole(payload: bytes) -> bool:
    """Say whether the last payload of a stream is complete: a torn one is part of the cut."""
    return payload.startswith(b"<") or is_json(payload)


def _names(payload: bytes) -> str:
    """Return the names of an object's members; where one that nobody reads is malformed, that."""
    try:
        return ", ".join(sorted(decode(payload)))
    except UpstreamProtocolError:
        return "malformed members"
