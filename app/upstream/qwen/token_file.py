"""`.env` as the place of the login: watched for what its owner writes, rewritten when the site renews it."""

import errno
import logging
import time
from pathlib import Path

from app.config_values import Secret
from app.env_file import put_values, read_values
from app.upstream.qwen.credentials import NAMELESS, Given, account_of
from app.upstream.qwen.vault import NOTHING, Stamp

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 0.1


class TokenFile:
    """The settings QWEN_AUTH_TOKEN and QWEN_COOKIE of one file. What cannot be read or written is told once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_unreadable = False
        self._is_unwritable = False

    def read(self, known: Stamp | None) -> tuple[Stamp | None, Given] | None:
        """Return what the file holds and its stamp, None if that is `known` or the file cannot be read.

        What was read is remembered by the caller alone, who may be gone by the time it is there.
        """
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == known:
                self._is_unreadable = False
                return None
            # A file written this very moment may change again within the tick of its timestamp: it has no stamp yet.
            is_settled = time.time() - found.st_mtime > _FRESH_SECONDS
            given = self._values()
        except FileNotFoundError:
            return None, NOTHING
        except (OSError, UnicodeDecodeError) as problem:
            if not self._is_unreadable:
                _log.warning("%s cannot be read, the token known so far stays in use: %s", self._path.name, problem)
            self._is_unreadable = True
            return None
        self._is_unreadable = False
        return stamp if is_settled else None, given

    def store(self, old: Given, new: Given, account: str) -> Given | None:
        """Write a renewed login over `old`, in one step; return what the file holds then, None if it held another.

        Where the file cannot be written, or `old` is the login of another account, it stays as it was, and a warning
        says so once.
        """
        try:
            if self._values() != old:
                return None
            if account_of(old) not in {"", account} and not account.startswith(NAMELESS):
                self._complain("it holds another account's login", " Give this server an ENV_FILE of its own.")
                return old
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
            is_mount = isinstance(problem, OSError) and problem.errno in {errno.EBUSY, errno.EROFS}
            self._complain(
                (problem.strerror or str(problem)) if isinstance(problem, OSError) else "the file is not UTF-8",
                " The file is mounted read-only or by itself; mount its folder, writable, instead." if is_mount else "",
            )
            return old
        self._is_unwritable = False
        return new

    def _values(self) -> Given:
        if not self._path.exists():
            return NOTHING
        values = read_values(self._path)
        return Given(Secret(values.get("QWEN_AUTH_TOKEN", "")), Secret(values.get("QWEN_COOKIE", "")))

    def _complain(self, reason: str, advice: str) -> None:
        if self._is_unwritable:
            return
        self._is_unwritable = True
        _log.warning(
            "The renewed login could not be written to %s (%s): it is held in memory, and a restart loses it.%s",
            self._path,
            reason,
            advice,
        )
