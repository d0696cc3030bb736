"""JSON Web Tokens as the site makes them (docs/upstream-protocol.md, Tokens)."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

ACCESS_SECONDS = 900
REFRESH_SECONDS = 30 * 86400


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(slots=True)
class TokenOffice:
    """Issues and checks the tokens of one account. Revoked tokens stay refused."""

    user_id: str = "00000000-0000-4000-8000-000000000001"
    key: bytes = b"the emulator guards nothing"
    revoked: set[str] = field(default_factory=set)
    _issued: int = 0

    def mint(self, seconds: float, kind: Literal["session", "access", "refresh"] = "session") -> str:
        """Make a token that lasts so many seconds; a negative number makes an expired one."""
        now = int(time.time())
        self._issued += 1
        claims: dict[str, Any] = {"id": self.user_id, "last_password_change": 1750000000, "exp": now + int(seconds)}
        header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
        if kind == "access":
            header["kid"] = "legacy"
            claims |= {"type": "access_token", "iat": now}
        elif kind == "refresh":
            claims |= {"type": "refresh_token", "iat": now}
        claims["jti"] = str(self._issued)
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{self._sign(signed)}"

    def _sign(self, signed: str) -> str:
        return _encode(hmac.new(self.key, signed.encode(errors="replace"), hashlib.sha256).digest())

    def problem(self, token: str) -> str | None:
        """Return why a token is refused, in the site's words, None for a good one."""
        signed, _, signature = token.rpartition(".")
        genuine = hmac.compare_digest(self._sign(signed).encode(), signature.encode(errors="replace"))
        if not genuine or token in self.revoked:
            return "401 Unauthorized"
        if json.loads(_decode(signed.split(".")[1]))["exp"] <= time.time():
            return "Token has expired, please log in again."
        return None
