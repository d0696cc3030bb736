"""The stop watch of one request for an answer: it reads the clock and tells the meter."""

from app.clock import Clock
from app.core.events import Usage
from app.core.ports import Match, Meter
from app.errors import GatewayError, is_left, reason_of


class AnswerWatch:
    """Runs from the request to the end of its answer, when it must be closed."""

    __slots__ = ("_accepted", "_answer", "_began", "_error", "_last", "_meter", "_seconds")

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter = meter
        self._seconds = clock.monotonic
        self._answer = meter.answer(None)
        self._began = self._seconds()
        self._accepted: float | None = None
        self._last: float | None = None
        self._error = ""

    def close(self, problem: BaseException | None) -> None:
        """The request is over; `problem` is why there is no whole answer, if so."""
        if problem is not None:
            self.failed(problem)
        self._answer.ended(self._seconds() - self._began, self._error)

    def chosen(self, model: str | None) -> None:
        """Say which model of the live list answers; None for one that is not in it."""
        self._answer = self._meter.answer(model)

    def placed(self, match: Match) -> None:
        """Upstream began to answer; what failed before was mended."""
        self._accepted = self._seconds()
        self._error = ""
        self._answer.placed(match)

    def chunk(self) -> None:
        """A piece of the answer is there."""
        now, last = self._seconds(), self._last
        self._last = now
        if last is None:
            self._answer.first_chunk(now - self._began)
        else:
            self._answer.next_chunk(now - last)

    def spent(self, usage: Usage, *, whole: bool) -> None:
        """The answer is recorded; `whole`: upstream came to its end."""
        self._answer.spent(usage)
        if whole and usage.output_tokens > 1 and self._accepted is not None and self._last is not None:
            self._answer.wrote((self._last - self._accepted) / (usage.output_tokens - 1))

    def failed(self, problem: BaseException) -> None:
        """Remember why there is no whole answer."""
        self._error = _name(problem)


def _name(problem: BaseException) -> str:
    """Return a short name out of a bounded set."""
    problem = reason_of(problem)
    if isinstance(problem, GatewayError):
        return problem.code or problem.type
    return "client_left" if is_left(problem) else GatewayError.type
