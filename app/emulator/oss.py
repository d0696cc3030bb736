"""The two ways to sign a request to Alibaba's object store, as its vendor documents them (versions 1 and 4).

Names are case-insensitive in headers: all functions take them in lower case.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
_ALWAYS = ("content-type", "content-md5")


def signature_v1(secret: str, method: str, resource: str, headers: Mapping[str, str]) -> str:
    """Sign as version 1 does; `resource` is `/bucket/key` as it is. `x-oss-date` stands for `date` where it is sent."""
    own = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name.startswith("x-oss-"))
    date = headers.get("x-oss-date") or headers.get("date", "")
    text = f"{method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{date}\n{own}{resource}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def signature_v4(
    secret: str,
    method: str,
    resource: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    stamp: str,
    scope: str,
    additional: Iterable[str] = (),
) -> str:
    """Sign as version 4 does; `scope` is `<yyyymmdd>/<region>/oss/aliyun_v4_request`."""
    more = sorted(additional)
    signed = sorted(name for name in headers if name.startswith("x-oss-") or name in _ALWAYS or name in more)
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    canonical = "\n".join(
        (
            method,
            quote(resource, safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{headers[name].strip()}\n" for name in signed),
            ";".join(more),
            headers.get("x-oss-content-sha256", UNSIGNED),
        )
    )
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"aliyun_v4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
