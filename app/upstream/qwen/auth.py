"""The account's token: where it comes from, whose it is, whether it still works (docs/upstream-protocol.md, Auth)."""

import asyncio
import base64
import binascii
import hashlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from dotenv import dotenv_values

from app.clock import Clock
from app.config import Settings
from app.config_values import Secret, parse_secret
from app.errors import UpstreamLoginRequired

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 10.0
_WARN_BEFORE = timedelta(days=3)
_FRESH_SECONDS = 0.1
_LOOK_EVERY = 1.0
_MISSING = "There is no token for the account."


class _Claims(msgspec.Struct):
    id: Any = None
    exp: Any = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A token with what it says of itself, and the cookies that go with it. `expires_at` is None if it does not say."""

    token: Secret
    cookie: Secret
    account: str
    expires_at: datetime | None


def read_token(text: str, cookie: Secret) -> Credential | None:
    """Read a token as people paste it: quoted, or with `Bearer `. None if nothing is there.

    A token that does not name its account stands for an account of its own. Raises ValueError if it is no header value.
    """
    token = text.strip().strip("'\"").strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip().strip("'\"")
    if not token:
        return None
    claims = _claims(token)
    digest = hashlib.sha256(token.encode()).hexdigest()[:12]
    account = claims.id if isinstance(claims.id, str) and claims.id else f"token-{digest}"
    return Credential(parse_secret(token), cookie, account, _moment(claims.exp))


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) == 3:
        try:
            payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return msgspec.json.decode(payload, type=_Claims)
        except (binascii.Error, ValueError, msgspec.DecodeError):
            _log.debug("The token looks like a JSON Web Token and is none")
    return _Claims()


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _later(from_file: Credential | None, from_environment: Credential | None) -> Credential | None:
    """Choose the token that lives longer, so that a renewed one outlives a restart; else the file's."""
    if from_file is None or from_environment is None:
        return from_file or from_environment
    ends, other_ends = from_file.expires_at, from_environment.expires_at
    return from_environment if ends and other_ends and other_ends > ends else from_file


