"""Decode requests for images, and write what came of them."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from app.core.attachments import Attachment
from app.core.events import Usage
from app.core.file_types import bytes_digest, file_content, safe_name
from app.core.messages import ChatRequest, Message
from app.errors import InvalidRequest, UnsupportedFeature
from app.openai.forms import FormPart, text_fields
from app.openai.media_shapes import ImageInput, ImageUsage, MadeImage, MadeImages
from app.openai.sizes import nearest_ratio
from app.wire.decoding import BodyDecoder, decode_fields

_MOST_IMAGES = 10


class ImageBody(msgspec.Struct):
    """The fields that are honoured or refused; every other one is ignored and named."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None


_decoder = BodyDecoder(ImageBody)


class ImageCall(Struct, frozen=True):
    """A decoded request; its `model` is "" where the client named none. `as_data`: images come as base64."""

    request: ChatRequest
    as_data: bool
    ignored: tuple[str, ...]


def decode_generation(body: bytes, owner: str) -> ImageCall:
    """Decode a request for new images. Raises InvalidRequest with `param`."""
    parsed, ignored = _decoder.decode(body)
    return _call(parsed, owner, (), ignored)


def decode_edit(form: Sequence[FormPart], owner: str) -> ImageCall:
    """Decode a request to change images. Raises InvalidRequest with `param`."""
    images = [part for part in form if part.name in {"image", "image[]"}]
    if any(part.name == "mask" for part in form):
        raise UnsupportedFeature(
            "'mask': the site changes whole images; say in the prompt what to change.", param="mask"
        )
    if not images:
        raise InvalidRequest("'image' is missing; send at least one file.", param="image")
    parsed, ignored = decode_fields(text_fields(form), ImageBody)
    return _call(parsed, owner, tuple(_attachment(part) for part in images), ignored)


def _attachment(part: FormPart) -> Attachment:
    content = file_content(part.data, part.content_type, safe_name(part.filename or ""))
    if content.kind != "image" or not part.data:
        raise InvalidRequest(f"'{part.name}': {content.name} is no image.", param="image")
    return Attachment("image", content.name, content.content_type, bytes_digest(part.data), part.data)


def _call(body: ImageBody, owner: str, images: tuple[Attachment, ...], ignored: tuple[str, ...]) -> ImageCall:
    if not body.prompt.strip():
        raise InvalidRequest("'prompt' is empty.", param="prompt")
    count = 1 if body.n is None else body.n
    if not 1 <= count <= _MOST_IMAGES:
        raise InvalidRequest(f"'n' must be from 1 to {_MOST_IMAGES}.", param="n")
    if body.stream:
        raise UnsupportedFeature("'stream': the site gives whole images only.", param="stream")
    request = ChatRequest(
        owner=owner,
        model=body.model or "",
        messages=(Message("user", body.prompt, attachments=images),),
        mode="image",
        size=nearest_ratio(body.size),
        purpose="pictures",
        count=count,
    )
    return ImageCall(request, body.response_format == "b64_json", ignored)


def image_list(created: int, data: list[MadeImage], usage: Usage | None) -> bytes:
    """Write the images; `created` is in seconds since 1970."""
    counted = msgspec.UNSET if usage is None else _usage(usage)
    return msgspec.json.encode(MadeImages(created=created, data=data, usage=counted))


def _usage(usage: Usage) -> ImageUsage:
    return ImageUsage(
        input_tokens=usage.input_tokens,
        input_tokens_details=ImageInput(text_tokens=usage.input_tokens, image_tokens=0),
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
    )
