"""What is worth measuring about answers, as the core tells it. Every method is cheap and raises nothing."""

from typing import Protocol

from app.core.events import Usage
from app.core.ports.records import Match


class AnswerMeter(Protocol):
    """Takes the measures of answers by one model. All times are in seconds."""

    def placed(self, match: Match) -> None:
        """Count a request that found its place and was accepted by upstream."""
        ...

    def first_chunk(self, waited: float) -> None:
        """Take the time from the request to the first piece of its answer."""
        ...

    def next_chunk(self, gap: float) -> None:
        """Take the time between two pieces."""
        ...

    def spent(self, usage: Usage) -> None:
        """Take upstream's count of tokens."""
        ...

    def wrote(self, per_token: float) -> None:
        """Take the mean time for a token of a whole answer."""
        ...

    def ended(self, lasted: float, error: str) -> None:
        """Take the time of the whole request; `error` is one of the codes of `app/errors`, "" for none."""
        ...


class Meter(Protocol):
    """Takes measures."""

    def answer(self, model: str | None) -> AnswerMeter:
        """Return what measures the answers of a model of the live list; None stands for any other."""
        ...

    def upstream_failed(self, cause: str) -> None:
        """Count an error of upstream, by one of the codes of `app/errors`."""
        ...
