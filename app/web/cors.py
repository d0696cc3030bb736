"""CORS: which web origins may call, by a list with wildcards for ports and hosts (docs/configuration.md)."""

import re
from collections.abc import Iterator, Mapping

import aiohttp_cors
from aiohttp import hdrs, web
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter

_EXPOSED = (
    "X-Session-Id",
    "X-Session-Match",
    "X-Request-Id",
    "X-Ignored-Params",
    "Retry-After",
    "X-Should-Retry",  # a page whose client cannot read it says an accepted prompt again
    "Content-Disposition",
)
_PREFLIGHT_SECONDS = 600


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


class _CrossOriginOnly(ResourcesUrlDispatcherRouterAdapter):
    """Spares requests without an `Origin` the search for rules, after which aiohttp-cors would leave them alone."""

    def is_cors_enabled_on_request(self, request: web.Request) -> bool:
        return hdrs.ORIGIN in request.headers and bool(super().is_cors_enabled_on_request(request))


def allow_origins(app: web.Application, patterns: tuple[str, ...]) -> None:
    """Answer preflights and mark answers on every route that is registered so far."""
    rules = _CrossOriginOnly(app.router, OriginRules(patterns))
    cors = aiohttp_cors.CorsConfig(app, router_adapter=rules)
    for resource in list(app.router.resources()):
        cors.add(resource)
