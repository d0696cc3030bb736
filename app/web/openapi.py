"""`GET /openapi.json`: what the routes take and give, made from the types that decode it (OpenAPI 3.1)."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from app import __version__
from app.openai.files import FileDeleted, FileList, FileObject, FileUpload
from app.openai.images import ImageBody
from app.openai.requests import ChatBody
from app.openai.response_requests import ResponseBody
from app.openai.response_shapes import KeptResponse, Response
from app.openai.shapes import (
    ChatCompletion,
    ChatCompletionChunk,
    DeletedVideo,
    Error,
    MadeImages,
    Model,
    ModelList,
    Video,
    VideoPage,
)
from app.openai.videos import MOST_LISTED, USUALLY_LISTED, VideoBody

_SCHEMAS = "#/components/schemas/"
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
_IMAGE_FORM = {
    "type": "object",
    "description": "The fields of ImageBody, and the images.",
    "properties": {"image": {"description": "One file or several; `image[]` is the same.", "type": "string"}},
    "required": ["image", "prompt"],
    "allOf": [{"$ref": f"{_SCHEMAS}ImageBody"}],
}


def description() -> dict[str, Any]:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qwen-thread",
            "version": __version__,
            "description": "Your own Qwen Chat account as a local OpenAI API that never loses the thread.",
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
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=f"{_SCHEMAS}{{name}}")
    text = msgspec.json.encode(schemas).replace(f'"{_SCHEMAS}_'.encode(), f'"{_SCHEMAS}'.encode())
    public: dict[str, Any] = msgspec.json.decode(text)
    return {name.lstrip("_"): {**schema, "title": name.lstrip("_")} for name, schema in public.items()}


def _paths() -> dict[str, Any]:
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    chat = _operation("chatCompletions", _CHAT, _json("ChatCompletion", "The answer."), guarded=True)
    chat["requestBody"] = {"required": True, **_content("application/json", _reference("ChatBody"))}
    answer = chat["responses"]["200"]
    answer["content"]["text/event-stream"] = {"schema": {"type": "string", "description": _STREAM}}
    answer["headers"] = _HEADERS
    ready = _operation("ready", "Say whether requests can be answered, as last known.", _json("Readiness", "Yes."))
    ready["responses"]["503"] = _json("Readiness", "No; `problems` says why.")
    shown = _operation("showModel", "Show a model; an alias answers for its target.", _json("Model", ""), guarded=True)
    shown["parameters"] = [model]
    page = {"description": "Prometheus's text format.", **_content("text/plain", {"type": "string"})}
    document = {"description": "OpenAPI 3.1.", **_content("application/json", {"type": "object"})}
    return {
        "/": {"get": _operation("serverInfo", "Say what this server is.", _json("ServerInfo", "What it is."))},
        "/health": {"get": _operation("health", "Say that the process lives.", _json("Health", "It lives."))},
        "/ready": {"get": ready},
        "/metrics": {"get": _operation("metrics", "Times, tokens, errors and the queue.", page, guarded=True)},
        "/openapi.json": {"get": _operation("openapi", "This description.", document)},
        "/v1/models": {
            "get": _operation("listModels", "List the live models.", _json("ModelList", "The list."), guarded=True)
        },
        "/v1/models/{model}": {"get": shown},
        "/v1/chat/completions": {"post": chat},
        **_response_paths(),
        **_file_paths(),
        **_image_paths(),
        **_video_paths(),
    }


def _response_paths() -> dict[str, Any]:
    make = _operation("makeResponse", _RESPONSE, _json("Response", "The response."), guarded=True)
    make["requestBody"] = {"required": True, **_content("application/json", _reference("ResponseBody"))}
    made = make["responses"]["200"]
    made["content"]["text/event-stream"] = {"schema": {"type": "string", "description": _EVENTS}}
    made["headers"] = _HEADERS
    kept = _json("KeptResponse", "What is kept of it.")
    show = _operation("showResponse", "Show what is kept of a response.", kept, guarded=True)
    show["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {"/v1/responses": {"post": make}, "/v1/responses/{id}": {"get": show}}


def _image_paths() -> dict[str, Any]:
    made = {**_json("MadeImages", "The images."), "headers": _HEADERS}
    new = _operation("generateImages", "Make images, in a chat that is deleted afterwards.", made, guarded=True)
    new["requestBody"] = {"required": True, **_content("application/json", _reference("ImageBody"))}
    changed = _operation("editImages", "Make images from images; masks are refused.", made, guarded=True)
    changed["requestBody"] = {"required": True, **_content("multipart/form-data", _IMAGE_FORM)}
    return {"/v1/images/generations": {"post": new}, "/v1/images/edits": {"post": changed}}


def _video_paths() -> dict[str, Any]:
    video_id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    one, begun = (
        _json("Video", "The video as it is now."),
        {**_json("Video", "The video, which is being made."), "headers": _HEADERS},
    )
    film = {"description": "The video.", **_content("video/mp4", {"type": "string", "format": "binary"})}
    make = _operation("makeVideo", "Begin to make a video.", begun, guarded=True)
    make["requestBody"] = {"required": True, **_content("application/json", _reference("VideoBody"))}
    make["requestBody"]["content"] |= _content("multipart/form-data", _reference("VideoBody"))["content"]
    listed = _operation("listVideos", "List videos, the newest first.", _json("VideoPage", "A page."), guarded=True)
    listed["parameters"] = [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in {
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": USUALLY_LISTED},
            "order": {"enum": ["asc", "desc"], "default": "desc"},
            "after": {"type": "string"},
        }.items()
    ]
    show = _operation("showVideo", "Say how far a video is.", one, guarded=True)
    fetch = _operation("videoContent", "Fetch a video; 409 while it is being made.", film, guarded=True)
    forget = _operation(
        "deleteVideo", "Forget a video, and delete its chat.", _json("DeletedVideo", "It is forgotten."), guarded=True
    )
    for operation in (show, fetch, forget):
        operation["parameters"] = [video_id]
    return {
        "/v1/videos": {"get": listed, "post": make},
        "/v1/videos/{id}": {"get": show, "delete": forget},
        "/v1/videos/{id}/content": {"get": fetch},
    }


def _file_paths() -> dict[str, Any]:
    """Describe the routes of stored files."""
    named = [{"name": "file_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    query = [
        {"name": name, "in": "query", "schema": {"type": kind}}
        for name, kind in (("after", "string"), ("limit", "integer"), ("order", "string"), ("purpose", "string"))
    ]
    store = _operation("storeFile", "Store a file.", _json("FileObject", "The file."), guarded=True)
    store["requestBody"] = {"required": True, **_content("multipart/form-data", _reference("FileUpload"))}
    listed = _operation("listFiles", "List the stored files.", _json("FileList", "A page."), guarded=True)
    content = {"description": "The bytes.", **_content("application/octet-stream", {})}
    return {
        "/v1/files": {"get": {**listed, "parameters": query}, "post": store},
        "/v1/files/{file_id}": {
            "get": {
                **_operation("showFile", "Describe a file.", _json("FileObject", "The file."), guarded=True),
                "parameters": named,
            },
            "delete": {
                **_operation("deleteFile", "Delete a file.", _json("FileDeleted", "It is gone."), guarded=True),
                "parameters": named,
            },
        },
        "/v1/files/{file_id}/content": {
            "get": {
                **_operation("fileContent", "Give a file back.", content, guarded=True),
                "parameters": named,
            }
        },
    }


_HEADERS: Mapping[str, Any] = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in {
        "X-Session-Id": "The conversation.",
        "X-Session-Match": "How it was found: new, exact, window, tool-call or branch.",
        "X-Request-Id": "The request, as in the server's log.",
        "X-Ignored-Params": "The fields that had no effect.",
    }.items()
}


def _operation(name: str, text: str, answer: dict[str, Any], *, guarded: bool = False) -> dict[str, Any]:
    """Describe an operation; a guarded one needs a key where the server has any."""
    operation: dict[str, Any] = {
        "operationId": name,
        "description": text,
        "responses": {"200": answer, "default": _json("Error", "What went wrong; docs/errors.md lists the codes.")},
    }
    if guarded:
        operation["security"] = [{}, {"bearer": []}, {"key": []}]
    return operation


def _json(schema: str, text: str) -> dict[str, Any]:
    return {"description": text, **_content("application/json", _reference(schema))}


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"{_SCHEMAS}{name}"}


async def openapi(_request: web.Request) -> web.Response:
    """Describe the routes."""
    return web.Response(body=msgspec.json.encode(description()), content_type="application/json")
