"""Whatever is sent, the server answers soon, in its client's shape, and never blames itself or the site."""

import asyncio
import json
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.web.routes import ROUTES
from tests.e2e.harness import Server, decode_stream
from tests.web.fuzzing import BODIES, HEADERS, MESSAGES_BODIES, TEXTS
from tests.web.test_openapi import problems

SECONDS = 5.0
FUZZ = settings(
    max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def ask(server: Server, method: str, path: str, **options: Any) -> tuple[int, str, bytes]:
    async with asyncio.timeout(SECONDS):
        async with server.client.session.request(method, server.url + path, **options) as response:
            return response.status, response.content_type, await response.read()


def check(status: int, kind: str, raw: bytes, error: str = "Error") -> None:
    """Fail unless an answer is one that a client of OpenAI's API understands, or of another one with other errors."""
    if kind == "text/event-stream":
        chunks = decode_stream(raw)
        assert not [chunk for chunk in chunks if "error" in chunk and chunk["error"]["type"] == "api_error"], raw
        return
    assert status < 500, raw
    if status >= 400:
        assert kind == "application/json"
        assert not problems(error, json.loads(raw))


@pytest.mark.no_cover  # for its volume
@FUZZ
@given(requests=st.lists(st.tuples(BODIES, HEADERS), min_size=1, max_size=4))
async def test_any_body_with_any_headers_is_answered(
    server: Server, requests: list[tuple[bytes, dict[str, str]]]
) -> None:
    answers = await asyncio.gather(
        *(
            ask(server, "POST", "/v1/chat/completions", data=BytesIO(body), headers=headers)
            for body, headers in requests
        )
    )
    for answer in answers:
        check(*answer)


@pytest.mark.no_cover  # for its volume
@FUZZ
@given(requests=st.lists(st.tuples(MESSAGES_BODIES, HEADERS), min_size=1, max_size=4))
async def test_any_body_of_anthropics_is_answered(server: Server, requests: list[tuple[bytes, dict[str, str]]]) -> None:
    answers = await asyncio.gather(
        *(ask(server, "POST", "/v1/messages", data=BytesIO(body), headers=headers) for body, headers in requests)
    )
    for status, kind, raw in answers:
        if kind != "text/event-stream":
            check(status, kind, raw, "AnthropicError")
            assert status != 200 or not problems("AnthropicMessage", json.loads(raw))
            continue
        for frame in raw.decode().removesuffix("\n\n").split("\n\n"):
            name, data = frame.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            assert event["type"] != "error" or event["error"]["type"] != "api_error", raw


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    route=st.sampled_from([path for _, path, _ in ROUTES]),
    name=TEXTS.filter(lambda text: len(text) < 800),  # longer lines are no HTTP to the library below us
)
async def test_any_method_on_any_path_is_answered(server: Server, method: str, route: str, name: str) -> None:
    path = route.replace("{model}", "{}").replace("{}", quote(name, safe="", errors="replace"))
    status, kind, raw = await ask(server, method, path, allow_redirects=False)
    if method == "HEAD":
        assert status < 500
    else:
        check(status, kind, raw, "AnthropicError" if "/v1/messages" in path else "Error")
