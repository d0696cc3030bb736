"""What is kept of a response, whose request is not: to be shown, or referred to."""

from typing import Literal

import msgspec

from app.core.events import AnswerEvent, CallArguments, CallStarted, ReasoningDelta, TextDelta
from app.core.messages import Message, ToolCall
from app.core.ports import KeptAnswer
from app.core.told import words_and_calls
from app.openai.response_items import Reference
from app.openai.response_output import ResponseOutput
from app.openai.response_shapes import IncompleteDetails, KeptResponse, ResponseFault


def kept_response(id_of_response: str, kept: KeptAnswer, text: str, reasoning: str) -> bytes:
    """Write a response that is over, in the items that its answer was sent in, given the texts of the answer."""
    is_cut = kept.finish_reason == "length"
    status: Literal["completed", "incomplete"] = (
        "completed" if kept.state == "complete" and not is_cut else "incomplete"
    )
    output = ResponseOutput(id_of_response.removeprefix("resp_"), None)
    for event in _events(text, reasoning, kept.calls):
        output.take(event)
    output.close(status)
    response = KeptResponse(
        id=id_of_response,
        object="response",
        created_at=int(kept.created_at.timestamp()),
        status="failed" if kept.state == "failed" else status,
        error=ResponseFault("server_error", kept.error) if kept.state == "failed" else None,
        incomplete_details=IncompleteDetails("max_output_tokens") if is_cut else None,
        model=kept.model,
        output=output.items,
    )
    return msgspec.json.encode(response)


def kept_item(reference: Reference, kept: KeptAnswer, text: str) -> Message | None:
    """Return an item of a stored answer as a message, None for a call that it did not make.

    All words of an answer are one item here, wherever its calls stood.
    """
    words, calls = words_and_calls(text, len(kept.calls))
    if reference.kind == "msg":
        return Message("assistant", words)
    if reference.number >= len(calls):
        return None
    name, arguments = calls[reference.number]
    return Message("assistant", "", (ToolCall(kept.calls[reference.number], name, arguments),))


def _events(text: str, reasoning: str, call_ids: tuple[str, ...]) -> list[AnswerEvent]:
    """Return a stored answer as it was sent."""
    words, calls = words_and_calls(text, len(call_ids))
    events: list[AnswerEvent] = []
    if reasoning:
        events.append(ReasoningDelta(reasoning))
    if words:
        events.append(TextDelta(words))
    for index, (call_id, (name, arguments)) in enumerate(zip(call_ids, calls, strict=False)):
        events += [CallStarted(index, call_id, name), CallArguments(index, arguments)]
    return events
