"""Contents and what is remembered of them stay together, whatever goes wrong while a file is stored."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.clock import Clock
from app.core.ports import StoredFile
from app.errors import FileStorageFull, StoredFileNotFound, StoreError
from app.files.library import DiskLibrary, open_library
from tests.core.fakes import FakeClock

BUDGET = 1500


class Index:
    """Remembers files once it is `open`; `asked` says that it was to remember one."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.fails = False

    async def add_file(self, file: StoredFile) -> None:
        self.asked.set()
        await self.open.wait()
        if self.fails:
            raise StoreError("The database is locked.")
        self.files[file.id] = file

    async def find_file(self, owner: str, file_id: str) -> StoredFile | None:
        return self.files.get(file_id)

    async def list_files(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> Sequence[StoredFile]:
        return list(self.files.values())

    async def remove_file(self, owner: str, file_id: str) -> None:
        del self.files[file_id]

    async def contents(self) -> Mapping[str, int]:
        return {file.sha256: file.size for file in self.files.values()}


@asynccontextmanager
async def opened(folder: Path, index: Index, clock: Clock | None = None) -> AsyncIterator[DiskLibrary]:
    async with open_library(folder, index, clock or FakeClock(), budget=BUDGET, largest=BUDGET) as library:
        yield library


async def stored(library: DiskLibrary, data: bytes) -> StoredFile:
    async with library.receive() as incoming:
        await incoming.write(data)
        return await incoming.keep("anna", "a.txt", "user_data")


async def test_a_file_that_cannot_be_remembered_leaves_no_content(tmp_path: Path) -> None:
    index = Index()
    async with opened(tmp_path, index) as library:
        kept = await stored(library, b"x" * 100)
        index.fails = True
        for data in (b"x" * 100, b"y" * 100):
            with pytest.raises(StoreError, match="locked"):
                await stored(library, data)
        assert await asyncio.to_thread(os.listdir, tmp_path) == [kept.sha256]


async def test_a_file_that_finds_no_room_on_the_disk_is_told_as_that_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(tmp_path, Index()) as library:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # stands for a full disk
        try:
            with pytest.raises(StoreError, match="A file could not be stored: File too large"):
                await stored(library, b"x" * 1200)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert await asyncio.to_thread(os.listdir, tmp_path) == []
        assert (await stored(library, b"y" * 1200)).size == 1200, "its bytes count no more"


async def test_a_client_that_leaves_at_the_end_leaves_a_whole_file_that_counts(tmp_path: Path) -> None:
    index = Index()
    async with opened(tmp_path, index) as library:
        index.open.clear()
        storing = asyncio.create_task(stored(library, b"x" * 1000))
        await index.asked.wait()
        storing.cancel()
        index.open.set()
        await asyncio.wait([storing])
        assert storing.cancelled()
        (file,) = index.files.values()
        assert (await library.read(file)).data == b"x" * 1000
        with pytest.raises(FileStorageFull, match="1,000 are used"):
            await stored(library, b"y" * 1000)


async def test_a_client_that_leaves_while_its_file_is_made_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, Index()) as library:
        storing = asyncio.create_task(stored(library, b"x"))
        await asyncio.sleep(0)  # the thread that makes the file has begun
        storing.cancel()
        await asyncio.wait([storing])
        assert storing.cancelled()
        assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_content_that_is_gone_is_not_confused_with_a_disk_that_fails(tmp_path: Path) -> None:
    async with opened(tmp_path, Index()) as library:
        file = await stored(library, b"x")
        await asyncio.to_thread(library.path(file).unlink)
        with pytest.raises(StoredFileNotFound, match="gone from the disk"):
            await library.read(file)
        await asyncio.to_thread(library.path(file).mkdir)
        with pytest.raises(StoreError, match="Is a directory"):
            await library.read(file)


async def test_a_full_store_says_what_the_other_files_take(tmp_path: Path) -> None:
    async with opened(tmp_path, Index()) as library:
        await stored(library, b"x" * 1000)
        async with library.receive() as incoming:
            await incoming.write(b"y" * 400)
            with pytest.raises(FileStorageFull, match="1,000 are used"):
                await incoming.write(b"y" * 400)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_a_database_that_is_put_back_finds_its_contents_again(tmp_path: Path) -> None:
    folder, first, empty = tmp_path / "q.db-files", Index(), Index()
    async with opened(folder, first) as library:
        kept = await stored(library, b"kept")
    async with opened(folder, empty) as library:
        other = await stored(library, b"other")
        assert await asyncio.to_thread(names, folder) == {other.sha256, f"unclaimed/{kept.sha256}"}
    async with opened(folder, first) as library:
        assert (await library.read(kept)).data == b"kept"
        assert await asyncio.to_thread(names, folder) == {kept.sha256, f"unclaimed/{other.sha256}"}


async def test_what_nobody_claimed_for_a_month_goes(tmp_path: Path) -> None:
    folder, clock = tmp_path / "q.db-files", FakeClock()
    async with opened(folder, Index(), clock) as library:
        await stored(library, b"of a database that is gone")
    for days, left in ((0, 1), (29, 1), (2, 0)):
        clock.seconds += days * 86400
        async with opened(folder, Index(), clock):
            assert len(await asyncio.to_thread(names, folder)) == left
