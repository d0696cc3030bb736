"""Asks the site for new tokens, in its two ways (docs/upstream-protocol.md, Refresh, and Profile and renewal)."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec

from app.clock import Clock
from app.config import Settings
from app.config_values import Secret, parse_secret
from app.core.ids import new_uuid
from app.errors import UpstreamLoginRequired, UpstreamProtocolError
from app.upstream.http import Pool, header_lines
from app.upstream.qwen.credentials import (
    NAMELESS,
    Credential,
    cookie_header,
    cookie_pairs,
    read_set_cookies,
    read_token,
)
from app.upstream.qwen.decoding import decode
from app.upstream.qwen.headers import USER_AGENT, Letterhead
from app.upstream.qwen.replies import Outer, read_reply
from app.upstream.qwen.seam import explained
from app.upstream.qwen.transport import read_whole

_REFUSED = "The site refuses to renew the login: its session ended or was signed out"
_SHARED = ", or another program that shares it, such as a browser, renewed it in between"
_FOREIGN = "The cookies belong to another account than the token, so the login was not renewed with them."
_SENDABLE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")  # as of a setting that goes into headers, without the semicolon


class _Profile(msgspec.Struct):
    token: str = ""


_PROFILE = msgspec.json.Decoder(_Profile)


class Renewal:
    """Two calls to two hosts; it keeps nothing between them. Both raise UpstreamError."""

    def __init__(self, settings: Settings, clock: Clock, *, base_url: str, auth_url: str) -> None:
        self._settings = settings
        self._clock = clock
        self._base_url = base_url.rstrip("/")
        self._auth_url = auth_url.rstrip("/")
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    async def by_cookies(self, old: Credential) -> Credential:
        """Return a login with a new access token and the cookies that the answer rotated.

        Nobody recorded which of the two cookies counts: both are sent, and if that is refused the long one alone.
        """
        cookies = old.login_cookies(self._clock.now())
        alone = {name: value for name, value in cookies.items() if name != "refresh_token"}
        try:
            try:
                new = await self._refresh(old, cookies)
            except UpstreamLoginRequired:
                if not {"token", "refresh_token"} <= cookies.keys():
                    raise
                new = await self._refresh(old, alone)
        except UpstreamLoginRequired as refusal:
            said = f"{_REFUSED}{_SHARED if 'refresh_token' in cookies else ''}."
            raise UpstreamLoginRequired(said, cause=refusal.cause) from None
        if new.account.startswith(NAMELESS):
            return replace(new, account=old.account)
        if new.account != old.account and not old.account.startswith(NAMELESS):
            raise UpstreamLoginRequired(_FOREIGN, cause="account")
        return new

    async def by_profile(self, old: Credential) -> Credential | None:
        """Return the login with the later session token that the profile brings, None if it brings no later one."""
        letterhead = Letterhead(self._clock, self._origin, self._settings.qwen_user_agent)
        lines = letterhead.lines("GET", old, chat_id=None, streams=False)
        _, body, _ = await self._ask(self._base_url, "/api/v1/auths/", lines)
        try:
            token = decode(body, _PROFILE).token
        except UpstreamProtocolError:
            return None
        new = _read(token, old.cookie)
        if new is None or new.is_access or new.expires_at is None or new.account != old.account:
            return None
        return new if old.expires_at is None or new.expires_at > old.expires_at else None

    async def _refresh(self, old: Credential, cookies: dict[str, str]) -> Credential:
        headers = {
            "Cookie": cookie_header(cookies),
            "Origin": self._origin,
            "Referer": f"{self._origin}/",
            "x-request-origin": self._origin,
            "Accept": "application/json, text/plain, */*",
            "User-Agent": self._settings.qwen_user_agent or USER_AGENT,
            "X-Request-Id": new_uuid(),
        }
        outer, _, rotated = await self._ask(self._auth_url, "/api/v2/auths/refresh", header_lines(headers))
        data = outer.data if isinstance(outer.data, dict) else {}
        access = data.get("access_token")
        if not isinstance(access, str) or not access:
            raise UpstreamProtocolError("The site renewed the login without an access token.", cause="refresh")
        given = data["refresh_token"] if isinstance(data.get("refresh_token"), str) else ""
        new = _read(access, Secret(cookie_header(self._rotate(old, given, rotated))))
        if new is None:
            raise UpstreamProtocolError("The site renewed the login with a token of no known form.", cause="refresh")
        return new

    def _rotate(self, old: Credential, given: str, rotated: Iterable[str]) -> dict[str, str]:
        """Return the cookies after an answer: what it sets wins over what its body gives, and that over what was.

        What no header of ours may hold is left out: it alone, or the login that was rotated would be lost with it.
        """
        pairs = cookie_pairs(old.cookie.reveal())
        if old.session:
            pairs["token"] = old.session.reveal()
        if given and _SENDABLE.fullmatch(given):
            pairs["refresh_token"] = given
        now = self._clock.now()
        for name, cookie in read_set_cookies(rotated, now).items():
            if cookie.ends is not None and cookie.ends <= now:
                pairs.pop(name, None)
            elif _SENDABLE.fullmatch(name + cookie.value):
                pairs[name] = cookie.value
        return pairs

    async def _ask(self, base_url: str, path: str, lines: str) -> tuple[Outer, bytes, Iterable[str]]:
        """Send one request and return a good answer, decoded and as it came, with the cookies that it sets."""
        seconds, connect = self._settings.first_event_timeout, self._settings.connect_timeout
        try:
            async with asyncio.timeout(seconds), Pool(base_url, connect_seconds=connect) as pool:
                response = await pool.send("GET", path, lines)
                reply = await read_whole(response)
        except OSError as problem:
            silence = f"{urlsplit(base_url).hostname} did not answer within {seconds:g} s (FIRST_EVENT_TIMEOUT)."
            raise explained(problem, silence, connect_seconds=connect) from problem
        return read_reply(reply, "account"), reply.body, response.cookies


def _read(token: str, cookie: Secret) -> Credential | None:
    try:
        return read_token(token, parse_secret(cookie.reveal()))
    except ValueError:
        return None