class TokenSource:
    """Gives the token to send. It reads `.env` again when the file changed, so that no restart is needed.

    A token that works is looked at once a second, one that does not at every request.

    A token that the site refused is tried again at most every 10 seconds; meanwhile everyone gets the same error.
    """

    def __init__(self, clock: Clock, *, token: Secret, cookie: Secret, env_file: Path | None = None) -> None:
        """`token` and `cookie` hold where the file, if there is one, has none."""
        self._clock = clock
        self._env_file = env_file
        self._token = token
        self._cookie = cookie
        self._stamp: tuple[int, ...] | None = None
        self._is_unreadable = False
        self._is_quiet = False
        self._look_again = float("-inf")
        self._reading = asyncio.Lock()
        self._announced: tuple[Secret, bool] | None = None
        self._refusal: tuple[Secret, float, str] | None = None
        self._fault: str | None = None
        self.credential = self._choose("", "")

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "TokenSource":
        """Take the token from `.env` and the environment."""
        path = settings.path(settings.env_file)
        source = cls(clock, token=settings.token_in_environment, cookie=settings.qwen_cookie, env_file=path)
        if source.credential is None:
            source.credential = source._choose(settings.qwen_auth_token.reveal(), "")
        return source

    @classmethod
    def fixed(cls, token: str, clock: Clock, *, quiet: bool = False) -> "TokenSource":
        """Hold one token, for an emulator; `quiet`: nobody has to be told of its end."""
        source = cls(clock, token=Secret(token), cookie=Secret())
        source._is_quiet = quiet
        return source

    @property
    def problem(self) -> str | None:
        """One sentence on why the token does not work, None while it does as far as is known."""
        credential = self.credential
        if credential is None:
            return self._fault or _MISSING
        if self._is_expired(credential):
            return _expired(credential)
        if self._refusal is not None and self._refusal[0] == credential.token:
            return self._refusal[2]
        return None

    async def take(self) -> Credential:
        """Return the token for a request. Raises UpstreamLoginRequired if it cannot work, or was refused just now."""
        await self.refresh()
        credential = self.credential
        if credential is None or self._is_expired(credential):
            raise UpstreamLoginRequired(self.problem or _MISSING, cause="token")
        if self._refusal is not None and self._refusal[0] == credential.token:
            token, at, reason = self._refusal
            now = self._clock.monotonic()
            if now - at < _RETRY_SECONDS:
                raise UpstreamLoginRequired(reason, cause="token")
            self._refusal = (token, now, reason)
        return credential

    def refused(self, credential: Credential, reason: str) -> None:
        """The site refused this token."""
        self._refusal = (credential.token, self._clock.monotonic(), reason)

    def accepted(self, credential: Credential) -> None:
        """The site took this token."""
        if self._refusal is not None and self._refusal[0] == credential.token:
            self._refusal = None

    async def refresh(self) -> None:
        """Read `.env` again if it changed. A file that cannot be read leaves everything as it was."""
        if self._env_file is not None and (self.problem or self._clock.monotonic() >= self._look_again):
            async with self._reading:
                await asyncio.to_thread(self._read, self._env_file)
            self._look_again = self._clock.monotonic() + _LOOK_EVERY
        self._announce()

    def _read(self, path: Path) -> None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            # A file written this very moment may change again within the tick of its timestamp: look again next time.
            self._stamp = stamp if time.time() - found.st_mtime > _FRESH_SECONDS else None
            with path.open(encoding="utf-8") as stream:
                values = dotenv_values(stream=stream, interpolate=False)
        except FileNotFoundError:
            values = {}
            self._stamp = None
        except (OSError, UnicodeDecodeError) as problem:
            self._stamp = None
            if not self._is_unreadable:
                _log.warning("%s cannot be read, the token known so far stays in use: %s", path.name, problem)
            self._is_unreadable = True
            return
        self._is_unreadable = False
        self.credential = self._choose(values.get("QWEN_AUTH_TOKEN") or "", values.get("QWEN_COOKIE") or "")

    def _choose(self, token: str, cookie: str) -> Credential | None:
        """Return the better of a file's token and the one given at the start; `_fault` says why one is unusable."""
        self._fault = None
        candidates: list[Credential | None] = []
        for text in (token, self._token.reveal()):
            try:
                cookies = parse_secret(cookie.strip()) if cookie else self._cookie
                candidates.append(read_token(text, cookies))
            except ValueError as problem:
                self._fault = f"The token or cookie cannot be used: it {problem}."
                candidates.append(None)
        return _later(candidates[0], candidates[1])

    def _is_expired(self, credential: Credential) -> bool:
        return credential.expires_at is not None and credential.expires_at <= self._clock.now()

    def _announce(self) -> None:
        """Log once per token how long it lives, and once more when it has three days left."""
        credential = self.credential
        if credential is None or credential.expires_at is None or self._is_quiet:
            return
        left = credential.expires_at - self._clock.now()
        is_near = left <= _WARN_BEFORE
        if self._announced == (credential.token, is_near):
            return
        self._announced = (credential.token, is_near)
        _log.log(
            logging.WARNING if is_near else logging.INFO,
            "The token of account %s %s on %s%s",
            credential.account,
            "expired" if left <= timedelta() else "expires",
            f"{credential.expires_at:%Y-%m-%d %H:%M} UTC",
            f", in {_span(left)}" if left > timedelta() else "",
        )


def _expired(credential: Credential) -> str:
    return f"The account's token expired on {credential.expires_at:%Y-%m-%d %H:%M} UTC."


def _span(left: timedelta) -> str:
    if left >= timedelta(days=1):
        return f"{left.days} {'day' if left.days == 1 else 'days'}"
    return f"{left // timedelta(minutes=1)} minutes"
