"""One daemon a database: a lock that the system releases with the process, however it ends."""

import os
import sys
from pathlib import Path
from typing import IO

from app.errors import StoreInUse


class DatabaseLock:
    """A lock file beside the database; it holds a process id while the database is open, nothing after a clean end."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Take the lock; return whether its last holder ended without releasing it. Raises StoreInUse if held."""
        path = self._database.with_name(self._database.name + ".lock")
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            self._lock(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        unclean = file.read().strip() != ""
        self._write(file, str(os.getpid()))
        return unclean

    def release(self, *, clean: bool) -> None:
        """Give the lock back, if it was taken; unless `clean`, the next `acquire` hears of an unclean end."""
        if self._file is None:
            return
        if clean:
            self._write(self._file, "")
        self._file.close()
        self._file = None

    def _write(self, file: IO[str], text: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()

    def _lock(self, file: IO[str]) -> None:
        try:
            if sys.platform == "win32":
                import msvcrt

                file.seek(1024)  # beyond the text, which other processes must be able to read
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                file.seek(0)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise StoreInUse(
                f"The database {self._database} is in use by another qwen-thread, process "
                f"{file.read().strip() or 'unknown'}. Stop that one first, or give this one another DATABASE_URL."
            ) from None
