"""Where a file in a message comes from: bytes in the request, an address, or an id (docs/files-and-media.md).

A fault is raised as FileUnreadable, which names `where`.
"""

import binascii
from base64 import b64decode
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from app.core.attachments import Attachment, FileKind
from app.core.canonical import digest
from app.core.file_types import bytes_digest, file_content, safe_name
from app.errors import FileUnreadable

_BLANKS = b" \t\r\n\v\f"


def by_url(kind: FileKind, url: str, name: str, where: str) -> Attachment:
    """Return the file behind a data URL, or that is to be fetched from an http(s) address."""
    if url[:5].lower() == "data:":
        head, comma, rest = url[5:].partition(",")
        if not comma:
            raise fault(where, "is a data URL without a comma")
        is_base64 = head.rstrip().lower().endswith(";base64")
        data = from_base64(unquote(rest) if "%" in rest else rest, where) if is_base64 else unquote_to_bytes(rest)
        return inline(data, head.partition(";")[0], name, where)
    address = url.strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        raise fault(where, "is no address") from None
    if parts.scheme.lower() not in {"http", "https"} or not parts.netloc:
        raise fault(where, "must be a data URL or an http(s) address")
    last = safe_name(unquote(parts.path))
    return Attachment(kind, name or last or kind, "", digest("address", address), url=address)


def stored(kind: FileKind, file_id: str, name: str | None) -> Attachment:
    """Return a file that its owner stored here before."""
    return Attachment(kind, safe_name(name or "") or file_id, "", digest("stored file", file_id), file_id=file_id)


def inline(data: bytes, declared: str, name: str, where: str) -> Attachment:
    """Return a file by its bytes; `declared` is what a client calls their type, "" where it does not."""
    if not data:
        raise fault(where, "is empty")
    content = file_content(data, declared, name)
    return Attachment(content.kind, content.name, content.content_type, bytes_digest(data), data)


def from_base64(text: str, where: str) -> bytes:
    """Decode base64, also in its form for addresses, without padding, and broken into lines."""
    raw = text.encode("ascii", "replace").translate(None, _BLANKS)
    if b"-" in raw or b"_" in raw:
        raw = raw.translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except binascii.Error:
        raise fault(where, "is not valid base64") from None


def fault(where: str, why: str) -> FileUnreadable:
    """Return the error for a file that cannot be read."""
    return FileUnreadable(f"'{where}' {why}.", param=where)
