"""Fetch what a client names by its address, without lending it this machine's place in the network.

docs/files-and-media.md, Addresses.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import unquote

import aiohttp
from yarl import URL

from app import __version__
from app.core.attachments import FileContent
from app.core.file_types import file_content, safe_name
from app.errors import FileNotFetched
from app.files.addresses import AddressRefused, CheckedResolver, check_address

_SECONDS = 30.0
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": f"qwen-thread/{__version__}", "Accept": "*/*"}
_SECRETS = re.compile(r"(?<=//)[^/?#]*@|\?.*")  # a user, a password, a signature
_LONGEST_SHOWN = 200
_SUFFIX = re.compile(r"\.\w{1,5}$")


@asynccontextmanager
async def open_fetcher(
    *, enabled: bool, allow_private: bool, seconds: float = _SECONDS
) -> AsyncIterator["HttpFetcher"]:
    """Open a fetcher; `enabled` False refuses everything, `seconds` limits each file."""
    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(allow_private=allow_private), use_dns_cache=False, force_close=True
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    ) as session:
        yield HttpFetcher(session, enabled=enabled, allow_private=allow_private, seconds=seconds)


class HttpFetcher:
    """Implements `core.ports.Fetcher`."""

    def __init__(self, session: aiohttp.ClientSession, *, enabled: bool, allow_private: bool, seconds: float) -> None:
        self._session = session
        self._enabled = enabled
        self._allow_private = allow_private
        self._seconds = seconds

    async def fetch(self, url: str, name: str, *, most: int) -> FileContent:
        """Return the file behind an http(s) address, of `most` bytes at most. Raises FileNotFetched."""
        if not self._enabled:
            raise _refusal(url, "addresses are not fetched here (FETCH_URLS=0)")
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url, name, most)
        except TimeoutError:
            raise _refusal(url, f"it did not come within {self._seconds:g} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            cause = problem.__cause__ if isinstance(problem.__cause__, AddressRefused) else problem
            raise _refusal(url, str(cause) or type(cause).__name__) from None

    async def _follow(self, url: str, name: str, most: int) -> FileContent:
        address = URL(url)
        for _ in range(_MOST_REDIRECTS + 1):
            self._check(address)
            async with self._session.get(address, allow_redirects=False) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    address = address.join(URL(response.headers["Location"]))
                    continue
                if response.status != 200:
                    raise ValueError(f"it answers with status {response.status}")
                data = await _read(response, most)
                return file_content(data, response.headers.get("Content-Type", ""), _name(name, address, response))
        raise ValueError(f"it is redirected more than {_MOST_REDIRECTS} times")

    def _check(self, address: URL) -> None:
        """Raise ValueError or AddressRefused for what must not be called; a name is checked when it is resolved."""
        if address.scheme not in {"http", "https"} or not address.host:
            raise ValueError("only http and https addresses are fetched")
        if address.user is not None or address.password is not None:
            raise ValueError("addresses with a user or a password are not fetched")
        try:
            literal = str(ip_address(address.host.partition("%")[0]))
        except ValueError:
            return
        check_address(literal, allow_private=self._allow_private)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a body that may not be larger than it is allowed to. Raises ValueError."""
    too_large = ValueError(f"it is larger than {most:,} bytes")
    if (response.content_length or 0) > most:
        raise too_large
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > most:
            raise too_large
        pieces.append(piece)
    if not size:
        raise ValueError("it is empty")
    return b"".join(pieces)


def _name(name: str, address: URL, response: aiohttp.ClientResponse) -> str:
    """Return the name that the answer gives, or the address, or "" where none says what kind of file it is."""
    disposition = response.content_disposition
    told = disposition.filename if disposition is not None and disposition.filename else unquote(address.path)
    for candidate in (safe_name(told), name):
        if _SUFFIX.search(candidate):
            return candidate
    return ""


def _refusal(url: str, why: str) -> FileNotFetched:
    shown = _SECRETS.sub("", url)
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"
    return FileNotFetched(f"{shown} could not be fetched: {why}.", param="messages")
