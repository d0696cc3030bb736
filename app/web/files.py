"""`/v1/files`: files that clients store here and name by their id in messages (docs/files-and-media.md)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self
from urllib.parse import quote

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from app.core.file_types import safe_name
from app.core.ports import IncomingFile
from app.errors import FileChanged, InvalidRequest, RangeUnusable, StoredFileNotFound
from app.openai.files import MOST_LISTED, FileDeleted, check_purpose, file_list, file_object
from app.openai.paging import read_page
from app.web.answers import json_answer
from app.web.forms import SPOILT, check_form, words_of
from app.web.headers import ignored_header
from app.web.keys import OWNER, SERVICES, VISIT

_PIECE = 256 * 1024  # bytes
_FIELD_BYTES = 1024
_MOST_NAMED = 100  # of the fields that are ignored: a form may be long


async def store_file(request: web.Request) -> web.Response:
    """Store a file; it goes to the disk as it comes."""
    check_form(request)
    name, purpose = None, ""
    ignored: list[str] = []
    async with request.app[SERVICES].files.receive() as incoming:
        try:
            async for field in _fields(request):
                if field.name == "file" and name is not None:
                    raise InvalidRequest("The form holds several files; send each by itself.", param="file")
                if field.name == "file":
                    name = safe_name(field.filename or "")
                    await _take(field, incoming)
                elif field.name == "purpose":
                    purpose = await _text(field)
                else:
                    await field.release()
                    if field.name and len(ignored) < _MOST_NAMED:
                        ignored.append(field.name)
        except (*SPOILT, web.RequestPayloadError) as problem:
            raise InvalidRequest(f"The form could not be read: {words_of(problem)}.") from problem
        check_purpose(purpose)
        if name is None or not incoming.size:
            raise InvalidRequest("'file' is missing or empty.", param="file")
        file = await incoming.keep(request[OWNER], name, purpose)
        return json_answer(file_object(file), ignored_header(ignored))


async def _fields(request: web.Request) -> AsyncIterator[BodyPartReader]:
    async for field in await request.multipart():
        if not isinstance(field, BodyPartReader):
            raise InvalidRequest("A form in a form is not read.")
        yield field


async def _take(field: BodyPartReader, incoming: IncomingFile) -> None:
    while piece := await field.read_chunk(_PIECE):
        await incoming.write(piece)


async def _text(field: BodyPartReader) -> str:
    """Read a short field, which may come in several pieces. Raises InvalidRequest."""
    text = bytearray()
    while piece := await field.read_chunk(_FIELD_BYTES):
        text += piece
        if len(text) > _FIELD_BYTES:
            raise InvalidRequest(f"{field.name!r} is too long.", param=field.name)
    return text.decode("utf-8", "replace").strip()


async def list_files(request: web.Request) -> web.Response:
    """List the owner's files, a page at a time."""
    page = read_page(request.query, usual=MOST_LISTED, most=MOST_LISTED)
    owner, library = request[OWNER], request.app[SERVICES].files
    if page.after is not None:
        await library.find(owner, page.after, param="after")
    files = await library.page(
        owner,
        after=page.after,
        limit=page.limit + 1,
        newest_first=page.newest_first,
        purpose=request.query.get("purpose"),
    )
    return json_answer(file_list(files, page.limit))


async def show_file(request: web.Request) -> web.Response:
    """Describe one file."""
    file = await request.app[SERVICES].files.find(request[OWNER], request.match_info["file_id"])
    return json_answer(file_object(file))


async def file_content(request: web.Request) -> web.StreamResponse:
    """Give a file back; as a download, so that no browser takes it for a page of this server."""
    library = request.app[SERVICES].files
    file = await library.find(request[OWNER], request.match_info["file_id"])
    path = library.path(file)
    if not await asyncio.to_thread(path.is_file):
        raise StoredFileNotFound(f"The content of the file {file.id!r} is gone from the disk.", param="file_id")
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
    }
    return await _FileAnswer(path, headers=headers).send(request)


class _FileAnswer(web.FileResponse):
    """A file on its way. Its handler sends it: so a stop waits for it, and what is noted of it is what was sent."""

    async def send(self, request: web.Request) -> Self:
        """Send the file, the part of it that was asked for, or that it did not change.

        Raises RangeUnusable, FileChanged.
        """
        visit = request[VISIT]
        try:
            await self.prepare(request)
            await self.write_eof()
        except BaseException:
            visit.sent = (self.content_length or 0) - (request.writer.length or 0)
            raise
        visit.sent = 0 if request.method == hdrs.METH_HEAD else self.content_length or 0
        return self

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the file, once: aiohttp asks again when the handler has ended."""
        return await (web.StreamResponse.prepare(self, request) if self.prepared else super().prepare(request))

    def set_status(self, status: int, reason: str | None = None) -> None:
        """Take the status that the file and the request give; one that says no is an error like any other."""
        if status == web.HTTPPreconditionFailed.status_code:
            raise FileChanged("The file is not the one that If-Match or If-Unmodified-Since asks for.")
        if status == web.HTTPRequestRangeNotSatisfiable.status_code:
            size = self.headers[hdrs.CONTENT_RANGE]
            raise RangeUnusable(f"The file has no such bytes (Content-Range: {size}).", content_range=size)
        super().set_status(status, reason)


async def delete_file(request: web.Request) -> web.Response:
    """Delete one file."""
    file_id = request.match_info["file_id"]
    await request.app[SERVICES].files.remove(request[OWNER], file_id)
    return json_answer(FileDeleted(id=file_id, object="file", deleted=True))
