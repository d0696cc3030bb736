"""The objects of the stream, decoded once each (docs/upstream-protocol.md, Stream)."""

from typing import Any

import msgspec

from app.errors import UpstreamProtocolError
from app.upstream.qwen.decoding import UNDECODABLE, decode
from app.upstream.qwen.replies import Outer


class Delta(msgspec.Struct, gc=False):
    """A piece of the answer, of the thinking or of a hosted tool; `phase` says of which."""

    content: Any = None
    phase: Any = None
    status: Any = None
    extra: Any = None
    name: Any = None
    function_call: Any = None
    function_id: Any = None


class Choice(msgspec.Struct, gc=False):
    """The wrapper of a delta."""

    delta: Delta | None = None


_NOTHING = msgspec.Raw()


class Frame(Outer):
    """One event of the stream; the inherited members make it a refusal."""

    choices: list[Choice] | None = None
    response_id: Any = None
    usage: msgspec.Raw = _NOTHING
    created: Any = msgspec.field(name="response.created", default=None)
    info: Any = msgspec.field(name="response.info", default=None)
    stopped: Any = msgspec.field(name="response.stopped", default=None)


_FRAME = msgspec.json.Decoder(Frame)


def decode_frame(payload: bytes) -> Frame | None:
    """Return the event, None for anything but a JSON object.

    How deep it is nested is left to whoever reads more of it than texts: most events hold nothing else.
    """
    try:
        return _FRAME.decode(payload)
    except UNDECODABLE:
        return _sound(payload)


def _sound(payload: bytes) -> Frame | None:
    """Return the event as far as its members are of the right type; the count is dropped with those that are not."""
    try:
        value: Any = decode(payload)
    except UpstreamProtocolError:
        return None
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    sound = [choice for choice in choices if _is_choice(choice)] if isinstance(choices, list) else None
    return msgspec.convert({**value, "choices": sound, "usage": _NOTHING}, Frame)


def _is_choice(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("delta"), dict)
