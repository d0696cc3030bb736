"""Where lines are written that somebody reads, or does not: a write that waits for its reader holds up everything."""

import os
import select
import stat
import sys
from typing import TextIO


class Outlet:
    """Knows whether a write of up to 4,096 bytes would wait for who reads it: a pipe, a socket or a terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._number = _number_of(stream)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a line now; never for what takes all that is written."""
        if self._number is None:
            return False
        try:
            return not select.select((), (self._number,), (), 0)[1]
        except (OSError, ValueError):
            return False  # it was closed, which writing finds out


def _number_of(stream: TextIO | None) -> int | None:
    """Return the number of a stream that may be full, None for any other, and for one that the shell closed."""
    if stream is None or sys.platform == "win32":
        return None
    try:
        number = stream.fileno()
        mode = os.fstat(number).st_mode
    except (OSError, ValueError):  # it is none of the system's, or closed
        return None
    return number if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(number) else None
