"""`.env` as the place of the login: watched for what its owner writes, rewritten when the site renews it."""

import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.config_values import Secret
from app.env_file import put_values, read_values
from app.upstream.qwen.credentials import Given

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 0.1
NOTHING = Given(Secret(), Secret())


class Vault(Protocol):
    """Where a login is kept. Both calls block."""

    def read(self) -> Given | None:
        """Return what the owner put there, None if that did not change since the last look or cannot be read."""
        ...

    def store(self, old: Given, new: Given) -> Given | None:
        """Put a renewed login in the place of `old`; return what is there now, None if `old` was no longer there."""
        ...


class KeptByLogin:
    """What a person just gave: a renewal on the spot replaces whatever was kept before."""

    def __init__(self, keep: Callable[[Secret, Secret], None]) -> None:
        """`keep` takes a token, which may be empty, and cookies; its errors are the caller's."""
        self._keep = keep
        self._is_kept = False

    def read(self) -> Given | None:
        """Know nothing but what was given."""
        return None

    def store(self, old: Given, new: Given) -> Given | None:
        """Keep a renewed login."""
        self._keep(new.token, new.cookie)
        self._is_kept = True
        return new

    def store_unless_renewed(self, token: Secret, cookie: Secret) -> None:
        """Keep what was given, unless a renewal has replaced it."""
        if not self._is_kept:
            self._keep(token, cookie)


class TokenFile:
    """The settings QWEN_AUTH_TOKEN and QWEN_COOKIE of one file. What cannot be read or written is told once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._is_unreadable = False
        self._is_unwritable = False

    def read(self) -> Given | None:
        """Return what the file holds, None if it did not change or cannot be read."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return None
            # A file written this very moment may change again within the tick of its timestamp: look again next time.
            self._stamp = stamp if time.time() - found.st_mtime > _FRESH_SECONDS else None
            given = self._values()
        except FileNotFoundError:
            self._stamp = None
            return NOTHING
        except (OSError, UnicodeDecodeError) as problem:
            self._stamp = None
            if not self._is_unreadable:
                _log.warning("%s cannot be read, the token known so far stays in use: %s", self._path.name, problem)
            self._is_unreadable = True
            return None
        self._is_unreadable = False
        return given

    def store(self, old: Given, new: Given) -> Given | None:
        """Write a renewed login over `old`, in one step; return what the file holds then, None if it held another.

        Where the file cannot be written it stays as it was, and a warning says so once.
        """
        try:
            if self._values() != old:
                return None
            changed = {
                name: value.reveal()
                for name, value, before in (
                    ("QWEN_AUTH_TOKEN", new.token, old.token),
                    ("QWEN_COOKIE", new.cookie, old.cookie),
                )
                if value != before
            }
            if changed:
                put_values(self._path, changed)
        except (OSError, UnicodeDecodeError) as problem:
            self._complain(problem)
            return old
        self._is_unwritable = False
        return new

    def _values(self) -> Given:
        if not self._path.exists():
            return NOTHING
        values = read_values(self._path)
        return Given(Secret(values.get("QWEN_AUTH_TOKEN", "")), Secret(values.get("QWEN_COOKIE", "")))

    def _complain(self, problem: Exception) -> None:
        if self._is_unwritable:
            return
        self._is_unwritable = True
        is_mount = isinstance(problem, OSError) and problem.errno in {errno.EBUSY, errno.EROFS}
        _log.warning(
            "The renewed login could not be written to %s (%s): it is held in memory, and a restart loses it.%s",
            self._path,
            problem.strerror if isinstance(problem, OSError) else "the file is not UTF-8",
            " The file is mounted read-only or by itself; mount its folder, writable, instead." if is_mount else "",
        )
