"""Brings files to the site and fetches what it made (docs/upstream-protocol.md, Files).

The object store and the CDN are other hosts than the site: each file has a connection of its own, and nothing of the
account goes there, no token and no cookie.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from app.clock import Clock
from app.config import Settings
from app.core.attachments import FileContent
from app.core.ids import new_uuid
from app.core.ports import UploadedFile
from app.errors import UpstreamError, UpstreamProtocolError, UpstreamRejected, UpstreamTimeout, UpstreamUnreachable
from app.upstream.http import Pool, Response
from app.upstream.qwen.causes import Subject, excerpt
from app.upstream.qwen.fetched import Fetched
from app.upstream.qwen.grants import (
    Grant,
    file_entry,
    is_of_the_site,
    origin_of,
    read_expiry,
    read_grant,
    safe_name,
    token_type,
)
from app.upstream.qwen.headers import USER_AGENT
from app.upstream.qwen.oss import sign_put
from app.upstream.qwen.replies import Outer
from app.upstream.qwen.seam import explained

_FAILED = frozenset({"failed", "failure", "fail", "error"})
_GONE = frozenset({401, 403, 404, 410})
_KEY_REFUSED = frozenset({401, 403})
_EXCERPT = 4096


class Call(Protocol):
    """Asks the site for a JSON answer, signed as the account. Raises UpstreamError."""

    def __call__(self, method: str, path: str, subject: Subject, *, body: dict[str, Any]) -> Awaitable[Outer]:
        """Return the answer's outermost object."""
        ...


@dataclass(frozen=True, slots=True)
class ParsePatience:
    """How long the site may read a document, and how often it is asked meanwhile; both in seconds."""

    every: float = 1.0
    in_all: float = 120.0


