"""Write what is kept of a response, whose request is not."""

from typing import Literal

import msgspec

from app.core.events import AnswerEvent, CallArguments, CallStarted, ReasoningDelta, TextDelta
from app.core.ports import KeptAnswer
from app.core.told import words_and_calls
from app.openai.response_output import ResponseOutput
from app.openai.response_shapes import IncompleteDetails, KeptResponse, ResponseFault


def kept_response(id_of_response: str, kept: KeptAnswer, text: str, reasoning: str) -> bytes:
    """Write a response that is over, in the items that its answer was sent in, given the texts of the answer."""
    is_cut = kept.finish_reason == "length"
    status: Literal["completed", "incomplete"] = (
        "completed" if kept.state == "complete" and not is_cut else "incomplete"
    )
    output = ResponseOutput(id_of_response.removeprefix("resp_"), lambda *_: None)
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
