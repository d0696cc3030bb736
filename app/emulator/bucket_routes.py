"""The routes of the object store: putting a file there and reading it by a signed address."""

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

from app.emulator.bucket import BUCKET, PREFIX, Asked, Denied, Gate
from app.emulator.envelope import refuse_by_name
from app.emulator.faults import BUCKET_FAULTS
from app.emulator.keys import STATE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MOST_BYTES = 64 * 1024 * 1024  # of one object, which is held in memory here


def is_bucket(request: web.Request) -> bool:
    """Say whether a request is for the object store, by its path or by its host."""
    return request.path.startswith(PREFIX) or request.host.startswith(f"{BUCKET}.")


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer a request to the object store, whichever of its addresses was used."""
    script = request.app[STATE].script
    fault = request.headers.get("X-Emulator-Fault") or script.next_fault("bucket")
    headers = {name.lower(): value for name, value in request.headers.items()}
    path = request.path.removeprefix(PREFIX) if request.path.startswith(PREFIX) else request.path[1:]
    asked = Asked(request.method, path, headers, dict(request.query))
    try:
        if fault in BUCKET_FAULTS:
            raise Denied(*BUCKET_FAULTS[fault])
        if fault is not None:
            return refuse_by_name(request, fault)
        if request.method == "PUT":
            return await _put(request, asked)
        if request.method in {"GET", "HEAD"}:
            return await _get(request, asked)
        raise Denied("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    except Denied as denied:
        return _problem(request, denied)


async def _put(request: web.Request, asked: Asked) -> web.StreamResponse:
    state = request.app[STATE]
    size = Gate(state.tokens).check_upload(asked)
    file = state.files.find(asked.path)
    if file is None:
        raise Denied("AccessDenied", "You have no right to access this object.")
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > min(size, _MOST_BYTES):
            raise Denied("EntityTooLarge", f"There are more than the {size} bytes that were asked for.", 400)
    if len(data) < size:
        raise Denied("EntityTooSmall", f"There are fewer than the {size} bytes that were asked for.", 400)
    _check_md5(asked.headers.get("content-md5"), bytes(data))
    await state.files.store(file, bytes(data), asked.headers.get("content-type", "application/octet-stream"))
    return web.Response(
        headers={"x-oss-request-id": uuid4().hex.upper(), "ETag": f'"{_md5(bytes(data)).hex().upper()}"'}
    )


async def _get(request: web.Request, asked: Asked) -> web.StreamResponse:
    state = request.app[STATE]
    Gate(state.tokens).check_reading(Asked("GET", asked.path, asked.headers, asked.query))
    file = state.files.find(asked.path)
    data = await state.files.read(file) if file is not None else None
    if file is None or data is None:
        raise Denied("NoSuchKey", "The specified key does not exist.", 404)
    return web.Response(body=data, headers={"Content-Type": file.content_type, "x-oss-request-id": uuid4().hex.upper()})


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _check_md5(given: str | None, data: bytes) -> None:
    if given is None:
        return
    try:
        is_right = base64.b64decode(given, validate=True) == _md5(data)
    except binascii.Error:
        is_right = False
    if not is_right:
        raise Denied("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)


def _problem(request: web.Request, denied: Denied) -> web.Response:
    request_id = uuid4().hex.upper()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n'
        f"  <Code>{denied.code}</Code>\n  <Message>{escape(denied.message)}</Message>\n"
        f"  <RequestId>{request_id}</RequestId>\n  <HostId>{escape(request.host)}</HostId>\n</Error>\n"
    )
    headers = {"x-oss-request-id": request_id}
    return web.Response(text=body, content_type="application/xml", status=denied.status, headers=headers)
