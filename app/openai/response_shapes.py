"""The shapes of the Responses API: what clients receive is written from them, and the API is described by them."""

from typing import Any, Literal

import msgspec

from app.openai.response_requests import ResponseTool, TextFormat

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class ResponseCitation(msgspec.Struct, gc=False, tag_field="type", tag="url_citation"):
    """A page that a web search found, and the characters of the text that cite it."""

    url: str
    title: str
    start_index: int
    end_index: int


class OutputText(msgspec.Struct, gc=False, tag_field="type", tag="output_text"):
    """The text of an answer."""

    text: str
    annotations: list[ResponseCitation]
    logprobs: list[Any]


class OutputMessage(msgspec.Struct, gc=False, tag_field="type", tag="message"):
    """An answer in words."""

    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class OutputCall(msgspec.Struct, gc=False, tag_field="type", tag="function_call"):
    """A function that the model calls; `arguments` is JSON text."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class SummaryText(msgspec.Struct, gc=False, tag_field="type", tag="summary_text"):
    """What the model thought."""

    text: str


class OutputReasoning(msgspec.Struct, gc=False, tag_field="type", tag="reasoning"):
    """The model's thinking."""

    id: str
    status: ItemStatus
    summary: list[SummaryText]


class OutputImage(msgspec.Struct, gc=False, tag_field="type", tag="image_generation_call"):
    """A picture of an answer, whose text shows it as Markdown too; `result` is its data in base64."""

    id: str
    status: ItemStatus
    result: str


OutputItem = OutputMessage | OutputCall | OutputReasoning | OutputImage


class InputTokens(msgspec.Struct, gc=False):
    """What the input tokens were."""

    cached_tokens: int


class OutputTokens(msgspec.Struct, gc=False):
    """What the output tokens were."""

    reasoning_tokens: int


class ResponseUsage(msgspec.Struct, gc=False):
    """Tokens as the site counts them."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ResponseFault(msgspec.Struct, gc=False):
    """Why a response failed; the codes are in docs/errors.md."""

    code: str
    message: str


class IncompleteDetails(msgspec.Struct, gc=False):
    """Why a response is not whole."""

    reason: Literal["max_output_tokens"]


class ResponseText(msgspec.Struct, gc=False):
    """The form of the answer's text."""

    format: TextFormat


class ResponseReasoning(msgspec.Struct, gc=False):
    """How the model was to think."""

    effort: str | None
    summary: str | None


class KeptResponse(msgspec.Struct, gc=False):
    """What is kept of a response; what its request said is not.

    `incomplete` without a reason: its client left, or the site broke off.
    """

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed"]
    error: ResponseFault | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[OutputItem]


class Response(msgspec.Struct, gc=False):
    """A response: `output` is the answer, most of the rest repeats the request.

    `usage` is null where the site did not count; `temperature` and `top_p` are, since the site has neither.
    """

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseFault | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: ResponseReasoning
    store: bool
    temperature: None
    text: ResponseText
    tool_choice: str | dict[str, Any]
    tools: list[ResponseTool]
    top_p: None
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    user: str | None
