"""What the server answers besides answers: probes, models, doors and refusals."""

import asyncio
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulator import Emulator
from tests.e2e.harness import MODEL, Server, serving

HI = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"


async def send(server: Server, method: str, path: str, **options: Any) -> tuple[int, Mapping[str, str], Any]:
    async with server.client.session.request(method, server.url + path, **options) as response:
        raw = await response.read()
        return response.status, response.headers, json.loads(raw) if raw else None


async def test_the_root_says_what_answers_and_which_routes_there_are(server: Server) -> None:
    status, _, body = await send(server, "GET", "/")
    assert (status, body["name"], body["upstream"], body["simulated"]) == (200, "qwen-thread", "qwen", False)
    assert "/v1/chat/completions" in body["routes"]


async def test_ready_shows_the_days_that_the_token_has_left(server: Server) -> None:
    status, _, body = await send(server, "GET", "/ready")
    assert (status, body["status"]) == (200, "ready")
    assert 29 < body["token_days_left"] <= 30
    assert body["stored"] == {"sessions": 0, "nodes": 0, "pending_deletions": 0}


async def test_probes_do_not_call_upstream(server: Server) -> None:
    for path in ("/", "/health", "/ready"):
        assert (await send(server, "GET", path))[0] == 200
    assert not server.emulator.requests


