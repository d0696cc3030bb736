"""Files that clients store here, addresses that they name, and what upstream was already given; as the core asks."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from app.core.attachments import FileContent, FileKind
from app.core.ports.upstream import UploadedFile


class StoredFile(Struct, frozen=True):
    """A file that a client stored; `size` is in bytes, `sha256` names its content, `created_at` is in UTC."""

    id: str
    owner: str
    name: str
    purpose: str
    size: int
    sha256: str
    created_at: datetime


class FileIndex(Protocol):
    """Remembers which files are stored. Each method is one transaction; only StoreError comes out."""

    async def add_file(self, file: StoredFile) -> None:
        """Remember a file whose content is in its place. Durable when this returns."""
        ...

    async def find_file(self, owner: str, file_id: str) -> StoredFile | None:
        """Return an owner's file."""
        ...

    async def list_files(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> Sequence[StoredFile]:
        """Return an owner's files in the order of their storing, those that come `after` a file."""
        ...

    async def remove_file(self, owner: str, file_id: str) -> None:
        """Forget a file."""
        ...

    async def contents(self) -> Mapping[str, int]:
        """Return the bytes of every content that some file has, by its sha256."""
        ...


class UploadIndex(Protocol):
    """Remembers what upstream was given, by account and content."""

    async def find_upload(self, account: str, sha256: str, kind: FileKind, until: datetime) -> UploadedFile | None:
        """Return what the account was given of a content, if it can be sent until then."""
        ...

    async def keep_upload(self, account: str, sha256: str, file: UploadedFile, at: datetime) -> None:
        """Remember what the account was given in the place of an earlier upload; forget what ended before `at`."""
        ...


class IncomingFile(Protocol):
    """A file that is being stored, piece by piece; `size` counts its bytes so far."""

    size: int

    async def write(self, piece: bytes) -> None:
        """Take the next piece. Raises FileTooLarge, FileStorageFull, StoreError."""
        ...

    async def keep(self, owner: str, name: str, purpose: str) -> StoredFile:
        """Store what was written. Raises StoreError."""
        ...


class FileLibrary(Protocol):
    """The files that clients stored; owners do not see each other's."""

    def receive(self) -> AbstractAsyncContextManager[IncomingFile]:
        """Take a new file; leaving without `keep` leaves nothing behind."""
        ...

    async def find(self, owner: str, file_id: str, *, param: str = "file_id") -> StoredFile:
        """Return a file. Raises StoredFileNotFound, which names the field that asked for it."""
        ...

    async def page(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> Sequence[StoredFile]:
        """Return files in the order of their storing, those that come `after` one of them."""
        ...

    async def remove(self, owner: str, file_id: str) -> None:
        """Delete a file. Raises StoredFileNotFound."""
        ...

    def path(self, file: StoredFile) -> Path:
        """Say where the content is."""
        ...

    async def read(self, file: StoredFile) -> FileContent:
        """Return the content. Raises StoredFileNotFound if it is gone from the disk."""
        ...


class Fetcher(Protocol):
    """Fetches what clients name by its address."""

    async def fetch(self, url: str, name: str, *, most: int) -> FileContent:
        """Return the file behind an http(s) address, of `most` bytes at most. Raises FileNotFetched."""
        ...
