"""One answer on its way: bytes from the connection, batches of events to the caller."""

from collections.abc import Sequence
from typing import Self

from app.config import Settings
from app.core.events import Event
from app.core.ports import Mode
from app.errors import UpstreamBlocked, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from app.upstream.http import Response
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.login import Login
from app.upstream.qwen.replies import read_reply
from app.upstream.qwen.seam import explained
from app.upstream.qwen.sse import Splitter
from app.upstream.qwen.stream import AnswerReader
from app.upstream.qwen.transport import actual_status, read_whole
from app.upstream.qwen.video import VideoReply, read_video_reply

_LINGER_SECONDS = 0.1
_KEEP_ALIVE_PATIENCE = 5
_BODY_STARTS = (b"{", b"[", b"<")
_GAVE_UP = frozenset({502, 504})  # whatever a gateway says with them, the site may be writing


class Answer:
    """An iterator of batches of events, one batch a network read.

    Silence: nothing at all for BETWEEN_EVENTS_TIMEOUT seconds, or nothing but signs of life (keep-alive events,
    comments) for five times as long, or more than TOTAL_TIMEOUT seconds in all. Only waiting for the site counts; a
    caller may take its time. The login is told of each error of the site, before it is raised.
    """

    def __init__(
        self, response: Response, settings: Settings, login: Login, credential: Credential, *, begun: float, mode: Mode
    ) -> None:
        """`begun` is the loop's time when the request was sent."""
        self._response = response
        self._settings = settings
        self._login = login
        self._credential = credential
        self._is_video = mode == "video"
        self._splitter = Splitter()
        self._reader = AnswerReader(login.note, mode)
        self._first: Sequence[Event] = ()
        self._ends = begun + settings.total_timeout
        self._progressed = begun
        self._progress = 0

    async def begin(self, deadline: float) -> VideoReply | None:
        """Read up to the first event, or the plain answer that promises a video, for `promise`.

        Raises what the site says in place of an answer, and what the network raises: TimeoutError at `deadline` (loop
        time). The response is closed then.
        """
        try:
            head = piece = await self._response.read(deadline)
            while not (start := _start_of(head)) and piece:
                piece = await self._response.read(deadline)
                head += piece
            actual = actual_status(self._response) or 0
            if start in _BODY_STARTS or self._response.status >= 300 or actual >= 400:
                return await self._read_plain(head, deadline)
            self._first = self._digest(head)
            while not self._first and not self._reader.failure:
                self._first = self._digest(await self._response.read(deadline))
            if not self._first and self._reader.failure:
                self._reader.failure.accepted = self._reader.is_taken
                raise self._reader.failure
            return None
        except BaseException:
            self._response.close()
            raise

    async def _read_plain(self, head: bytes, deadline: float) -> VideoReply:
        """Read an answer that is no stream, which only a video's may be."""
        reply = await read_whole(self._response, head, deadline=deadline)
        try:
            outer = read_reply(reply, "chat")
        except UpstreamBlocked:
            raise
        except UpstreamError as problem:
            if reply.bad_status not in _GAVE_UP:
                raise
            said = f"A gateway gave up waiting for the answer (status {reply.bad_status})."
            raise UpstreamUnreachable(said, cause=str(reply.bad_status)) from problem
        if self._is_video:
            return read_video_reply(outer.data)
        raise UpstreamProtocolError("The site sent a plain answer where a stream was expected.", cause="shape")

    def promise(self, events: list[Event]) -> None:
        """Let these events be the answer, in place of a stream."""
        self._first = events
        self._reader.finished = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        events, self._first = self._first, ()
        try:
            while not events:
                if self._reader.failure:
                    raise self._reader.failure
                if self._reader.finished:
                    raise StopAsyncIteration
                events = self._digest(await self._read())
        except UpstreamError as problem:
            problem.accepted = True
            self._login.failed(problem, self._credential)
            raise
        return events

    def close(self) -> None:
        """Give the connection back if the answer's end is there or comes at once, else close it."""
        self._response.close(linger=_LINGER_SECONDS if self._reader.finished else 0.0)

    def _digest(self, data: bytes) -> list[Event]:
        """Turn one read into events; an empty one is the end."""
        try:
            if not data:
                return self._reader.close(self._splitter.close())
            return self._reader.read(self._splitter.feed(data))
        except UpstreamProtocolError as problem:
            self._reader.break_off(problem)
            return []

    async def _read(self) -> bytes:
        """Wait for bytes, but not for ever."""
        now = self._login.transport.loop.time()
        if self._reader.progress > self._progress:
            self._progress, self._progressed = self._reader.progress, now
        silence = self._settings.between_events_timeout
        quiet, idle = now + silence, self._progressed + _KEEP_ALIVE_PATIENCE * silence
        try:
            return await self._response.read(min(quiet, idle, self._ends))
        except TimeoutError as problem:
            if self._ends <= min(quiet, idle):
                limit = f"The answer took longer than {self._settings.total_timeout:g} s (TOTAL_TIMEOUT)."
            else:
                said = _QUIET if quiet <= idle else _IDLE
                limit = f"{said} {silence:g} s (BETWEEN_EVENTS_TIMEOUT)."
            raise UpstreamTimeout(limit, cause="timeout") from problem
        except OSError as problem:
            connect = self._settings.connect_timeout
            raise explained(problem, _QUIET, connect_seconds=connect, in_answer=True) from problem


_QUIET = "In mid-answer the site sent nothing for"
_IDLE = f"In mid-answer the site sent nothing but signs of life for {_KEEP_ALIVE_PATIENCE} times"


def _start_of(head: bytes) -> bytes:
    """Return the first byte that says what a body is, b"" while there is none."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
