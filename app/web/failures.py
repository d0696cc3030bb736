"""What a client is told when something fails, in the shape of the wire format that it speaks."""

import logging

from aiohttp import web

from app import log
from app.anthropic import errors as anthropic
from app.errors import (
    BodyTooLarge,
    ForbiddenOrigin,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
)
from app.openai.errors import error_body, error_headers

_log = logging.getLogger(__name__)
CLIENT_LEFT = 499
_ANTHROPIC = "/v1/messages"


def speaks_anthropic(request: web.BaseRequest) -> bool:
    """Say whether a request is in Anthropic's wire format."""
    return _ANTHROPIC in request.rel_url.raw_path  # also behind a base URL that is none


def failed(request: web.Request, problem: Exception, request_id: str) -> web.Response:
    """Answer an error, aiohttp's own included."""
    if isinstance(problem, web.HTTPException):
        if problem.status < 400:
            raise problem
        problem = _translate(request, problem)
    elif isinstance(problem, ConnectionError):
        return web.Response(status=CLIENT_LEFT)  # nobody reads it, but the log does
    error = told(problem)
    return _answer(error, anthropic.error_body(error, request_id)) if speaks_anthropic(request) else error_answer(error)


def error_answer(error: GatewayError) -> web.Response:
    """Write an error in OpenAI's shape."""
    return _answer(error, error_body(error))


def _answer(error: GatewayError, body: bytes) -> web.Response:
    return web.Response(status=error.status, body=body, content_type="application/json", headers=error_headers(error))


def _translate(request: web.Request, problem: web.HTTPException) -> GatewayError:
    """Return aiohttp's own error as one of ours; paths as they were sent, because they may hold any character."""
    path = request.rel_url.raw_path
    if isinstance(problem, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(problem.allowed_methods))
        return MethodNotAllowed(f"{path} does not take {request.method}, but {allowed}.", allowed=allowed)
    if isinstance(problem, web.HTTPNotFound):
        meant = _route_meant(request, path)
        but = f", but {meant}" if meant else ""
        base = "A client's base URL ends in /v1; "
        if speaks_anthropic(request):
            base = "" if path.startswith(_ANTHROPIC) else "The base URL of Anthropic's clients has no /v1; "
        return RouteNotFound(f"There is no {path} here{but}. {base}GET / lists the routes.")
    if isinstance(problem, web.HTTPRequestEntityTooLarge):
        return BodyTooLarge(f"The request body is larger than {request.client_max_size:,} bytes (MAX_BODY_BYTES).")
    text = log.on_one_line(problem.text or problem.reason)
    return ForbiddenOrigin(f"{text}.") if isinstance(problem, web.HTTPForbidden) else InvalidRequest(text)


def _route_meant(request: web.Request, path: str) -> str | None:
    """Find the route that a path ends in: a base URL without /v1, or a slash behind all of it, is soon written."""
    routes = (resource.canonical for resource in request.app.router.resources())
    ends = path.rstrip("/")
    return next((each for each in routes if each.startswith("/v1/") and ends.endswith(each.removeprefix("/v1"))), None)


def told(problem: BaseException | None) -> GatewayError:
    """Log a failure; return what the client is told of it, little of what nobody foresaw."""
    if isinstance(problem, GatewayError):
        _log.log(problem.log_level, "%s %s: %s", type(problem).__name__, problem.code or "", problem)
        return problem
    _log.error("This is a fault in qwen-thread itself", exc_info=problem)
    return GatewayError("The server met an unexpected error; its log says more under this request's id.")
