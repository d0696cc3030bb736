"""The files that clients store: their contents in a folder, each once under its sha256 (docs/files-and-media.md)."""

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from app.clock import Clock
from app.core.attachments import FileContent
from app.core.file_types import file_content
from app.core.ids import new_hex
from app.core.ports import FileIndex, StoredFile
from app.errors import FileStorageFull, FileTooLarge, StoredFileNotFound, StoreError

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_INCOMING = ".incoming-"
_CONTENT = re.compile(r"[0-9a-f]{64}")
_UNCLAIMED = "unclaimed"
_KEPT_ASIDE = 30 * 86400.0  # seconds
_PIECE = 1024 * 1024  # bytes that are written at once


@asynccontextmanager
async def open_library(
    folder: Path, index: FileIndex, clock: Clock, *, budget: int, largest: int
) -> AsyncIterator["DiskLibrary"]:
    """Open the folder, made as needed, and set aside what no file has. Raises StoreError.

    `budget` bounds the bytes of all contents, `largest` those of one.
    """
    used = dict(await index.contents())
    try:
        await asyncio.to_thread(_tidy_up, folder, set(used), clock.now().timestamp())
    except OSError as problem:
        raise StoreError(f"The folder {folder} cannot be used for files: {problem.strerror}.") from problem
    yield DiskLibrary(folder, index, clock, used, budget=budget, largest=largest)


def _tidy_up(folder: Path, used: set[str], now: float) -> None:
    """Bring contents to their places that files have, and set the others aside for some weeks.

    A database that was put back, an older one or the one before an empty one, has files whose contents the database
    between them did not know.
    """
    aside = folder / _UNCLAIMED
    if not folder.exists():
        return
    for name in used:
        if (aside / name).is_file() and not (folder / name).exists():
            (aside / name).replace(folder / name)
    unknown = [path for path in folder.iterdir() if _is_content(path) and path.name not in used]
    for path in unknown:
        aside.mkdir(mode=0o700, exist_ok=True)
        os.utime(path, (now, now))
        path.replace(aside / path.name)
    if unknown:
        _log.warning("%d contents that no stored file has were set aside in %s", len(unknown), aside)
    for path in [*folder.glob(f"{_INCOMING}*"), *filter(_is_content, aside.glob("*"))]:
        if path.parent == folder or path.stat().st_mtime < now - _KEPT_ASIDE:
            path.unlink()


def _is_content(path: Path) -> bool:
    return bool(_CONTENT.fullmatch(path.name)) and path.is_file()


