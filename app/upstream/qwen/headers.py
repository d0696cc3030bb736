"""The headers of our requests: what the page sends as far as it is true of us, and our own name (Transport)."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie

from app import __version__
from app.clock import Clock
from app.core.ids import new_uuid
from app.upstream.qwen.auth import Credential
from app.upstream.qwen.bodies import FRONT_END

USER_AGENT = f"qwen-thread/{__version__}"


class Cookies:
    """The owner's cookies and those that the site set since; none are invented. There is one host, hence one jar.

    What the site set wins over what the owner pasted, until the owner pastes anew; `token` is always the token in use.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pasted = ""
        self._jar: dict[str, tuple[str, datetime | None]] = {}

    def header(self, credential: Credential) -> str:
        """Return the value of the `Cookie` header."""
        pasted = credential.cookie.reveal()
        if pasted != self._pasted:
            self._pasted = pasted
            self._jar.clear()
        now = self._clock.now()
        pairs = dict(_pairs(pasted))
        for name, (value, ends) in self._jar.items():
            if ends is None or ends > now:
                pairs[name] = value
            else:
                pairs.pop(name, None)
        pairs["token"] = credential.token.reveal()
        return "; ".join(f"{name}={value}" for name, value in pairs.items())

    def keep(self, cookies: SimpleCookie) -> None:
        """Take over what an answer sets, with its end; an end in the past hides the owner's cookie too."""
        for name, morsel in cookies.items():
            self._jar[name] = (morsel.coded_value, self._end(morsel))

    def _end(self, morsel: "Morsel[str]") -> datetime | None:
        try:
            if morsel["max-age"]:
                return self._clock.now() + timedelta(seconds=int(morsel["max-age"]))
            return parsedate_to_datetime(morsel["expires"]) if morsel["expires"] else None
        except (ValueError, OverflowError):
            return None


def _pairs(header: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in header.split(";"))
    return [(name.strip(), value.strip()) for name, equals, value in parts if equals and name.strip()]


def build_headers(
    method: str, origin: str, credential: Credential, cookie: str, *, now: datetime, chat_id: str | None, streams: bool
) -> dict[str, str]:
    """Return the headers of one request; `chat_id` names the page that it would come from."""
    headers = {
        "Authorization": f"Bearer {credential.token.reveal()}",
        "Cookie": cookie,
        "Accept": "application/json" if streams else "application/json, text/plain, */*",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": USER_AGENT,
        "source": "web",
        "Version": FRONT_END,
        "Timezone": now.strftime("%a %b %d %Y %H:%M:%S GMT%z"),
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
