"""CORS: which web origins may call, by a list with wildcards for ports and hosts (docs/configuration.md)."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping

import aiohttp_cors
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter

from app.errors import ForbiddenOrigin

_EXPOSED = ("X-Session-Id", "X-Session-Match", "X-Request-Id", "X-Ignored-Params", "Retry-After")
_PREFLIGHT_SECONDS = 600
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OriginRules(Mapping[str, aiohttp_cors.ResourceOptions]):
    """The mapping that aiohttp-cors asks for an origin; its own dictionaries know exact origins or `*` only."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._allowed = re.compile("|".join(map(_pattern, patterns)) or r"(?!)", re.IGNORECASE)
        self._options = aiohttp_cors.ResourceOptions(
            allow_credentials=False,
            expose_headers=_EXPOSED,
            allow_headers="*",
            allow_methods="*",
            max_age=_PREFLIGHT_SECONDS,
        )

    def __getitem__(self, origin: str) -> aiohttp_cors.ResourceOptions:
        if origin != "*" and self._allowed.fullmatch(origin):
            return self._options
        raise KeyError(origin)

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns)

    def __len__(self) -> int:
        return len(self._patterns)


def _pattern(origin: str) -> str:
    """Return a regular expression; `:*` stands for any port or none, `*` for any host, or alone for any origin."""
    if origin == "*":
        return ".+"
    return re.escape(origin).replace(r":\*", r"(?::\d{1,5})?").replace(r"\*", r"[^/:]*")


def allow_origins(app: web.Application, patterns: tuple[str, ...]) -> None:
    """Answer preflights and mark answers on every route that is registered so far."""
    rules = ResourcesUrlDispatcherRouterAdapter(app.router, OriginRules(patterns))
    cors = aiohttp_cors.CorsConfig(app, router_adapter=rules)
    for resource in list(app.router.resources()):
        cors.add(resource)


def guard_forms(patterns: tuple[str, ...]) -> Middleware:
    """Return what refuses a form from a page whose origin is not listed: browsers send forms without asking first."""
    rules = OriginRules(patterns)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "null")  # desktop clients send none, or this
        is_form = request.method == "POST" and request.content_type != "application/json"
        if is_form and origin != "null" and "*" not in patterns and origin not in rules:
            raise ForbiddenOrigin(f"Pages of {origin!a} may not send forms here.")
        return await handler(request)

    return guard
