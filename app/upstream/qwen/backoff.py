"""How long a renewal that failed is left alone."""

from app.clock import Clock
from app.errors import UpstreamBlocked, UpstreamError

_FIRST = 10.0
_LONGEST = 600.0


class Backoff:
    """The pause after a failure: 10 seconds, then twice as long each time, 10 minutes at most and after a block.

    `problem` is the last failure, as long as it stands; `failures` counts those since it was last forgiven.
    """

    def __init__(self, clock: Clock) -> None:
        self.problem: UpstreamError | None = None
        self.failures = 0
        self._clock = clock
        self._not_before = float("-inf")

    @property
    def seconds(self) -> float:
        """What is left of the pause, 0 once it is over."""
        return max(0.0, self._not_before - self._clock.monotonic())

    def fail(self, problem: UpstreamError | None, *, most: float = _LONGEST) -> float:
        """Begin the next pause and return its seconds, `most` at most; without a problem nobody is told of one."""
        self.problem = None if problem is None else problem.anew()
        self.failures += 1
        doubled: float = _FIRST * 2 ** min(self.failures - 1, 16)
        seconds = _LONGEST if isinstance(problem, UpstreamBlocked) else min(doubled, _LONGEST, max(most, _FIRST))
        self._not_before = self._clock.monotonic() + seconds
        return seconds

    def forgive(self) -> None:
        """All is well again."""
        self.problem = None
        self.failures = 0
        self._not_before = float("-inf")
