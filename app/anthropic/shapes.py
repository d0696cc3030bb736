"""The shapes of the Messages API: what clients receive is written from them, and the API is described by them."""

from typing import Literal

import msgspec

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
]


class WebCitation(msgspec.Struct, gc=False, tag_field="type", tag="web_search_result_location"):
    """A page that the text cites. Which of its words, and Anthropic's own index, the site does not say: both empty."""

    url: str
    title: str
    cited_text: str
    encrypted_index: str


class TextBlock(msgspec.Struct, gc=False, tag_field="type", tag="text"):
    """A part of the answer in words."""

    text: str
    citations: list[WebCitation] | msgspec.UnsetType = msgspec.UNSET  # null is refused by some clients


class ThinkingBlock(msgspec.Struct, gc=False, tag_field="type", tag="thinking"):
    """What the model thought. Nothing is signed here, so `signature` is empty."""

    thinking: str
    signature: str


class ToolUseBlock(msgspec.Struct, gc=False, tag_field="type", tag="tool_use"):
    """A tool that the model calls."""

    id: str
    name: str
    input: msgspec.Raw


Block = TextBlock | ThinkingBlock | ToolUseBlock


class OutputDetails(msgspec.Struct, gc=False):
    """What the output tokens were."""

    thinking_tokens: int


class MessageUsage(msgspec.Struct, gc=False):
    """Tokens as the site counts them; 0 where it did not, since clients of this API need a number."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OutputDetails


class AnthropicMessage(msgspec.Struct, gc=False, rename={"kind": "type"}):
    """An answer."""

    id: str
    kind: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Block]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage


class AnthropicFault(msgspec.Struct, gc=False, rename={"kind": "type"}):
    """What went wrong; `code` is that of docs/errors.md, `param` the field at fault."""

    kind: ErrorType
    message: str
    code: str | None
    param: str | None


class AnthropicError(msgspec.Struct, gc=False, rename={"kind": "type"}):
    """An error in Anthropic's shape."""

    kind: Literal["error"]
    error: AnthropicFault
    request_id: str | None
