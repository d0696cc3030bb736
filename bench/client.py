"""A client that costs little: HTTP/1.1 over one kept connection, bytes in and bytes out."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_DUE = re.compile(rb"t=(\d+\.\d+)")


@dataclass
class Answered:
    """Times in seconds from the request; `late` how late each paced piece was."""

    first: float = 0.0
    whole: float = 0.0
    late: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection to one server; one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None
        self._began = 0.0
        self._answered = Answered()

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """Connect to the server of an address."""
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        _, connection = await asyncio.get_running_loop().create_connection(cls, parts.hostname, parts.port)
        return connection

    @property
    def has_begun(self) -> bool:
        """Whether the first piece of the running answer is there."""
        return self._answered.first > 0

    def close(self) -> None:
        """End the connection."""
        assert self._transport is not None
        self._transport.close()

    async def ask(self, messages: bytes, *, stream: bool) -> Answered:
        """Ask for an answer to messages, given as the inside of a JSON array. Raises RuntimeError if it is none."""
        assert self._transport is not None
        body = b'{"model":"canned","stream":%b,"messages":[%b]}' % (b"true" if stream else b"false", messages)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._buffer.clear()
        self._answered = Answered()
        self._done = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()
        self._transport.write(head.encode() + body)
        await self._done
        if not self._buffer.startswith(b"HTTP/1.1 200") or b'"error"' in self._buffer:
            raise RuntimeError(self._buffer[:600].decode("utf-8", "replace"))
        return self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is still asked."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed the connection in mid-answer"))

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        now = time.monotonic()
        if not self._answered.first and (b'"content"' in data):
            self._answered.first = now - self._began
        if b"t=" in data:
            self._answered.late += [now - float(due) for due in _DUE.findall(data)]
        self._buffer += data
        if self._is_whole() and self._done is not None and not self._done.done():
            self._answered.whole = now - self._began
            self._done.set_result(None)

    def _is_whole(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        if b"transfer-encoding: chunked" in head:
            return self._buffer.endswith(b"0\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head)
        return length is not None and len(self._buffer) >= end + 4 + int(length[1])


def message(role: str, text: str) -> bytes:
    """Write one message as JSON."""
    return json.dumps({"role": role, "content": text}).encode()
