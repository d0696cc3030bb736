"""Tokens and cookies as the owner gives them, and what they say of themselves (docs/upstream-protocol.md, Tokens)."""

import base64
import binascii
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from app.config_values import Secret, parse_secret
from app.errors import UpstreamProtocolError
from app.upstream.qwen.decoding import decode

_log = logging.getLogger(__name__)
NO_SECRET = Secret()
LONGEST_MARGIN = timedelta(minutes=3)
_SHARE_OF_LIFE = 5
_LAST_PART = timedelta(days=7)
NAMELESS = "token-"


class _Claims(msgspec.Struct):
    id: Any = None
    exp: Any = None
    iat: Any = None
    type: Any = None


_CLAIMS = msgspec.json.Decoder(_Claims)


@dataclass(frozen=True, slots=True)
class Given:
    """What a person or a file gives: a token and a Cookie header, unchecked; either may be empty."""

    token: Secret
    cookie: Secret


@dataclass(frozen=True, slots=True)
class Credential:
    """What signs a request, and what it says of itself.

    `token` is the bearer, empty where only cookies are known yet; `session` the long token that goes as the cookie
    `token`, `refresh_token` the cookie that rotates: each empty if there is none. `expires_at` is the bearer's end,
    `ends_at` the end of the whole login unless it is renewed before; None if they do not say.
    """

    token: Secret
    cookie: Secret
    account: str
    expires_at: datetime | None
    ends_at: datetime | None = None
    session: Secret = NO_SECRET
    refresh_token: Secret = NO_SECRET
    is_access: bool = False
    margin: timedelta = LONGEST_MARGIN
    _cookie_ends: tuple[datetime | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the ends of the cookies once: every request asks for them."""
        ends = tuple(_moment(_claims(each.reveal()).exp) for each in (self.session, self.refresh_token) if each)
        object.__setattr__(self, "_cookie_ends", ends)

    def is_over(self, now: datetime) -> bool:
        """Whether the bearer cannot work any more, or there is none yet."""
        return not self.token or (self.expires_at is not None and self.expires_at <= now)

    def is_short(self, now: datetime) -> bool:
        """Whether the bearer is in its last minutes: 3 of 15."""
        return not self.token or (self.expires_at is not None and self.expires_at - now <= self.margin)

    def can_renew(self, now: datetime) -> bool:
        """Whether it holds a cookie that may bring a new access token."""
        return any(end is None or end > now for end in self._cookie_ends)

    def can_slide(self, now: datetime) -> bool:
        """Whether it is a long token in its last week: the profile may bring a later one."""
        if self.is_access or self.expires_at is None or self.is_over(now):
            return False
        return self.expires_at - now < _LAST_PART

    def login_cookies(self, now: datetime) -> dict[str, str]:
        """Return the cookies for the host that renews, without what is over or another account's."""
        pairs = cookie_pairs(self.cookie.reveal())
        for name, secret in (("token", self.session), ("refresh_token", self.refresh_token)):
            pairs.pop(name, None)
            if _is_alive(secret.reveal(), now):
                pairs[name] = secret.reveal()
        return pairs


def read_token(text: str, cookie: Secret) -> Credential | None:
    """Read a token as people paste it: quoted, or with `Bearer `. None if neither it nor the cookies hold anything.

    A token that does not name its account stands for an account of its own. Raises ValueError if it is no header value.
    """
    token = text.strip().strip("'\"").strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip().strip("'\"")
    pairs = cookie_pairs(cookie.reveal())
    session, refresh_token = pairs.get("token", ""), pairs.get("refresh_token", "")
    if is_access_token(session):
        session = ""
    token = token or session
    if not token and not refresh_token:
        return None
    claims = _claims(token)
    is_access = claims.type == "access_token"
    if not is_access and token:
        session = token
    account = _name(claims)
    if account and _name(_claims(session)) not in {"", account}:
        session = ""
    if account and _name(_claims(refresh_token)) not in {"", account}:
        refresh_token = ""
    digest = hashlib.sha256((token or refresh_token).encode()).hexdigest()[:12]
    lasting = [_moment(_claims(text).exp) for text in (session, refresh_token) if text]
    expires, issued = _moment(claims.exp), _moment(claims.iat)
    return Credential(
        parse_secret(token),
        cookie,
        account or _name(_claims(refresh_token)) or f"{NAMELESS}{digest}",
        expires,
        max((moment for moment in lasting if moment), default=None) if lasting else expires,
        parse_secret(session),
        parse_secret(refresh_token),
        is_access,
        min(LONGEST_MARGIN, (expires - issued) / _SHARE_OF_LIFE) if expires and issued else LONGEST_MARGIN,
    )


def are_of_two_accounts(one: Given, other: Given) -> bool:
    """Say whether both logins name their account, and not the same one."""
    return len({name for name in map(account_of, (one, other)) if name}) == 2


def account_of(given: Given) -> str:
    """Return the account that a login names, "" for one that cannot be used or does not tell."""
    try:
        found = read_token(given.token.reveal(), parse_secret(given.cookie.reveal()))
    except ValueError:
        return ""
    return "" if found is None or found.account.startswith(NAMELESS) else found.account


def choose(given: Given, own: Given) -> Credential | None:
    """Return the better of a vault's login and the one of the start.

    The login that lives longer wins, so that a renewed one outlives a restart; else the vault's. What cannot be used is
    passed over. Raises ValueError if it is all there is.
    """
    candidates: list[Credential] = []
    fault: ValueError | None = None
    for token in (given.token, own.token) if own.token else (given.token,):
        try:
            found = read_token(token.reveal(), _cookie_for(token, given, own))
        except ValueError as problem:
            fault = problem
        else:
            candidates += [found] if found else []
    if fault and not candidates:
        raise fault
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    first, second = candidates
    is_later = first.expires_at and second.expires_at and second.expires_at > first.expires_at
    return second if is_later or not given.token else first


def _cookie_for(token: Secret, given: Given, own: Given) -> Secret:
    """Return the vault's cookies, else those of the start; none that came apart from another account's token."""
    for cookie in (given.cookie, own.cookie):
        text = cookie.reveal().strip()
        is_beside = token is given.token and cookie is given.cookie
        if text and (is_beside or not are_of_two_accounts(Given(token, NO_SECRET), Given(NO_SECRET, cookie))):
            return parse_secret(text)
    return NO_SECRET


def token_to_keep(owned: Secret, old: Credential, new: Credential, now: datetime) -> Secret:
    """Return the token to store after a renewal: a long one that the owner gave stays while it lives."""
    own = read_token(owned.reveal(), NO_SECRET)
    if not new.is_access or own is None or own.is_access or own.is_over(now):
        return new.token
    return owned if new.session == old.session else new.session


def expiry_of(token: str) -> datetime | None:
    """Return when a JSON Web Token ends, None if it does not say or is none."""
    return _moment(_claims(token).exp)


def is_access_token(token: str) -> bool:
    """Whether it says that it is one of the tokens of 15 minutes."""
    return bool(_claims(token).type == "access_token")


def cookie_pairs(header: str) -> dict[str, str]:
    """Return the cookies of a `Cookie` header by name."""
    parts = (part.partition("=") for part in header.split(";"))
    return {name.strip(): value.strip() for name, equals, value in parts if equals and name.strip()}


def cookie_header(pairs: dict[str, str]) -> str:
    """Write the value of a `Cookie` header."""
    return "; ".join(f"{name}={value}" for name, value in pairs.items())


@dataclass(frozen=True, slots=True)
class SetCookie:
    """A cookie that an answer sets; `ends` is None where it does not say."""

    value: str
    ends: datetime | None


def read_set_cookies(lines: Iterable[str], now: datetime) -> dict[str, SetCookie]:
    """Read `Set-Cookie` headers, by name, without attributes other than the end and what is no cookie."""
    cookies = {}
    for line in lines:
        pair, *attributes = line.split(";")
        name, separator, value = pair.strip().partition("=")
        if separator and name.strip():
            cookies[name.strip()] = SetCookie(value.strip(), _end(attributes, now))
    return cookies


def _end(attributes: Iterable[str], now: datetime) -> datetime | None:
    said = {name.strip().lower(): value.strip() for name, _, value in (text.partition("=") for text in attributes)}
    try:
        if said.get("max-age"):
            return now + timedelta(seconds=int(said["max-age"]))
        ends = parsedate_to_datetime(said["expires"]) if said.get("expires") else None
    except (ValueError, OverflowError):
        return None
    return ends.replace(tzinfo=UTC) if ends is not None and ends.tzinfo is None else ends


def _is_alive(token: str, now: datetime) -> bool:
    end = _moment(_claims(token).exp)
    return bool(token) and (end is None or end > now)


def _name(claims: _Claims) -> str:
    return claims.id if isinstance(claims.id, str) else ""


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) == 3:
        try:
            payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return decode(payload, _CLAIMS)
        except (binascii.Error, ValueError, UpstreamProtocolError):
            _log.debug("A token looks like a JSON Web Token and is none")
    return _Claims()


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
