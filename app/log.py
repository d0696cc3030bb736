"""Logging: one line an event, with the id of the request it belongs to and without any secret."""

import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, TextIO

from app.config_values import Secret
from app.outlet import Outlet

_PIECE = 1000  # characters, at most 4,000 bytes: there is room for them where a pipe says that it has any
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")

_SHAPES = re.compile(
    r"(?P<keep>bearer\s+|x-api-key:\s*|(?:set-)?(?<!qwen_)cookie:\s*"  # headers
    r"|qwen_cookie:\s*(?=[^\s=]+=))[^\s'\",][^\r\n'\"]*"  # our setting, but not before what is wrong with it
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # JSON Web Tokens
    r"|(?P<name>(?:access_|refresh_)?token|x5secdata)=[^\s;&'\"]+",  # cookies and signed addresses
    re.IGNORECASE,
)


class Redaction:
    """Replaces secrets in a text: the known ones wherever they stand, others by their shape."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._known = [secret.reveal() for secret in secrets if len(secret.reveal()) >= 6]

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for known in self._known:
            text = text.replace(known, "***")
        return _SHAPES.sub(self._mask, text)

    @staticmethod
    def _mask(found: re.Match[str]) -> str:
        if found["keep"]:
            return found["keep"] + "***"
        return f"{found['name']}=***" if found["name"] else "***"


def on_one_line(text: str) -> str:
    """Return a text with its control characters escaped: clients' words must not look like lines of the log."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class _Formatter(logging.Formatter):
    """Adds the request id, keeps messages on one line, and redacts the finished line, tracebacks included."""

    def __init__(self, redact: Redaction) -> None:
        super().__init__("{asctime} {levelname:<7} [{request_id}] {name}: {message}", style="{")
        self.default_msec_format = "%s.%03d"
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = REQUEST_ID.get()
        return self._redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = on_one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(map(on_one_line, super().formatException(ei).split("\n")))


class _Handler(logging.StreamHandler[TextIO]):
    """Leaves lines out while nobody reads them, and says so afterwards."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._outlet = Outlet(stream)
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
            if self._left_out:
                line = f"{self._left_out:,} lines were left out here, since nobody read the log\n{line}"
            self._left_out = 0 if self._is_written(line) else self._left_out + 1
        except Exception:  # as logging's own handlers do
            self.handleError(record)

    def _is_written(self, text: str) -> bool:
        """Write a text, piece by piece, as long as there is room; say whether all of it is written."""
        for start in range(0, len(text), _PIECE):
            if self._outlet.is_full:
                return False
            self.stream.write(text[start : start + _PIECE])
            self.flush()
        return True


def configure(level: str, secrets: Iterable[Secret] = ()) -> None:
    """Send the log of `level` and above to standard error; calling again replaces the earlier set-up."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(Redaction(secrets)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "aiosqlite", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
