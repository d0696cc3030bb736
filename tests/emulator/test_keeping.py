"""The emulator's chats survive restarts and kills."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp

from tests.emulator.site import site


async def test_chats_survive_a_restart_and_deleted_ones_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "chats.json"
    async with site(data_file=path) as here:
        chat, gone, empty = [await here.new_chat() for _ in range(3)]
        answer = (await here.say(chat, "My cat is called Tom.")).created["response_id"]
        await here.call("DELETE", f"/api/v2/chats/{gone}")
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("a") as journal:
        journal.write('{"op": "turn", "chat": "torn')
    async with site(data_file=path) as here:
        assert set(here.emulator.chats) == {chat, empty}
        assert here.emulator.chats[chat].title == "My cat is called Tom."
        assert (await here.say(chat, "What is my cat called?", answer)).text == "Your cat is Tom."
        assert (await here.say(gone, "hi")).json["data"]["code"] == "CHAT_NOT_FOUND"


async def test_run_by_hand_it_prints_where_it_is_and_survives_a_kill(tmp_path: Path) -> None:
    async def start() -> tuple[asyncio.subprocess.Process, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "app.emulator", "--port", "0", "--data", str(tmp_path / "chats.json"), "--chunk-delay", "0.01"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        address, token = (await process.stdout.readline()).decode().split()
        return process, address.removeprefix("QWEN_BASE_URL="), token.removeprefix("QWEN_AUTH_TOKEN=")

    async def chats(url: str) -> dict[str, str]:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_emulator/state") as response:
            return dict((await response.json())["chats"])

    process, url, token = await start()
    made = {"models": ["qwen3.7-plus"], "chat_mode": "normal", "chat_type": "t2t", "timestamp": 1}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.post(f"{url}/api/v2/chats/new", json=made) as response:
            chat = (await response.json())["data"]["id"]
        message = {"role": "user", "content": "count to 500", "feature_config": {}}
        body = {"stream": True, "chat_id": chat, "model": "qwen3.7-plus", "messages": [message]}
        async with session.post(f"{url}/api/v2/chat/completions?chat_id={chat}", json=body) as response:
            await response.content.readline()
            process.kill()
            await process.wait()
    process, url, _ = await start()
    assert list(await chats(url)) == [chat]
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
