"""Many at once, and some that are slow: nobody waits for a stranger, nothing is lost."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulator import Emulator
from app.web import event_stream
from tests.e2e.harness import MODEL, Client, Server, emulating, serving
from tests.e2e.processes import server_process

HI = [{"role": "user", "content": "hi"}]
STREAMS = 500


def request(body: dict[str, Any]) -> bytes:
    raw = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n".encode() + raw


@pytest.mark.no_cover  # for its volume
async def test_five_hundred_streams_at_once_all_come_whole(tmp_path: Path) -> None:
    async with emulating(chunk_delay=0.01) as emulator:
        settings = {
            "QWEN_BASE_URL": emulator.url,
            "QWEN_AUTH_TOKEN": emulator.mint_token(),
            "MAX_CONCURRENT": "0",
            "LOG_LEVEL": "error",
        }
        async with (
            server_process(tmp_path, **settings) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            client = Client(session, server.url)

            async def ask(number: int) -> tuple[int, str | None, bool]:
                said = [{"role": "user", "content": f"#{number}: say it again, please"}]
                reply = await client.chat(said, stream=True, enable_thinking=False)
                return reply.status, reply.finish_reason, bool(reply.text)

            replies = await asyncio.gather(*map(ask, range(STREAMS)))
            assert set(replies) == {(200, "stop", True)}
            assert len(emulator.chats) == STREAMS
            assert await server.stop() == 0


async def test_a_client_that_does_not_read_stalls_nobody_and_gets_all_of_it_later(server: Server) -> None:
    pieces = [f"{number} " + "x" * 20_000 for number in range(400)]
    server.emulator.script.answer("", pieces=pieces)
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(request({"model": MODEL, "messages": HI, "stream": True, "enable_thinking": False}))
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(5):
        assert (await server.client.chat([{"role": "user", "content": "And me?"}])).status == 200
    received = bytearray()
    while data := await reader.read(1 << 20):
        received += data
    writer.close()
    assert b"[DONE]" in received
    assert received.count(b"x" * 5000) >= 400


async def test_a_client_that_reads_nothing_any_more_gives_its_place_back(
    tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_CLIENT_SECONDS", 0.3)
    emulator.script.answer("", pieces=["x" * 20_000] * 400)
    async with serving(tmp_path, emulator, MAX_CONCURRENT="1", KEEP_ALIVE_SECONDS="0.05") as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(request({"model": MODEL, "messages": HI, "stream": True, "enable_thinking": False}))
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await server.client.chat([{"role": "user", "content": "And me?"}])).status == 200
        writer.close()


async def test_a_client_that_sends_byte_by_byte_is_served_and_stalls_nobody(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for number, byte in enumerate(request({"model": MODEL, "messages": HI})):
        writer.write(bytes([byte]))
        await writer.drain()
        if number % 50 == 0:
            assert (await server.client.get("/health")).status == 200
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.no_cover  # for its volume
async def test_conversations_side_by_side_keep_to_themselves(server: Server) -> None:
    """Thirty-two clients with histories of their own, all at the same time: every chat holds one client's words."""

    async def converse(number: int) -> list[str]:
        talk = server.conversation(enable_thinking=False, stream=True)
        return [(await talk.say(f"Client {number}, turn {turn}.")).match for turn in range(4)]

    matches = await asyncio.gather(*map(converse, range(32)))
    assert matches == [["new", "exact", "exact", "exact"]] * 32
    speakers: dict[str, set[str]] = {}
    for shown in server.emulator.shown:
        speakers.setdefault(shown.chat_id, set()).add(shown.text.partition(",")[0])
    assert len(speakers) == 32
    assert all(len(names) == 1 for names in speakers.values())
