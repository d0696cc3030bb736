"""Where a file may be put and fetched, and how a message names it (docs/upstream-protocol.md, Files). Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from app.config_values import parse_secret
from app.core.attachments import FileContent, FileKind
from app.errors import UpstreamProtocolError
from app.upstream.qwen.credentials import expiry_of
from app.upstream.qwen.oss import TemporaryKey

DEFAULT_LIFE = timedelta(seconds=300)
_LONGEST_NAME = 120
_CLASSES: dict[FileKind, tuple[str, str]] = {
    "image": ("image", "vision"),
    "video": ("video", "video"),
    "audio": ("audio", "audio"),
    "document": ("file", "document"),
}
_REGION = re.compile(r"[0-9A-Za-z-]{5,40}")
_ADDRESS = re.compile(r"(https?)://([0-9A-Za-z.-]+)((?::\d{1,5})?)(?:[/?][\x21-\x7e]*)?")
_STORE = re.compile(r"qwen-webui-[a-z]+\.oss-[a-z0-9-]+\.aliyuncs\.com")
_CDN = re.compile(r"([a-z0-9-]+\.)+qwenlm\.ai")


@dataclass(frozen=True, slots=True)
class Grant:
    """A place in the object store that the site lends for one file. `path` is not percent-encoded, `url` is."""

    key: TemporaryKey
    file_id: str
    path: str
    url: str
    bucket: str
    region: str


def read_grant(data: object, origin: str) -> Grant:
    """Read the site's answer. Raises UpstreamProtocolError for one that is no use, or whose address is none of theirs.

    The place must be the bucket's own at the vendor of the store, or at `origin`, the site's.
    """
    grant = data if isinstance(data, dict) else {}
    names = ("access_key_id", "access_key_secret", "security_token", "file_id", "file_path", "file_url", "bucketname")
    texts = {name: grant.get(name) for name in names}
    missing = [name for name, text in texts.items() if not isinstance(text, str) or not text]
    if missing:
        raise UpstreamProtocolError(f"The site's place for a file lacks {', '.join(missing)}.", cause="file_token")
    found = {name: str(text) for name, text in texts.items()}
    try:
        key = TemporaryKey(
            parse_secret(found["access_key_id"]).reveal(),
            parse_secret(found["access_key_secret"]),
            parse_secret(found["security_token"]),
        )
    except ValueError:
        raise UpstreamProtocolError("The site's key for a file is no header value.", cause="file_token") from None
    bucket, endpoint = found["bucketname"], grant.get("endpoint")
    host = f"{bucket}.{endpoint}".lower() if isinstance(endpoint, str) and endpoint else ""
    if not _is_place(found["file_url"], bucket.lower(), host, origin):
        raise UpstreamProtocolError("The site wants a file at an address that is not its store's.", cause="file_url")
    region = grant.get("region")
    return Grant(
        key,
        found["file_id"],
        found["file_path"],
        found["file_url"],
        bucket,
        region.removeprefix("oss-") if isinstance(region, str) and _REGION.fullmatch(region) else "ap-southeast-1",
    )


def _is_place(url: str, bucket: str, host: str, origin: str) -> bool:
    parts = _ADDRESS.fullmatch(url)
    if parts is None:
        return False
    if origin_of(url) == origin_of(origin):
        return True
    named = parts[2].lower()
    is_vendor_s = named.startswith(f"{bucket}.") and named.endswith(".aliyuncs.com")
    return parts[1] == "https" and not parts[3] and is_vendor_s and named == (host or named)


def is_of_the_site(url: str, origin: str) -> bool:
    """Say whether an address is one where the site keeps what it made: its own, its CDN's, its store's."""
    parts = _ADDRESS.fullmatch(url)
    if parts is None:
        return False
    if origin_of(url) == origin_of(origin):
        return True
    is_known = _CDN.fullmatch(parts[2].lower()) or _STORE.fullmatch(parts[2].lower())
    return parts[1] == "https" and not parts[3] and is_known is not None


def is_over(url: str, now: datetime) -> bool:
    """Say whether the key of an address says that it has ended; one that says nothing has not."""
    keys = [value for name, value in parse_qsl(urlsplit(url).query) if name == "key"]
    ends = [expiry_of(key) for key in keys]
    return any(end is not None and end <= now for end in ends)


def origin_of(url: str) -> str:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def read_expiry(url: str, now: datetime) -> datetime:
    """Return when a signed address ends, by either scheme of the store; 300 s from `now` where it does not say."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        if "x-oss-date" in query:
            signed = datetime.strptime(query["x-oss-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            return signed + timedelta(seconds=int(query["x-oss-expires"]))
        return datetime.fromtimestamp(int(query["expires"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError):
        return now + DEFAULT_LIFE


def safe_name(name: str) -> str:
    """Return a file's name as one part of a path, its ending kept; "file" where nothing is left."""
    plain = re.sub(r'[\x00-\x1f\x7f/\\?#%*:|"<>\ud800-\udfff]', "_", name).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    if len(plain) > _LONGEST_NAME and stem and len(ending) <= 10:
        return f"{stem[: _LONGEST_NAME - len(ending) - 1]}{dot}{ending}"
    return plain[:_LONGEST_NAME] or "file"


def token_type(kind: FileKind) -> str:
    """Return what the site calls a kind of file."""
    return _CLASSES[kind][0]


def file_entry(
    file: FileContent, grant: Grant, *, name: str, milliseconds: int, item_id: str, task_id: str
) -> dict[str, Any]:
    """Return the entry for `messages[].files`, as the page writes it. A guest's file names no user."""
    shown, file_class = _CLASSES[file.kind]
    size = len(file.data)
    meta: dict[str, Any] = {"name": name, "size": size, "content_type": file.content_type}
    if file.kind == "document":
        meta["parse_meta"] = {"parse_status": "success"}
    user = grant.path.partition("/")[0]
    inner: dict[str, Any] = {
        "created_at": milliseconds,
        "data": {},
        "filename": name,
        "hash": None,
        "id": grant.file_id,
        "user_id": user,
        "meta": meta,
        "update_at": milliseconds,
    }
    if user in ("", "anonymous", grant.path):
        del inner["user_id"]
    return {
        "type": shown,
        "file": inner,
        "id": grant.file_id,
        "url": grant.url,
        "name": name,
        "collection_name": "",
        "progress": 0,
        "status": "uploaded",
        "greenNet": "success",
        "size": size,
        "error": "",
        "itemId": item_id,
        "file_type": file.content_type,
        "showType": shown,
        "file_class": file_class,
        "uploadTaskId": task_id,
    }
