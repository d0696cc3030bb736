"""What a file is: by its first bytes, then by what was said of it, then by its name (docs/files-and-media.md)."""

import codecs
import mimetypes
import re
from hashlib import sha256
from pathlib import PurePosixPath

from app.core.attachments import FileContent, FileKind

HEAD_BYTES = 64  # as many as any signature needs
_LONGEST_NAME = 120  # characters
_LONGEST_SUFFIX = 10

_CONTENT_TYPE = re.compile(r"[\w.!#$&^+-]{1,127}/[\w.!#$&^+-]{1,127}", re.ASCII)  # RFC 6838: it becomes a header
_TEXT = "text/plain"
_BYTES = "application/octet-stream"
_SIGNATURES: tuple[tuple[bytes, FileKind, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"GIF87a", "image", "image/gif"),
    (b"GIF89a", "image", "image/gif"),
    (b"BM", "image", "image/bmp"),
    (b"II*\x00", "image", "image/tiff"),
    (b"MM\x00*", "image", "image/tiff"),
    (b"%PDF-", "document", "application/pdf"),
    (b"{\\rtf", "document", "application/rtf"),
    (b"ID3", "audio", "audio/mpeg"),
    (b"\xff\xfb", "audio", "audio/mpeg"),
    (b"\xff\xfa", "audio", "audio/mpeg"),
    (b"\xff\xf3", "audio", "audio/mpeg"),
    (b"\xff\xf2", "audio", "audio/mpeg"),
    (b"\xff\xf1", "audio", "audio/aac"),
    (b"\xff\xf9", "audio", "audio/aac"),
    (b"fLaC", "audio", "audio/flac"),
    (b"#!AMR", "audio", "audio/amr"),
    (b"FLV\x01", "video", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video", "video/mpeg"),
)
_RIFF: dict[bytes, tuple[FileKind, str]] = {
    b"WEBP": ("image", "image/webp"),
    b"WAVE": ("audio", "audio/wav"),
    b"AVI ": ("video", "video/x-msvideo"),
}
_BRANDS: dict[bytes, tuple[FileKind, str]] = {
    b"heic": ("image", "image/heic"),
    b"heix": ("image", "image/heic"),
    b"mif1": ("image", "image/heif"),
    b"avif": ("image", "image/avif"),
    b"M4A ": ("audio", "audio/mp4"),
    b"M4B ": ("audio", "audio/mp4"),
    b"qt  ": ("video", "video/quicktime"),
}
# Containers of sound or of moving pictures: the bytes alone do not say which without reading further.
_CONTAINERS: dict[bytes, tuple[FileKind, str]] = {
    b"OggS": ("audio", "audio/ogg"),
    b"\x1aE\xdf\xa3": ("video", "video/webm"),
    b"0&\xb2u\x8ef\xcf\x11": ("video", "video/x-ms-asf"),
}
_FAMILIES: dict[str, FileKind] = {"image": "image", "audio": "audio", "video": "video", "text": "document"}
_TYPES = mimetypes.MimeTypes()
_NAMES = {"image/jpeg": ".jpg", "audio/mpeg": ".mp3", "audio/wav": ".wav", "audio/ogg": ".ogg", _TEXT: ".txt"}


def recognise(head: bytes, declared: str = "", name: str = "") -> tuple[FileKind, str]:
    """Return what a file is, and its content type, by its first bytes, the type that was declared, and its name."""
    said = _said(head, declared, name)
    family = "document" if said == "image/svg+xml" else _FAMILIES.get(said.partition("/")[0], "document")
    for signature, by_bytes in _CONTAINERS.items():
        if head.startswith(signature):
            return (family, said) if family in {"audio", "video"} else by_bytes
    return _by_bytes(head) or (family, said)


def _said(head: bytes, declared: str, name: str) -> str:
    """Return the content type that was declared, or what the name stands for; some names mean text and media alike."""
    content_type = declared.partition(";")[0].strip().lower()
    if content_type != _BYTES and _CONTENT_TYPE.fullmatch(content_type):
        return content_type
    is_text = _is_text(head)
    named = _TYPES.guess_type(name)[0] or ""
    if is_text and named.partition("/")[0] in {"", "image", "audio", "video"}:
        return _TEXT
    return named or _BYTES


def _by_bytes(head: bytes) -> tuple[FileKind, str] | None:
    for signature, kind, content_type in _SIGNATURES:
        if head.startswith(signature) and not (len(signature) == 2 and _is_text(head)):
            return kind, content_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], ("video", "video/mp4"))
    return None


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def file_content(data: bytes, declared: str = "", name: str = "") -> FileContent:
    """Return a file as it is, with a name that fits it if it has none."""
    kind, content_type = recognise(data[:HEAD_BYTES], declared, name)
    return FileContent(kind, name or default_name(kind, content_type), content_type, data)


def default_name(kind: FileKind, content_type: str) -> str:
    """Return a name for a file that came without one."""
    return kind + (_NAMES.get(content_type) or _TYPES.guess_extension(content_type) or "")


def safe_name(name: str) -> str:
    """Return the last part of a client's file name, on one line and of a length that every file system takes."""
    last = PurePosixPath(name.replace("\\", "/")).name
    line = "".join(character if character.isprintable() else " " for character in last).strip()
    if len(line) <= _LONGEST_NAME:
        return line
    stem, dot, suffix = line.rpartition(".")
    kept = f"{dot}{suffix}" if dot and len(suffix) <= _LONGEST_SUFFIX else ""
    return (stem if kept else line)[: _LONGEST_NAME - len(kept)] + kept


def upload_digest(digest: str, name: str) -> str:
    """Name what goes to the site, by its bytes' digest and its name: the model is told the name that the site knows."""
    return bytes_digest(f"{digest} {name}".encode("utf-8", "replace"))


def bytes_digest(data: bytes) -> str:
    """Name a file by its bytes."""
    return sha256(data).hexdigest()
