"""What every request passes, outermost first: its id and log line, errors to JSON, the guards."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

from aiohttp import hdrs, web

from app import log
from app.core.ids import new_hex
from app.errors import GatewayError, reason_of
from app.telemetry.metrics import OTHER
from app.web.access_log import Visit
from app.web.cors import answer_preflight
from app.web.failures import CLIENT_LEFT, failed, speaks_anthropic
from app.web.guards import Guards
from app.web.keys import OWNER, VISIT, Services
from app.web.stopping import Stopping

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)
_SANE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class Passage:
    """The one middleware: each further one would be one more coroutine that every wait below it goes through."""

    def __init__(self, services: Services, stopping: Stopping) -> None:
        self._stopping = stopping
        self._clock = services.clock
        self._metrics = services.metrics
        self._access_log = services.access_log
        self._guards = Guards(services.settings)

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, whatever happens, and note how it went."""
        visit = self._arrived(request)
        response: web.StreamResponse | None = None
        try:
            self._stopping.enter(request)
            try:
                self._guards.check_host(request)
                self._guards.check_form(request)
                request[OWNER] = self._guards.owner(request)
                response = await handler(request)
            except asyncio.CancelledError as problem:
                reason = reason_of(problem)
                if not isinstance(reason, GatewayError) or visit.first_byte is not None:
                    raise
                response = failed(request, reason, visit.request_id)
            except web.HTTPNotFound as problem:
                response = answer_preflight(request, self._guards.origins) or failed(request, problem, visit.request_id)
            except Exception as problem:
                response = failed(request, problem, visit.request_id)
            if self._stopping.has_begun:
                response.force_close()
            return response
        finally:
            self._stopping.leave(request)
            self._left(request, visit, response)

    def _arrived(self, request: web.Request) -> Visit:
        """Give the request its id, the client's own if it sent a sane one."""
        request_id = request.headers.get("X-Request-Id")
        if request_id is None or not _SANE_ID.fullmatch(request_id):
            request_id = f"req_{new_hex()[:16]}"  # the first 12 differ in each
        log.REQUEST_ID.set(request_id)  # in the request's own task, and so until its end
        request[VISIT] = visit = Visit(self._clock.monotonic(), request_id, request.method)
        return visit

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Name the request on its answer; a signal, because streams send their headers before the middleware ends."""
        try:
            visit = request[VISIT]
        except KeyError:
            visit = self._unexpected(request, response)
        visit.first_byte = self._clock.monotonic()
        headers = response.headers
        headers["X-Request-Id"] = visit.request_id
        if speaks_anthropic(request):
            headers["request-id"] = visit.request_id  # as its clients look for it
        headers["X-Content-Type-Options"] = "nosniff"
        headers[hdrs.SERVER] = "qwen-thread"

    def _unexpected(self, request: web.Request, response: web.StreamResponse) -> Visit:
        """Put our error into aiohttp's answer to an `Expect` that it does not know: no middleware sees it."""
        visit = self._arrived(request)
        if isinstance(response, web.HTTPException):
            ours = failed(request, response, visit.request_id)
            response.body = ours.body
            response.headers.update(ours.headers)
            response.headers[hdrs.CONTENT_LENGTH] = str(ours.content_length)  # that of its own text was told before
            request.writer.length = ours.content_length
        self._left(request, visit, response)
        return visit

    def _left(self, request: web.Request, visit: Visit, response: web.StreamResponse | None) -> None:
        """Count a request that is over, log how it went, and write its line where that is asked for."""
        status = response.status if response is not None else CLIENT_LEFT
        ended, route = self._clock.monotonic(), route_of(request)
        self._metrics.answered(route, "client_left" if status == CLIENT_LEFT else f"{status // 100}xx")
        if self._access_log is not None:
            if isinstance(response, web.Response) and request.method != "HEAD":
                visit.sent = response.content_length or 0
            at = self._clock.now() - timedelta(seconds=ended - visit.began)
            self._access_log.write(visit, at=at, owner=request.get(OWNER), route=route, status=status, ended=ended)
        if _log.isEnabledFor(logging.INFO):
            path = request.rel_url.raw_path
            _log.log(
                logging.DEBUG if path in {"/health", "/ready"} else logging.INFO,
                "%s %s: %s in %.0f ms",
                request.method,
                path,
                "client left" if status == CLIENT_LEFT else status,
                (ended - visit.began) * 1000,
            )


def route_of(request: web.Request) -> str:
    """Return the template of the request's route, such as `/v1/models/{model}`; "other" where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else OTHER
