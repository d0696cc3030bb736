"""The headers of our requests: what the page sends as far as it is true of us, and our own name (Transport)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from app import __version__
from app.clock import Clock
from app.core.ids import new_uuid
from app.upstream.http import header_lines
from app.upstream.qwen.bodies import FRONT_END
from app.upstream.qwen.credentials import Credential, SetCookie, cookie_header, cookie_pairs, read_set_cookies

USER_AGENT = f"qwen-thread/{__version__}"
_RENEWED = frozenset({"token", "refresh_token"})


class Cookies:
    """The owner's cookies and those that the site set since; none are invented. There is one host, hence one jar.

    What the site set wins over what the owner pasted, until the owner pastes anew. The cookie `token` is the long token
    in use; an access token goes there only where somebody put it there. Renewing the login is no pasting.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pasted: tuple[str, dict[str, str]] = ("", {})
        self._jar: dict[str, SetCookie] = {}

    def header(self, credential: Credential) -> str:
        """Return the value of the `Cookie` header, "" for none."""
        pairs = cookie_pairs(credential.cookie.reveal())
        pasted = credential.account, {name: value for name, value in pairs.items() if name not in _RENEWED}
        if pasted != self._pasted:
            self._pasted = pasted
            self._jar.clear()
        if pairs.get("refresh_token") != credential.refresh_token.reveal():
            pairs.pop("refresh_token", None)  # another account's
        given = pairs.pop("token", "")
        now = self._clock.now()
        for name, cookie in self._jar.items():
            if cookie.ends is None or cookie.ends > now:
                pairs[name] = cookie.value
            else:
                pairs.pop(name, None)
        if credential.session:
            pairs["token"] = credential.session.reveal()
        elif given and given == credential.token.reveal():  # any other is over, or another account's
            pairs.setdefault("token", given)
        return cookie_header(pairs)

    def fresh_until(self, now: datetime, latest: datetime) -> datetime:
        """Return when the header is another because a cookie ends, `latest` if none does before."""
        ends = [cookie.ends for cookie in self._jar.values() if cookie.ends is not None and cookie.ends > now]
        return min([latest, *ends])

    def keep(self, lines: Iterable[str]) -> None:
        """Take over what the `Set-Cookie` lines of an answer say; an end in the past hides the owner's cookie too."""
        self._jar.update(read_set_cookies(lines, self._clock.now()))


class Letterhead:
    """Writes the headers of requests to one site, and keeps its cookies.

    What the requests of one kind have in common is written once a second, and when the login or a cookie is another.
    """

    def __init__(self, clock: Clock, origin: str, user_agent: str) -> None:
        """`user_agent` may be empty."""
        self._clock = clock
        self._origin = origin
        self._user_agent = user_agent or USER_AGENT
        self._cookies = Cookies(clock)
        self._common: dict[tuple[str, bool], str] = {}
        self._credential: Credential | None = None
        self._since = self._until = datetime.min.replace(tzinfo=UTC)

    def lines(self, method: str, credential: Credential, *, chat_id: str | None, streams: bool) -> str:
        """Return the headers of one request as they are sent; `chat_id` names the page that it would come from."""
        now = self._clock.now()
        if credential is not self._credential or not self._since <= now < self._until:
            self._common.clear()
            self._credential = credential
            self._since = now.replace(microsecond=0)
            self._until = self._cookies.fresh_until(now, self._since + timedelta(seconds=1))
        common = self._common.get((method, streams))
        if common is None:
            common = header_lines(self._written(method, credential, streams=streams))
            self._common[method, streams] = common
        page = f"c/{chat_id}" if chat_id else ""
        return f"{common}X-Request-Id: {new_uuid()}\r\nReferer: {self._origin}/{page}\r\n"

    def keep_cookies(self, lines: Iterable[str]) -> None:
        """Take over what the `Set-Cookie` lines of an answer say."""
        self._cookies.keep(lines)
        self._credential = None

    def _written(self, method: str, credential: Credential, *, streams: bool) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {credential.token.reveal()}",
            "Accept": "application/json" if streams else "application/json, text/plain, */*",
            "Accept-Encoding": "gzip",
            "User-Agent": self._user_agent,
            "source": "web",
            "Version": FRONT_END,
            "Timezone": self._since.strftime("%a %b %d %Y %H:%M:%S GMT%z"),
        }
        if cookies := self._cookies.header(credential):
            headers["Cookie"] = cookies
        if method != "GET":
            headers["Origin"] = self._origin
        if method == "POST":
            headers["Content-Type"] = "application/json"
        if streams:
            headers["X-Accel-Buffering"] = "no"
        return headers
