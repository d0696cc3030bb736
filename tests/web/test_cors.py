"""A page of an allowed origin reads every answer, also that its address or its method is wrong."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.harness import Server

PAGE, ELSEWHERE = "http://localhost:3000", "https://evil.example"
ASKING = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


async def send(server: Server, method: str, path: str, **headers: str) -> tuple[int, Mapping[str, str], Any]:
    async with server.client.session.request(method, server.url + path, headers=headers) as response:
        raw = await response.read()
        return response.status, response.headers, json.loads(raw) if raw else None


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/models", 200), ("POST", "/chat/completions", 404), ("POST", "/v1/models", 405)],
)
async def test_every_answer_may_be_read_by_an_allowed_page_alone(
    server: Server, method: str, path: str, status: int
) -> None:
    answered, headers, _ = await send(server, method, path, Origin=PAGE)
    assert (answered, headers["Access-Control-Allow-Origin"]) == (status, PAGE)
    assert "X-Request-Id" in headers["Access-Control-Expose-Headers"]
    for origin in (ELSEWHERE, "null"):
        _, headers, _ = await send(server, method, path, Origin=origin)
        assert not [name for name in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/chat/completions", "There is no /chat/completions here, but /v1/chat/completions."),
        ("/v1/models", "/v1/models does not take POST, but"),
    ],
)
async def test_a_page_with_a_wrong_address_gets_as_far_as_the_help(server: Server, path: str, told: str) -> None:
    status, headers, body = await send(server, "OPTIONS", path, Origin=PAGE, **ASKING)
    assert (status, body, headers["Access-Control-Allow-Origin"]) == (200, None, PAGE)
    assert headers["Access-Control-Allow-Methods"] == "POST"
    allowed = headers["Access-Control-Allow-Headers"].lower().split(",")
    assert sorted(allowed) == ["authorization", "content-type"]
    _, _, body = await send(server, "POST", path, Origin=PAGE, **{"Content-Type": "application/json"})
    assert body["error"]["message"].startswith(told)


async def test_a_page_from_elsewhere_gets_no_further_than_before(server: Server) -> None:
    status, headers, body = await send(server, "OPTIONS", "/nowhere", Origin=ELSEWHERE, **ASKING)
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert "Access-Control-Allow-Methods" not in headers
    assert (await send(server, "OPTIONS", "/nowhere", Origin=PAGE))[0] == 404, "that is no preflight"
