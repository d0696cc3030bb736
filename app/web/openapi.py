"""`GET /openapi.json`: what the routes take and give, made from the types that decode it (OpenAPI 3.1)."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from app import __version__
from app.anthropic.requests import MessagesBody
from app.anthropic.shapes import AnthropicError, AnthropicMessage
from app.openai.files import FileDeleted, FileList, FileObject, FileUpload
from app.openai.images import ImageBody
from app.openai.media_shapes import DeletedVideo, MadeImages, Video, VideoPage
from app.openai.requests import ChatBody
from app.openai.response_requests import ResponseBody
from app.openai.response_shapes import KeptResponse, Response
from app.openai.shapes import ChatCompletion, ChatCompletionChunk, Error, Model, ModelList
from app.openai.videos import VideoBody
from app.web.openapi_media import media_paths
from app.web.openapi_operations import HEADERS, SCHEMAS, content, json_body, operation, reference

_STREAM = (
    "With `stream`: frames `data: ` and a ChatCompletionChunk, comments while the model is silent, and `data: [DONE]` "
    "at the end. An error after the first byte is a frame that holds an Error."
)
_CHAT = (
    "Answer a conversation. Fields that are not described here are ignored, and named in `X-Ignored-Params`; what the "
    "server cannot do is refused."
)

_RESPONSE = (
    "Answer a conversation, or what follows an earlier response of this server. Fields that are not described here are "
    "ignored, and named in `X-Ignored-Params`; what the server cannot do is refused."
)
_EVENTS = (
    "With `stream`: OpenAI's events from `response.created` on, with `event: ` and `data: ` lines, and comments while "
    "the model is silent. The last is `response.completed`, `response.incomplete`, or, after `error`, "
    "`response.failed`."
)
_MESSAGE = (
    "Answer a conversation in Anthropic's wire format. Fields that are not described here are ignored, and named in "
    "`X-Ignored-Params`; what the server cannot do is refused."
)
_MESSAGE_EVENTS = (
    "With `stream`: Anthropic's events from `message_start` to `message_stop`, with `event: ` and `data: ` lines, and "
    "comments while the model is silent. An error after the first byte is an `error` event, the last."
)


class ServerInfo(msgspec.Struct):
    """What this server is; the token's fields are null for the emulator."""

    name: str
    version: str
    upstream: Literal["qwen", "emulator"]
    simulated: bool
    token_expires_at: str | None
    token_renews: bool
    token_days_left: float | None
    routes: list[str]


class Health(msgspec.Struct):
    """The process lives."""

    status: Literal["ok"]


class Stored(msgspec.Struct):
    """What is in the database."""

    sessions: int
    nodes: int
    pending_deletions: int


class Readiness(msgspec.Struct):
    """Whether requests can be answered, as last known."""

    status: Literal["ready", "unavailable"]
    upstream: Literal["qwen", "emulator"]
    token_expires_at: str | None
    token_renews: bool
    token_days_left: float | None
    stored: Stored | None
    problems: list[str]


_FILES = (FileObject, FileList, FileDeleted, FileUpload)
_TYPES = (
    ChatBody,
    ChatCompletion,
    ChatCompletionChunk,
    ResponseBody,
    Response,
    KeptResponse,
    MessagesBody,
    AnthropicMessage,
    AnthropicError,
    ImageBody,
    MadeImages,
    VideoBody,
    Video,
    VideoPage,
    DeletedVideo,
    Model,
    ModelList,
    *_FILES,
    Error,
    ServerInfo,
    Health,
    Readiness,
)


def description() -> dict[str, Any]:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qwen-thread",
            "version": __version__,
            "description": "Your own Qwen Chat account as a local API, OpenAI's and Anthropic's, that never loses the "
            "thread.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "One of API_KEYS, if they are set."},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _schemas() -> dict[str, Any]:
    """Return the schemas of all types; a leading underscore, private to our modules, is left out of their names."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=f"{SCHEMAS}{{name}}")
    text = msgspec.json.encode(schemas).replace(f'"{SCHEMAS}_'.encode(), f'"{SCHEMAS}'.encode())
    public: dict[str, Any] = msgspec.json.decode(text)
    return {name.lstrip("_"): {**schema, "title": name.lstrip("_")} for name, schema in public.items()}


def _paths() -> dict[str, Any]:
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    chat = operation("chatCompletions", _CHAT, json_body("ChatCompletion", "The answer."), guarded=True)
    chat["requestBody"] = {"required": True, **content("application/json", reference("ChatBody"))}
    answer = chat["responses"]["200"]
    answer["content"]["text/event-stream"] = {"schema": {"type": "string", "description": _STREAM}}
    answer["headers"] = HEADERS
    ready = operation("ready", "Say whether requests can be answered, as last known.", json_body("Readiness", "Yes."))
    ready["responses"]["503"] = json_body("Readiness", "No; `problems` says why.")
    shown = operation(
        "showModel", "Show a model; an alias answers for its target.", json_body("Model", ""), guarded=True
    )
    shown["parameters"] = [model]
    page = {"description": "Prometheus's text format.", **content("text/plain", {"type": "string"})}
    document = {"description": "OpenAPI 3.1.", **content("application/json", {"type": "object"})}
    return {
        "/": {"get": operation("serverInfo", "Say what this server is.", json_body("ServerInfo", "What it is."))},
        "/health": {"get": operation("health", "Say that the process lives.", json_body("Health", "It lives."))},
        "/ready": {"get": ready},
        "/metrics": {"get": operation("metrics", "Times, tokens, errors and the queue.", page, guarded=True)},
        "/openapi.json": {"get": operation("openapi", "This description.", document)},
        "/v1/models": {
            "get": operation("listModels", "List the live models.", json_body("ModelList", "The list."), guarded=True)
        },
        "/v1/models/{model}": {"get": shown},
        "/v1/chat/completions": {"post": chat},
        **_response_paths(),
        **_message_paths(),
        **media_paths(),
    }


def _response_paths() -> dict[str, Any]:
    make = operation("makeResponse", _RESPONSE, json_body("Response", "The response."), guarded=True)
    make["requestBody"] = {"required": True, **content("application/json", reference("ResponseBody"))}
    made = make["responses"]["200"]
    made["content"]["text/event-stream"] = {"schema": {"type": "string", "description": _EVENTS}}
    made["headers"] = HEADERS
    kept = json_body("KeptResponse", "What is kept of it.")
    show = operation("showResponse", "Show what is kept of a response.", kept, guarded=True)
    show["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {"/v1/responses": {"post": make}, "/v1/responses/{id}": {"get": show}}


def _message_paths() -> dict[str, Any]:
    make = operation("makeMessage", _MESSAGE, json_body("AnthropicMessage", "The answer."), guarded=True)
    make["requestBody"] = {"required": True, **content("application/json", reference("MessagesBody"))}
    made = make["responses"]
    made["200"]["content"]["text/event-stream"] = {"schema": {"type": "string", "description": _MESSAGE_EVENTS}}
    made["200"]["headers"] = {**HEADERS, "request-id": HEADERS["X-Request-Id"]}
    made["default"] = json_body("AnthropicError", "What went wrong; docs/errors.md lists the codes.")
    return {"/v1/messages": {"post": make}}


async def openapi(_request: web.Request) -> web.Response:
    """Describe the routes."""
    return web.Response(body=msgspec.json.encode(description()), content_type="application/json")
