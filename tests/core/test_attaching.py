"""Which files go along with a message, and that each goes to upstream once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest

from app.core.attaching import Attaching
from app.core.attachments import Attachment, FileContent
from app.core.catalog import ModelCatalog
from app.core.file_types import bytes_digest, file_content
from app.core.messages import Message
from app.core.ports import FileLibrary, UploadedFile, UploadIndex, Upstream
from app.core.surroundings import Patience
from app.core.uploads import Uploads
from app.errors import FileLimit, FileNotFetched, FileUnreadable, UpstreamRejected, UpstreamUnreachable
from app.tasks.background import BackgroundTasks
from tests.core.fakes import FakeClock

NOBODY: Any = None


class FakeFetcher:
    """Addresses that hold their own text; `gone` in one is not there any more."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, url: str, name: str, *, most: int) -> FileContent:
        self.asked.append((url, most))
        if "gone" in url:
            raise FileNotFetched("It is gone.")
        return file_content(b"\x89PNG\r\n\x1a\n" + url.encode(), "", name)


def attaching(fetcher: FakeFetcher) -> Attaching:
    return Attaching(cast("ModelCatalog", NOBODY), cast("FileLibrary", NOBODY), fetcher, file_bytes=30 * 1024 * 1024)


def behind(url: str) -> Attachment:
    return Attachment("image", "a.png", "", url, url=url)


def inline(data: bytes) -> Attachment:
    return Attachment("document", "a.txt", "text/plain", bytes_digest(data), data)


def said(*files: Attachment) -> list[Message]:
    return [Message("user", "look", attachments=files)]


async def test_an_address_is_fetched_within_the_limit_of_its_kind() -> None:
    fetcher = FakeFetcher()
    attached = await attaching(fetcher).choose("anna", None, (), said(behind("http://a/1")))
    assert [file.kind for file in attached.files] == ["image"]
    assert fetcher.asked == [("http://a/1", 20 * 1024 * 1024)]


async def test_a_file_that_is_too_large_for_the_site_is_refused() -> None:
    large = inline(bytes(20 * 1024 * 1024 + 1))
    with pytest.raises(FileLimit, match=r"a\.txt has 20,971,521 bytes; the site takes 20,971,520"):
        await attaching(FakeFetcher()).choose("anna", None, (), said(large))
    earlier = await attaching(FakeFetcher()).choose("anna", None, said(large), said())
    assert (earlier.files, earlier.shown) == ((), {})


async def test_one_message_does_not_have_addresses_fetched_without_end() -> None:
    fetcher = FakeFetcher()
    with pytest.raises(FileLimit, match="The message holds 33 files; at most 32 are looked at"):
        await attaching(fetcher).choose("anna", None, (), said(*(behind(f"http://a/{number}") for number in range(33))))
    assert fetcher.asked == []


async def test_earlier_files_fill_the_room_that_is_left_but_for_the_transcript_s() -> None:
    old = said(*(inline(b"old %d" % number) for number in range(9)))
    new = said(inline(b"new"), inline(b"old 8"))
    attached = await attaching(FakeFetcher()).choose("anna", None, old, new)
    assert [file.data for file in attached.files] == [b"old 1", b"old 0", b"new", b"old 8"]


async def test_addresses_of_long_ago_are_not_tried_without_end() -> None:
    fetcher = FakeFetcher()
    old = [message for number in range(50) for message in said(behind(f"http://gone/{number}"))]
    await attaching(fetcher).choose("anna", None, old, said())
    assert [url for url, _ in fetcher.asked] == [f"http://gone/{number}" for number in range(49, 39, -1)]


class FakeIndex:
    """Uploads in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], UploadedFile] = {}

    async def find_upload(self, account: str, sha256: str, kind: str, until: Any) -> UploadedFile | None:
        found = self.kept.get((account, sha256, kind))
        return found if found is not None and found.expires_at > until else None

    async def keep_upload(self, account: str, sha256: str, file: UploadedFile, at: Any) -> None:
        self.kept[account, sha256, file.kind] = file


class FakeSite:
    """Takes uploads when it is let; `problems` come first."""

    def __init__(self, clock: FakeClock, *problems: Exception) -> None:
        self.clock = clock
        self.problems = list(problems)
        self.taken: list[bytes] = []
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def account_now(self) -> str:
        return "a1"

    async def upload(self, file: FileContent) -> UploadedFile:
        self.asked.set()
        await self.open.wait()
        if self.problems:
            raise self.problems.pop(0)
        self.taken.append(file.data)
        ends = self.clock.now() + timedelta(minutes=5)
        return UploadedFile(f"id-{len(self.taken)}", file.kind, file.name, len(file.data), "{}", ends)


FILE = FileContent("document", "a.txt", "text/plain", b"text")


@pytest.fixture
async def background() -> AsyncIterator[BackgroundTasks]:
    async with BackgroundTasks(patience=1) as background:
        yield background


def uploads(site: FakeSite, background: BackgroundTasks) -> Uploads:
    patience = Patience(retry=0.001)
    return Uploads(cast("Upstream", site), cast("UploadIndex", FakeIndex()), background, site.clock, patience)


async def test_requests_at_once_share_an_upload_and_it_outlives_the_first_of_them(background: BackgroundTasks) -> None:
    site = FakeSite(FakeClock())
    bringing = uploads(site, background)
    first, second = (asyncio.create_task(bringing.bring([FILE])) for _ in range(2))
    await site.asked.wait()
    first.cancel()
    site.open.set()
    assert [file.id for file in await second] == ["id-1"]
    assert (await bringing.bring([FILE]), site.taken) == (await second, [b"text"])


async def test_a_reference_that_is_about_to_end_is_not_used(background: BackgroundTasks) -> None:
    site = FakeSite(FakeClock())
    site.open.set()
    bringing = uploads(site, background)
    await bringing.bring([FILE])
    site.clock.seconds = 239.0
    await bringing.bring([FILE])
    assert len(site.taken) == 1
    site.clock.seconds = 241.0
    await bringing.bring([FILE])
    assert len(site.taken) == 2


async def test_what_was_not_reached_is_tried_again_and_what_is_not_read_is_the_file_s_fault(
    background: BackgroundTasks,
) -> None:
    unread = UpstreamRejected("No PDF.", cause="parse")
    site = FakeSite(FakeClock(), UpstreamUnreachable("No.", cause="connect"), unread)
    site.open.set()
    bringing = uploads(site, background)
    with pytest.raises(FileUnreadable, match=r"does not take a\.txt: No PDF"):
        await bringing.bring([FILE])
    assert (await bringing.bring([FILE]))[0].id == "id-1"


class PickySite(FakeSite):
    """Does not read `a.txt`, and says so when another file is on its way."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.has_another = asyncio.Event()

    async def upload(self, file: FileContent) -> UploadedFile:
        if file.name == "a.txt":
            await self.has_another.wait()
            raise UpstreamRejected("No PDF.", cause="parse")
        self.has_another.set()
        return await super().upload(file)


async def test_one_file_that_is_not_read_leaves_nobody_waiting_for_the_others(background: BackgroundTasks) -> None:
    site = PickySite()
    before = asyncio.all_tasks()
    with pytest.raises(FileUnreadable, match=r"does not take a\.txt"):
        await uploads(site, background).bring([FILE, FileContent("document", "b.txt", "text/plain", b"other")])
    left = asyncio.all_tasks() - before
    assert [task.get_name() for task in left] == ["upload b.txt"], "that goes on for whoever asks next"
    site.open.set()
    await asyncio.wait(left)
    assert site.taken == [b"other"]
