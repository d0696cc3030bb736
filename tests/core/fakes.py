"""Small stand-ins for what the core asks of the world."""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from app.core.histories import Histories
from app.core.history import History
from app.core.messages import Message
from app.core.modes import Mode
from app.core.ports import ModelInfo
from app.errors import UpstreamError


class FakeClock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_790_000_000 + self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def model(
    name: str,
    *,
    can_think: bool = True,
    must_think: bool = False,
    general: bool = True,
    modes: frozenset[Mode] | None = None,
) -> ModelInfo:
    made = ModelInfo(name, name.title(), "qwen", 1_790_000_000, 1_000_000, can_think, must_think, general)
    return replace(made, modes=modes)


class FakeModels:
    """Answers `models` from a queue of lists and errors; the last one stays."""

    def __init__(self, *answers: Sequence[ModelInfo] | UpstreamError) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def models(self) -> Sequence[ModelInfo]:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, UpstreamError):
            raise answer
        return answer


def read_history(messages: tuple[Message, ...], owner: str, account: str) -> History:
    """Read a history as a server does that has read nothing before."""
    return Histories(0).read(messages, owner, account)
