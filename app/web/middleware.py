"""What every request passes, outermost first: its id and log line, errors to JSON, the host guard, the caller's key."""

import hmac
import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from app import log
from app.config import Settings
from app.config_values import DEFAULT_OWNER
from app.core.ids import new_hex
from app.errors import (
    BodyTooLarge,
    ForbiddenHost,
    ForbiddenOrigin,
    GatewayError,
    InvalidApiKey,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
)
from app.openai.errors import error_body, error_headers
from app.telemetry.metrics import OTHER
from app.web.access_log import Visit
from app.web.keys import OWNER, SERVICES, VISIT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)
_CLIENT_LEFT = 499
_SANE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, the client's own if it sent a sane one, and log how it went."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _SANE_ID.fullmatch(given) else f"req_{new_hex()[:16]}"
    clock = request.app[SERVICES].clock
    visit = Visit(clock.now(), clock.monotonic(), request_id, request.method)
    request[VISIT] = visit
    token = log.REQUEST_ID.set(request_id)
    status = _CLIENT_LEFT
    try:
        response = await handler(request)
        status = response.status
        if isinstance(response, web.Response) and request.method != "HEAD":
            visit.sent = response.content_length or 0
        return response
    finally:
        ended = clock.monotonic()
        _note(request, visit, status, ended)
        quiet = request.path in {"/health", "/ready"}
        _log.log(
            logging.DEBUG if quiet else logging.INFO,
            "%s %s: %s in %.0f ms",
            request.method,
            request.path,
            "client left" if status == _CLIENT_LEFT else status,
            (ended - visit.began) * 1000,
        )
        log.REQUEST_ID.reset(token)


def _note(request: web.Request, visit: Visit, status: int, ended: float) -> None:
    """Count a request that is over, and write its line where that is asked for."""
    services, route = request.app[SERVICES], route_of(request)
    services.metrics.answered(route, "client_left" if status == _CLIENT_LEFT else f"{status // 100}xx")
    if services.access_log is not None:
        services.access_log.write(visit, owner=request.get(OWNER), route=route, status=status, ended=ended)


def route_of(request: web.Request) -> str:
    """Return the template of the request's route, such as `/v1/models/{model}`; "other" where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else OTHER


async def mark_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Name the request on its answer; a signal, because streams send their headers before the middleware ends."""
    visit = request[VISIT]
    visit.first_byte = request.app[SERVICES].clock.monotonic()
    response.headers["X-Request-Id"] = visit.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "qwen-thread"


@web.middleware
async def errors_to_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error, aiohttp's own included, in OpenAI's shape."""
    try:
        return await handler(request)
    except GatewayError as problem:
        error = problem
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        error = _translate(request, problem)
    except ConnectionError:
        return web.Response(status=_CLIENT_LEFT)  # nobody reads it, but the log does
    except Exception:
        _log.exception("This is a fault in qwen-thread itself")
        error = GatewayError("The server met an unexpected error; its log says more under this request's id.")
    _log.log(error.log_level, "%s %s: %s", type(error).__name__, error.code or "", error)
    return web.Response(
        status=error.status, body=error_body(error), content_type="application/json", headers=error_headers(error)
    )


def _translate(request: web.Request, problem: web.HTTPException) -> GatewayError:
    if isinstance(problem, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(problem.allowed_methods))
        return MethodNotAllowed(f"{request.path} does not take {request.method}, but {allowed}.", allowed=allowed)
    if isinstance(problem, web.HTTPNotFound):
        return RouteNotFound(f"There is no {request.path} here. GET / lists what there is.")
    if isinstance(problem, web.HTTPRequestEntityTooLarge):
        limit = request.app[SERVICES].settings.max_body_bytes
        return BodyTooLarge(f"The request body is larger than {limit:,} bytes (MAX_BODY_BYTES).")
    if isinstance(problem, web.HTTPForbidden):
        return ForbiddenOrigin(f"{problem.text}.")
    return InvalidRequest(problem.text or problem.reason)


@web.middleware
async def guard_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without keys, answer to loopback names only: a web page cannot reach us through a name that it rebinds."""
    settings = request.app[SERVICES].settings
    if not settings.api_keys and not settings.allow_open and not _LOOPBACK_HOST.fullmatch(request.host):
        raise ForbiddenHost(f"The server has no API_KEYS and was called as {request.host!r}.")
    return await handler(request)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the owner behind the caller's key for everything under /v1, and for what tells how much goes on."""
    settings = request.app[SERVICES].settings
    guarded = request.path.startswith("/v1/") or request.path == "/metrics"
    if settings.api_keys and guarded and request.method != "OPTIONS":
        request[OWNER] = _owner(settings, request)
    else:
        request[OWNER] = DEFAULT_OWNER
    return await handler(request)


def _owner(settings: Settings, request: web.Request) -> str:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "")
    raw = given.encode("utf-8", "surrogateescape")
    owners = [entry.owner for entry in settings.api_keys if hmac.compare_digest(entry.key.reveal().encode(), raw)]
    if not owners:
        raise InvalidApiKey("The API key is wrong." if given else "An API key is needed.")
    return owners[0]
