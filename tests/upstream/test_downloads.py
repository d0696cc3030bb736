"""What the site made, fetched from it."""

import asyncio
import gzip
from typing import Any

import pytest

from app.config import Settings
from app.errors import (
    UpstreamBlocked,
    UpstreamCut,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.qwen import QwenUpstream, TokenSource
from app.upstream.qwen.grants import is_of_the_site
from tests.samples import PNG
from tests.upstream.conftest import StillClock, make_settings, make_token
from tests.upstream.scripted import ANTI_BOT, WAF_PAGE, Act, Site, chunk, head, reply

FILE = "/output/user-1/1.mp4"
SITE = "https://chat.qwen.ai"
STORE = "https://qwen-webui-prod.oss-accelerate.aliyuncs.com/user-1/f1.png"
VIDEO = b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 200_000


def opened(site: Site, clock: StillClock, settings: Settings) -> QwenUpstream:
    return QwenUpstream(
        settings, clock, base_url=site.url, tokens=TokenSource.fixed(settings, clock, make_token()), kind="qwen"
    )


async def test_a_video_is_fetched_in_pieces_without_anything_of_the_account(upstream: QwenUpstream, site: Site) -> None:
    site.on(f"GET {FILE}", reply(VIDEO, kind="video/mp4"))
    async with upstream.download(f"{site.url}{FILE}?key=k") as download:
        assert (download.content_type, download.size) == ("video/mp4", len(VIDEO))
        assert b"".join([piece async for piece in download]) == VIDEO
    assert site.requests[0].path == f"{FILE}?key=k"
    assert not {"authorization", "cookie"} & site.requests[0].headers.keys()


async def test_a_file_that_comes_packed_is_as_long_as_nobody_says(upstream: QwenUpstream, site: Site) -> None:
    site.on(f"GET {FILE}", reply(gzip.compress(VIDEO), 200, "Content-Encoding: gzip", kind="video/mp4"))
    async with upstream.download(site.url + FILE) as download:
        assert download.size is None
        assert b"".join([piece async for piece in download]) == VIDEO


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (reply(b"", 403), UpstreamRejected, "expired"),
        (reply(b"", 500), UpstreamUnreachable, "500"),
        (reply(b"", 302, "Location: http://10.0.0.1/"), UpstreamProtocolError, "302"),
        (reply(b"", kind="image/png"), UpstreamUnreachable, "empty"),
        (reply(WAF_PAGE, kind="text/html"), UpstreamBlocked, "html"),
        (reply(b"\n" + WAF_PAGE, kind="image/png"), UpstreamBlocked, "html"),
        (reply(ANTI_BOT, kind="image/png"), UpstreamProtocolError, "content"),
        (reply(b"%PDF-1.7", kind="image/png"), UpstreamProtocolError, "content"),
        (reply(b"\x00\x01", kind="application/octet-stream"), UpstreamProtocolError, "content"),
    ],
)
async def test_what_cannot_be_fetched_says_why(
    upstream: QwenUpstream, site: Site, answer: Act, kind: type[UpstreamError], cause: str
) -> None:
    site.on(f"GET {FILE}", answer)
    with pytest.raises(kind) as problem:
        async with upstream.download(site.url + FILE):
            pass
    assert problem.value.cause == cause


@pytest.mark.parametrize("kind", ["video/mp4", "application/octet-stream", ""])
async def test_an_image_or_a_video_is_known_by_its_bytes_whatever_it_is_called(
    upstream: QwenUpstream, site: Site, kind: str
) -> None:
    for data in (VIDEO, PNG, PNG[:20]):
        site.on(f"GET {FILE}", reply(data, kind=kind))
        async with upstream.download(site.url + FILE) as download:
            assert b"".join([piece async for piece in download]) == data


async def test_a_file_of_an_unknown_kind_is_what_it_is_called(upstream: QwenUpstream, site: Site) -> None:
    site.on(f"GET {FILE}", reply(b"\x00new\xff", kind="image/new"))
    async with upstream.download(site.url + FILE) as download:
        assert b"".join([piece async for piece in download]) == b"\x00new\xff"


