"""The headers that every answer has, and those without which a stream arrives late or as another text."""

from typing import Any

import pytest

from tests.e2e.harness import MODEL, Server

HI = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"


def asking(*, stream: bool) -> dict[str, Any]:
    return {"json": {"model": MODEL, "messages": HI, "stream": stream}}


REQUESTS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "a page about the server": ("GET", "/", {}, 200),
    "a probe": ("GET", "/health", {}, 200),
    "the list of models": ("GET", "/v1/models", {}, 200),
    "an answer": ("POST", CHAT, asking(stream=False), 200),
    "an answer as a stream": ("POST", CHAT, asking(stream=True), 200),
    "a body that cannot be read": ("POST", CHAT, {"json": {}}, 400),
    "a route that is none": ("GET", "/nowhere", {}, 404),
    "a method that is none": ("DELETE", "/v1/models", {}, 405),
    "a host that is not ours": ("GET", "/health", {"headers": {"Host": "evil.example"}}, 403),
    "a page from elsewhere": (
        "OPTIONS",
        CHAT,
        {"headers": {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}},
        403,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_answer_names_the_server_and_forbids_to_guess_its_type(server: Server, name: str) -> None:
    method, path, options, status = REQUESTS[name]
    async with server.client.session.request(method, server.url + path, **options) as response:
        await response.read()
        assert response.status == status
        assert response.headers.getall("Server") == ["qwen-thread"], "not the library and its version"
        assert response.headers.getall("X-Content-Type-Options") == ["nosniff"]


async def test_a_stream_says_its_charset_and_that_nobody_on_the_way_may_keep_it(server: Server) -> None:
    server.emulator.script.answer("Grüße, 世界")
    async with server.client.session.post(server.url + CHAT, **asking(stream=True)) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Accel-Buffering"] == "no", "nginx would collect it"
        assert "Content-Length" not in response.headers
        assert "Grüße, 世界" in await response.text()


async def test_an_error_before_a_stream_is_none(server: Server) -> None:
    server.emulator.script.fault("rate_limited")
    async with server.client.session.post(server.url + CHAT, **asking(stream=True)) as response:
        assert (response.status, response.content_type) == (429, "application/json")
        assert "X-Accel-Buffering" not in response.headers
        assert (await response.json())["error"]["code"] == "rate_limit_exceeded"
