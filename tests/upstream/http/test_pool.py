"""How connections are made, kept, used again and let go."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.upstream.http import Disconnected, NotConnected, Pool, Response
from tests.upstream.http.test_connection import read
from tests.upstream.scripted import Act, Site, chunk, head, reply, running_site, stream

PAGE = "/page"
CERTIFICATE = Path(__file__).parent / "loopback.pem"  # for 127.0.0.1, signed by itself, good until 2126


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


def endless(first: bytes, more: bytes) -> Act:
    """Answer, and go on and on until the other side has gone."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(0.001)

    return act


def raw(data: bytes, then: Act | None = None) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if then is not None:
            await writer.drain()
            await then(writer)

    return act


def pool_of(site: Site, idle_seconds: float = 5.0) -> Pool:
    return Pool(site.url, connect_seconds=5, idle_seconds=idle_seconds)


async def ask(pool: Pool, method: str = "GET", body: bytes | None = None) -> bytes:
    response = await pool.request(method, PAGE, {}, body)
    try:
        return await read(response)
    finally:
        response.close()


async def ended(site: Site, count: int = 1) -> None:
    """Wait until the site has seen so many of its connections end."""
    async with asyncio.timeout(5):
        while site.connections - len(site.tasks) < count:
            await asyncio.sleep(0.001)


async def test_a_request_is_written_as_it_is_meant(site: Site) -> None:
    site.on(f"POST {PAGE}", reply(b"yes"))
    async with pool_of(site) as pool:
        response = await pool.request("POST", f"{PAGE}?a=b", {"X-One": "1", "X-Two": "zwei \u00e4"}, b"body")
        assert await read(response) == b"yes"
    (request,) = site.requests
    host = site.url.removeprefix("http://")
    assert (request.method, request.path, request.body) == ("POST", f"{PAGE}?a=b", b"body")
    wanted = {"host": host, "x-one": "1", "x-two": "zwei \u00e4".encode().decode("latin-1"), "content-length": "4"}
    assert request.headers == wanted


async def test_a_large_body_arrives_as_it_is(site: Site) -> None:
    site.on(f"PUT {PAGE}", reply(b"yes"))
    body = bytes(range(256)) * 8192
    async with pool_of(site) as pool:
        assert [await ask(pool, "PUT", body) for _ in range(2)] == [b"yes"] * 2
    assert [request.body for request in site.requests] == [body] * 2
    assert site.connections == 1


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nB: c", "a\rB: c", "a\n"])
async def test_a_line_break_cannot_smuggle_a_header_in(site: Site, value: str) -> None:
    async with pool_of(site) as pool:
        for target, headers in ((PAGE, {"A": value}), (PAGE, {value: "a"}), (f"/{value}", {})):
            with pytest.raises(ValueError, match="line break"):
                await pool.request("GET", target, headers)
    assert site.connections == 0


async def test_the_path_of_the_base_address_goes_in_front(site: Site) -> None:
    site.on("GET /under/page", reply(b"yes"))
    async with Pool(f"{site.url}/under/", connect_seconds=5) as pool:
        assert await ask(pool) == b"yes"


