"""Lines beside the database that survive the end of the process, though not a loss of power."""

import os
from collections.abc import Iterable
from pathlib import Path

from app.errors import StoreError, StoreUnusable

_MOST_BYTES = 4 * 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Journal:
    """Two files, of which one is written until it is full; then the other goes on with the lines still wanted.

    A line is written by one call that does not wait for the disk, so that the event loop may do it.
    """

    def __init__(self, database: Path, *, most: int = _MOST_BYTES) -> None:
        """Make the files, or open those of an earlier process; `most` bytes fill one. Raises StoreUnusable."""
        self._most = most
        self._paths = [database.with_name(f"{database.name}-open{number}") for number in (1, 2)]
        self._size = 0
        try:
            self._files = [os.open(path, _FLAGS, 0o600) for path in self._paths]
        except OSError as problem:
            raise StoreUnusable(
                f"The files {database}-open1 and -open2 cannot be opened for writing: {problem.strerror}. Give the "
                "server's user the right to write there."
            ) from problem

    def read(self) -> list[bytes]:
        """Return the lines of an earlier process, also some that nobody wants any more; the last may be torn."""
        return [line for path in self._paths for line in path.read_bytes().split(b"\n") if line]

    def clear(self) -> None:
        """Want none of the lines any more."""
        for file in self._files:
            os.ftruncate(file, 0)
        self._size = 0

    def close(self, *, is_wanted: bool) -> None:
        """Leave the files behind only if one of their lines is wanted."""
        for file in self._files:
            os.close(file)
        for path in () if is_wanted else self._paths:
            path.unlink()

    def add(self, line: bytes, wanted: Iterable[bytes]) -> None:
        """Add a line without line breaks; `wanted` are the earlier ones that are. Raises StoreError."""
        try:
            if self._size + len(line) > self._most:
                self._change_over(wanted)
            self._write(line)
        except OSError as problem:
            path = self._paths[0]
            raise StoreError(
                f"The file {path} could not be written: {problem.strerror}. Make room on the disk."
            ) from problem

    def _change_over(self, wanted: Iterable[bytes]) -> None:
        full, other = self._files
        os.ftruncate(other, 0)
        self._files.reverse()
        self._paths.reverse()
        self._size = 0
        for line in wanted:
            self._write(line)
        os.ftruncate(full, 0)

    def _write(self, line: bytes) -> None:
        record = b"\n%b\n" % line  # what was torn before it ends there
        if os.write(self._files[0], record) < len(record):
            raise OSError(None, "only a part was written")
        self._size += len(record)
