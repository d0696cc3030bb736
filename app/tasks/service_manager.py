"""Tell systemd how we are (docs/operating.md, systemd): ready, stopping, and alive as long as the event loop turns.

The protocol is a datagram of lines to the socket that NOTIFY_SOCKET names; without that variable nothing happens.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping

_log = logging.getLogger(__name__)
_PARTS = 2  # how often the watchdog is fed within the time after which it bites


class ServiceManager:
    """Sends what systemd wants to know; `environ` is the process's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_seconds = _seconds(environ)

    def tell(self, **states: str) -> None:
        """Send states such as `READY="1"`. A service manager that is gone is no reason to stop."""
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in states.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(text.encode(), self._address)
        except OSError as problem:
            _log.warning("The service manager could not be told %s: %s", ", ".join(states), problem)

    @contextlib.asynccontextmanager
    async def watching(self, status: str) -> AsyncIterator[None]:
        """Say that the server is ready, then that it lives, until the block ends; then that it stops."""
        feeding = asyncio.create_task(self._feed(), name="feed the watchdog")
        self.tell(READY="1", STATUS=status)
        try:
            yield
        finally:
            self.tell(STOPPING="1", STATUS="Stopping; running answers are given time to end")
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(self) -> None:
        """Feed the watchdog from the event loop: one that is stuck is noticed, and the service started anew."""
        while self._address and self._watchdog_seconds:
            self.tell(WATCHDOG="1")
            await asyncio.sleep(self._watchdog_seconds / _PARTS)


def _seconds(environ: Mapping[str, str]) -> float:
    """Return after how many seconds the watchdog bites, 0 for never; it may be meant for another process."""
    microseconds, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or (process and process != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1_000_000
