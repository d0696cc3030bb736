"""Who may ask: the host guard, the guard of forms and the caller's key, decided as far as the settings decide it."""

import hmac
import re

from aiohttp import hdrs, web

from app.config import Settings
from app.config_values import DEFAULT_OWNER
from app.errors import ForbiddenHost, ForbiddenOrigin, InvalidApiKey
from app.web.cors import OriginRules

_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_OF_NO_OTHER_SITE = frozenset({"none", "same-origin"})


class Guards:
    """What a request has to pass before it is answered."""

    def __init__(self, settings: Settings) -> None:
        self._is_loopback_only = not settings.api_keys and not settings.allow_open
        self._keys = [(entry.owner, entry.key.reveal().encode()) for entry in settings.api_keys]
        self._allows_any_origin = "*" in settings.cors_origins
        self.origins = OriginRules(settings.cors_origins)

    def check_host(self, request: web.Request) -> None:
        """Without keys, take loopback names only: a web page cannot reach us through a name that it rebinds."""
        if self._is_loopback_only and not _LOOPBACK_HOST.fullmatch(request.host):
            raise ForbiddenHost(f"The server has no API_KEYS and was called as {request.host!r}.")

    def check_form(self, request: web.Request) -> None:
        """Refuse a form from a page whose origin is not listed: browsers send forms without asking first."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or self._allows_any_origin or origin in self.origins:
            return
        if origin == "null" and request.headers.get("Sec-Fetch-Site", "none") in _OF_NO_OTHER_SITE:
            return  # desktop clients send it; a page that hides its origin cannot hide that it is from elsewhere
        if request.method == "POST" and request.content_type != "application/json":
            raise ForbiddenOrigin(f"Pages of {origin!a} may not send forms here.")

    def owner(self, request: web.Request) -> str:
        """Find the owner behind the caller's key for everything under /v1, and for what tells how much goes on."""
        if not self._keys or request.method == "OPTIONS":
            return DEFAULT_OWNER
        if not request.path.startswith("/v1/") and request.path != "/metrics":
            return DEFAULT_OWNER
        scheme, _, bearer = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "")
        raw = given.encode("utf-8", "surrogateescape")
        owners = [owner for owner, key in self._keys if hmac.compare_digest(key, raw)]
        if not owners:
            raise InvalidApiKey("The API key is wrong." if given else "An API key is needed.")
        return owners[0]
