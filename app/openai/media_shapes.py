"""The shapes of images and videos that clients receive; the API is described by them."""

from typing import Literal

import msgspec

VideoStatus = Literal["queued", "in_progress", "completed", "failed"]


class MadeImage(msgspec.Struct, gc=False):
    """An image: its address on the site, which expires, or itself."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    b64_json: str | msgspec.UnsetType = msgspec.UNSET


class ImageInput(msgspec.Struct, gc=False):
    """What the input's tokens were for, which the site does not tell: all count as text."""

    text_tokens: int
    image_tokens: Literal[0]


class ImageUsage(msgspec.Struct, gc=False):
    """Tokens as the site counts them."""

    input_tokens: int
    input_tokens_details: ImageInput
    output_tokens: int
    total_tokens: int


class MadeImages(msgspec.Struct, gc=False):
    """The images that were made; `usage` is left out where the site did not count."""

    created: int
    data: list[MadeImage]
    usage: ImageUsage | msgspec.UnsetType = msgspec.UNSET


class VideoError(msgspec.Struct, gc=False):
    """Why there is no video."""

    code: Literal["video_failed"]
    message: str


class Video(msgspec.Struct, gc=False):
    """A video; `size` is as it was asked for, the site tells neither `seconds` nor when it expires."""

    id: str
    object: Literal["video"]
    created_at: int
    status: VideoStatus
    progress: Literal[0, 100]
    completed_at: int | None
    expires_at: None
    model: str
    seconds: None
    size: str | None
    error: VideoError | None


class VideoPage(msgspec.Struct, gc=False):
    """A page of videos."""

    object: Literal["list"]
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(msgspec.Struct, gc=False):
    """A video that is forgotten."""

    id: str
    object: Literal["video.deleted"]
    deleted: Literal[True]
