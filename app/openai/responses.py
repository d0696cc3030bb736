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
from app.errors import GatewayError
from app.openai.errors import error_body
from app.openai.shapes import (
    Annotation,
    AnswerChoice,
    AnsweredCall,
    AnsweredImage,
    AnswerMessage,
    ChatCompletion,
    CompletionTokens,
    FinishReason,
    ImageAddress,
    PromptTokens,
    TokenUsage,
    UrlCitation,
    WrittenCall,
)
from app.wire.frames import unbroken

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class Heading(Struct, frozen=True, gc=False):
    """What every piece of one answer repeats; `created` is in seconds since 1970."""

    id: str
    created: int
    model: str


def _usage(usage: Usage | None) -> TokenUsage | None:
    """Write upstream's count of tokens; None where it did not count."""
    if usage is None:
        return None
    given, written = usage.input_tokens, usage.output_tokens
    cached, reasoning = PromptTokens(usage.cached_tokens), CompletionTokens(usage.reasoning_tokens)
    return TokenUsage(given, written, given + written, cached, reasoning)


def completion(heading: Heading, events: Iterable[AnswerEvent], end: Ended, *, old_functions: bool = False) -> bytes:
    """Write a whole answer. `old_functions`: a call is a `function_call`."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[AnsweredCall] = []
    images: list[AnsweredImage] = []
    annotations: list[Annotation] = []
    for event in events:
        if isinstance(event, TextDelta):
            text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            reasoning.append(event.text)
        elif isinstance(event, CallStarted):
            calls.append(AnsweredCall(event.id, "function", WrittenCall(event.name, "")))
        elif isinstance(event, CallArguments):
            calls[event.index].function.arguments += event.text
        elif isinstance(event, Picture):
            images.append(_image(len(images), event))
        elif isinstance(event, Citations):
            annotations = _annotations(event)
    message = AnswerMessage("assistant", "".join(text) or (None if calls else ""), None)
    if calls and old_functions:
        message.function_call = calls[0].function
    elif calls:
        message.tool_calls = calls
    if reasoning:
        message.reasoning_content = "".join(reasoning)
    if images:
        message.images = images
    if annotations:
        message.annotations = annotations
    choice = AnswerChoice(0, message, None, _reason(end.finish_reason, old_functions))
    return _encode(
        ChatCompletion(heading.id, "chat.completion", heading.created, heading.model, [choice], _usage(end.usage))
    )


def _image(index: int, picture: Picture) -> AnsweredImage:
    return AnsweredImage("image_url", index, ImageAddress(picture.url))


def _annotations(citations: Citations) -> list[Annotation]:
    return [
        Annotation("url_citation", UrlCitation(cited.url, cited.title, cited.start, cited.end))
        for cited in citations.cited
    ]


def _reason(reason: FinishReason, old_functions: bool) -> FinishReason:
    return "function_call" if old_functions and reason == "tool_calls" else reason


class ChunkWriter:
    """Writes one answer as server-sent events; what its chunks repeat is written once."""

    def __init__(self, heading: Heading, *, include_usage: bool, old_functions: bool = False) -> None:
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            _encode(heading.id),
            heading.created,
            unbroken(_encode(heading.model)),
        )
        self._include_usage = include_usage
        self._old_functions = old_functions
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._open = self._head + b'[{"index":0,"delta":'
        self._close = b',"logprobs":null,"finish_reason":null}]' + self._tail
        self._open_text, self._close_text = self._open + b'{"content":', b"}" + self._close
        self._begun = False
        self._images = 0

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """Write a batch of events as one piece of the stream."""
        written = [] if self._begun else [self._beginning()]
        for event in events:
            if isinstance(event, TextDelta):
                written += (self._open_text, unbroken(_encode(event.text)), self._close_text)
            elif isinstance(event, ReasoningDelta):
                written += self._chunk(b'{"reasoning_content":%b}' % unbroken(_encode(event.text)))
            elif isinstance(event, CallStarted | CallArguments):
                written += self._chunk(unbroken(_encode(self._call(event))))
            elif isinstance(event, Picture):
                written += self._chunk(unbroken(_encode({"images": [_image(self._images, event)]})))
                self._images += 1
            elif isinstance(event, Citations):
                written += self._chunk(unbroken(_encode({"content": "", "annotations": _annotations(event)})))
        return b"".join(written)

    def end(self, end: Ended) -> bytes:
        """Write the last piece of the stream."""
        reason = _encode(_reason(end.finish_reason, self._old_functions))
        last = b'%b%b{},"logprobs":null,"finish_reason":%b}]%b' % (self._beginning(), self._open, reason, self._tail)
        if self._include_usage:
            last += b'%b[],"usage":%b}\n\n' % (self._head, _encode(_usage(end.usage)))
        return last + DONE

    def fail(self, error: GatewayError) -> bytes:
        """Write an error as the last piece of the stream."""
        return b"data: %b\n\n" % unbroken(error_body(error)) + DONE

    def _beginning(self) -> bytes:
        """Write what the stream begins with, once."""
        if self._begun:
            return b""
        self._begun = True
        return b"".join(self._chunk(b'{"role":"assistant","content":"","refusal":null}'))

    def _chunk(self, delta: bytes) -> tuple[bytes, bytes, bytes]:
        return self._open, delta, self._close

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


def model_fields(model: ModelInfo) -> dict[str, Any]:
    """Write one model of the list."""
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
