"""What the commands print, which may be the words of web pages, and whether a person sits there."""

import io
import re
import sys
from typing import TextIO

# Also what turns the direction of a text. What joins emoji, and the blanks of other scripts, steers nothing.
_STEERS = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def tamed(text: str) -> str:
    """Return a text with what would steer a terminal escaped; its lines and tabs stay."""
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person is at a stream; there is none where the shell closed it."""
    return stream is not None and stream.isatty()


def take_every_character() -> None:
    """Have files and pipes get UTF-8, whatever the system's encoding is, and a terminal what it can show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")
