"""The headers of our requests: what the page sends as far as it is true of us, and our own name (Transport)."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from app import __version__
from app.clock import Clock
from app.core.ids import new_uuid
from app.upstream.qwen.bodies import FRONT_END
from app.upstream.qwen.credentials import Credential, SetCookie, cookie_header, cookie_pairs, read_set_cookies

USER_AGENT = f"qwen-thread/{__version__}"
_RENEWED = frozenset({"token", "refresh_token"})


class Cookies:
    """The owner's cookies and those that the site set since; none are invented. There is one host, hence one jar.

    What the site set wins over what the owner pasted, until the owner pastes anew; `token` is always the token in use,
    the long one where both kinds are known. Renewing the login is no pasting.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pasted: dict[str, str] = {}
        self._jar: dict[str, SetCookie] = {}

    def header(self, credential: Credential) -> str:
        """Return the value of the `Cookie` header."""
        pairs = cookie_pairs(credential.cookie.reveal())
        pasted = {name: value for name, value in pairs.items() if name not in _RENEWED}
        if pasted != self._pasted:
            self._pasted = pasted
            self._jar.clear()
        now = self._clock.now()
        for name, cookie in self._jar.items():
            if cookie.ends is None or cookie.ends > now:
                pairs[name] = cookie.value
            else:
                pairs.pop(name, None)
        pairs["token"] = (credential.session or credential.token).reveal()
        return cookie_header(pairs)

    def keep(self, lines: Iterable[str]) -> None:
        """Take over what the `Set-Cookie` lines of an answer say; an end in the past hides the owner's cookie too."""
        self._jar.update(read_set_cookies(lines, self._clock.now()))


def build_headers(
    method: str,
    origin: str,
    credential: Credential,
    cookie: str,
    *,
    now: datetime,
    chat_id: str | None,
    streams: bool,
    user_agent: str = "",
) -> dict[str, str]:
    """Return the headers of one request; `chat_id` names the page that it would come from."""
    headers = {
        "Authorization": f"Bearer {credential.token.reveal()}",
        "Cookie": cookie,
        "Accept": "application/json" if streams else "application/json, text/plain, */*",
        "Accept-Encoding": "gzip",
        "User-Agent": user_agent or USER_AGENT,
        "source": "web",
        "Version": FRONT_END,
        "Timezone": _timezone(now.replace(microsecond=0)),
        "X-Request-Id": new_uuid(),
        "Referer": f"{origin}/c/{chat_id}" if chat_id else f"{origin}/",
    }
    if method != "GET":
        headers["Origin"] = origin
    if method == "POST":
        headers["Content-Type"] = "application/json"
    if streams:
        headers["X-Accel-Buffering"] = "no"
    return headers


@lru_cache(maxsize=1)
def _timezone(second: datetime) -> str:
    """Write a moment as JavaScript does."""
    return second.strftime("%a %b %d %Y %H:%M:%S GMT%z")
