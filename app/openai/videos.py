"""Decode requests for videos, and write what became of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from app.core.messages import ChatRequest, Message
from app.core.ports import Video
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai import media_shapes as shapes
from app.openai.forms import FormPart, text_fields
from app.openai.sizes import nearest_ratio
from app.wire.decoding import BodyDecoder, decode_fields

USUALLY_LISTED, MOST_LISTED = 20, 100
_STATUS: Mapping[str, shapes.VideoStatus] = {
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
}


class VideoBody(msgspec.Struct):
    """The fields that are honoured or refused; every other one, `seconds` too, is ignored and named."""

    prompt: str
    model: str | None = None
    size: str | None = None
    input_reference: Any = None


_decoder = BodyDecoder(VideoBody)


class VideoCall(Struct, frozen=True):
    """A decoded request; its `model` is "" where the client named none, `size` is the client's own word."""

    request: ChatRequest
    size: str | None
    ignored: tuple[str, ...]


def decode_video(body: bytes, owner: str) -> VideoCall:
    """Decode a request as JSON. Raises InvalidRequest with `param`."""
    parsed, ignored = _decoder.decode(body)
    return _call(parsed, owner, ignored)


def decode_video_form(form: Sequence[FormPart], owner: str) -> VideoCall:
    """Decode a request as a form. Raises InvalidRequest with `param`."""
    parsed, ignored = decode_fields(text_fields(form), VideoBody)
    if any(part.name.startswith("input_reference") for part in form):
        parsed.input_reference = True
    return _call(parsed, owner, ignored)


def _call(body: VideoBody, owner: str, ignored: tuple[str, ...]) -> VideoCall:
    if not body.prompt.strip():
        raise InvalidRequest("'prompt' is empty.", param="prompt")
    if body.input_reference is not None:
        raise UnsupportedFeature("'input_reference': videos are made from words only.", param="input_reference")
    request = ChatRequest(
        owner=owner,
        model=body.model or "",
        messages=(Message("user", body.prompt),),
        thinking=False,
        mode="video",
        size=nearest_ratio(body.size),
        purpose="video",
    )
    return VideoCall(request, body.size, ignored)


def video_object(video: Video, *, begun: bool = False) -> shapes.Video:
    """Describe a video. `begun`: it was asked for just now."""
    is_there = video.state == "succeeded"
    failed = shapes.VideoError(code="video_failed", message=video.error) if video.state == "failed" else None
    return shapes.Video(
        id=video.id,
        object="video",
        created_at=int(video.created_at.timestamp()),
        status="queued" if begun else _STATUS[video.state],
        progress=100 if is_there else 0,
        completed_at=int(video.finished_at.timestamp()) if video.finished_at and is_there else None,
        expires_at=None,
        model=video.model,
        seconds=None,
        size=video.size,
        error=failed,
    )


def video_list(videos: Sequence[Video], limit: int) -> shapes.VideoPage:
    """Describe a page, given one video more than it holds if there is one."""
    data = [video_object(video) for video in videos[:limit]]
    return shapes.VideoPage(
        object="list",
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(videos) > limit,
    )
