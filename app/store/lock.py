"""One daemon a database: a lock that the system releases with the process, however it ends."""

import os
import sys
from contextlib import suppress
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
        file = os.fdopen(os.open(_path_of(self._database), os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise StoreInUse(
                f"The database {self._database} is in use by another qwen-thread, process {holder}."
            ) from None
        self._file = file
        unclean = file.read().strip() != ""
        self._write(file, str(os.getpid()))
        return unclean

    def release(self, *, clean: bool) -> None:
        """Give the lock back, if it was taken; unless `clean`, the next `acquire` hears of an unclean end."""
        if self._file is None:
            return
        with suppress(OSError):  # on a full disk; the next start then looks the database through
            if clean:
                self._write(self._file, "")
        with suppress(OSError):
            self._file.close()
        self._file = None

    def _write(self, file: IO[str], text: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(text)
        file.flush()


def is_held(database: Path) -> bool:
    """Say whether a server has the database open."""
    try:
        with _path_of(database).open("r+") as file:
            try:
                _lock(file)
            except OSError:
                return True
    except FileNotFoundError:
        return False
    except OSError:  # another user's
        return True
    return False


def _path_of(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


def _lock(file: IO[str]) -> None:
    """Lock an open file until it is closed. Raises OSError if another process has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(1024)  # beyond the text, which other processes must be able to read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
