"""Sends one request to the site and hands back its response; everything all calls have in common."""

import asyncio
import logging
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.clock import Clock
from app.config import Settings
from app.errors import UpstreamProtocolError
from app.upstream.http import Pool, Response
from app.upstream.qwen.causes import Subject
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.headers import Letterhead
from app.upstream.qwen.replies import Outer, Reply, read_reply
from app.upstream.qwen.seam import explained

_log = logging.getLogger(__name__)
_BODY_LIMIT = 8 * 1024 * 1024
_encode = msgspec.json.Encoder().encode


class Transport:
    """The connections to the site: one pool, kept alive, without a limit of its own."""

    def __init__(self, settings: Settings, clock: Clock, base_url: str) -> None:
        self._settings = settings
        parts = urlsplit(base_url)
        self._letterhead = Letterhead(clock, f"{parts.scheme}://{parts.netloc}", settings.qwen_user_agent)
        self._pool = Pool(base_url, connect_seconds=settings.connect_timeout)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the connections are in."""
        return self._pool.loop

    async def __aenter__(self) -> "Transport":
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, problem, trace)

    async def open(
        self,
        method: str,
        path: str,
        credential: Credential,
        *,
        deadline: float,
        body: dict[str, Any] | msgspec.Struct | None = None,
        chat_id: str | None = None,
        streams: bool = False,
    ) -> Response:
        """Send a request and return the response once its head is there, by `deadline` (loop time).

        The caller closes it. Raises what the network raises, which callers have `explained`.
        """
        lines = self._letterhead.lines(method, credential, chat_id=chat_id, streams=streams)
        data = None if body is None else _encode(body)
        response = await self._pool.send(method, path, lines, data, deadline=deadline)
        if response.cookies:
            self._letterhead.keep_cookies(response.cookies)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s: %d, really %s", method, path, response.status, actual_status(response))
        return response

    async def call(
        self,
        method: str,
        path: str,
        subject: Subject,
        credential: Credential,
        *,
        body: dict[str, Any] | None = None,
        chat_id: str | None = None,
        limit: int = _BODY_LIMIT,
    ) -> Outer:
        """Send a request and read its JSON answer of at most `limit` bytes. Raises UpstreamError."""
        seconds = self._settings.first_event_timeout
        deadline = self._pool.loop.time() + seconds
        try:
            response = await self.open(method, path, credential, deadline=deadline, body=body, chat_id=chat_id)
            reply = await read_whole(response, limit=limit, deadline=deadline)
        except OSError as problem:
            silence = f"The site did not answer within {seconds:g} s (FIRST_EVENT_TIMEOUT)."
            raise explained(problem, silence, connect_seconds=self._settings.connect_timeout) from problem
        return read_reply(reply, subject)


async def read_whole(
    response: Response, head: bytes = b"", *, limit: int = _BODY_LIMIT, deadline: float | None = None
) -> Reply:
    """Read the rest of an answer after `head`, and close it.

    Raises UpstreamProtocolError above `limit` bytes, and what the network raises: TimeoutError at `deadline`.
    """
    pieces, size = [head], len(head)
    try:
        while True:
            piece = response.ready()
            if piece is None:
                piece = await response.read(deadline)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise UpstreamProtocolError(f"The site's answer is larger than {limit >> 20} MiB.", cause="size")
    finally:
        response.close()
    return Reply(
        response.status,
        b"".join(pieces),
        actual=actual_status(response),
        location=response.headers.get(b"location", b""),
        retry_after=_number(response, b"retry-after"),
    )


def actual_status(response: Response) -> int | None:
    """Return the status that the site means, which may differ from the one on the wire."""
    return _number(response, b"x-actual-status-code")


def is_good(response: Response) -> bool:
    """Say whether neither status, the one meant and the wire's, says no or sends us elsewhere."""
    return max(response.status, actual_status(response) or 0) < 300


def _number(response: Response, header: bytes) -> int | None:
    text = response.headers.get(header)
    return int(text) if text and text.isdigit() and len(text) < 7 else None
