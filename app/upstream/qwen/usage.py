"""The site's count of tokens (docs/upstream-protocol.md, Usage). Pure."""

from typing import Annotated, Any

import msgspec

from app.core.events import Usage
from app.upstream.qwen.decoding import UNDECODABLE

_MOST = 2**40
_Tokens = Annotated[int, msgspec.Meta(le=_MOST)]


class _WireUsage(msgspec.Struct):
    input_tokens: _Tokens
    output_tokens: _Tokens
    output_tokens_details: Any = None
    prompt_tokens_details: Any = None


_USAGE = msgspec.json.Decoder(_WireUsage)


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Read a count. One that lacks a main number is none, nor is one without input: pictures are not counted in tokens.

    The site's numbers run on, so the last one holds.
    """
    try:
        wire = _USAGE.decode(raw)
    except UNDECODABLE:
        return None
    if wire.input_tokens <= 0:
        return None
    thinking, cached = wire.output_tokens_details, wire.prompt_tokens_details
    return Usage(
        wire.input_tokens,
        wire.output_tokens,
        _count(thinking, "reasoning_tokens") if thinking else 0,
        _count(cached, "cached_tokens") if cached else 0,
    )


def _count(details: object, key: str) -> int:
    value = details.get(key) if isinstance(details, dict) else None
    return value if isinstance(value, int) and value <= _MOST else 0
