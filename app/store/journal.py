"""Records beside the database that survive the end of the process, though not a loss of power."""

import mmap
import os
from pathlib import Path

from app.errors import StoreUnusable
from app.store.in_place import write_in_place

_BYTES = 256 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


def is_named(database: Path, text: str) -> bool:
    """Say whether the journal of a server, running or killed, holds a record with this text."""
    path = _path_of(database)
    return path.exists() and text.encode() in path.read_bytes()


def _path_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-open")


class Journal:
    """A file that is mapped into memory, used as a ring; it holds nothing but what nobody dropped.

    A record is the system's as soon as it is written, and costs no call of it, which would give Python's lock away in
    the event loop.
    """

    def __init__(self, database: Path, *, size: int = _BYTES) -> None:
        """Make the file, or open that of an earlier process; `size` is in bytes. Raises StoreUnusable."""
        self._path = _path_of(database)
        self._size = size
        self._at = 0
        self._held: dict[int, int] = {}  # where records begin and end, the oldest first
        try:
            file = os.open(self._path, _FLAGS, 0o600)
            try:
                _fill(file, size)
                self._memory = mmap.mmap(file, size)
            finally:
                os.close(file)
        except OSError as problem:
            raise StoreUnusable(
                f"The file {self._path} cannot be written: {problem.strerror}. It takes {size:,} bytes, and the "
                "server's user must be allowed to write there."
            ) from problem

    def read(self) -> list[bytes]:
        """Return the records of an earlier process; `?` stands for one that is not whole."""
        return [_whole(line) for line in self._memory[:].replace(b"\0", b"").split(b"\n") if line]

    def clear(self) -> None:
        """Drop everything, also what an earlier process left."""
        self._memory[:] = bytes(self._size)
        self._held.clear()
        self._at = 0

    def close(self, *, is_wanted: bool) -> None:
        """Leave the file behind only if something in it is wanted."""
        self._memory.close()
        if not is_wanted:
            self._path.unlink(missing_ok=True)

    def add(self, record: bytes) -> int | None:
        """Keep a record without line breaks; return its place, None if there is no room for it."""
        line = b"\n%d %b\n" % (len(record), record)  # what was torn before it ends there
        size = len(line)
        place = self._place(size)
        if place is not None:
            self._memory[place : place + size] = line
            self._held[place] = self._at = place + size
        return place

    def drop(self, place: int) -> None:
        """Remove a record; nothing of it is left."""
        end = self._held.pop(place)
        self._memory[place:end] = bytes(end - place)

    def _place(self, size: int) -> int | None:
        """Return where so many bytes are free behind the newest record, or before the oldest."""
        oldest = next(iter(self._held), None)
        if oldest is None:
            return 0 if size <= self._size else None
        if self._at > oldest:
            if self._at + size <= self._size:
                return self._at
            return 0 if size <= oldest else None
        return self._at if self._at + size <= oldest else None


def _whole(line: bytes) -> bytes:
    """Return a record without its length; a loss of power may have kept a piece of it from the disk."""
    length, blank, record = line.partition(b" ")
    if not blank or not length.isdigit():
        return line  # an earlier version wrote no lengths
    return record if len(record) == int(length) else b"?"


def _fill(file: int, size: int) -> None:
    """Give every byte its place on the disk: a full one is told now, where later it would end the process."""
    if os.fstat(file).st_size == 0:
        write_in_place(file)
    missing = size - os.lseek(file, 0, os.SEEK_END)
    while missing > 0:
        missing -= os.write(file, bytes(missing))