class DiskLibrary:
    """Implements `core.ports.FileLibrary`. Owns how many bytes are used, those on their way included."""

    def __init__(
        self, folder: Path, index: FileIndex, clock: Clock, used: dict[str, int], *, budget: int, largest: int
    ) -> None:
        self._folder = folder
        self._index = index
        self._clock = clock
        self._used = used
        self._coming = 0
        self._budget = budget
        self._largest = largest
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def receive(self) -> AsyncIterator["DiskIncoming"]:
        """Take a new file; leaving without `keep` leaves nothing behind. Raises StoreError."""
        path = self._folder / f"{_INCOMING}{new_hex()}"
        incoming = DiskIncoming(self, path)
        try:
            await _on_disk(incoming.create)
            yield incoming
        finally:
            self._coming -= incoming.size
            await _on_disk(incoming.discard)

    def reserve(self, size: int, so_far: int) -> None:
        """Count bytes that are about to be written. Raises FileTooLarge, FileStorageFull."""
        if so_far + size > self._largest:
            raise FileTooLarge(f"The file is larger than {self._largest:,} bytes (FILE_BYTES).")
        used = sum(self._used.values()) + self._coming
        if used + size > self._budget:
            others = used - so_far
            raise FileStorageFull(
                f"The stored files may have {self._budget:,} bytes together (FILES_BUDGET), and {others:,} are used."
            )
        self._coming += size

    async def add(self, incoming: "DiskIncoming", owner: str, name: str, purpose: str) -> StoredFile:
        """Give a content its place, then remember the file; also if the client leaves meanwhile. Raises StoreError."""
        sha256 = incoming.sha256
        file = StoredFile(f"file-{new_hex()}", owner, name or "file", purpose, incoming.size, sha256, self._clock.now())
        await _to_its_end(self._add(incoming, file))
        return file

    async def _add(self, incoming: "DiskIncoming", file: StoredFile) -> None:
        async with self._changing:
            await _on_disk(incoming.move, self.path(file))
            try:
                await self._index.add_file(file)
            except StoreError:
                if file.sha256 not in self._used:
                    await _on_disk(self.path(file).unlink, missing_ok=True)
                raise
            self._used[file.sha256] = file.size

    async def find(self, owner: str, file_id: str, *, param: str = "file_id") -> StoredFile:
        """Return a file. Raises StoredFileNotFound, which names the field that asked for it."""
        file = await self._index.find_file(owner, file_id)
        if file is None:
            raise StoredFileNotFound(f"There is no file {file_id!r}.", param=param)
        return file

    async def page(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> Sequence[StoredFile]:
        """Return files in the order of their storing, those that come `after` one of them."""
        return await self._index.list_files(owner, after=after, limit=limit, newest_first=newest_first, purpose=purpose)

    async def remove(self, owner: str, file_id: str) -> None:
        """Delete a file, and its content if no other file has it. Raises StoredFileNotFound, StoreError."""
        await _to_its_end(self._remove(owner, file_id))

    async def _remove(self, owner: str, file_id: str) -> None:
        async with self._changing:
            file = await self.find(owner, file_id)
            await self._index.remove_file(owner, file_id)
            if file.sha256 not in await self._index.contents():
                self._used.pop(file.sha256, None)
                await _on_disk(self.path(file).unlink, missing_ok=True)

    def path(self, file: StoredFile) -> Path:
        """Say where the content is."""
        return self._folder / file.sha256

    async def read(self, file: StoredFile) -> FileContent:
        """Return the content. Raises StoredFileNotFound if it is gone from the disk, StoreError if that fails."""
        try:
            data = await asyncio.to_thread(self.path(file).read_bytes)
        except FileNotFoundError as problem:
            raise StoredFileNotFound(
                f"The content of the file {file.id!r} is gone from the disk.", param="file_id"
            ) from problem
        except OSError as problem:
            raise StoreError(
                f"The file {file.id!r} could not be read: {problem.strerror}. Look at the disk."
            ) from problem
        return file_content(data, "", file.name)


class DiskIncoming:
    """Implements `core.ports.IncomingFile`: written beside its place and moved there when it is whole."""

    def __init__(self, library: DiskLibrary, path: Path) -> None:
        """Take the place that `create` makes the file in."""
        self.size = 0
        self._library = library
        self._path = path
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._waiting = bytearray()

    @property
    def sha256(self) -> str:
        """The name of the content."""
        return self._hash.hexdigest()

    async def write(self, piece: bytes) -> None:
        """Take the next piece. Raises FileTooLarge, FileStorageFull, StoreError."""
        self._library.reserve(len(piece), self.size)
        self.size += len(piece)
        self._waiting += piece
        if len(self._waiting) >= _PIECE:
            await self._flush()

    async def keep(self, owner: str, name: str, purpose: str) -> StoredFile:
        """Store what was written. Raises StoreError."""
        await self._flush()
        return await self._library.add(self, owner, name, purpose)

    async def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        await _on_disk(self._append, data)

    def create(self) -> None:
        """Make the file, and its folder if need be."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        self._hash.update(data)
        self._file.write(data)

    def move(self, place: Path) -> None:
        """Put the content into its place, whole also after a loss of power."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(place)

    def discard(self) -> None:
        """Leave nothing behind that has no place."""
        if self._file is not None:
            with suppress(OSError):  # it writes what it holds yet, which a full disk refuses again
                self._file.close()
            self._path.unlink(missing_ok=True)


async def _on_disk(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Do something with the disk in a thread. Raises StoreError."""
    try:
        return await _to_its_end(asyncio.to_thread(work, *arguments, **named))
    except OSError as problem:
        raise StoreError(f"A file could not be stored: {problem.strerror or problem}. Look at the disk.") from problem


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Do what must not be left halfway: a caller that is cancelled meanwhile waits for the end first."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
