"""What every error is made of."""

import asyncio
import logging
from typing import ClassVar


class GatewayError(Exception):
    """A fault of the server itself, or the base of what follows; it carries a public message.

    `param` names the field of the request at fault; `retry_after` is in seconds; `accepted` says that upstream
    had taken the prompt, after which a client must not simply send it again.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: ClassVar[str | None] = None
    retry: ClassVar[bool] = True
    log_level: ClassVar[int] = logging.INFO
    sign: ClassVar[str] = ""  # words by which programs know the error that do not look at its code
    advice: ClassVar[str] = ""
    advice_zh: ClassVar[str] = ""

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.retry_after = retry_after
        self.accepted = False

    @property
    def message(self) -> str:
        """What happened, and what to do in English and Chinese, for a person."""
        return " ".join(part for part in (self.sign, str(self.args[0]), self.advice, self.advice_zh) if part)

    @property
    def should_retry(self) -> bool:
        """Whether a client's automatic retry can help and does no harm."""
        return self.retry and not self.accepted


def reason_of(problem: BaseException) -> BaseException:
    """Return why something ended: the error that a cancellation carries, or the problem itself."""
    carried = problem.args[0] if isinstance(problem, asyncio.CancelledError) and problem.args else None
    return carried if isinstance(carried, GatewayError) else problem


def is_left(problem: BaseException) -> bool:
    """Say whether something ended because nobody waits for it any more."""
    return isinstance(problem, asyncio.CancelledError | ConnectionError | GeneratorExit)
