"""Read the bodies of requests: JSON, and multipart forms."""

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from app.errors import FormExpected, InvalidRequest, UnsupportedMediaType
from app.log import on_one_line
from app.openai.forms import FormPart

JSON, FORM = "application/json", "multipart/form-data"
SPOILT = (ValueError, RuntimeError, HttpProcessingError)  # what aiohttp says of a form that is none


def words_of(problem: Exception) -> str:
    """Return what aiohttp says of bytes that it cannot read; it draws that on several lines, below a status."""
    return on_one_line(" ".join(str(problem).removeprefix("400, message:").split()).rstrip(" ^.:"))


async def read_json(request: web.Request) -> bytes:
    """Read the whole body, which only the caller keeps: a request lives as long as its answer, and bodies are large.

    Raises UnsupportedMediaType, InvalidRequest if it was spoilt or cut short, HTTPRequestEntityTooLarge.
    """
    if request.headers.get(hdrs.CONTENT_TYPE) != JSON and request.content_type != JSON:  # it may have parameters
        raise UnsupportedMediaType(f"The body is {on_one_line(request.content_type)}, not JSON.")
    content, pieces, left = request.content, [], request.client_max_size
    try:
        if content.is_eof():  # all of it came with the headers, as mostly
            pieces.append(content.read_nowait())
        else:
            while left >= 0 and (piece := await content.readany()):
                pieces.append(piece)
                left -= len(piece)
    except web.RequestPayloadError as problem:
        raise InvalidRequest(f"The request body could not be read: {words_of(problem)}.") from problem
    body = b"".join(pieces)
    if len(body) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    return body


def check_form(request: web.Request) -> None:
    """Raise FormExpected where the body is none."""
    if request.content_type != FORM:
        raise FormExpected(f"The body is {on_one_line(request.content_type)}, not a multipart form.")


async def read_form(request: web.Request, *, most: int) -> list[FormPart]:
    """Read a form of `most` bytes at most. Raises FormExpected, InvalidRequest; HTTPRequestEntityTooLarge."""
    check_form(request)
    parts: list[FormPart] = []
    left = most
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise InvalidRequest("A part of the form has no name, or parts of its own.")
            data = bytearray()
            while piece := await part.read_chunk():
                left -= len(piece)
                if left < 0:
                    raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=most - left)
                data += piece
            kind = part.headers.get("Content-Type", "")
            parts.append(FormPart(part.name, part.filename, kind, bytes(part.decode(data))))
    except (*SPOILT, web.RequestPayloadError) as problem:
        raise InvalidRequest(f"The form could not be read: {words_of(problem)}.") from problem
    return parts
