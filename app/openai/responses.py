"""Write answers in OpenAI's shape, whole or as a stream of chunks."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from app.core.events import (
    AnswerEvent,
    CallArguments,
    CallStarted,
    Citations,
    Ended,
    Picture,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from app.core.ports import ModelInfo

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class Heading(Struct, frozen=True):
    """What every piece of one answer repeats; `created` is in seconds since 1970."""

    id: str
    created: int
    model: str


def usage_fields(usage: Usage | None) -> dict[str, Any] | None:
    """Write upstream's count of tokens; None where it did not count."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def completion(heading: Heading, events: Iterable[AnswerEvent], *, old_functions: bool = False) -> bytes:
    """Write a whole answer; `events` end with `Ended`. `old_functions`: a call is a `function_call`."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    reason, usage = None, None
    for event in events:
        if isinstance(event, TextDelta):
            text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            reasoning.append(event.text)
        elif isinstance(event, CallStarted):
            calls.append({"id": event.id, "type": "function", "function": {"name": event.name, "arguments": ""}})
        elif isinstance(event, CallArguments):
            calls[event.index]["function"]["arguments"] += event.text
        elif isinstance(event, Picture):
            images.append(_image(len(images), event))
        elif isinstance(event, Citations):
            annotations = _annotations(event)
        elif isinstance(event, Ended):
            reason, usage = event.finish_reason, event.usage
    content = "".join(text)
    message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
    if calls and old_functions:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    if images:
        message["images"] = images
    if annotations:
        message["annotations"] = annotations
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(reason, old_functions)}
    return _encode(
        {
            "id": heading.id,
            "object": "chat.completion",
            "created": heading.created,
            "model": heading.model,
            "choices": [choice],
            "usage": usage_fields(usage),
        }
    )


def _image(index: int, picture: Picture) -> dict[str, Any]:
    return {"type": "image_url", "index": index, "image_url": {"url": picture.url}}


def _annotations(citations: Citations) -> list[dict[str, Any]]:
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": cited.url,
                "title": cited.title,
                "start_index": cited.start,
                "end_index": cited.end,
            },
        }
        for cited in citations.cited
    ]


def _reason(reason: str | None, old_functions: bool) -> str | None:
    return "function_call" if old_functions and reason == "tool_calls" else reason


class ChunkWriter:
    """Writes one answer as server-sent events; the parts that every chunk repeats are written once."""

    def __init__(self, heading: Heading, *, include_usage: bool, old_functions: bool = False) -> None:
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            _encode(heading.id),
            heading.created,
            _encode(heading.model),
        )
        self._include_usage = include_usage
        self._old_functions = old_functions
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._begun = False
        self._images = 0

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """Write a batch of events as one piece of the stream."""
        frames = []
        if not self._begun:
            self._begun = True
            frames.append(self._chunk(b'{"role":"assistant","content":"","refusal":null}'))
        for event in events:
            if isinstance(event, TextDelta):
                frames.append(self._chunk(b'{"content":%b}' % _encode(event.text)))
            elif isinstance(event, ReasoningDelta):
                frames.append(self._chunk(b'{"reasoning_content":%b}' % _encode(event.text)))
            elif isinstance(event, CallStarted | CallArguments):
                frames.append(self._chunk(_encode(self._call(event))))
            elif isinstance(event, Picture):
                frames.append(self._chunk(_encode({"images": [_image(self._images, event)]})))
                self._images += 1
            elif isinstance(event, Citations):
                frames.append(self._chunk(_encode({"content": "", "annotations": _annotations(event)})))
            elif isinstance(event, Ended):
                frames.extend(self._end(event))
        return b"".join(frames)

    def _call(self, event: CallStarted | CallArguments) -> dict[str, Any]:
        """Write a piece of a call: first its id and name, then its arguments."""
        if self._old_functions:
            if isinstance(event, CallStarted):
                return {"function_call": {"name": event.name, "arguments": ""}}
            return {"function_call": {"arguments": event.text}}
        if isinstance(event, CallStarted):
            function = {"name": event.name, "arguments": ""}
            return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}
        return {"tool_calls": [{"index": event.index, "function": {"arguments": event.text}}]}

    def _end(self, end: Ended) -> Iterable[bytes]:
        yield self._chunk(b"{}", _encode(_reason(end.finish_reason, self._old_functions)))
        if self._include_usage:
            yield b'%b[],"usage":%b}\n\n' % (self._head, _encode(usage_fields(end.usage)))
        yield DONE

    def _chunk(self, delta: bytes, reason: bytes = b"null") -> bytes:
        choice = b'[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (delta, reason)
        return b"".join((self._head, choice, self._tail))


def model_fields(model: ModelInfo) -> dict[str, Any]:
    """Write one model of the list."""
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
