"""The connections to one host: made when they are needed, kept for a while, never limited in number."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import aiohappyeyeballs

from app.upstream.http.connection import Connection
from app.upstream.http.response import Disconnected, Response

_IDLE_SECONDS = 15.0  # shorter than servers keep an idle connection: it is not closed under a request
_NEXT_ADDRESS_SECONDS = 0.25
_SAFE_TO_REPEAT = frozenset({"GET", "DELETE"})
_PORTS = {"http": 80, "https": 443}


class NotConnected(ConnectionError):
    """No connection could be made; nothing was sent."""

    def __init__(self, why: Literal["dns", "tls", "timeout", "refused"], host: str, reason: str) -> None:
        super().__init__(reason)
        self.why = why
        self.host = host
        self.reason = reason


class Pool:
    """A context manager that owns its connections, in one event loop. `base_url` is http or https and may hold a path.

    An idle connection is closed after `idle_seconds`.
    """

    def __init__(self, base_url: str, *, connect_seconds: float, idle_seconds: float = _IDLE_SECONDS) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._is_tls = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        self._host_line = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self.loop: asyncio.AbstractEventLoop  # kept: up to Python 3.11 asking for it costs a system call
        self._tls: ssl.SSLContext | None = None
        self._idle: deque[Connection] = deque()  # the one used last is the last, and the first to be used again
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)  # lets the transports end

    async def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        """Send a request with these headers, as `send` does. Raises ValueError if one holds a line break."""
        return await self.send(method, target, header_lines(headers), body)

    async def send(
        self, method: str, target: str, lines: str, body: bytes | None = None, *, deadline: float | None = None
    ) -> Response:
        """Send a request; return its response once the head is there. The caller closes it. `lines` are the headers.

        Redirects are not followed. Raises NotConnected, Disconnected, NotHttp, and TimeoutError if the head is not
        there by `deadline` (loop time). What a kept connection did not answer because it was closed in between is asked
        again where asking twice does no harm.
        """
        if "\n" in target or "\r" in target:
            raise ValueError("The target holds a line break.")
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {self._path}{target} HTTP/1.1\r\n{self._host_line}{lines}{length}\r\n".encode()
        body = body or b""
        while (kept := self._kept()) is not None:
            try:
                return await kept.send(head, body, deadline)
            except Disconnected:
                if kept.heard or method not in _SAFE_TO_REPEAT:
                    raise
        connection = await self._connect(deadline)
        return await connection.send(head, body, deadline)

    def _kept(self) -> Connection | None:
        oldest = self.loop.time() - self._idle_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.is_closed:
                continue
            if connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = self.loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self.loop.call_later(self._idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        """Close what was not used for long, and look again when the next one will be as old."""
        oldest = self.loop.time() - self._idle_seconds
        while self._idle and (self._idle[0].is_closed or self._idle[0].idle_since <= oldest):
            self._idle.popleft().close()
        self._sweep = None
        if self._idle:
            self._sweep = self.loop.call_at(self._idle[0].idle_since + self._idle_seconds, self._close_idle)

    async def _connect(self, deadline: float | None) -> Connection:
        """Make a connection. Raises NotConnected, and TimeoutError for a deadline before it gives up by itself."""
        latest = self.loop.time() + self._connect_seconds
        try:
            async with asyncio.timeout_at(latest if deadline is None else min(latest, deadline)):
                return await self._connected()
        except TimeoutError as problem:
            if deadline is not None and deadline < latest:
                raise
            raise NotConnected("timeout", self._host, "it took too long") from problem
        except (socket.gaierror, UnicodeError) as problem:  # the latter for what cannot be a name
            raise NotConnected("dns", self._host, str(problem)) from problem
        except (ssl.SSLError, ssl.CertificateError) as problem:
            raise NotConnected("tls", self._host, str(problem)) from problem
        except OSError as problem:
            raise NotConnected("refused", self._host, problem.strerror or "no connection") from problem

    async def _connected(self) -> Connection:
        if self._is_tls and self._tls is None:
            self._tls = await asyncio.to_thread(_tls_context)
        addresses = await self.loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        made = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1
        )
        _, connection = await self.loop.create_connection(
            lambda: Connection(self.loop, self._keep, self._open.discard),
            sock=made,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        if self._is_closed:
            connection.close()
        elif not connection.is_closed:
            self._open.add(connection)
        return connection


def header_lines(headers: Mapping[str, str]) -> str:
    """Write headers as they are sent. Raises ValueError if one holds a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines.count("\n") == lines.count("\r") == len(headers):
        raise ValueError("A header holds a line break.")
    return lines


def _tls_context() -> ssl.SSLContext:
    """Return what certificates are checked with; reading the system's takes a while."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
