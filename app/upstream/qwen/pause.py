"""After an answer of the bot protection: leave the site alone for a while (docs/operating.md, When the site fails)."""

import logging
from datetime import datetime, timedelta

from app.clock import Clock
from app.errors import UpstreamBlocked, UpstreamError, UpstreamTimeout, UpstreamUnreachable

_log = logging.getLogger(__name__)
_LONGEST = 3600.0
_MOST_DOUBLED = 16
_NO_WORD = (UpstreamTimeout, UpstreamUnreachable)


class Pause:
    """Waits `first` seconds after a block, twice as long after each further one, an hour at most; 0 never waits.

    Meanwhile every guarded call is answered with the block, without a call to the site. After the wait one call goes
    through to see; the others are held until it is known how that one went.
    """

    def __init__(self, clock: Clock, *, first: float) -> None:
        self._clock = clock
        self._first = first
        self._blocks = 0
        self._said = ""
        self._ends = 0.0
        self._until: datetime | None = None
        self._probing = False

    @property
    def problem(self) -> str | None:
        """One sentence for a person while the site is left alone or the next call has yet to show that it may not."""
        if self._until is None:
            return None
        if self._probing or self._left() <= 0:
            return f"{self._said} The next request will show whether that is over."
        return f"{self._said} Nothing is sent to it until {self._until:%H:%M:%S} UTC."

    @property
    def seconds(self) -> float:
        """For how long the site is left alone, 0 where a call may be made."""
        return max(0.0, self._left()) if self._until is not None else 0.0

    def refusal(self) -> UpstreamBlocked:
        """Return the error of a call that is not made."""
        return UpstreamBlocked(self.problem or "", cause="pause", retry_after=max(1.0, self._left()))

    def enter(self) -> bool:
        """Begin a guarded call; return whether it is the one that tries the site, which has to `leave`.

        Raises UpstreamBlocked while the site is left alone: the call is not made.
        """
        if self._until is None:
            return False
        if self._left() > 0 or self._probing:
            raise self.refusal()
        self._probing = True
        _log.info("The pause after a block is over; one request tries the site again")
        return True

    def leave(self) -> None:
        """End the call that tried the site, however it went."""
        self._probing = False

    def failed(self, problem: UpstreamError) -> None:
        """A guarded call failed: with an error of the site's own all is well."""
        if not isinstance(problem, (UpstreamBlocked, *_NO_WORD)):
            self.passed()

    def blocked(self, problem: UpstreamBlocked) -> None:
        """The bot protection answered. Blocks of calls that were on their way already count as one."""
        if self._until is not None and self._left() > 0:
            problem.retry_after = self._left()
            return
        wait = min(self._first * 2 ** min(self._blocks, _MOST_DOUBLED), _LONGEST)
        self._blocks += 1
        self._said = str(problem)
        self._ends = self._clock.monotonic() + wait
        self._until = self._clock.now() + timedelta(seconds=wait)
        problem.retry_after = wait or None
        _log.warning("The site's bot protection answered; it is left alone for %.0f s", wait)

    def passed(self) -> None:
        """The site itself answered: all is well."""
        if self._until is not None and not (self._left() > 0 and not self._probing):
            _log.info("The site answers again")
            self._until, self._blocks = None, 0

    def _left(self) -> float:
        return self._ends - self._clock.monotonic()
