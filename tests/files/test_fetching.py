"""Addresses that clients name are fetched, but never this machine's place in the network lent to them."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from app.errors import FileNotFetched
from app.files.addresses import AddressRefused, check_address
from app.files.fetching import open_fetcher
from tests.samples import PDF, PNG

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Site:
    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    never: asyncio.Event = field(default_factory=asyncio.Event)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[Site]:
    site = Site()

    async def picture(request: web.Request) -> web.Response:
        site.headers.append(dict(request.headers))
        return web.Response(body=PNG, headers={"Set-Cookie": "a=1", "Content-Type": "text/html"})

    async def hop(request: web.Request) -> web.Response:
        left = int(request.match_info["left"])
        return web.Response(status=302, headers={"Location": f"/hop/{left - 1}" if left else "/picture.png"})

    async def away(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": request.query["to"]})

    async def named(_: web.Request) -> web.Response:
        return web.Response(body=PDF, headers={"Content-Disposition": 'attachment; filename="report 1.pdf"'})

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(2000))

    async def empty(_: web.Request) -> web.Response:
        return web.Response()

    async def silent(_: web.Request) -> web.Response:
        await site.never.wait()
        return web.Response()

    app = web.Application()
    app.add_routes(
        [
            web.get("/picture.png", picture),
            web.get("/hop/{left}", hop),
            web.get("/away", away),
            web.get("/named", named),
            web.get("/endless", endless),
            web.get("/silent", silent),
            web.get("/large", large),
            web.get("/empty", empty),
        ]
    )
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()


async def refused(url: str, *, private: bool = True, seconds: float = 5, enabled: bool = True) -> str:
    async with open_fetcher(enabled=enabled, allow_private=private, seconds=seconds) as fetcher:
        with pytest.raises(FileNotFetched) as problem:
            await fetcher.fetch(url, "x", most=1000)
    assert (problem.value.status, problem.value.code) == (400, "file_not_fetched")
    return str(problem.value)


async def test_a_file_is_what_its_bytes_are_and_named_by_the_answer_or_the_address(site: Site) -> None:
    async with open_fetcher(enabled=True, allow_private=True) as fetcher:
        picture = await fetcher.fetch(f"{site.url}/picture.png?size=1", "picture.png", most=1000)
        report = await fetcher.fetch(f"{site.url}/named", "named", most=1000)
        by_name = await fetcher.fetch(site.url.replace("127.0.0.1", "localhost") + "/picture.png", "x", most=1000)
    assert (picture.kind, picture.content_type, picture.name, picture.data) == (
        "image",
        "image/png",
        "picture.png",
        PNG,
    )
    assert (report.kind, report.name, report.data) == ("document", "report 1.pdf", PDF)
    assert by_name == picture


async def test_neither_cookies_nor_credentials_go_along(site: Site) -> None:
    async with open_fetcher(enabled=True, allow_private=True) as fetcher:
        for _ in range(2):
            await fetcher.fetch(f"{site.url}/picture.png", "", most=1000)
    assert not {"Cookie", "Authorization", "Referer"} & set(site.headers[-1])
    told = await refused(site.url.replace("//", "//me:secret@") + "/picture.png")
    assert "with a user or a password" in told
    assert "secret" not in told


async def test_three_redirects_are_followed_and_no_more(site: Site) -> None:
    async with open_fetcher(enabled=True, allow_private=True) as fetcher:
        assert (await fetcher.fetch(f"{site.url}/hop/2", "", most=1000)).data == PNG
    assert "redirected more than 3 times" in await refused(f"{site.url}/hop/3")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nothing", "status 404"),
        ("/large", "larger than 1,000 bytes"),
        ("/endless", "larger than 1,000 bytes"),
        ("/empty", "it is empty"),
        ("/away?to=ftp://example.org/x", "only http and https"),
        ("/away?to=http://169.254.169.254/latest/meta-data", "169.254.169.254 is not an address of the public"),
        ("/away?to=http://[::ffff:169.254.169.254]/", "169.254.169.254 is not an address of the public"),
    ],
)
async def test_what_is_no_file_is_refused_with_its_reason(site: Site, path: str, why: str) -> None:
    assert why in await refused(site.url + path)


async def test_what_signs_an_address_is_not_told(site: Site) -> None:
    said = await refused(site.url.replace("//", "//ann:secret@") + "/nothing?Signature=abc#top")
    assert f"{site.url}/nothing could not be fetched" in said
    assert not {"ann", "secret", "abc"} & set(re.findall(r"\w+", said))


async def test_a_site_that_keeps_silent_is_given_up(site: Site) -> None:
    assert "within 0.05 seconds" in await refused(f"{site.url}/silent", seconds=0.05)


async def test_nothing_is_fetched_where_that_is_switched_off(site: Site) -> None:
    assert "FETCH_URLS=0" in await refused(f"{site.url}/picture.png", enabled=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_not_called_by_any_of_its_names(site: Site, host: str) -> None:
    before = len(site.headers)
    await refused(f"http://{host}:{site.url.rpartition(':')[2]}/picture.png", private=False)
    assert len(site.headers) == before


@pytest.mark.parametrize(
    ("address", "anyone", "private"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700::1111", True, True),
        ("64:ff9b::808:808", True, True),
        ("10.0.0.1", False, True),
        ("192.168.1.9", False, True),
        ("100.64.0.1", False, True),
        ("fd00::1", False, True),
        ("::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::a00:1", False, True),
        ("2002:a00:1::", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("240.0.0.1", False, False),
        ("255.255.255.255", False, False),
    ],
)
async def test_only_the_public_internet_is_called_or_the_home_where_that_is_allowed(
    address: str, anyone: bool, private: bool
) -> None:
    for allowed, allow_private in ((anyone, False), (private, True)):
        if allowed:
            check_address(address, allow_private=allow_private)
        else:
            with pytest.raises(AddressRefused):
                check_address(address, allow_private=allow_private)
