"""Write responses in OpenAI's shape, whole or as a stream of events."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from app.core.events import AnswerEvent, Ended, Usage
from app.errors import GatewayError
from app.openai.response_output import ResponseOutput
from app.openai.response_requests import ReasoningOptions, ResponseCall, TextFormat
from app.openai.response_shapes import (
    IncompleteDetails,
    InputTokens,
    OutputTokens,
    Response,
    ResponseFault,
    ResponseReasoning,
    ResponseText,
    ResponseUsage,
)
from app.openai.responses import Heading
from app.wire.frames import EventFrames

_encode = msgspec.json.encode


def response_usage(usage: Usage | None) -> ResponseUsage | None:
    """Write upstream's count of tokens; None where it did not count."""
    if usage is None:
        return None
    cached, reasoning = InputTokens(usage.cached_tokens), OutputTokens(usage.reasoning_tokens)
    given, written = usage.input_tokens, usage.output_tokens
    return ResponseUsage(given, cached, written, reasoning, given + written)


class ResponseWriter:
    """Writes one response: by `write`, `end` and `fail` as server-sent events, or by `whole`."""

    def __init__(self, heading: Heading, call: ResponseCall) -> None:
        self._response = _begun(heading, call)
        self._digits = heading.id.removeprefix("resp_")
        self._frames = EventFrames(numbered=True)
        self._output = ResponseOutput(self._digits, self._frames)
        self._response.output = self._output.items

    def whole(self, events: Iterable[AnswerEvent], end: Ended) -> bytes:
        """Write a whole response."""
        self._output = ResponseOutput(self._digits, None)
        self._response.output = self._output.items
        for event in events:
            self._output.take(event)
        self._finish(end)
        return _encode(self._response)

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """Write a batch of events as one piece of the stream."""
        self._begin()
        for event in events:
            self._output.take(event)
        return self._frames.take()

    def end(self, end: Ended) -> bytes:
        """Write the last piece of the stream."""
        self._begin()
        self._finish(end)
        self._tell(self._response.status, {"response": self._response})
        return self._frames.take()

    def fail(self, error: GatewayError) -> bytes:
        """Write an error as the last piece of the stream: as an event of its own, then as the response's end."""
        self._begin()
        self._output.settle("incomplete")
        code = error.code or "server_error"
        self._response.status = "failed"
        self._response.error = ResponseFault(code, error.message)
        fault = {"code": code, "message": error.message, "param": error.param}
        # documented flat, sent by OpenAI in an object, which is what its clients raise
        self._frames.add("error", {**fault, "error": {"type": error.type, **fault}})
        self._tell("failed", {"response": self._response})
        return self._frames.take()

    def _begin(self) -> None:
        if not self._frames.count:
            self._tell("created", {"response": self._response})
            self._tell("in_progress", {"response": self._response})

    def _finish(self, end: Ended) -> None:
        is_cut = end.finish_reason == "length"
        self._output.close("incomplete" if is_cut else "completed")
        self._response.status = "incomplete" if is_cut else "completed"
        self._response.incomplete_details = IncompleteDetails("max_output_tokens") if is_cut else None
        self._response.usage = response_usage(end.usage)

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        self._frames.add(f"response.{name}", fields)


def _begun(heading: Heading, call: ResponseCall) -> Response:
    """Return a response without any output yet; what it repeats is what was asked for."""
    body = call.body
    reasoning = body.reasoning or ReasoningOptions()
    return Response(
        id=heading.id,
        object="response",
        created_at=heading.created,
        status="in_progress",
        background=False,
        error=None,
        incomplete_details=None,
        instructions=body.instructions,
        max_output_tokens=body.max_output_tokens,
        metadata=body.metadata or {},
        model=heading.model,
        output=[],
        parallel_tool_calls=body.parallel_tool_calls is not False,
        previous_response_id=body.previous_response_id,
        reasoning=ResponseReasoning(reasoning.effort, reasoning.summary),
        store=body.store is not False,
        temperature=None,
        text=ResponseText(body.text.format if body.text and body.text.format else TextFormat("text")),
        tool_choice=body.tool_choice or "auto",
        tools=body.tools or [],
        top_p=None,
        truncation="disabled",
        usage=None,
        user=body.user,
    )
