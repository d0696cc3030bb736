"""Files on their way to a client: what is sent is what is noted, and a stop waits for them."""

import asyncio
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.core.events import VideoTask
from app.core.ports import VideoState
from tests.e2e.harness import Client, Server, emulating, eventually, serving
from tests.e2e.processes import server_process
from tests.e2e.studio import SITE, Studio, studio_server
from tests.samples import MP4

SMALL, LARGE = b"0123456789", bytes(40_000_000)  # more than the system keeps for a client
PAUSE = 3.0  # seconds, longer than the library itself waits for what it sends at a stop
Lines = list[dict[str, Any]]


async def store(client: Client, data: bytes) -> str:
    """Store a file; return the address of its content."""
    form = aiohttp.FormData({"purpose": "user_data"})
    form.add_field("file", BytesIO(data), filename="a.bin")
    async with client.session.post(f"{client.url}/v1/files", data=form) as response:
        return f"{client.url}/v1/files/{(await response.json())['id']}/content"


async def download_lines(capsys: pytest.CaptureFixture[str], count: int) -> Lines:
    """Return what the access log says of downloads, once there are so many."""
    text = ""

    def found() -> Lines:
        nonlocal text
        text += capsys.readouterr().out
        return [line for line in map(json.loads, text.splitlines()) if line["path"].endswith("/content")]

    await eventually(lambda: len(found()) >= count)
    return found()


async def fetch(client: Client, url: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    async with client.session.request(method, url, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def test_what_is_noted_of_a_download_is_what_was_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, ACCESS_LOG="json") as server:
        client = server.client
        url = await store(client, SMALL)
        status, headers, body = await fetch(client, url)
        assert (status, body) == (200, SMALL)
        assert (await fetch(client, url, Range="bytes=2-4"))[::2] == (206, b"234")
        assert (await fetch(client, url, **{"If-None-Match": headers["ETag"]}))[::2] == (304, b"")
        assert (await fetch(client, url, "HEAD"))[::2] == (200, b"")
        noted = [(line["status"], line["bytes_out"]) for line in await download_lines(capsys, 4)]
        assert noted == [(200, 10), (206, 3), (304, 0), (200, 0)]
        assert (await fetch(client, url))[2] == SMALL, "the connection can be used on"


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=9-1", "lines=1-2"])
async def test_a_range_that_the_file_does_not_have_is_told(
    server: Server, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    status, headers, body = await fetch(server.client, await store(server.client, SMALL), Range=asked)
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["Content-Range"]) == (416, "range_not_satisfiable", "bytes */10")
    assert error["message"].startswith("The file has no such bytes (Content-Range: bytes */10). Ask for bytes")
    async with server.client.session.get(f"{server.url}/metrics") as response:
        assert 'route="/v1/files/{file_id}/content",status="4xx"} 1.0' in await response.text()


@pytest.mark.parametrize(
    "asked",
    [{"If-Match": '"another"'}, {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}],
    ids=["by tag", "by time"],
)
async def test_a_file_that_is_not_the_one_that_was_asked_for_is_told(server: Server, asked: dict[str, str]) -> None:
    url = await store(server.client, SMALL)
    status, headers, body = await fetch(server.client, url, **asked)
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["Content-Type"]) == (412, "precondition_failed", "application/json")
    assert error["message"].startswith("The file is not the one that If-Match or If-Unmodified-Since asks for. Ask")
    assert (await fetch(server.client, url))[2] == SMALL, "the connection can be used on"


async def test_a_client_that_leaves_a_download_is_noted_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, ACCESS_LOG="json") as server:
        url = await store(server.client, LARGE)
        async with aiohttp.ClientSession() as session:
            response = await session.get(url)
            assert response.status == 200
            response.close()
        (line,) = await download_lines(capsys, 1)
        assert line["status"] == 499
        assert line["bytes_out"] < len(LARGE)


async def test_a_video_is_noted_with_its_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = f"{SITE}/film.mp4"
    studio = Studio(answers=[[VideoTask("film")]], files={film: ("video/mp4", MP4)})
    studio.videos["film"] = [VideoState("succeeded", url=film)]
    async with studio_server(tmp_path, studio, ACCESS_LOG="json") as client:
        async with client.session.post(f"{client.url}/v1/videos", json={"prompt": "A cat"}) as response:
            url = f"{client.url}/v1/videos/{(await response.json())['id']}/content"
        assert (await fetch(client, url))[2] == MP4
        (line,) = await download_lines(capsys, 1)
        assert (line["status"], line["bytes_out"]) == (200, len(MP4))


async def test_a_stop_waits_for_a_download_as_for_an_answer(tmp_path: Path) -> None:
    async with server_process(tmp_path) as server, aiohttp.ClientSession(read_bufsize=65536) as session:
        url = await store(Client(session, server.url), LARGE)
        async with session.get(url) as response:
            stopped = asyncio.create_task(server.stop())
            await asyncio.sleep(PAUSE)
            assert len(await response.read()) == len(LARGE)
        assert await stopped == 0
