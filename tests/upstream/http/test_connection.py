"""What a connection makes of the bytes it is given, wherever they are cut."""

import asyncio
import gzip
import zlib
from collections.abc import Iterable, Sequence

import pytest

from app.upstream.http import Disconnected, NotHttp, Response
from app.upstream.http.connection import Connection

TEXT = b"The quick brown fox jumps over the lazy dog. " * 4


class Wire(asyncio.Transport):
    """The other end of a connection, in the place of a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.ended = False
        self.idle: list[Connection] = []
        self.lost: list[Connection] = []
        self.connection = Connection(asyncio.get_running_loop(), self.idle.append, self.lost.append)
        self.connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        raise AssertionError("nothing here is large")

    async def ask(self, *pieces: bytes, ends: bool = False) -> Response:
        """Send a request that is answered with these pieces; `ends`: then the other side closes the connection."""
        asking = asyncio.create_task(self.connection.send(b"GET / HTTP/1.1\r\n\r\n", b""))
        await asyncio.sleep(0)
        self.say(pieces)
        if ends:
            self.connection.connection_lost(None)
        return await asking

    def say(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.connection.data_received(piece)


async def read(response: Response) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    return b"".join(parts)


def answer(body: bytes, *headers: str, status: int = 200, version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status} Said", *headers, "", ""]).encode() + body


def chunked(body: bytes, size: int = 50) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;of=no\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: yes\r\n\r\n"


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


PACKED = gzip.compress(TEXT)
CHUNKED = "Transfer-Encoding: chunked"
GZIP = "Content-Encoding: gzip"
KEPT = {
    "length": (answer(TEXT, length(TEXT)), TEXT),
    "no bytes": (answer(b"", length(b"")), b""),
    "chunks": (answer(chunked(TEXT), CHUNKED), TEXT),
    "gzip": (answer(PACKED, length(PACKED), GZIP), TEXT),
    "gzip in chunks": (answer(chunked(PACKED, 7), CHUNKED, GZIP), TEXT),
    "zlib": (answer(zlib.compress(TEXT), length(zlib.compress(TEXT)), "Content-Encoding: deflate"), TEXT),
    "gzip, and more behind it": (answer(PACKED + b"more", length(PACKED + b"more"), GZIP), TEXT),
    "packed, but empty": (answer(b"", length(b""), GZIP), b""),
    "announced": (answer(b"", status=100) + answer(b"", "Link: </a>", status=103) + answer(TEXT, length(TEXT)), TEXT),
}
TO_THE_END = {
    "no length": (answer(TEXT), TEXT),
    "old": (answer(TEXT, version="1.0"), TEXT),
    "gzip, no length": (answer(PACKED, GZIP), TEXT),
}


def cuts(raw: bytes) -> list[Sequence[bytes]]:
    """Return the bytes in two pieces, cut everywhere, and one by one."""
    return [*((raw[:at], raw[at:]) for at in range(1, len(raw))), [raw[at : at + 1] for at in range(len(raw))]]


@pytest.mark.parametrize("name", KEPT)
async def test_a_body_is_whole_wherever_it_is_cut_and_the_connection_serves_on(name: str) -> None:
    raw, body = KEPT[name]
    wire = Wire()
    for count, pieces in enumerate(cuts(raw), 1):
        response = await wire.ask(*pieces)
        assert (response.status, await read(response), response.is_whole) == (200, body, True)
        response.close()
        assert len(wire.idle) == count


@pytest.mark.parametrize("name", TO_THE_END)
async def test_a_body_without_a_length_lasts_until_the_connection_ends(name: str) -> None:
    raw, body = TO_THE_END[name]
    for pieces in cuts(raw):
        wire = Wire()
        response = await wire.ask(*pieces, ends=True)
        assert (await read(response), response.is_whole) == (body, True)
        response.close()
        assert not wire.idle and wire.lost


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body_whatever_they_say(status: int) -> None:
    wire = Wire()
    response = await wire.ask(answer(b"", "Content-Length: 7", GZIP, status=status))
    assert (response.status, response.is_whole, await response.read()) == (status, True, b"")
    response.close()
    assert wire.idle


async def test_the_reader_is_woken_by_what_comes_later() -> None:
    wire = Wire()
    response = await wire.ask(answer(b"", length(TEXT)))
    reading = asyncio.create_task(response.read())
    await asyncio.sleep(0)
    wire.say([TEXT[:5]])
    assert await reading == TEXT[:5]
    wire.say([TEXT[5:7], TEXT[7:]])
    assert await response.read() == TEXT[5:]
    assert await response.read() == await response.read() == b""


async def test_headers_and_cookies_are_read() -> None:
    raw = answer(b"", "Set-Cookie: a=1; Path=/", "SET-COOKIE: b=\u00e4", "X-Twice: 1", "x-twice:  2 ", length(b""))
    response = await Wire().ask(raw)
    assert response.cookies == ("a=1; Path=/", "b=\u00e4")
    assert response.headers[b"x-twice"] == b"2"


async def test_a_trailer_is_no_header_of_its_response_nor_of_the_next_one() -> None:
    wire = Wire()
    response = await wire.ask(answer(b"", CHUNKED, "X-Status: 200"))
    wire.say([b"2\r\nhi\r\n0\r\nX-Status: 403\r\nX-More: 1\r\nSet-Cookie: a=1\r\n\r\n"])
    assert await read(response) == b"hi"
    assert (response.headers, response.cookies) == ({b"transfer-encoding": b"chunked", b"x-status": b"200"}, ())
    response.close()
    following = await wire.ask(answer(b"", length(b"")))
    assert (following.headers, following.cookies) == ({b"content-length": b"0"}, ())


NOT_HTTP = {
    "a greeting": b"220 mail.example ready\r\n",
    "a page": b"<html>",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "a length that is none": answer(b"", "Content-Length: many"),
    "a length below nothing": answer(b"", "Content-Length: -1"),
    "a header without a name": answer(b"", ": value"),
    "another protocol": answer(b"", "Upgrade: websocket", "Connection: Upgrade", status=101),
    "too many headers": answer(b"", *(f"X-{number}: {'a' * 1000}" for number in range(70)))[:-2],
    "one header without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
}


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_not_http_is_refused(name: str) -> None:
    raw = NOT_HTTP[name]
    for size in (5000, len(raw)):
        wire = Wire()
        with pytest.raises(NotHttp):
            await wire.ask(*(raw[at : at + size] for at in range(0, len(raw), size)))
        assert wire.ended


BROKEN_BODIES = {
    "a chunk without a size": answer(b"5\r\nhello\r\nx\r\n", CHUNKED),
    "a chunk that is longer than it says": answer(b"5\r\nhello!\r\n", CHUNKED),
    "no gzip": answer(b"plain", length(b"plain"), GZIP),
    "damaged gzip": answer(chunked(PACKED[:30] + b"\0\0" + PACKED[32:]), CHUNKED, GZIP),
    "gzip that breaks off": answer(chunked(PACKED[:-9]), CHUNKED, GZIP),
    "trailers without end": answer(b"0\r\n", CHUNKED) + b"T: a\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_a_body_that_is_broken_is_refused(name: str) -> None:
    raw = BROKEN_BODIES[name]
    for size in (1, len(raw)) if len(raw) < 1000 else (50_000,):
        wire = Wire()
        response = await wire.ask(*(raw[at : at + size] for at in range(0, len(raw), size)))
        with pytest.raises(NotHttp):
            await read(response)
        response.close()
        assert wire.ended and not wire.idle


CUT = {name: raw for name, (raw, _) in KEPT.items() if "announced" not in name and "no bytes" not in name}


@pytest.mark.parametrize("name", [name for name in CUT if "empty" not in name])
async def test_an_answer_that_is_cut_is_never_taken_for_a_whole_one(name: str) -> None:
    raw = CUT[name]
    head = raw.index(b"\r\n\r\n") + 4
    for at in (0, 5, head - 1):
        with pytest.raises(Disconnected):
            await Wire().ask(raw[:at], ends=True)
    for at in (head, head + 1, len(raw) - 1):
        wire = Wire()
        response = await wire.ask(raw[:at], ends=True)
        with pytest.raises(Disconnected):
            await read(response)
        assert not response.is_whole


async def test_a_body_without_a_length_that_we_end_ourselves_is_not_whole() -> None:
    wire = Wire()
    response = await wire.ask(answer(b"half"))
    wire.connection.close()
    wire.connection.connection_lost(None)
    assert await response.read() == b"half"
    with pytest.raises(Disconnected):
        await response.read()


@pytest.mark.parametrize("when", ["with the answer", "after it", "before the request"])
async def test_what_was_not_asked_for_ends_the_connection(when: str) -> None:
    whole, more = KEPT["length"][0], answer(b"evil", length(b"evil"))
    wire = Wire()
    if when == "before the request":
        wire.say([more])
        with pytest.raises(NotHttp):
            await wire.ask()
        return
    response = await wire.ask(whole, *([more] if when == "with the answer" else []))
    assert await read(response) == TEXT
    response.close()
    wire.say([more] if when == "after it" else [])
    assert wire.ended and wire.connection.is_closed


@pytest.mark.parametrize(
    "head", [answer(TEXT, length(TEXT), "Connection: close"), answer(TEXT, length(TEXT), version="1.0")]
)
async def test_a_connection_that_the_other_side_will_close_is_not_kept(head: bytes) -> None:
    wire = Wire()
    response = await wire.ask(head)
    assert wire.connection.is_closed
    assert await read(response) == TEXT
    response.close()
    assert not wire.idle


async def test_an_old_response_neither_ends_nor_reads_what_its_connection_does_next() -> None:
    wire = Wire()
    first = await wire.ask(KEPT["length"][0])
    first.close()
    second = await wire.ask(answer(b"", length(b"mine")))
    first.close()
    with pytest.raises(Disconnected):
        await first.read()
    wire.say([b"mine"])
    assert await read(second) == b"mine"
    second.close()
    second.close()
    assert len(wire.idle) == 2 and not wire.ended


async def test_a_reader_whose_response_is_closed_under_it_gets_nothing_of_the_next_one() -> None:
    wire = Wire()
    first = await wire.ask(answer(b"", length(b"one")))
    reading = asyncio.create_task(first.read())
    await asyncio.sleep(0)
    wire.say([b"one"])  # wakes the reader, who has not run yet
    first.close()
    asking = asyncio.create_task(wire.ask(answer(b"two", length(b"two"))))
    with pytest.raises(Disconnected):
        await reading
    assert await read(await asking) == b"two"


async def test_closing_before_the_end_ends_the_connection_and_wakes_the_reader() -> None:
    wire = Wire()
    response = await wire.ask(answer(b"", CHUNKED))
    reading = asyncio.create_task(response.read())
    await asyncio.sleep(0)
    response.close()
    with pytest.raises(Disconnected):
        await reading
    assert wire.ended and not wire.idle


async def test_a_request_that_is_given_up_ends_the_connection() -> None:
    wire = Wire()
    asking = asyncio.create_task(wire.connection.send(b"GET / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    wire.say([b"HTTP/1.1 200 O"])
    asking.cancel()
    await asyncio.wait([asking])
    assert wire.ended
    wire.say([b"K\r\nContent-Length: 0\r\n\r\n"])  # nobody waits for it
    with pytest.raises(Disconnected):
        await wire.ask()


@pytest.mark.parametrize("name", KEPT)
async def test_an_end_that_comes_a_moment_after_the_response_was_closed_frees_the_connection(name: str) -> None:
    raw, body = KEPT[name]
    head = raw.rindex(b"\r\n\r\n", 0, len(raw) - 4) + 4 if body else len(raw)
    for at in range(head, len(raw)):
        wire = Wire()
        response = await wire.ask(raw[:at])
        response.close(linger=60)
        assert not wire.idle
        wire.say([raw[at:]])
        assert (wire.idle, wire.ended) == ([wire.connection], False)
        again = await wire.ask(answer(b"next", length(b"next")))
        assert await read(again) == b"next"


async def test_an_end_that_does_not_come_closes_the_connection() -> None:
    wire = Wire()
    response = await wire.ask(answer(b"half", length(TEXT)))
    response.close(linger=0.01)
    assert not wire.ended
    await asyncio.sleep(0.05)
    assert (wire.idle, wire.ended) == ([], True)


async def test_an_end_that_says_close_is_not_taken_for_a_connection_that_can_be_used() -> None:
    wire = Wire()
    response = await wire.ask(answer(TEXT[:3], length(TEXT), "Connection: close"))
    response.close(linger=60)
    wire.say([TEXT[3:]])
    assert (wire.idle, wire.ended) == ([], True)
