"""Connections on which every error has OpenAI's shape: what aiohttp cannot read never comes to the application."""

import asyncio
import logging
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from app import log
from app.core.ids import new_hex
from app.errors import InvalidRequest
from app.web.failures import error_answer, told
from app.web.forms import words_of

_log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """Runs an application on such connections."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        # without aiohttp's own access log
        return _Connection(self, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, and what went wrong outside the middleware."""
        log.REQUEST_ID.set(request_id := f"req_{new_hex()[:16]}")
        if isinstance(exc, HttpProcessingError):
            exc = InvalidRequest(f"The request could not be read: {words_of(exc)}.")
        answer = error_answer(told(exc))
        if request.writer.output_size:
            raise ConnectionError("A part of another answer is on its way")
        answer.headers["X-Request-Id"] = request_id
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers[hdrs.SERVER] = "qwen-thread"
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Spare the log what is left of a body that cannot be read: its request was answered."""
        if isinstance(problem := kw.get("exc_info"), web.RequestPayloadError):
            _log.debug("The rest of a body could not be read: %s", words_of(problem))
        else:
            super().log_exception(*args, **kw)
