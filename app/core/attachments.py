"""Files that come with messages, whichever wire format they came in."""

from dataclasses import dataclass, field
from typing import Literal

FileKind = Literal["image", "audio", "video", "document"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a message, as the client gave it: its bytes, an address, or the id of a file that it stored before.

    `digest` names it, the same for the same bytes, address or id; it is part of the conversation's keys. The bytes are
    compared by it.
    """

    kind: FileKind
    name: str
    content_type: str
    digest: str
    data: bytes = field(default=b"", repr=False, compare=False)
    url: str = field(default="", repr=False)
    file_id: str = ""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file whose bytes are at hand; `content_type` is what the bytes are, not what a client said."""

    kind: FileKind
    name: str
    content_type: str
    data: bytes = field(repr=False)
