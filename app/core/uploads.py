"""Bring files to upstream, the same bytes once for an account (docs/files-and-media.md, Uploads)."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from app.clock import Clock
from app.core.attachments import FileContent, FileKind
from app.core.delivery import retrying
from app.core.file_types import bytes_digest, upload_digest
from app.core.ports import Background, UploadedFile, UploadIndex, Upstream
from app.core.surroundings import Patience
from app.errors import FileUnreadable, UpstreamRejected

_log = logging.getLogger(__name__)
_MARGIN = timedelta(seconds=60)  # a message that is sent now must arrive before its files end


class Uploads:
    """Owns which files are on their way. One that several requests wait for goes once, and outlives each of them."""

    def __init__(
        self, upstream: Upstream, index: UploadIndex, background: Background, clock: Clock, patience: Patience
    ) -> None:
        self._upstream = upstream
        self._index = index
        self._background = background
        self._clock = clock
        self._patience = patience
        self._under_way: dict[tuple[str, str, FileKind], asyncio.Task[UploadedFile]] = {}

    async def bring(self, files: Sequence[FileContent]) -> tuple[UploadedFile, ...]:
        """Return what upstream knows the files by. Raises FileUnreadable if one cannot be read there, UpstreamError."""
        try:
            async with asyncio.TaskGroup() as group:
                brought = [group.create_task(self._bring(file)) for file in files]
        except ExceptionGroup as problems:
            raise problems.exceptions[0] from None
        return tuple([task.result() for task in brought])

    async def _bring(self, file: FileContent) -> UploadedFile:
        account = await self._upstream.account_now()
        sha256 = upload_digest(await asyncio.to_thread(bytes_digest, file.data), file.name)
        known = await self._index.find_upload(account, sha256, file.kind, self._clock.now() + _MARGIN)
        if known is not None:
            return known
        key = (account, sha256, file.kind)
        task = self._under_way.get(key)
        if task is None:
            task = self._background.spawn(self._upload(account, sha256, file), f"upload {file.name}", awaited=True)
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await self._background.outlast(task, f"upload {file.name}")

    async def _upload(self, account: str, sha256: str, file: FileContent) -> UploadedFile:
        try:
            uploaded = await retrying(lambda: self._upstream.upload(file), self._patience)
        except UpstreamRejected as problem:
            if problem.cause != "parse":
                raise
            raise FileUnreadable(f"The site does not take {file.name}: {problem}", param="messages") from problem
        if await self._upstream.account_now() == account:  # else it may be in the new one's, and is brought again
            await self._index.keep_upload(account, sha256, uploaded, self._clock.now())
        _log.info("Uploaded %s, %s, %d bytes", file.name, file.content_type, len(file.data))
        return uploaded
