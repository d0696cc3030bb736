"""Uploading as a client of the object store does it, with signing written apart from the emulator's."""

import base64
import hashlib
import hmac
import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from tests.emulator.page import Site

TYPES = {"image": "image/png", "file": "text/plain", "video": "video/mp4", "audio": "audio/mpeg"}
CLASSES = {"image": "vision", "file": "document", "video": "video", "audio": "audio"}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes((width + 1) * height))) + chunk(b"IEND", b"")
    )


async def place(site: Site, name: str, size: int, kind: str = "image") -> dict[str, Any]:
    """Ask where to put a file."""
    body = {"filename": name, "filesize": str(size), "filetype": kind}
    return dict((await site.ask("POST", "/api/v2/files/getstsToken", body)).data)


def signed_v1(where: Mapping[str, Any], content_type: str, **changes: str) -> dict[str, str]:
    """Sign a PUT as version 1 does."""
    date = changes.pop("date", format_datetime(datetime.now(UTC), usegmt=True))
    token = where["security_token"]
    text = f"PUT\n\n{content_type}\n{date}\nx-oss-security-token:{token}\n/{where['bucketname']}/{where['file_path']}"
    digest = hmac.digest(where["access_key_secret"].encode(), text.encode(), "sha1")
    signature = base64.b64encode(digest).decode()
    return {
        "Authorization": f"OSS {where['access_key_id']}:{signature}",
        "Content-Type": content_type,
        "Date": date,
        "x-oss-security-token": token,
        **changes,
    }


def signed_v4(
    where: Mapping[str, Any], content_type: str, *, additional: Mapping[str, str] | None = None, **changes: str
) -> dict[str, str]:
    """Sign a PUT as version 4 does."""
    stamp = changes.pop("stamp", datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
    region = changes.pop("region", where["region"].removeprefix("oss-"))
    more = dict(additional or {})
    md5 = {"content-md5": changes.pop("md5")} if "md5" in changes else {}
    headers = {
        **md5,
        "content-type": content_type,
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": stamp,
        "x-oss-security-token": where["security_token"],
        "x-oss-user-agent": "a test",
        **more,
    }
    canonical = "PUT\n" + quote(f"/{where['bucketname']}/{where['file_path']}") + "\n\n"
    canonical += "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    canonical += f"\n{';'.join(sorted(more))}\nUNSIGNED-PAYLOAD"
    scope = [stamp[:8], region, "oss", "aliyun_v4_request"]
    text = f"OSS4-HMAC-SHA256\n{stamp}\n{'/'.join(scope)}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("aliyun_v4" + where["access_key_secret"]).encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    listed = f"AdditionalHeaders={';'.join(sorted(more))}," if more else ""
    authorization = (
        f"OSS4-HMAC-SHA256 Credential={where['access_key_id']}/{'/'.join(scope)},{listed}Signature={signature}"
    )
    return {**headers, "Authorization": authorization, **changes}


async def put(site: Site, where: Mapping[str, Any], data: bytes, headers: Mapping[str, str]) -> Answered:
    """Put bytes to the address that a client finds without a resolver of its own."""
    url = str(where["file_url"]).partition("?")[0]
    async with site.session.put(url, data=io.BytesIO(data), headers=headers) as response:
        return Answered(response.status, response.headers, await response.read())


async def get(site: Site, url: str, **headers: str) -> Answered:
    """Read an address as anybody who has it."""
    async with site.session.get(url, headers=headers) as response:
        return Answered(response.status, response.headers, await response.read())


async def upload(
    site: Site, name: str, data: bytes, kind: str = "image", content_type: str | None = None, *, parse: bool = True
) -> dict[str, Any]:
    """Put a file where the site says, and parse it if it is a document; return its entry for a message."""
    where, sort = await place(site, name, len(data), kind), content_type or TYPES[kind]
    assert (await put(site, where, data, signed_v4(where, sort))).status == 200
    if kind == "file" and parse:
        await parsed(site, where["file_id"])
    return entry(where, name, len(data), kind, sort)


async def parsed(site: Site, file_id: str) -> list[dict[str, Any]]:
    """Have a document parsed; return every state that was told."""
    assert (await site.ask("POST", "/api/v2/files/parse", {"file_id": file_id})).data == {"file_id": file_id}
    told: list[dict[str, Any]] = []
    while not told or told[-1]["status"] not in {"success", "failed"}:
        reply = await site.ask("POST", "/api/v2/files/parse/status", {"file_id_list": [file_id]})
        told.extend(reply.data)
    return told


def entry(where: Mapping[str, Any], name: str, size: int, kind: str, content_type: str) -> dict[str, Any]:
    """Write the entry of `messages[].files` as the page does."""
    meta: dict[str, Any] = {"name": name, "size": size, "content_type": content_type}
    if kind == "file":
        meta["parse_meta"] = {"parse_status": "success"}
    file_id = where["file_id"]
    inner = {"created_at": 1790000000000, "data": {}, "filename": name, "hash": None, "id": file_id, "meta": meta}
    return {
        "type": kind,
        "file": {**inner, "user_id": where["file_path"].partition("/")[0], "update_at": 1790000000000},
        "id": file_id,
        "url": where["file_url"],
        "name": name,
        "collection_name": "",
        "progress": 0,
        "status": "uploaded",
        "greenNet": "success",
        "size": size,
        "error": "",
        "itemId": str(uuid4()),
        "file_type": content_type,
        "showType": kind,
        "file_class": CLASSES[kind],
        "uploadTaskId": str(uuid4()),
    }


def path_of(url: str) -> str:
    """Return the path of an address, with its query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
