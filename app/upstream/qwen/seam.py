"""Where the network ends: its errors become ours, and silence is noticed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import UpstreamCut, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from app.upstream.http import NotConnected, NotHttp


@contextmanager
def mapped(silence: str, *, connect_seconds: float, in_answer: bool = False) -> Iterator[None]:
    """Turn what the network raises into UpstreamError. `silence` is the message for a timeout of asyncio.

    `in_answer` says that the answer had begun, so that its end is a cut and not an upstream out of reach.
    """
    try:
        yield
    except TimeoutError as exc:
        raise UpstreamTimeout(silence, cause="timeout") from exc
    except NotConnected as exc:
        raise _unconnected(exc, connect_seconds) from exc
    except NotHttp as exc:
        raise UpstreamProtocolError("The site's answer is not proper HTTP.", cause="http") from exc
    except OSError as exc:
        if in_answer:
            raise UpstreamCut("The connection to the site broke in mid-answer.", cause="connection") from exc
        raise UpstreamUnreachable("The connection to the site broke before it answered.", cause="connection") from exc


def _unconnected(problem: NotConnected, seconds: float) -> UpstreamError:
    match problem.why:
        case "timeout":
            said = f"The site could not be reached within {seconds:g} s (CONNECT_TIMEOUT)."
            return UpstreamTimeout(said, cause="connect")
        case "tls":
            return UpstreamUnreachable("The connection to the site could not be secured (TLS).", cause="tls")
        case "dns":
            return UpstreamUnreachable(f"The name {problem.host} could not be resolved.", cause="dns")
        case "refused":
            said = f"{problem.host} could not be reached: {problem.reason}."
            return UpstreamUnreachable(said, cause="connect")


class SilenceWatch:
    """One lazy timer for many waits: `on_expiry` is called once if a wait outlasts its deadline (loop time).

    Deadlines of successive waits must not go backwards; then a wait costs two assignments, and the timer is set
    again only when it fires.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> None:
        self.expired = False
        self._on_expiry = on_expiry
        self._loop = loop
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, deadline: float) -> None:
        """Begin to wait."""
        self._deadline = deadline
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._fire)

    def disarm(self) -> None:
        """What was waited for is there."""
        self._deadline = None

    def cancel(self) -> None:
        """Wait no more."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._fire)
            return
        self.expired = True
        self._on_expiry()
