"""Renew the account's token before it ends (docs/upstream-protocol.md, Tokens; docs/operating.md, Token and session).

The tokens of a quarter of an hour come from the sign-in host, for a cookie that changes with each; the older, long ones
from the profile, which gives a later one. What is new is in `.env` before it is used.
"""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import msgspec

from app import env_file
from app.clock import Clock
from app.config import Settings
from app.errors import UpstreamError, UpstreamLoginRequired, UpstreamProtocolError
from app.upstream.qwen.auth import TokenSource
from app.upstream.qwen.credential import Credential, read_token
from app.upstream.qwen.replies import read_reply
from app.upstream.qwen.seam import mapped
from app.upstream.qwen.transport import Transport, read_whole

_log = logging.getLogger(__name__)
_EARLY = timedelta(minutes=3)
_SLIDE_BELOW = timedelta(days=7)
_SLIDE_EVERY = 86400.0
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0
_TOO_SOON = 60.0  # seconds; a token that is refused so soon after a renewal is not refused for its age


class Renewal:
    """Gives the credential for a request, renewed if need be: once for however many wait for it."""

    def __init__(self, settings: Settings, clock: Clock, tokens: TokenSource, transport: Transport) -> None:
        self._settings = settings
        self._clock = clock
        self._tokens = tokens
        self._transport = transport
        self._env_file: Path = settings.path(settings.env_file)
        self._running: asyncio.Task[Credential] | None = None
        self._failure: tuple[Credential, UpstreamError] | None = None
        self._failures = 0
        self._again_at = float("-inf")
        self._slid_at = float("-inf")
        self._renewed_at = float("-inf")
        self._warned = False

    @property
    def problem(self) -> str | None:
        """One sentence on why the account cannot be used, None while it can as far as is known."""
        credential = self._tokens.credential
        if credential is not None and credential.renewed_by:
            return str(self._failure[1]) if self._failure and self._failure[0] == credential else None
        return self._tokens.problem

    async def take(self) -> Credential:
        """Return the credential for a request. Raises UpstreamError where there is none that works."""
        await self._tokens.refresh()
        credential = self._tokens.credential
        if credential is not None and credential.renewed_by:
            left = None if credential.expires_at is None else credential.expires_at - self._clock.now()
            is_over = left is not None and left <= timedelta()
            is_refused = self._tokens.is_refused(credential)
            if (is_over or is_refused) and self._may_help():
                return await self._renewed(credential)
            if is_over and not is_refused:
                return credential  # new, and over by our clock: the clock is wrong, or the site will say so
            if left is not None and left < _EARLY and self._may_try():
                self._start(credential)
        return await self._tokens.take()

    async def after_refusal(self, credential: Credential) -> Credential | None:
        """The site refused a credential: return another one to try once more with, None if there is none."""
        if not credential.renewed_by or not self._may_help():
            return None
        now = self._tokens.credential
        if now is not None and now.token != credential.token and not self._tokens.is_refused(now):
            return now  # somebody else's request had it renewed meanwhile
        try:
            return await self._renewed(credential)
        except UpstreamError as problem:
            _log.info("The refused token could not be renewed: %s", problem)
            return None

    async def keep(self) -> None:
        """Look after the session although nobody asks anything: renew what ends within days, at most once a day."""
        await self._tokens.refresh()
        credential = self._tokens.credential
        if credential is None or self._clock.monotonic() - self._slid_at < _SLIDE_EVERY:
            return
        ends = credential.session_ends
        if ends is None or not timedelta() < ends - self._clock.now() < _SLIDE_BELOW:
            return
        self._slid_at = self._clock.monotonic()
        if credential.renewed_by:
            await self._renewed(credential)
        else:
            await self._slide(credential)

    async def close(self) -> None:
        """Let a renewal that runs come to its end: its cookie may be the only one that still works."""
        if self._running is not None:
            await asyncio.wait([self._running])

    def _may_help(self) -> bool:
        return self._clock.monotonic() - self._renewed_at >= _TOO_SOON

    def _may_try(self) -> bool:
        return self._running is None and self._clock.monotonic() >= self._again_at

    async def _renewed(self, credential: Credential) -> Credential:
        if self._running is None:
            if self._failure and self._failure[0] == credential and not self._may_try():
                raise type(self._failure[1])(str(self._failure[1]), cause="renewal")
            self._start(credential)
        assert self._running is not None
        return await asyncio.shield(self._running)

    def _start(self, credential: Credential) -> None:
        self._running = asyncio.create_task(self._renew(credential), name="renew the token")
        self._running.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Credential]") -> None:
        self._running = None
        if not task.cancelled() and task.exception() is not None:
            _log.debug("A renewal failed", exc_info=task.exception())

    async def _renew(self, credential: Credential) -> Credential:
        """Get a new token for the cookie. A failure is remembered, and tried again after growing pauses."""
        try:
            renewed = await self._ask(credential)
        except UpstreamError as problem:
            wait = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
            self._failures += 1
            self._again_at = self._clock.monotonic() + wait
            self._failure = (credential, _told(problem))
            _log.warning("The token could not be renewed, next try in %.0f s: %s", wait, problem)
            raise self._failure[1] from problem
        self._failure, self._failures, self._again_at = None, 0, float("-inf")
        self._renewed_at = self._clock.monotonic()
        await self._take_over(renewed)
        _log.info("The token of account %s was renewed", renewed.account)
        return renewed

    async def _ask(self, credential: Credential) -> Credential:
        """Call the sign-in host. Raises UpstreamError."""
        seconds = self._settings.first_event_timeout
        with mapped(
            f"The sign-in host did not answer within {seconds:g} s (FIRST_EVENT_TIMEOUT).",
            connect_seconds=self._settings.connect_timeout,
        ):
            async with asyncio.timeout(seconds):
                async with await self._transport.open_refresh(self._settings.qwen_auth_url, credential) as response:
                    set_cookies = {name: morsel.coded_value for name, morsel in response.cookies.items()}
                    reply = await read_whole(response)
        data = read_reply(reply, "account").data
        given = data if isinstance(data, dict) else {}
        access, refresh = given.get("access_token"), given.get("refresh_token")
        if not isinstance(access, str) or not access:
            raise UpstreamProtocolError("The sign-in host gave no token.", cause="refresh")
        changed = {**set_cookies, **({"refresh_token": refresh} if isinstance(refresh, str) and refresh else {})}
        return self._read(access, credential.with_cookies(changed))

    async def _slide(self, credential: Credential) -> None:
        """Ask the profile for a later token. Raises UpstreamError."""
        async with asyncio.timeout(self._settings.first_event_timeout):
            with mapped("The profile did not answer.", connect_seconds=self._settings.connect_timeout):
                async with await self._transport.open("GET", "/api/v1/auths/", credential) as response:
                    reply = await read_whole(response)
        try:
            body = msgspec.json.decode(reply.body)
        except msgspec.DecodeError:
            read_reply(reply, "account")
            raise
        if not isinstance(body, dict) or not isinstance(body.get("token"), str):
            read_reply(reply, "account")  # a refusal says so
            raise UpstreamProtocolError("The profile holds no token.", cause="profile")
        later = self._read(body["token"], credential.cookie.reveal())
        if later.expires_at and credential.expires_at and later.expires_at > credential.expires_at:
            await self._take_over(later)
            _log.info("The token of account %s now lasts until %s", later.account, f"{later.expires_at:%Y-%m-%d %H:%M}")

    def _read(self, token: str, cookie: str) -> Credential:
        try:
            credential = read_token(token, type(self._settings.qwen_cookie)(cookie))
        except ValueError as problem:
            raise UpstreamProtocolError("The site gave a token that is none.", cause="token") from problem
        assert credential is not None
        return credential

    async def _take_over(self, credential: Credential) -> None:
        """Keep the new token, then use it."""
        values = {"QWEN_AUTH_TOKEN": credential.token.reveal()}
        if credential.cookie:
            values["QWEN_COOKIE"] = credential.cookie.reveal()
        try:
            await asyncio.to_thread(env_file.change, self._env_file, values)
        except (OSError, UnicodeDecodeError) as problem:
            if not self._warned:
                _log.warning(
                    "The renewed token could not be written to %s (%s). It is used all the same, but after a restart "
                    "you have to sign in again: let the server's user write that file.",
                    self._env_file,
                    getattr(problem, "strerror", None) or problem,
                )
            self._warned = True
        self._tokens.replace(credential)


def _told(problem: UpstreamError) -> UpstreamError:
    """Say what a refused renewal means."""
    if isinstance(problem, UpstreamLoginRequired):
        return UpstreamLoginRequired(
            "The site no longer renews the account's session: its cookies are missing, expired or used up.",
            cause="renewal",
        )
    return problem
