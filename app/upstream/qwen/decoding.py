"""The one place where the site's bytes become values; what cannot become any is an error of ours."""

import json
import math
import re
from typing import TypeVar

import msgspec

from app.errors import UpstreamProtocolError

_T = TypeVar("_T")
_DEEPEST = 64  # the site's own answers are some twelve deep; what is far deeper would exhaust the stack of its readers
_ANYTHING = msgspec.json.Decoder()
_HALVES = re.compile("[\ud800-\udfff]")  # of a character, where a text was cut within it
_LONGEST_INTEGER = 19
UNDECODABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def decode(payload: bytes | str, decoder: "msgspec.json.Decoder[_T]" = _ANYTHING) -> _T:
    """Return what a JSON text says; one odd value in it does not make the rest unreadable: see `_mended`.

    Raises UpstreamProtocolError for anything that `decoder` does not take even so: what is no JSON or of another type,
    values nested more than 64 deep.
    """
    try:
        data = payload.encode() if isinstance(payload, str) else payload
        value = decoder.decode(data)
    except UNDECODABLE:
        try:
            data = _mended(payload)
            value = decoder.decode(data)
        except (*UNDECODABLE, ValueError) as problem:
            raise UpstreamProtocolError("The site sent something that is not proper JSON.", cause="json") from problem
    if is_deep(data, value):
        raise UpstreamProtocolError("The site sent values within values without end.", cause="json")
    return value


def is_json(payload: bytes) -> bool:
    """Say whether this is JSON, as `decode` takes it."""
    try:
        decode(payload)
    except UpstreamProtocolError:
        return False
    return True


def _mended(payload: bytes | str) -> bytes:
    """Return what is JSON to lenient programs, such as Python's, as JSON.

    Half characters and bytes that are not UTF-8 become U+FFFD; what is no number (NaN) or without bounds becomes null.
    Raises ValueError and RecursionError for what is no JSON to anybody.
    """
    text = payload if isinstance(payload, str) else payload.decode(errors="replace")
    value = json.loads(text, strict=False, parse_int=_integer, parse_float=_number, parse_constant=lambda _: None)
    return _HALVES.sub("\ufffd", json.dumps(value, ensure_ascii=False)).encode()


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


def _number(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


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
