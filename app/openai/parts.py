"""The parts of a message's content: text, and files in every form that clients send (docs/files-and-media.md)."""

from collections.abc import Callable

import msgspec

from app.core.attachments import Attachment, FileKind
from app.core.file_types import safe_name
from app.errors import UnsupportedFeature
from app.wire.contents import Extent, apart
from app.wire.sources import by_url, fault, from_base64, inline, stored

_TEXTS = frozenset({"text", "input_text", "output_text"})


class _Address(msgspec.Struct):
    """A data URL or an http(s) address; `detail` has no effect."""

    url: str = ""
    detail: str | None = None


class _Sound(msgspec.Struct):
    """Base64, and what it is: wav, mp3 or the like."""

    data: str = ""
    format: str = ""


class _File(msgspec.Struct):
    """A file's own bytes (a data URL or base64), or the id of a stored one."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct):
    """One part of a message; which fields count is said by `type`."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | _Address | None = None
    audio_url: str | _Address | None = None
    video_url: str | _Address | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


def part_text(part: Part) -> str | None:
    """Return the text of a part, None for one of another type."""
    return part.text if part.type in _TEXTS else part.refusal if part.type == "refusal" else None


def attachment(part: Part, path: str) -> Attachment:
    """Return the file of a user's part. Raises UnsupportedFeature for other types, FileUnreadable; both name `path`."""
    read = _READERS.get(part.type)
    if read is None:
        known = ", ".join(sorted({*_TEXTS, *_READERS}))
        raise UnsupportedFeature(
            f"'{path}': parts of type {part.type!r} do not exist here; {known} do.", param=f"{path}.type"
        )
    return read(part, path)


class Contents(Extent):
    """Reads the contents of one request's messages."""

    def read(self, content: str | list[Part] | None, role: str, path: str) -> tuple[str, tuple[Attachment, ...]]:
        """Join the text of the parts; other parts are a user's files, named in a tool's result, else ignored.

        Raises UnsupportedFeature, FileUnreadable, InvalidRequest above a limit; all name `path`.
        """
        if content is None or isinstance(content, str):
            return content or "", ()
        self.count(len(content), path)
        texts, files = [], []
        for index, part in enumerate(content):
            text = part_text(part)
            if text is not None:
                texts.append(text)
            elif role in {"tool", "function"}:
                texts.append(f"[{part.type} not passed on]")
            elif role == "user":
                files.append(self._file(part, f"{path}.content[{index}]"))
            elif role != "assistant":
                raise UnsupportedFeature(
                    f"'{path}.content[{index}]': a {role} message holds text only.",
                    param=f"{path}.content[{index}].type",
                )
        return (apart(texts) if role in {"user", "tool", "function"} else "".join(texts)), tuple(files)

    def _file(self, part: Part, path: str) -> Attachment:
        self.count_file(path)
        return attachment(part, path)


def _address(kind: FileKind, field: str) -> Callable[[Part, str], Attachment]:
    """Make the reader of a part whose file has an address, plain or in an object."""

    def read(part: Part, path: str) -> Attachment:
        given: str | _Address | None = getattr(part, field)
        nested = isinstance(given, _Address)
        url = given.url if isinstance(given, _Address) else given or ""
        return by_url(kind, url, safe_name(part.filename or ""), f"{path}.{field}{'.url' if nested else ''}")

    return read


def _input_image(part: Part, path: str) -> Attachment:
    if part.file_id:
        return stored("image", part.file_id, part.filename)
    return _READERS["image_url"](part, path)


def _input_audio(part: Part, path: str) -> Attachment:
    sound = part.input_audio or _Sound()
    where = f"{path}.input_audio.data"
    if sound.data[:5].lower() == "data:":
        return by_url("audio", sound.data, "", where)
    name = safe_name(f"audio.{sound.format.lower()}") if sound.format else ""
    return inline(from_base64(sound.data, where), f"audio/{sound.format.lower()}" if sound.format else "", name, where)


def _file(part: Part, path: str) -> Attachment:
    """Read the file of a `file` part, which is an object, or of an `input_file` part, which holds the same itself."""
    where, given = path, _File(part.file_data, part.file_id, part.filename)
    if part.file is not None:
        where, given = f"{path}.file", part.file
    name = safe_name(given.filename or "")
    if given.file_data:
        if given.file_data[:5].lower() == "data:":
            return by_url("document", given.file_data, name, f"{where}.file_data")
        return inline(from_base64(given.file_data, f"{where}.file_data"), "", name, f"{where}.file_data")
    if given.file_id:
        return stored("document", given.file_id, name)
    if part.file_url:
        return by_url("document", part.file_url, name, f"{path}.file_url")
    raise fault(where, "needs 'file_data' or 'file_id'")


_READERS: dict[str, Callable[[Part, str], Attachment]] = {
    "image_url": _address("image", "image_url"),
    "audio_url": _address("audio", "audio_url"),
    "video_url": _address("video", "video_url"),
    "input_image": _input_image,
    "input_audio": _input_audio,
    "file": _file,
    "input_file": _file,
}
