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

HEAD = b"Host: localhost\r\nConnection: close\r\n"


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
    lines = [line for line in written.getvalue().splitlines() if "aiohttp" not in line]
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