async def test_an_address_of_version_6_is_spoken_to() -> None:
    site = Site()
    try:
        server = await asyncio.start_server(site.serve, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    site.on(f"GET {PAGE}", reply(b"yes"))
    port = server.sockets[0].getsockname()[1]
    async with Pool(f"http://[::1]:{port}", connect_seconds=5) as pool:
        assert await ask(pool) == b"yes"
    server.close()
    await ended(site)
    assert site.requests[0].headers["host"] == f"[::1]:{port}"


async def test_one_connection_serves_one_request_after_the_other(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"))
    site.on(f"POST {PAGE}", stream(b"one", b"two"))
    async with pool_of(site) as pool:
        for _ in range(3):
            assert await ask(pool) == b"yes"
            assert await ask(pool, "POST", b"{}") == b"onetwo"
    assert site.connections == 1


async def test_requests_at_once_have_connections_of_their_own_that_are_kept(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"))
    async with pool_of(site) as pool:
        for _ in range(2):
            assert await asyncio.gather(*(ask(pool) for _ in range(5))) == [b"yes"] * 5
        assert site.connections == 5


async def test_a_whole_answer_that_nobody_read_leaves_a_good_connection(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"never read"), reply(b"read"))
    async with pool_of(site) as pool:
        response = await pool.request("GET", PAGE, {})
        async with asyncio.timeout(5):
            while not response.is_whole:
                await asyncio.sleep(0)
        response.close()
        assert await ask(pool) == b"read"
    assert site.connections == 1


@pytest.mark.parametrize("act", [reply(b"yes", 200, "Connection: close"), raw(b"HTTP/1.0 200 OK\r\n\r\nyes", hang_up)])
async def test_a_connection_that_the_site_closes_is_replaced(site: Site, act: Act) -> None:
    site.on(f"POST {PAGE}", act)
    async with pool_of(site) as pool:
        for _ in range(2):
            assert await ask(pool, "POST", b"") == b"yes"
    assert site.connections == 2


async def test_an_idle_connection_is_closed_after_its_time(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"))
    async with pool_of(site, idle_seconds=0.02) as pool:
        await asyncio.gather(ask(pool), ask(pool))
        await ended(site, 2)
        await ask(pool)
        await ended(site, 3)
    assert site.connections == 3


async def test_a_connection_that_is_too_old_is_not_used(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"))
    async with pool_of(site, idle_seconds=0) as pool:
        assert await ask(pool) == await ask(pool) == b"yes"
    assert site.connections == 2


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_a_closed_connection_did_not_answer_is_asked_again_where_that_does_no_harm(
    site: Site, method: str
) -> None:
    site.on(f"{method} {PAGE}", reply(b"first"), hang_up, reply(b"again"))
    async with pool_of(site) as pool:
        assert [await ask(pool, method), await ask(pool, method)] == [b"first", b"again"]
    assert [request.connection for request in site.requests] == [1, 1, 2]


async def test_what_may_have_been_done_is_not_asked_again(site: Site) -> None:
    site.on(f"POST {PAGE}", reply(b"first"), hang_up, reply(b"other"))
    async with pool_of(site) as pool:
        assert await ask(pool, "POST", b"") == b"first"
        with pytest.raises(Disconnected):
            await ask(pool, "POST", b"")
        assert await ask(pool, "POST", b"") == b"other"
    assert len(site.requests) == 3


async def test_neither_is_what_a_new_connection_or_half_an_answer_was_lost_for(site: Site) -> None:
    site.on(f"GET {PAGE}", hang_up, reply(b"yes"), raw(b"HTTP/1.1 2", hang_up), reply(b"no"))
    async with pool_of(site) as pool:
        with pytest.raises(Disconnected):
            await ask(pool)
        assert await ask(pool) == b"yes"
        with pytest.raises(Disconnected):
            await ask(pool)
    assert len(site.requests) == 3


async def test_what_the_site_says_unasked_is_nobodys_answer(site: Site) -> None:
    unasked = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    site.on(f"GET {PAGE}", unasked, reply(b"mine"))
    async with pool_of(site) as pool:
        assert [await ask(pool), await ask(pool)] == [b"good", b"mine"]
    assert site.connections == 2


async def test_an_answer_that_breaks_off_in_the_middle_is_told(site: Site) -> None:
    site.on(f"GET {PAGE}", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hang_up))
    async with pool_of(site) as pool:
        response = await pool.request("GET", PAGE, {})
        assert await response.read() == b"half"
        with pytest.raises(Disconnected):
            await response.read()
        response.close()


@pytest.mark.parametrize(
    "act", [endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), endless(b"HTTP/1.1 200 OK\r\nX: ", b"a")]
)
async def test_a_request_that_is_given_up_takes_its_connection_along_and_no_other(site: Site, act: Act) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"), reply(b"yes"), act, reply(b"yes"))
    async with pool_of(site) as pool:
        await asyncio.gather(ask(pool), ask(pool))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await ask(pool)
        assert await ask(pool) == b"yes"
        await ended(site)
    assert site.connections == 2


@pytest.mark.parametrize("reading", [True, False])
async def test_an_answer_that_is_given_up_takes_its_connection_along(site: Site, reading: bool) -> None:
    site.on(f"GET {PAGE}", endless(head() + chunk(b"begun"), b"1"), reply(b"yes"))
    async with pool_of(site) as pool:
        response = await pool.request("GET", PAGE, {})
        assert await response.read() == b"begun"
        if reading:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await response.read()
        response.close()
        await ended(site)
        response.close()
        assert await ask(pool) == b"yes"


async def test_a_site_that_is_faster_than_its_reader_has_to_wait(site: Site) -> None:
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
        for _ in range(512):
            writer.write(b"a" * 65536)
            await writer.drain()
            written += 65536

    site.on(f"GET {PAGE}", flood)
    async with pool_of(site) as pool:
        response = await pool.request("GET", PAGE, {})
        before = -1
        while written > before:  # until the buffers of the kernel are full too
            before = written
            await asyncio.sleep(0.02)
        assert written < 16 << 20
        first = await response.read()
        assert len(first) < 1 << 20
        assert len(first) + len(await read(response)) == 32 << 20
        response.close()
        assert written == 32 << 20


async def test_a_slowed_connection_that_ends_is_read_to_what_arrived(site: Site) -> None:
    flood = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 600000\r\n\r\n" + b"a" * 600_000
    site.on(f"GET {PAGE}", raw(flood, hang_up))
    async with pool_of(site) as pool:
        response = await pool.request("GET", PAGE, {})
        await asyncio.sleep(0.01)
        assert await read(response) == b"a" * 600_000
        response.close()


async def test_a_pool_that_closes_ends_what_is_open(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"), endless(head() + chunk(b"a" * 500_000), b"1"))
    async with pool_of(site) as pool:
        await ask(pool)
        response = await pool.request("GET", PAGE, {})
        await asyncio.sleep(0.01)
    await ended(site)
    with pytest.raises(Disconnected):
        await read(response)
    response.close()
    with pytest.raises(Disconnected):
        await pool.request("GET", PAGE, {})
    await ended(site, site.connections)


@asynccontextmanager
async def secured() -> AsyncIterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, CERTIFICATE)
    async with running_site(context) as site:
        yield site


async def test_a_secured_site_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with secured() as site, pool_of(site) as pool:
        site.on(f"GET {PAGE}", reply(b"a" * 700_000))
        for _ in range(2):
            assert await ask(pool) == b"a" * 700_000
        assert site.connections == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with secured() as site, pool_of(site) as pool:
        with pytest.raises(NotConnected) as caught:
            await ask(pool)
    assert (caught.value.why, site.requests) == ("tls", [])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://no-such-host.invalid", "dns"),
        (f"http://{'a' * 80}.invalid", "dns"),
        ("http://127.0.0.1:1", "refused"),
    ],
)
async def test_why_no_connection_was_made_is_told(address: str, why: str) -> None:
    async with Pool(address, connect_seconds=5) as pool:
        with pytest.raises(NotConnected) as caught:
            await ask(pool)
    assert caught.value.why == why


async def test_a_connection_that_takes_too_long_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # never greets back
        async with Pool(f"https://127.0.0.1:{deaf.getsockname()[1]}", connect_seconds=0.3) as pool:
            with pytest.raises(NotConnected) as caught:
                await ask(pool)
    assert caught.value.why == "timeout"


async def test_a_pool_that_closes_while_a_connection_is_made_leaves_none_behind(site: Site) -> None:
    site.on(f"GET {PAGE}", reply(b"yes"))
    pool = pool_of(site)
    async with pool:
        asking: asyncio.Task[Response] = asyncio.create_task(pool.request("GET", PAGE, {}))
        await asyncio.sleep(0)
    with pytest.raises(Disconnected):
        await asking
    await ended(site, site.connections)
