"""The metrics of `GET /metrics` (docs/operating.md, Metrics).

Names and labels are those of OpenTelemetry's conventions for generative AI, in Prometheus's spelling, where there are
any; our own begin with `qwen_thread_`. Every label has few possible values: never an id, a key or a text.
"""

from collections.abc import Collection

from app.core.events import Usage
from app.core.ports import Match
from app.telemetry.counting import Counts, Spreads

OTHER = "other"
_MOST_MODELS = 200  # the live list has some tens; what it gains and loses over the years must not add up
_ANSWER = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
# the boundaries that the conventions give
_TOKENS = [4**power for power in range(14)]
_DURATIONS = [*(0.01 * 2**power for power in range(14)), 163.84, 327.68, 655.36, 1310.72]
_FIRST = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0]
_PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5]
_GAPS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]


class Metrics:
    """Counts what it is told; `provider` says who answers. It is the core's meter."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._answers: dict[str, ModelMetrics] = {}
        self._families = _Families()

    def answer(self, model: str | None) -> "ModelMetrics":
        """Return what measures the answers of a model of the live list; None stands for any other."""
        known = self._answers.get(model or OTHER)
        if known is not None:
            return known
        name = model if model and len(self._answers) < _MOST_MODELS else OTHER
        if name not in self._answers:
            self._answers[name] = ModelMetrics(self._families, ("chat", self._provider, name))
        return self._answers[name]

    def upstream_failed(self, cause: str) -> None:
        """Count an error of the site."""
        self._families.upstream_errors[cause,].value += 1

    def answered(self, route: str, status: str) -> None:
        """Count a request; `route` is a template or OTHER, `status` a class such as `2xx`."""
        self._families.requests[route, status].value += 1

    @property
    def families(self) -> Collection[Counts | Spreads]:
        """All that is counted, in the order of the page."""
        return vars(self._families).values()


class _Families:
    """What is counted, in the order of the page."""

    def __init__(self) -> None:
        self.requests = Counts("qwen_thread_requests", "Requests answered, by route.", ["route", "status"])
        self.upstream_errors = Counts(
            "qwen_thread_upstream_errors", "Errors of the site, also those that were mended.", ["cause"]
        )
        self.tokens = Spreads(
            "gen_ai_client_token_usage",
            "Tokens used, as the site counts them.",
            [*_ANSWER, "gen_ai_token_type"],
            bounds=_TOKENS,
        )
        self.duration = Spreads(
            "gen_ai_server_request_duration",
            "Time of a request for an answer, from its arrival to its end.",
            [*_ANSWER, "error_type"],
            bounds=_DURATIONS,
            unit="seconds",
        )
        self.first = Spreads(
            "gen_ai_server_time_to_first_token",
            "Time from a request to the first piece of its answer.",
            _ANSWER,
            bounds=_FIRST,
            unit="seconds",
        )
        self.per_token = Spreads(
            "gen_ai_server_time_per_output_token",
            "Mean time for a token of a whole answer.",
            _ANSWER,
            bounds=_PER_TOKEN,
            unit="seconds",
        )
        self.gap = Spreads(
            "gen_ai_client_operation_time_per_output_chunk",
            "Time between two pieces of an answer.",
            _ANSWER,
            bounds=_GAPS,
            unit="seconds",
        )
        self.matches = Counts("qwen_thread_session_matches", "Requests by how their conversation was found.", ["match"])


class ModelMetrics:
    """The measures of one model's answers, their labels looked up once: a piece of an answer costs one observation."""

    def __init__(self, families: _Families, labels: tuple[str, str, str]) -> None:
        self._input = families.tokens[*labels, "input"]
        self._output = families.tokens[*labels, "output"]
        self._duration = families.duration
        self._labels = labels
        self._matches = families.matches
        self.first_chunk = families.first[labels].observe
        self.next_chunk = families.gap[labels].observe
        self.wrote = families.per_token[labels].observe

    def placed(self, match: Match) -> None:
        """Count a request that found its place."""
        self._matches[match,].value += 1

    def spent(self, usage: Usage) -> None:
        """Take the site's count of tokens."""
        self._input.observe(usage.input_tokens)
        self._output.observe(usage.output_tokens)

    def ended(self, lasted: float, error: str) -> None:
        """Take the time of a whole request."""
        self._duration[*self._labels, error].observe(lasted)
