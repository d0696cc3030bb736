"""Lines beside the database that survive the end of the process, though not a loss of power."""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

from app.errors import StoreUnusable

_HALF_BYTES = 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


class Journal:
    """A file in two halves: one is written until it is full, then the other goes on with the lines still wanted.

    The file is mapped into memory. So a line is the system's as soon as it is written, and costs no call of it, which
    would give Python's lock away in the event loop.
    """

    def __init__(self, database: Path, *, half: int = _HALF_BYTES) -> None:
        """Make the file, or open that of an earlier process; `half` is in bytes. Raises StoreUnusable."""
        self._path = database.with_name(f"{database.name}-open")
        self._half = half
        self._start = self._at = 0
        try:
            file = os.open(self._path, _FLAGS, 0o600)
            try:
                _fill(file, 2 * half)
                self._memory = mmap.mmap(file, 2 * half)
            finally:
                os.close(file)
        except OSError as problem:
            raise StoreUnusable(
                f"The file {self._path} cannot be written: {problem.strerror}. It takes {2 * half:,} bytes, and the "
                "server's user must be allowed to write there."
            ) from problem

    def read(self) -> list[bytes]:
        """Return the lines of an earlier process, also some that nobody wants any more; the last may be torn."""
        return [line for line in self._memory[:].replace(b"\0", b"").split(b"\n") if line]

    def clear(self) -> None:
        """Want none of the lines any more, those of an earlier process included."""
        self._erase(0, 2 * self._half)
        self._start = self._at = 0

    def rewind(self) -> None:
        """Want none of the lines of this process any more."""
        self._erase(self._start, self._at)
        self._at = self._start

    def close(self, *, is_wanted: bool) -> None:
        """Leave the file behind only if one of its lines is wanted."""
        self._memory.close()
        if not is_wanted:
            self._path.unlink()

    def add(self, line: bytes, wanted: Iterable[bytes]) -> bool:
        """Add a line without line breaks, if there is room; `wanted` are the earlier ones that are."""
        if self._at + len(line) + 2 > self._start + self._half:
            kept = list(wanted)
            if sum(len(each) + 2 for each in (*kept, line)) > self._half:
                return False
            full = self._start, self._at
            self._start = self._at = self._half - self._start
            for each in kept:
                self._write(each)
            self._erase(*full)
        self._write(line)
        return True

    def _write(self, line: bytes) -> None:
        end = self._at + len(line) + 2
        self._memory[self._at : end] = b"\n%b\n" % line  # what was torn before it ends there
        self._at = end

    def _erase(self, start: int, end: int) -> None:
        self._memory[start:end] = bytes(end - start)


def _fill(file: int, size: int) -> None:
    """Give every byte its place on the disk: a full one is told now, where later it would end the process."""
    missing = size - os.lseek(file, 0, os.SEEK_END)
    while missing > 0:
        missing -= os.write(file, bytes(missing))