async def test_models_are_listed_and_shown_and_an_alias_answers_for_its_target(
    tmp_path: Path, emulator: Emulator
) -> None:
    await asyncio.to_thread((tmp_path / "config.toml").write_text, '[model_aliases]\n"gpt-4" = "qwen3.8-max"\n')
    async with serving(tmp_path, emulator) as server:
        _, _, listed = await send(server, "GET", "/v1/models")
        assert listed["object"] == "list"
        assert {"id": MODEL, "object": "model", "created": 1780000000, "owned_by": "qwen"} in listed["data"]
        assert "gpt-4" not in {model["id"] for model in listed["data"]}
        _, _, shown = await send(server, "GET", "/v1/models/gpt-4")
        assert shown["id"] == "qwen3.8-max"
        status, _, missing = await send(server, "GET", "/v1/models/none/such")
        assert (status, missing["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/embeddings", 404, "not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_unknown_routes_and_methods_are_openai_errors(
    server: Server, method: str, path: str, status: int, code: str
) -> None:
    answered, headers, body = await send(server, method, path)
    assert (answered, body["error"]["code"]) == (status, code)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert ("Allow" in headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", ", but /v1/chat/completions"),
        ("/v1/chat/completions/", ", but /v1/chat/completions"),
        ("/v1/v1/images/edits", ", but /v1/images/edits"),
        ("/v1/chat/completions/models", ", but /v1/models"),
        ("/v1", ""),
        ("/v1/", ""),
        ("/v1/embeddings", ""),
    ],
)
async def test_a_wrong_base_url_is_told_by_the_route_that_was_meant(server: Server, path: str, meant: str) -> None:
    _, _, body = await send(server, "POST", path)
    told = f"There is no {path} here{meant}. A client's base URL ends in /v1; GET / lists the routes."
    assert body["error"]["message"] == told


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {}, 415, "unsupported_media_type"),
        (b"{", {"Content-Type": "application/json"}, 400, None),
        (b"", {"Content-Type": "application/json"}, 400, None),
        (b'{"model":"m"}', {"Content-Type": "application/json; charset=utf-8"}, 400, None),
        (b"x" * 5000, {"Content-Type": "application/json"}, 413, "request_too_large"),
        (b"no gzip", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400, None),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_before_upstream_is_touched(
    tmp_path: Path, emulator: Emulator, body: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    async with serving(tmp_path, emulator, MAX_BODY_BYTES="4096") as server:
        answered, _, refused = await send(
            server, "POST", CHAT, data=body, headers=headers, skip_auto_headers=["Content-Type"]
        )
        assert (answered, refused["error"]["code"]) == (status, code)
        assert refused["error"]["type"] == "invalid_request_error"
        assert not emulator.requests


async def test_a_compressed_body_is_read(server: Server) -> None:
    body = gzip.compress(json.dumps({"model": MODEL, "messages": HI}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await send(server, "POST", CHAT, data=body, headers=headers))[0] == 200


async def test_ignored_parameters_are_named_in_token_characters(server: Server) -> None:
    odd: dict[str, Any] = {"odd name\n": 1, "größe": 2, "x" * 2000: 3}
    reply = await server.client.chat(HI, temperature=0.5, seed=None, **odd)
    assert reply.headers["X-Ignored-Params"] == "temperature,odd_name_,gr__e"  # whole names, as many as fit into 1 KB
    long: dict[str, Any] = {"x" * 2000: 1}
    assert len((await server.client.chat(HI, **long)).headers["X-Ignored-Params"]) == 1024
    assert "X-Ignored-Params" not in (await server.client.chat(HI)).headers
    reply = await server.client.chat(HI, web_search_options={"search_context_size": "low"})
    assert reply.headers["X-Ignored-Params"] == "web_search_options.search_context_size"


async def test_every_answer_carries_the_request_id(server: Server) -> None:
    _, headers, _ = await send(server, "GET", "/health", headers={"X-Request-Id": "mine-1"})
    assert headers["X-Request-Id"] == "mine-1"
    _, headers, _ = await send(server, "GET", "/nowhere", headers={"X-Request-Id": "no spaces!"})
    assert headers["X-Request-Id"].startswith("req_")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:5000", "LOCALHOST:1"])
async def test_loopback_names_are_served_without_keys(server: Server, host: str) -> None:
    assert (await send(server, "GET", "/health", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/nowhere"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "192.168.1.2:5000"])
async def test_other_names_are_refused_without_keys(server: Server, host: str, path: str) -> None:
    status, _, body = await send(server, "GET", path, headers={"Host": host})
    assert (status, body["error"]["code"]) == (403, "forbidden_host")


async def test_with_keys_any_name_is_served_to_callers_who_have_one(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, API_KEYS="the-right-key") as server:
        host = {"Host": "nas.example"}
        assert (await send(server, "GET", "/health", headers=host))[0] == 200
        for good in ({"Authorization": "bearer  the-right-key"}, {"X-Api-Key": "the-right-key"}):
            assert (await send(server, "GET", "/v1/models", headers=host | good))[0] == 200
        for bad in ({}, {"Authorization": "Basic the-right-key"}, {"X-Api-Key": "ключ"}, {"Authorization": "Bearer x"}):
            status, headers, body = await send(server, "GET", "/v1/models", headers=host | bad)
            assert (status, body["error"]["code"]) == (401, "invalid_api_key")
            assert headers["x-should-retry"] == "false"


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-anything"}


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8080", "app://obsidian.md", "https://localhost:1"]
)
async def test_a_web_page_from_an_allowed_origin_may_call(server: Server, origin: str) -> None:
    status, headers, _ = await send(server, "OPTIONS", CHAT, headers={"Origin": origin, **PREFLIGHT})
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "X-ANYTHING" in headers["Access-Control-Allow-Headers"]
    async with server.client.session.post(
        server.url + CHAT, json={"model": MODEL, "messages": HI, "stream": True}, headers={"Origin": origin}
    ) as response:
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "X-Session-Id" in response.headers["Access-Control-Expose-Headers"]
        await response.read()


async def test_a_page_can_read_that_its_prompt_must_not_be_said_again(server: Server) -> None:
    headers = {"Origin": "http://localhost:3000"}
    async with server.client.session.post(server.url + CHAT, json={"model": "none"}, headers=headers) as response:
        exposed = response.headers["Access-Control-Expose-Headers"].lower().split(",")
        assert response.headers["x-should-retry"] == "false"
        assert {"x-should-retry", "content-disposition"} <= set(exposed)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://localhost:3000.evil.example"]
)
async def test_a_web_page_from_elsewhere_may_not(server: Server, origin: str) -> None:
    status, headers, body = await send(server, "OPTIONS", CHAT, headers={"Origin": origin, **PREFLIGHT})
    assert (status, body["error"]["type"]) == (403, "invalid_request_error")
    assert "Access-Control-Allow-Origin" not in headers


async def test_desktop_clients_with_a_null_origin_are_served(server: Server) -> None:
    status, headers, _ = await send(server, "GET", "/v1/models", headers={"Origin": "null"})
    assert status == 200
    assert "Access-Control-Allow-Origin" not in headers


async def test_a_star_allows_every_origin_where_keys_guard(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, CORS_ORIGINS="*", API_KEYS="the-right-key") as server:
        status, headers, _ = await send(server, "OPTIONS", CHAT, headers={"Origin": "https://any.example", **PREFLIGHT})
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://any.example")


async def test_too_many_waiting_requests_are_told_when_to_come_back(tmp_path: Path, emulator: Emulator) -> None:
    async with serving(tmp_path, emulator, MAX_CONCURRENT="1", QUEUE_SIZE="0") as server:
        hold = emulator.script.hold("one")
        first = asyncio.create_task(server.client.chat(HI))
        await hold.reached()
        refused = await server.client.chat(HI)
        hold.release()
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert (await first).text == "one"


async def test_a_slow_body_that_is_cut_short_harms_nobody(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await server.client.chat(HI)).status == 200
    reader.feed_eof()


async def test_the_library_s_own_errors_are_json_too(server: Server) -> None:
    async with aiohttp.ClientSession() as session, session.get(server.url + "/v1/models/%00") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "model_not_found"
