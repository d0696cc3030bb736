"""One line of JSON for each request: what went on, never what was said."""

import asyncio
import json
import os
import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest

from app.emulator import Emulator
from app.web.access_log import AccessLog, Visit
from tests.e2e.harness import MODEL, Server, eventually, serving
from tests.e2e.processes import launch

KEYS = "ann:the-right-key"
SECRET = "Nobody may read this."


class Output:
    """What was written to standard output so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().out
        return self._text


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Output:
    return Output(capsys)


async def lines(written: Output, count: int) -> list[dict[str, Any]]:
    await eventually(lambda: written.getvalue().count("\n") >= count)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def logging_server(folder: Path, emulator: Emulator) -> Any:
    return serving(folder, emulator, ACCESS_LOG="json", API_KEYS=KEYS)


async def chat(server: Server, **fields: Any) -> tuple[int, int, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": SECRET}], **fields}
    headers = {"Authorization": "Bearer the-right-key", "X-Request-Id": "mine-1"}
    url = f"{server.url}/v1/chat/completions"
    async with server.client.session.post(url, json=body, headers=headers) as response:
        return response.status, len(await response.read()), response.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_has_a_line_with_its_place_its_times_and_its_size(
    tmp_path: Path, emulator: Emulator, written: Output, stream: bool
) -> None:
    async with logging_server(tmp_path, emulator) as server:
        status, size, headers = await chat(server, stream=stream)
        (line,) = await lines(written, 1)
    assert (line["status"], line["bytes_out"]) == (status, size)
    assert (line["session"], line["match"]) == (headers["X-Session-Id"], "new")
    assert (line["request_id"], line["owner"], line["model"]) == ("mine-1", "ann", MODEL)
    assert (line["method"], line["path"]) == ("POST", "/v1/chat/completions")
    assert 0 < line["first_byte_ms"] <= line["ms"]
    assert line["input_tokens"] > 0
    assert line["output_tokens"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["time"])


async def test_a_video_that_was_begun_has_a_line_with_its_model(
    tmp_path: Path, emulator: Emulator, written: Output
) -> None:
    async with logging_server(tmp_path, emulator) as server:
        headers = {"Authorization": "Bearer the-right-key"}
        body = {"prompt": SECRET, "model": MODEL}
        async with server.client.session.post(f"{server.url}/v1/videos", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
        [line] = await lines(written, 1)
    assert (line["path"], line["model"], line["status"]) == ("/v1/videos", MODEL, 200)


async def test_a_request_that_is_refused_has_a_line_too(tmp_path: Path, emulator: Emulator, written: Output) -> None:
    async with logging_server(tmp_path, emulator) as server:
        assert (await server.client.get(f"/v1/models/{MODEL}")).status == 401
        assert (await server.client.get("/nowhere/secret")).status == 404
        refused, missing = await lines(written, 2)
    assert (refused["status"], refused["path"], refused["owner"]) == (401, "/v1/models/{model}", None)
    assert (missing["status"], missing["path"], missing["model"], missing["session"]) == (404, "other", None, None)
    assert refused["bytes_out"] > 0


async def test_a_client_that_leaves_has_a_line_with_what_it_received(
    tmp_path: Path, emulator: Emulator, written: Output
) -> None:
    emulator.script.answer("One two.", pieces=["One ", "two."], fault="stall")
    async with logging_server(tmp_path, emulator) as server:
        body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": SECRET}]}
        headers = {"Authorization": "Bearer the-right-key"}
        async with aiohttp.ClientSession() as session:
            response = await session.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
            received = await response.content.readany()
            response.close()
        (line,) = await lines(written, 1)
    assert line["status"] == 499
    assert line["bytes_out"] >= len(received) > 0
    assert line["match"] == "new"


async def test_no_text_and_no_key_is_in_a_line(tmp_path: Path, emulator: Emulator, written: Output) -> None:
    async with logging_server(tmp_path, emulator) as server:
        await chat(server)
        await chat(server, tools=[{"type": "function", "function": {"name": "secret_tool"}}])
        await lines(written, 2)
    assert not [text for text in (SECRET, "the-right-key", "secret_tool", "127.0.0.1") if text in written.getvalue()]


async def test_nothing_is_written_unless_asked_for(server: Server, written: Output) -> None:
    assert (await server.client.get("/health")).status == 200
    assert written.getvalue() == ""


async def test_standard_output_holds_nothing_but_the_lines(tmp_path: Path) -> None:
    process = await launch(tmp_path, UPSTREAM="emulator", ACCESS_LOG="json")
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        url = ""
        async with asyncio.timeout(15):
            while "ready at" not in url:
                url = (await process.stderr.readline()).decode()
            async with aiohttp.ClientSession() as session:
                async with session.get(url.split()[-1].removesuffix("/v1") + "/health") as response:
                    assert response.status == 200
                line = json.loads(await process.stdout.readline())
        assert (line["path"], line["status"]) == ("/health", 200)
    finally:
        process.terminate()
        await process.communicate()


async def test_a_reader_that_stalls_holds_up_no_request(tmp_path: Path) -> None:
    process = await launch(tmp_path, UPSTREAM="emulator", ACCESS_LOG="json", LOG_LEVEL="warning")
    try:
        assert process.stderr is not None
        url = ""
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while "ready at" not in url:
                url = (await process.stderr.readline()).decode()
            health = url.split()[-1].removesuffix("/v1") + "/health"
            told = asyncio.create_task(_line_with(process.stderr, "access log"))
            while not told.done():
                async with session.get(health) as response:
                    assert response.status == 200
        assert "not read, so its lines are left out" in await told
    finally:
        process.kill()
        await process.communicate()


async def _line_with(stream: asyncio.StreamReader, words: str) -> str:
    while words not in (line := (await stream.readline()).decode()):
        pass
    return line


def test_lines_that_a_full_pipe_has_no_room_for_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream, os.fdopen(ours, "rb") as reader:
        os.set_blocking(ours, False)
        access_log = AccessLog(stream)
        writing = Thread(target=write_lines, args=(access_log, 1000), daemon=True)
        writing.start()
        writing.join(10)
        assert not writing.is_alive(), "the pipe is full"
        assert caplog.text.count("its lines are left out") == 1
        kept = reader.read().splitlines()
        assert {json.loads(line)["request_id"] for line in kept} == {"r"}
        write_lines(access_log, 2)
        assert len(reader.read().splitlines()) == 2
        assert f"goes on; {1000 - len(kept)} of its lines were left out" in caplog.text


def write_lines(access_log: AccessLog, count: int) -> None:
    visit = Visit(1.0, "r", "GET")
    for _ in range(count):
        access_log.write(visit, at=datetime.now(UTC), owner=None, route="/", status=200, ended=2.0)


def test_a_stream_that_nobody_reads_is_given_up_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = StringIO()
    access_log = AccessLog(stream)
    stream.close()
    write_lines(access_log, 3)
    assert caplog.text.count("The access log ends here") == 1
