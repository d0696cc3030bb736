"""Write messages in Anthropic's shape, whole or as a stream of events."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from app.anthropic.blocks import AnswerBlocks
from app.anthropic.errors import error_body
from app.anthropic.shapes import AnthropicMessage, MessageUsage, OutputDetails, StopReason
from app.core.events import AnswerEvent, Ended, Usage
from app.errors import GatewayError
from app.wire.frames import EventFrames, event_frame

_encode = msgspec.json.encode


def message_usage(usage: Usage | None) -> MessageUsage:
    """Write upstream's count of tokens: what it had in its cache is no part of `input_tokens` in this API."""
    counted = usage or Usage(0, 0)
    fresh, thinking = max(counted.input_tokens - counted.cached_tokens, 0), OutputDetails(counted.reasoning_tokens)
    return MessageUsage(fresh, 0, counted.cached_tokens, counted.output_tokens, thinking)


class MessageWriter:
    """Writes one message: by `write`, `end` and `fail` as server-sent events, or by `whole`."""

    def __init__(
        self,
        message_id: str,
        model: str,
        *,
        request_id: str,
        shows_thinking: bool,
        used: Callable[[], Usage | None],
    ) -> None:
        """`request_id` is told in errors; with `shows_thinking` false what the model thought is left out.

        `used` tells what upstream counted so far, which is where some clients take the count of the input from.
        """
        self._message = AnthropicMessage(message_id, "message", "assistant", model, [], None, None, message_usage(None))
        self._frames = EventFrames()
        self._blocks = AnswerBlocks(self._frames, shows_thinking=shows_thinking)
        self._shows_thinking = shows_thinking
        self._request_id = request_id
        self._used = used

    def whole(self, events: Iterable[AnswerEvent], end: Ended) -> bytes:
        """Write a whole message."""
        blocks, message = AnswerBlocks(None, shows_thinking=self._shows_thinking), self._message
        for event in events:
            blocks.take(event)
        blocks.close()
        message.content = blocks.content
        message.stop_reason, message.stop_sequence = _reason(end), end.stop_sequence
        message.usage = message_usage(end.usage)
        return _encode(message)

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """Write a batch of events as one piece of the stream."""
        self._begin()
        for event in events:
            self._blocks.take(event)
        return self._frames.take()

    def end(self, end: Ended) -> bytes:
        """Write the last piece of the stream."""
        self._begin()
        self._blocks.close()
        delta = {"stop_reason": _reason(end), "stop_sequence": end.stop_sequence}
        self._frames.add("message_delta", {"delta": delta, "usage": message_usage(end.usage)})
        self._frames.add("message_stop", {})
        return self._frames.take()

    def fail(self, error: GatewayError) -> bytes:
        """Write an error as the last piece of the stream."""
        return event_frame("error", error_body(error, self._request_id))

    def _begin(self) -> None:
        if not self._frames.count:
            self._message.usage = message_usage(self._used())
            self._frames.add("message_start", {"message": self._message})


def _reason(end: Ended) -> StopReason:
    if end.finish_reason == "tool_calls":
        return "tool_use"
    if end.finish_reason == "length":
        return "max_tokens"
    return "end_turn" if end.stop_sequence is None else "stop_sequence"
