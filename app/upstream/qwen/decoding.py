"""The one place where the site's bytes become values; what cannot become any is an error of ours."""

from typing import TypeVar

import msgspec

from app.errors import UpstreamProtocolError

_T = TypeVar("_T")
_DEEPEST = 64  # the site's own answers are some twelve deep; what is far deeper would exhaust the stack of its readers
_ANYTHING = msgspec.json.Decoder()
UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def decode(payload: bytes | str, decoder: "msgspec.json.Decoder[_T]" = _ANYTHING) -> _T:
    """Return what a JSON text says.

    Raises UpstreamProtocolError for anything that `decoder` does not take: what is no JSON or of another type, texts
    that are not UTF-8, numbers without bounds, values nested more than 64 deep.
    """
    try:
        data = payload.encode() if isinstance(payload, str) else payload
        value = decoder.decode(data)
    except UNDECODABLE as problem:
        raise UpstreamProtocolError("The site sent something that is not proper JSON.", cause="json") from problem
    if is_deep(data, value):
        raise UpstreamProtocolError("The site sent values within values without end.", cause="json")
    return value


def is_deep(data: bytes, value: object) -> bool:
    """Say whether the value of a JSON text is nested more than 64 deep."""
    if data.count(b"[") + data.count(b"{") <= _DEEPEST:
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [member for outer in level for member in _members(outer)]
        if not level:
            return False
    return True


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, msgspec.Struct):
        return list(msgspec.structs.asdict(value).values())
    return value if isinstance(value, list) else []
