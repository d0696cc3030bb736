"""JSON Web Tokens as the site makes them (docs/upstream-protocol.md, Tokens)."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

REFRESH_SECONDS = 30 * 86400
Kind = Literal["session", "access", "refresh"]
ANY: frozenset[Kind] = frozenset(get_args(Kind))
_TYPES: dict[str, Kind] = {"access_token": "access", "refresh_token": "refresh"}


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True)
class TokenOffice:
    """Issues and checks the tokens of one account. Revoked tokens stay refused. `shift` seconds are added to time."""

    user_id: str = "00000000-0000-4000-8000-000000000001"
    key: bytes = b"the emulator guards nothing"
    revoked: set[str] = field(default_factory=set)
    shift: float = 0.0
    _issued: int = 0

    def now(self) -> float:
        """Return the time of day at the site, in seconds."""
        return time.time() + self.shift

    def mint(self, seconds: float, kind: Kind = "session", account: str | None = None) -> str:
        """Make a token that lasts so many seconds; a negative number makes an expired one."""
        now = int(self.now())
        self._issued += 1
        user = account or self.user_id
        claims: dict[str, Any] = {"id": user, "last_password_change": 1750000000, "exp": now + int(seconds)}
        header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
        if kind == "access":
            header["kid"] = "legacy"
            claims |= {"type": "access_token", "iat": now}
        elif kind == "refresh":
            claims |= {"type": "refresh_token", "iat": now}
        claims["jti"] = str(self._issued)
        return self._write(header, claims)

    def seal(self, kind: str, seconds: float, **claims: Any) -> str:
        """Make a token that is no login: a permission to upload, or the key of an address."""
        header = {"alg": "HS256", "typ": "JWT"}
        return self._write(header, {**claims, "type": kind, "exp": int(self.now() + seconds)})

    def unseal(self, kind: str, token: str) -> dict[str, Any] | None:
        """Return the claims of a sealed token, None for one that is not genuine or of another kind."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode(errors="replace")):
            return None
        claims = json.loads(_decode(signed.split(".")[1]))
        return dict(claims) if claims.get("type") == kind else None

    def secret(self, name: str) -> str:
        """Return the secret that belongs to a name; nothing has to be remembered for it."""
        return self._sign(f"secret of {name}")

    def _write(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def _sign(self, signed: str) -> str:
        return _encode(hmac.new(self.key, signed.encode(errors="replace"), hashlib.sha256).digest())

    def problem(self, token: str, kinds: frozenset[Kind] = ANY) -> str | None:
        """Return why a token is refused where only some kinds are taken, in the site's words; None for a good one."""
        signed, _, signature = token.rpartition(".")
        genuine = hmac.compare_digest(self._sign(signed).encode(), signature.encode(errors="replace"))
        if not genuine or token in self.revoked:
            return "401 Unauthorized"
        claims = json.loads(_decode(signed.split(".")[1]))
        kind = _TYPES.get(claims["type"]) if "type" in claims else "session"
        if kind not in kinds:
            return "401 Unauthorized"
        if claims["exp"] <= self.now():
            return "Token has expired, please log in again."
        return None
