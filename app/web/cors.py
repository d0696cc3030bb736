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
    "request-id",  # the same at /v1/messages
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


class _EveryAnswer(ResourcesUrlDispatcherRouterAdapter):
    """Has the same rules for every answer, also for one that no route gives: a page is to read what is wrong with it.

    Requests without an `Origin` are spared the search for rules, after which aiohttp-cors would leave them alone.
    """

    def __init__(self, router: web.UrlDispatcher, rules: OriginRules) -> None:
        super().__init__(router, rules)
        self._rules = rules

    def is_cors_enabled_on_request(self, request: web.Request) -> bool:
        return hdrs.ORIGIN in request.headers

    def get_non_preflight_request_config(self, request: web.Request) -> OriginRules:
        return self._rules


def answer_preflight(request: web.Request, rules: OriginRules) -> web.Response | None:
    """Let a page ask for what is not here, to read that it is not; None for what is no preflight, or not allowed."""
    method = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
    if request.method != hdrs.METH_OPTIONS or method is None or request.headers.get(hdrs.ORIGIN, "") not in rules:
        return None
    return web.Response(
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: method,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ""),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_SECONDS),
        }
    )


def allow_origins(app: web.Application, patterns: tuple[str, ...]) -> None:
    """Answer preflights on every route that is registered so far, and mark every answer."""
    rules = _EveryAnswer(app.router, OriginRules(patterns))
    cors = aiohttp_cors.CorsConfig(app, router_adapter=rules)
    for resource in list(app.router.resources()):
        cors.add(resource)
