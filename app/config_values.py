"""How each kind of setting is read from text. Every reader raises ValueError saying what would be right."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


class Secret:
    """A text that must not be printed: its repr and str hide it, `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that callers may use, and the owner whose conversations it reaches."""

    owner: str
    key: Secret


DEFAULT_OWNER = "owner"


def parse_text(text: str) -> str:
    """Read any text."""
    return text


def parse_line(text: str) -> str:
    """Read a text that goes into request headers, so it must be one line of visible ASCII."""
    if not re.fullmatch(r"[\x20-\x7e]*", text):
        raise ValueError("must be one line of plain ASCII; copy it again")
    return text


def parse_secret(text: str) -> Secret:
    """Read a secret that goes into request headers."""
    return Secret(parse_line(text))


def parse_token(text: str) -> Secret:
    """Read the account's token; an empty text is none."""
    token = parse_secret(text)
    if text and text.count(".") < 2:
        raise ValueError(
            "must be a token, a long text with two dots in it; copy it again, or run `python3 run.py login` without it"
        )
    return token


def holds_login(cookie: str) -> bool:
    """Say whether a Cookie header has a cookie that signs in: `token` or `refresh_token`."""
    return re.search(r"(?:^|;)\s*(?:refresh_)?token=[^;\s]", cookie) is not None


def parse_flag(text: str) -> bool:
    """Read a switch."""
    lowered = text.lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be 0 or 1")


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Make a reader of whole numbers within bounds, both included."""
    bounds = f"from {low} to {high}" if high is not None else f"of {low} or more"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", text) or int(text) < low or (high is not None and int(text) > high):
            raise ValueError(f"must be a whole number {bounds}")
        return int(text)

    return parse


def seconds(low: float, *, above: bool = False) -> Callable[[str], float]:
    """Make a reader of seconds, a plain number of `low` or more (`above`: more than `low`)."""
    bound = f"above {low:g}" if above else f"of {low:g} or more"

    def parse(text: str) -> float:
        if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text) or float(text) < low or (above and float(text) == low):
            raise ValueError(f"must be a number of seconds {bound}")
        return float(text)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Make a reader of one word out of a few."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text.lower()

    return parse


def parse_list(text: str) -> tuple[str, ...]:
    """Read a comma list."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def parse_origins(text: str) -> tuple[str, ...]:
    """Read a comma list of origins: `scheme://host[:port]`, with `*` for any port or host, or `*` alone."""
    origins = parse_list(text)
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise ValueError(f"must hold origins such as https://example.org; {origin!r} is none")
    return origins


def is_every_page(origin: str) -> bool:
    """Say whether an origin of `parse_origins` stands for every host of the web."""
    found = re.fullmatch(r"(?:https?://)?([^/:]+)(?::.*)?", origin)
    return found is not None and set(found[1]) <= {"*", "."}


def parse_http_url(text: str) -> str:
    """Read an http(s) address, without a trailing slash."""
    if not _is_http_url(text):
        raise ValueError("must be an address such as https://chat.qwen.ai")
    return text.rstrip("/")


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number or too large, a bracket that stays open
        return False
    is_plain = not re.search(r"\s", text) and not parts.query and not parts.fragment
    return parts.scheme in {"http", "https"} and is_host and is_plain


def parse_database_url(text: str) -> str:
    """Read a database address; `sqlite:///` plus a path is the only kind there is."""
    if not re.fullmatch(r"sqlite:///.+", text):
        raise ValueError("must be sqlite:/// and a path, e.g. sqlite:///data/qwen-thread.db (four slashes: absolute)")
    return text


def parse_api_keys(text: str) -> tuple[ApiKey, ...]:
    """Read a comma list of `key` or `owner:key`."""
    keys = []
    for item in parse_list(text):
        name, colon, key = item.rpartition(":")
        owner = name if colon else DEFAULT_OWNER
        if not re.fullmatch(r"[\w.-]{1,64}", owner):
            raise ValueError("must hold keys as KEY or OWNER:KEY, the owner in letters, digits, '.', '_' and '-'")
        if not re.fullmatch(r"[\x21-\x7e]{8,512}", key):
            raise ValueError("must hold keys of 8 or more visible ASCII characters")
        keys.append(ApiKey(owner, Secret(key)))
    if len({entry.key for entry in keys}) != len(keys):
        raise ValueError("must not hold the same key twice")
    return tuple(keys)
