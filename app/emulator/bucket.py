"""The object store that files are put into: who may do what there.

The real one is at `https://{bucketname}.{endpoint}/{file_path}`. Here it is a part of the site's own port, and has two
addresses. `http://127.0.0.1:<port>/_bucket/qwen-webui-prod/<file_path>` works on every machine; `file_url` has it, so
that its part before the `?` can be put to. `http://qwen-webui-prod.localhost:<port>/<file_path>` is what `bucketname`
and `endpoint` make together, for those whose resolver knows such names (any request with that `Host` is one to the
bucket). Signatures are about `/qwen-webui-prod/<file_path>` at both.
"""

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from app.emulator.oss import ALGORITHM, UNSIGNED, signature_v1, signature_v4
from app.emulator.tokens import TokenOffice

BUCKET = "qwen-webui-prod"
REGION = "ap-southeast-1"
PREFIX = f"/_bucket/{BUCKET}/"
LINK_SECONDS = 300
_SKEW_SECONDS = 900
_STAMP = "%Y%m%dT%H%M%SZ"
_GRANT = "sts"


class Denied(Exception):
    """What the object store refuses, by its code."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is signed; the names of headers are in lower case, `path` is not percent-encoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """What it is about, as signatures name it."""
        return f"/{BUCKET}/{self.path}"


@dataclass(frozen=True, slots=True)
class Gate:
    """Hands out temporary credentials, and checks what was signed with them."""

    office: TokenOffice

    def grant(self, path: str, size: int, seconds: float) -> dict[str, str]:
        """Make credentials to put one file of one size into one place."""
        key_id = f"STS.{uuid4().hex}"
        token = self.office.seal(_GRANT, seconds, key=key_id, path=path, size=size)
        secret = self.office.secret(key_id)
        return {"access_key_id": key_id, "access_key_secret": secret, "security_token": token}

    def link(self, origin: str, path: str) -> str:
        """Sign an address to read a file at, good for five minutes."""
        credentials = self.grant(path, 0, LINK_SECONDS * 2)
        stamp = datetime.fromtimestamp(self.office.now(), UTC).strftime(_STAMP)
        scope = _scope(stamp)
        query = {
            "x-oss-credential": f"{credentials['access_key_id']}/{scope}",
            "x-oss-date": stamp,
            "x-oss-expires": str(LINK_SECONDS),
            "x-oss-security-token": credentials["security_token"],
            "x-oss-signature-version": ALGORITHM,
        }
        secret, resource = credentials["access_key_secret"], f"/{BUCKET}/{path}"
        query["x-oss-signature"] = signature_v4(secret, "GET", resource, query, {}, stamp=stamp, scope=scope)
        return f"{origin}{PREFIX}{quote(path, safe='/')}?{urlencode(query, quote_via=quote)}"

    def check_upload(self, asked: Asked) -> int:
        """Return how many bytes may be put; raises Denied."""
        authorization = asked.headers.get("authorization", "")
        scheme, _, rest = authorization.partition(" ")
        if scheme == "OSS":
            key_id, _, signature = rest.partition(":")
            claims = self._granted(key_id, asked.headers.get("x-oss-security-token", ""), asked.path)
            self._check_clock(_http_date(asked.headers))
            expected = signature_v1(self.office.secret(key_id), asked.method, asked.resource, asked.headers)
        elif scheme == ALGORITHM:
            parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
            key_id, _, scope = parts.get("Credential", "").partition("/")
            signature = parts.get("Signature", "")
            claims = self._granted(key_id, asked.headers.get("x-oss-security-token", ""), asked.path)
            if asked.headers.get("x-oss-content-sha256") != UNSIGNED:
                raise Denied("InvalidArgument", f"x-oss-content-sha256 must be {UNSIGNED}.", 400)
            stamp = asked.headers.get("x-oss-date", "")
            self._check_clock(_basic_date(stamp))
            if scope != _scope(stamp):
                raise Denied("InvalidArgument", f"Invalid credential: the scope must be {_scope(stamp)}.", 400)
            expected = signature_v4(
                self.office.secret(key_id),
                asked.method,
                asked.resource,
                asked.query,
                asked.headers,
                stamp=stamp,
                scope=scope,
                additional=[name for name in parts.get("AdditionalHeaders", "").split(";") if name],
            )
        else:
            raise Denied("AccessDenied", "Anonymous access is forbidden for this operation.")
        _compare(expected, signature)
        return int(claims["size"])

    def check_reading(self, asked: Asked) -> None:
        """Let a signed address pass; raises Denied."""
        query = dict(asked.query)
        signature, stamp = query.pop("x-oss-signature", ""), query.get("x-oss-date", "")
        key_id, _, scope = query.get("x-oss-credential", "").partition("/")
        if not signature:
            raise Denied("AccessDenied", "You have no right to access this object because of bucket acl.")
        signed, lasts = _basic_date(stamp), query.get("x-oss-expires", "")
        if signed is None or not lasts.isdecimal():
            raise Denied("InvalidArgument", "x-oss-date or x-oss-expires is not valid.", 400)
        if signed + int(lasts) < self.office.now():
            raise Denied("AccessDenied", "Request has expired.")
        self._granted(key_id, query.get("x-oss-security-token", ""), asked.path)
        secret = self.office.secret(key_id)
        _compare(signature_v4(secret, "GET", asked.resource, query, {}, stamp=stamp, scope=scope), signature)

    def _granted(self, key_id: str, token: str, path: str) -> dict[str, Any]:
        """Return what a security token allows; raises Denied for one that is wrong, too old, or for another place."""
        claims = self.office.unseal(_GRANT, token)
        if claims is None or claims["key"] != key_id:
            raise Denied("InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
        if claims["exp"] <= self.office.now():
            raise Denied("SecurityTokenExpired", "The security token you provided has expired.")
        if claims["path"] != path:
            raise Denied("AccessDenied", "You have no right to access this object.")
        return claims

    def _check_clock(self, signed: float | None) -> None:
        """Refuse a request that was signed a quarter of an hour ago, or by a clock that is so wrong."""
        if signed is None:
            raise Denied("AccessDenied", "OSS authentication requires a valid Date.")
        if min(abs(now - signed) for now in (time.time(), self.office.now())) > _SKEW_SECONDS:
            raise Denied(
                "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
            )


def _scope(stamp: str) -> str:
    return f"{stamp[:8]}/{REGION}/oss/aliyun_v4_request"


def _basic_date(stamp: str) -> float | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _http_date(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers.get("x-oss-date") or headers.get("date", "")).timestamp()
    except ValueError:
        return None


def _compare(expected: str, signature: str) -> None:
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
        raise Denied(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