class Files:
    """The way of files to and from one site."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        base_url: str,
        *,
        call: Call,
        patience: ParsePatience,
        on_failure: Callable[[UpstreamError], None],
    ) -> None:
        """`on_failure` is told of each error of the other hosts, before it is raised."""
        self._settings = settings
        self._clock = clock
        self._origin = origin_of(base_url)
        self._call = call
        self._patience = patience
        self._on_failure = on_failure
        self._headers = {"User-Agent": settings.qwen_user_agent or USER_AGENT, "Accept-Encoding": "identity"}

    async def upload(self, file: FileContent) -> UploadedFile:
        """Bring a file to the site, until it can be sent, and remember how a message names it."""
        name = safe_name(file.name)
        now = self._clock.now()
        grant = await self._place(file, name)
        if file.kind == "document":
            await self._parse(grant.file_id, name)
        entry = file_entry(
            file,
            grant,
            name=name,
            milliseconds=int(now.timestamp() * 1000),
            item_id=new_uuid(),
            task_id=new_uuid(),
        )
        reference = msgspec.json.encode(entry).decode()
        return UploadedFile(grant.file_id, file.kind, name, len(file.data), reference, read_expiry(grant.url, now))

    async def _place(self, file: FileContent, name: str, *, may_ask: bool = True) -> Grant:
        """Put a file into the store; a key that is refused there says nothing of the file and is asked for anew, once.

        Raises UpstreamError.
        """
        body = {"filename": name, "filesize": str(len(file.data)), "filetype": token_type(file.kind)}
        outer = await self._call("POST", "/api/v2/files/getstsToken", "account", body=body)
        with self._told():
            grant = read_grant(outer.data, self._origin)
            status, said = await self._put(grant, file)
            if status == 200:
                return grant
            problem = _refusal(status, said)
            if status not in _KEY_REFUSED or not may_ask:
                raise problem
        self._on_failure(problem)
        return await self._place(file, name, may_ask=False)

    async def _put(self, grant: Grant, file: FileContent) -> tuple[int, bytes]:
        """Return the store's status and the beginning of what it says."""
        headers = sign_put(
            grant.key,
            bucket=grant.bucket,
            path=grant.path,
            region=grant.region,
            content_type=file.content_type,
            now=self._clock.now(),
        )
        target = urlsplit(grant.url).path
        seconds = self._settings.total_timeout
        try:
            async with asyncio.timeout(seconds), self._host_of(grant.url) as store:
                response = await store.request("PUT", target, {**self._headers, **headers}, file.data)
                return response.status, (await response.read())[:_EXCERPT]
        except OSError as problem:
            silence = f"The site's file store did not take the file within {seconds:g} s (TOTAL_TIMEOUT)."
            raise explained(problem, silence, connect_seconds=self._settings.connect_timeout) from problem

    async def _parse(self, file_id: str, name: str) -> None:
        """Have the site read a document, and wait until it has."""
        await self._call("POST", "/api/v2/files/parse", "account", body={"file_id": file_id})
        try:
            async with asyncio.timeout(self._patience.in_all):
                while True:
                    if await self._is_parsed(file_id, name):
                        return
                    await asyncio.sleep(self._patience.every)
        except TimeoutError:
            limit = f"The site did not finish reading the file {name!r} within {self._patience.in_all:g} s."
            raise UpstreamTimeout(limit, cause="parse") from None

    async def _is_parsed(self, file_id: str, name: str) -> bool:
        body = {"file_id_list": [file_id]}
        outer = await self._call("POST", "/api/v2/files/parse/status", "account", body=body)
        listed = outer.data if isinstance(outer.data, list) else [outer.data]
        entries = [entry for entry in listed if isinstance(entry, dict) and entry.get("file_id") in (None, file_id)]
        status = str(entries[0].get("status")).lower() if entries else ""
        if status in _FAILED:
            words = entries[0].get("error_msg")
            said = f" It said: {excerpt(words)!r}." if isinstance(words, str) and words else ""
            raise UpstreamRejected(f"The site could not read the file {name!r}.{said}", cause="parse")
        return status == "success"

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Fetched]:
        """Fetch what the site made, as `app.core.ports.Upstream` says."""
        if not is_of_the_site(url, self._origin):
            raise UpstreamRejected("This is not an address of the site, so nothing was fetched.", cause="address")
        async with self._host_of(url) as host:
            with self._told():
                fetched = Fetched(await self._get(host, url), self._settings)
                await fetched.begin()
            yield fetched

    async def _get(self, host: Pool, url: str) -> Response:
        parts = urlsplit(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        seconds = self._settings.first_event_timeout
        try:
            async with asyncio.timeout(seconds):
                response = await host.request("GET", target, self._headers)
        except OSError as problem:
            silence = f"The site's file store did not answer within {seconds:g} s (FIRST_EVENT_TIMEOUT)."
            raise explained(problem, silence, connect_seconds=self._settings.connect_timeout) from problem
        if response.status == 200:
            return response
        if response.status in _GONE:
            raise UpstreamRejected("The address has expired; the site gives the file no more.", cause="expired")
        raise _refusal(response.status, b"")

    def _host_of(self, url: str) -> Pool:
        parts = urlsplit(url)
        return Pool(f"{parts.scheme}://{parts.netloc}", connect_seconds=self._settings.connect_timeout)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except UpstreamError as problem:
            self._on_failure(problem)
            raise


def _refusal(status: int, said: bytes) -> UpstreamError:
    """Return what a status of the store means; its pages are XML that names a code."""
    named = re.search(rb"<Code>(\w{1,60})</Code>", said)
    code = named[1].decode() if named else str(status)
    if status >= 500:
        return UpstreamUnreachable(f"The site's file store failed ({code}).", cause=code)
    if status in _KEY_REFUSED:
        return UpstreamProtocolError(f"The site's file store refuses the key that the site gave ({code}).", cause=code)
    if 300 <= status < 400:
        return UpstreamProtocolError(f"The site's file store sent us elsewhere (status {status}).", cause=code)
    return UpstreamRejected(f"The site's file store refused the file ({code}).", cause=code)
