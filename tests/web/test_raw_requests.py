"""Requests that no client's library would write, sent byte by byte."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from app import log
from tests.e2e.harness import Server

HOST = b"Host: localhost"
HEAD = HOST + b"\r\nConnection: close\r\n"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    error: dict[str, Any]


async def send(server: Server, request: bytes) -> Answer:
    """Send bytes; the answer has to be an error in OpenAI's shape."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(request)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Content-Type"] == "application/json", head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return Answer(int(status.split()[1]), headers, error)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """The log as it goes to standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", output := StringIO())
    log.configure("info")
    yield output
    root.handlers[:] = handlers
    root.setLevel(level)


def post(*headers: bytes, body: bytes = b"{}") -> bytes:
    lines = b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: %d" % len(body)))
    return b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + lines + b"\r\n" + body


FORGED = b"%0A2026-01-01%2000:00:00.000%20ERROR%20fake%1b[31m HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"GET /nowhere" + FORGED + HEAD + b"\r\n", "There is no /nowhere%0A2026"),
        (
            b"PUT /v1/files/x" + FORGED + HEAD + b"\r\n",
            "x%0A2026-01-01%2000:00:00.000%20ERROR%20fake%1b[31m does not",
        ),
        (post(b"Content-Type: te\xc2\x9bxt/json"), r"The body is te\x9bxt/json, not JSON."),
        (
            post(b"Content-Type: application/json", b"Content-Encoding: gzip"),
            "The request body could not be read: Can not decode content-encoding: gzip.",
        ),
    ],
)
async def test_what_a_client_sends_makes_no_line_of_the_log(
    server: Server, written: StringIO, request_: bytes, words: str
) -> None:
    answer = await send(server, request_)
    assert words in answer.error["message"]
    assert answer.error["message"].isprintable()
    lines = written.getvalue().splitlines()
    assert len([line for line in lines if f"[{answer.headers['X-Request-Id']}]" in line]) == 2
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("2026-01-01")]


@pytest.mark.parametrize("path", [b"/v1/models", b"/nowhere", b"/v1/chat/completions"])
async def test_an_expectation_that_nobody_knows_is_refused(server: Server, written: StringIO, path: bytes) -> None:
    for method in (b"GET", b"POST"):
        answer = await send(
            server, method + b" " + path + b" HTTP/1.1\r\n" + HEAD + b"Expect: miracles \xc2\x9b\r\n\r\n"
        )
        assert (answer.status, answer.headers["Server"]) == (417, "qwen-thread")
        assert answer.error["message"] == r"Unknown Expect: miracles \x9b"
        assert f"[{answer.headers['X-Request-Id']}] app.web.middleware: {method.decode()} " in written.getvalue()
    assert "Traceback" not in written.getvalue()


def get(*headers: bytes, target: bytes = b"/health", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + b"".join(line + b"\r\n" for line in headers) + b"\r\n"


NO_REQUESTS = {
    "a long address": (get(HOST, target=b"/" + b"x" * 9000), "Got more than 8190 bytes when reading"),
    "a long header": (get(HOST, b"X: " + b"x" * 9000), "Got more than 8190 bytes when reading"),
    "many headers": (get(HOST, *[b"X: x"] * 500), "Too many headers received"),
    "a header that is none": (get(HOST, b"X\x1b[31m: x"), r"Invalid header token: b'X\x1b[31m: x'"),
    "no host": (get(), "Missing 'Host' header in request."),
    "two hosts": (get(HOST, b"Host: b"), "Duplicate 'Host' header found."),
    "an address that is none": (get(HOST, target=b"http://[::1/"), "http://[::1/"),
    "bytes in the address": (get(HOST, target=b"/\xc2\x9b"), "Invalid char in url path: b'GET /"),
    "another version": (get(HOST, version=b"HTTP/9.9"), "Invalid HTTP version: b'GET /health HTTP/9.9'"),
    "another method": (b"MAKE" + get(HOST), "Invalid method encountered: b'MAKEGET"),
    "an unknown encoding": (post(b"Content-Encoding: br"), "Can not decode content-encoding: brotli"),
    "a length beside chunks": (post(b"Transfer-Encoding: chunked", body=b"zz"), "Content-Length can't be present"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTPS traffic on an HTTP port."),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
async def test_what_is_no_request_is_told_so_in_one_line(server: Server, written: StringIO, name: str) -> None:
    request, words = NO_REQUESTS[name]
    answer = await send(server, request)
    message = answer.error["message"]
    assert message.startswith("The request could not be read: ")
    assert words in message
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert (answer.headers["Server"], answer.headers["x-should-retry"]) == ("qwen-thread", "false")
    (line,) = written.getvalue().splitlines()
    assert line.endswith(f"[{answer.headers['X-Request-Id']}] app.web.failures: InvalidRequest : {message}")
