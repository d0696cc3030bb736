"""The access log: one line of JSON for each request, where ACCESS_LOG asks for it (docs/operating.md, Access log)."""

import logging
from datetime import datetime
from typing import TextIO

import msgspec
from msgspec import Struct

from app.clock import timestamp
from app.core.turn import Turn
from app.outlet import Outlet

_log = logging.getLogger(__name__)


class Visit(Struct):
    """What is noted of a request while it is served.

    `began` and `first_byte` are readings of the steady clock, in seconds; `sent` is in bytes, without headers. `model`
    is named where there is no `turn` to look it up in.
    """

    began: float
    request_id: str
    method: str
    first_byte: float | None = None
    sent: int = 0
    turn: Turn | None = None
    model: str | None = None


class AccessLog:
    """Writes lines to a stream. One that nobody reads any more is given up, and the log says so.

    Where its reader merely stalls, lines are left out until it reads on: a write that waits would hold up all requests.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._outlet = Outlet(stream)
        self._left_out = 0

    def write(self, visit: Visit, *, at: datetime, owner: str | None, route: str, status: int, ended: float) -> None:
        """Write the line of a request that is over; `at` it began, `ended` is a steady clock's reading."""
        if self._stream is None or self._leaves_out():
            return
        first = visit.first_byte if visit.first_byte is not None else ended
        node, used = (visit.turn.draft.node, visit.turn.used) if visit.turn is not None else (None, None)
        line = msgspec.json.encode(
            {
                "time": timestamp(at),
                "request_id": visit.request_id,
                "owner": owner,
                "method": visit.method,
                "path": route,
                "status": status,
                "ms": _milliseconds(ended - visit.began),
                "first_byte_ms": _milliseconds(first - visit.began),
                "bytes_out": visit.sent,
                "model": node.model if node else visit.model,
                "match": node.match if node else None,
                "session": node.session_id if node else None,
                "input_tokens": used.input_tokens if used else None,
                "output_tokens": used.output_tokens if used else None,
            }
        )
        try:
            self._stream.write(line.decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError) as problem:  # ValueError: it was closed
            self._stream = None
            _log.error("The access log ends here: it cannot be written (%s). Start again to have it back.", problem)

    def _leaves_out(self) -> bool:
        """Say whether the line has to be left out; the log is told when that begins, and how many when it is over."""
        if self._outlet.is_full:
            if not self._left_out:
                _log.warning("The access log is not read, so its lines are left out until it is.")
            self._left_out += 1
            return True
        if self._left_out:
            _log.warning("The access log goes on; %d of its lines were left out.", self._left_out)
            self._left_out = 0
        return False


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