async def test_a_file_that_breaks_off_before_its_kind_is_known_is_cut(upstream: QwenUpstream, site: Site) -> None:
    async def barely(writer: Any) -> None:
        writer.write(head(200, "video/mp4", length=100) + VIDEO[:9])
        writer.close()

    site.on(f"GET {FILE}", barely)
    with pytest.raises(UpstreamCut):
        async with upstream.download(site.url + FILE):
            pass


async def test_a_file_that_breaks_off_is_cut(upstream: QwenUpstream, site: Site) -> None:
    async def half(writer: Any) -> None:
        writer.write(head(200, "video/mp4", length=1000) + VIDEO[:500])
        writer.close()

    site.on(f"GET {FILE}", half)
    async with upstream.download(site.url + FILE) as download:
        with pytest.raises(UpstreamCut):
            assert [piece async for piece in download] == []


async def test_a_store_that_says_nothing_is_waited_for_only_so_long(
    site: Site, clock: StillClock, tmp_path: Any
) -> None:
    async def silent(writer: Any) -> None:
        writer.write(head(200, "video/mp4", length=1000) + VIDEO[:500])
        await writer.drain()
        await site_closed.wait()

    site_closed = asyncio.Event()
    site.on(f"GET {FILE}", silent)
    settings = make_settings(tmp_path, BETWEEN_EVENTS_TIMEOUT="0.05")
    async with opened(site, clock, settings) as upstream, upstream.download(site.url + FILE) as download:
        with pytest.raises(UpstreamTimeout, match="BETWEEN_EVENTS_TIMEOUT"):
            assert [piece async for piece in download] == []


def dripping(piece: bytes, every: float) -> Act:
    """Send a file without end, so many bytes so often (seconds)."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "video/mp4") + chunk(VIDEO[:100]))
        while True:
            writer.write(chunk(piece))
            await writer.drain()
            await asyncio.sleep(every)

    return act


async def test_a_file_that_drips_ends_although_it_is_never_silent(site: Site, clock: StillClock, tmp_path: Any) -> None:
    site.on(f"GET {FILE}", dripping(b"x", 0.02))
    settings = make_settings(tmp_path, TOTAL_TIMEOUT="0.2")
    async with opened(site, clock, settings) as upstream, upstream.download(site.url + FILE) as download:
        with pytest.raises(UpstreamTimeout, match="TOTAL_TIMEOUT"):
            assert [piece async for piece in download] == []


async def test_a_file_that_flows_may_take_longer_than_an_answer(site: Site, clock: StillClock, tmp_path: Any) -> None:
    site.on(f"GET {FILE}", dripping(b"x" * 8192, 0.02))
    settings = make_settings(tmp_path, TOTAL_TIMEOUT="0.1")
    async with opened(site, clock, settings) as upstream, upstream.download(site.url + FILE) as download:
        ends = asyncio.get_running_loop().time() + 0.5
        async for _ in download:
            if asyncio.get_running_loop().time() > ends:
                return
    raise AssertionError("it ended")


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://cdn.qwenlm.ai/output/u/t2i/r/1.png?key=e.y.J", True),
        ("https://chat.qwen.ai/file", True),
        (STORE, True),
        ("http://cdn.qwenlm.ai/1.png", False),
        ("https://cdn.qwenlm.ai:8443/1.png", False),
        ("https://qwenlm.ai.evil.example/1.png", False),
        ("https://evilqwenlm.ai/1.png", False),
        ("https://user@cdn.qwenlm.ai/1.png", False),
        ("https://evil.example/?https://cdn.qwenlm.ai/", False),
        ("https://other.oss-accelerate.aliyuncs.com/1.png", False),
        ("http://chat.qwen.ai/file", False),
        ("http://127.0.0.1/1.png", False),
        ("data:image/png;base64,AAAA", False),
        ("", False),
    ],
)
async def test_only_what_the_site_made_is_fetched(upstream: QwenUpstream, site: Site, url: str, ours: bool) -> None:
    assert is_of_the_site(url, SITE) is ours
    if not ours:
        with pytest.raises(UpstreamRejected, match="not an address of the site"):
            async with upstream.download(url):
                pass
        assert site.requests == []
