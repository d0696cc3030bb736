"""The shapes of what clients receive: whole answers are written from them, and the API is described by them."""

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "function_call"]


class PromptTokens(msgspec.Struct, gc=False):
    """What the input tokens were."""

    cached_tokens: int


class CompletionTokens(msgspec.Struct, gc=False):
    """What the output tokens were."""

    reasoning_tokens: int


class TokenUsage(msgspec.Struct, gc=False):
    """Tokens as the site counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens_details: CompletionTokens


class WrittenCall(msgspec.Struct, gc=False):
    """A function that the model calls; `arguments` is JSON text."""

    name: str
    arguments: str


class AnsweredCall(msgspec.Struct, gc=False):
    """A tool call of an answer."""

    id: str
    type: Literal["function"]
    function: WrittenCall


class ImageAddress(msgspec.Struct, gc=False):
    """Where a picture is: a data URL, or the site's address, by the setting IMAGES_AS."""

    url: str


class AnsweredImage(msgspec.Struct, gc=False):
    """A picture of an answer, which its text shows as Markdown too."""

    type: Literal["image_url"]
    index: int
    image_url: ImageAddress


class UrlCitation(msgspec.Struct, gc=False):
    """A page that a web search found, and the characters of the content that cite it."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(msgspec.Struct, gc=False):
    """What a part of the content refers to."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class AnswerMessage(msgspec.Struct, gc=False):
    """The answer; `function_call` is for requests that offered `functions`."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[AnsweredCall] | msgspec.UnsetType = msgspec.UNSET
    function_call: WrittenCall | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    images: list[AnsweredImage] | msgspec.UnsetType = msgspec.UNSET
    annotations: list[Annotation] | msgspec.UnsetType = msgspec.UNSET


class AnswerChoice(msgspec.Struct, gc=False):
    """The one answer."""

    index: Literal[0]
    message: AnswerMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, gc=False):
    """A whole answer; `usage` is null where the site did not count."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: TokenUsage | None


class CallPiece(msgspec.Struct, gc=False):
    """A piece of a call's function."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    arguments: str | msgspec.UnsetType = msgspec.UNSET


class ToolCallPiece(msgspec.Struct, gc=False):
    """A piece of a tool call: first its id and name, then its arguments."""

    index: int
    function: CallPiece
    id: str | msgspec.UnsetType = msgspec.UNSET
    type: Literal["function"] | msgspec.UnsetType = msgspec.UNSET


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType = msgspec.UNSET
    refusal: msgspec.UnsetType | None = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCallPiece] | msgspec.UnsetType = msgspec.UNSET
    function_call: CallPiece | msgspec.UnsetType = msgspec.UNSET
    images: list[AnsweredImage] | msgspec.UnsetType = msgspec.UNSET
    annotations: list[Annotation] | msgspec.UnsetType = msgspec.UNSET


class ChunkChoice(msgspec.Struct, gc=False):
    """The one answer's next piece."""

    index: Literal[0]
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(msgspec.Struct, gc=False):
    """A frame of a stream; with `stream_options.include_usage` the last one has no choices but the usage."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | msgspec.UnsetType | None = msgspec.UNSET


class Model(msgspec.Struct, gc=False):
    """A model of the account's live list."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(msgspec.Struct, gc=False):
    """The live list."""

    object: Literal["list"]
    data: list[Model]


class ErrorDetail(msgspec.Struct, gc=False):
    """What happened and what to do; `param` names the field at fault, the codes are in docs/errors.md."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct, gc=False):
    """Every error, before an answer or as a frame in a stream."""

    error: ErrorDetail
