"""A token with what it says of itself, and the cookies that renew it (docs/upstream-protocol.md, Tokens)."""

import base64
import binascii
import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.config_values import Secret, parse_secret

_log = logging.getLogger(__name__)
_RENEWING = ("refresh_token", "token")


class _Claims(msgspec.Struct):
    id: Any = None
    exp: Any = None
    type: Any = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A token and the cookies that go with it. `expires_at` is None if the token does not say.

    `is_access`: it is one of those that last a quarter of an hour. `renewed_by` is the cookie that a new one is got
    with, "" for none, and `session_ends` when that, or else the token, ends.
    """

    token: Secret
    cookie: Secret
    account: str
    expires_at: datetime | None
    is_access: bool = False
    renewed_by: str = ""
    session_ends: datetime | None = None

    def with_cookies(self, changed: dict[str, str]) -> str:
        """Return the cookies with some of them replaced."""
        return "; ".join(f"{name}={value}" for name, value in {**cookies(self.cookie), **changed}.items())


def cookies(header: Secret) -> dict[str, str]:
    """Read a Cookie header."""
    parts = (part.partition("=") for part in header.reveal().split(";"))
    return {name.strip(): value.strip() for name, equals, value in parts if equals and name.strip()}


def read_token(text: str, cookie: Secret) -> Credential | None:
    """Read a token as people paste it: quoted, or with `Bearer `. None if nothing is there.

    A token that does not name its account stands for an account of its own. Raises ValueError if it is no header value.
    """
    token = text.strip().strip("'\"").strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip().strip("'\"")
    if not token:
        return None
    claims = read_claims(token)
    digest = hashlib.sha256(token.encode()).hexdigest()[:12]
    account = claims.id if isinstance(claims.id, str) and claims.id else f"token-{digest}"
    ends = _moment(claims.exp)
    credential = Credential(parse_secret(token), cookie, account, ends, claims.type == "access_token", "", ends)
    return _with_session(credential)


def _with_session(credential: Credential) -> Credential:
    """Find the cookie that renews it: an access token's own, or a refresh token beside a session token."""
    jar = cookies(credential.cookie)
    name = next((name for name in _RENEWING if jar.get(name)), "")
    if not name or (name == "token" and not credential.is_access):
        return credential
    claims = read_claims(jar[name])
    if isinstance(claims.id, str) and claims.id and claims.id != credential.account:
        return credential  # somebody else's cookies
    return replace(credential, renewed_by=name, session_ends=_moment(claims.exp))


def read_claims(token: str) -> _Claims:
    """Return what a token says of itself, as far as it can be read."""
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
