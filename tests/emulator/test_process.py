"""The emulator as a process of its own: `python -m app.emulator`."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from app.emulator.__main__ import options_from
from app.emulator.options import EmulatorOptions
from app.emulator.storage import ChatStorage
from tests.e2e.processes import server_process
from tests.emulator.page import completion, emulated

pytestmark = pytest.mark.measured
ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    process: asyncio.subprocess.Process
    url: str
    headers: dict[str, str]
    printed: str

    async def end(self, number: int) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = await self.process.communicate()
        return self.process.returncode or 0, said.decode()


@asynccontextmanager
async def run(*arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.emulator", "--port", "0", *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        said = (await process.stdout.readline() + await process.stdout.readline()).decode()
        found = re.search(r"QWEN_BASE_URL=(\S+) QWEN_AUTH_TOKEN=(\S+)", said)
        assert found, said
        yield Running(process, found[1], {"Authorization": f"Bearer {found[2]}"}, said.splitlines()[1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def new_chat(session: aiohttp.ClientSession, running: Running) -> str:
    body = {"models": ["qwen3.7-plus"], "chat_mode": "normal", "chat_type": "t2t", "timestamp": 1}
    async with session.post(f"{running.url}/api/v2/chats/new", json=body, headers=running.headers) as response:
        return str((await response.json())["data"]["id"])


async def say(session: aiohttp.ClientSession, running: Running, chat: str, text: str) -> aiohttp.ClientResponse:
    url = f"{running.url}/api/v2/chat/completions?chat_id={chat}"
    return await session.post(url, json=completion(chat, text), headers=running.headers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_with_the_token_it_printed_and_ends_cleanly(number: int) -> None:
    async with run("--chunk-delay", "0") as running, aiohttp.ClientSession() as session:
        response = await say(session, running, await new_chat(session, running), "say: hello")
        assert "hello" in await response.text()
        assert await running.end(number) == (0, "")


async def test_a_kill_in_mid_answer_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with run("--data", str(path), "--chunk-delay", "0") as running, aiohttp.ClientSession() as session:
        whole, cut = await new_chat(session, running), await new_chat(session, running)
        await (await say(session, running, whole, "My dog is called Rex.")).read()
        held = {"answer": "one two", "hold": "gate", "before": 1}
        async with session.post(f"{running.url}/_emulator/script", json=held) as planned:
            assert planned.status == 200
        response = await say(session, running, cut, "hi")
        async with session.get(f"{running.url}/_emulator/holds/gate") as reached:
            assert reached.status == 200
        assert (await running.end(signal.SIGKILL))[0] == -signal.SIGKILL
        response.close()
    storage = ChatStorage(path)
    await storage.open()
    assert set(storage.chats) == {whole, cut}
    assert [node.role for node in storage.chats[whole].nodes.values()] == ["user", "assistant"]


def settings_in(line: str) -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in shlex.split(line))


def names_in(folder: Path) -> set[str]:
    return {found.name for found in folder.iterdir()}


async def test_a_server_with_what_it_printed_leaves_the_login_and_the_history_of_the_project_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    async with run("--data", str(folder / "chats")) as running:
        settings = settings_in(running.printed)
        async with server_process(tmp_path, **settings) as server, aiohttp.ClientSession() as session:
            question = {"model": "qwen", "messages": [{"role": "user", "content": "say: hello"}]}
            async with session.post(f"{server.url}/v1/chat/completions", json=question) as response:
                assert (await response.json())["choices"][0]["message"]["content"] == "hello"
            assert await server.stop() == 0
    assert settings["ENV_FILE"] == str(folder / "chats.env")
    assert (folder / "chats.db").exists()
    assert names_in(tmp_path) == {"a b"}


async def test_without_data_each_start_names_a_new_folder_and_leaves_none_that_nobody_used() -> None:
    folders = []
    for _ in range(2):
        async with run() as running:
            settings = settings_in(running.printed)
            folder = Path(settings["ENV_FILE"]).parent
            assert settings["DATABASE_URL"] == f"sqlite:///{folder}/emulator.db"
            assert (folder.is_dir(), folder.name.startswith("qwen-thread-emulator-")) == (True, True)
            await running.end(signal.SIGTERM)
        folders.append(folder)
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


async def test_a_folder_that_a_server_used_stays_and_is_named_at_the_end() -> None:
    async with run() as running:
        folder = Path(settings_in(running.printed)["ENV_FILE"]).parent
        try:
            (folder / "emulator.db").touch()
            code, said = await running.end(signal.SIGINT)
            assert (code, f"{folder} holds what a server kept" in said) == (0, True)
            assert names_in(folder) == {"emulator.db"}
        finally:
            shutil.rmtree(folder)


async def test_a_taken_port_is_told_in_one_line() -> None:
    async with emulated() as site:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.emulator", "--port", site.emulator.url.rsplit(":", 1)[1]),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = (text.decode() for text in await process.communicate())
    assert (process.returncode, said) == (1, "")
    assert complaint.startswith("The emulator cannot start: ")
    assert "address already in use" in complaint
    assert complaint.count("\n") == 1


def test_the_command_line_sets_every_option(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    given = ["--port", "1", "--auth-port", "2", "--data", str(path), "--era", "2025"]
    given += ["--parse-polls", "3", "--task-polls", "4"]
    options = options_from([*given, "--lock-seconds", "1.5", "--chunk-delay", "0", "--access-seconds", "9"])
    assert options == EmulatorOptions(
        port=1,
        auth_port=2,
        data_file=path,
        era="2025",
        lock_seconds=1.5,
        chunk_delay=0,
        access_seconds=9,
        parse_polls=3,
        task_polls=4,
    )


def test_an_era_that_never_was_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options_from(["--era", "1999"])
    assert "1999" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port", "--auth-port"])
@pytest.mark.parametrize("number", ["99999", "-1", "http", "9" * 5000])
def test_a_port_that_there_cannot_be_is_refused(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options_from([f"{option}={number}"])
    assert ended.value.code == 2
    assert f"{option}: must be a whole number from 0" in capsys.readouterr().err
