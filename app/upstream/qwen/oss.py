"""Signs an upload to the object store: version 4 of the vendor's scheme, for what we send (Files).

Written here because the vendor's libraries are synchronous or bring far more than one signature.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from app.config_values import Secret

_ALGORITHM = "OSS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    """What the site lends for an upload; it ends by itself."""

    id: str
    secret: Secret
    security_token: Secret


def sign_put(
    key: TemporaryKey, *, bucket: str, path: str, region: str, content_type: str, now: datetime
) -> dict[str, str]:
    """Return the headers of a PUT of `path`, which is not percent-encoded, into a bucket.

    `region` is one such as `ap-southeast-1`; the bytes themselves are not signed.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    day = moment[:8]
    headers = {
        "content-type": content_type,
        "x-oss-content-sha256": _UNSIGNED,
        "x-oss-date": moment,
        "x-oss-security-token": key.security_token.reveal(),
    }
    scope = f"{day}/{region}/oss/aliyun_v4_request"
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    request = f"PUT\n{quote(f'/{bucket}/{path}')}\n\n{lines}\n\n{_UNSIGNED}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    secret = f"aliyun_v4{key.secret.reveal()}".encode()
    for part in (day, region, "oss", "aliyun_v4_request"):
        secret = _hmac(secret, part)
    signature = _hmac(secret, f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}").hex()
    return {**headers, "authorization": f"{_ALGORITHM} Credential={key.id}/{scope},Signature={signature}"}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
