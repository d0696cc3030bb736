"""What a server does by itself, beside its answers: it prepares, keeps the login and names chats."""

from pathlib import Path

import aiohttp

from app.emulator import Emulator
from tests.e2e.harness import Client, Conversation, eventually
from tests.e2e.processes import server_process

A_DAY = 86400.0
SYSTEM = "You are a helpful assistant, and you are brief."
ASK = "Name a river."


async def test_a_server_that_nobody_asks_learns_the_models_and_the_settings_and_keeps_the_login(
    tmp_path: Path, emulator: Emulator
) -> None:
    settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token(3 * A_DAY)}  # it nears its end
    async with server_process(tmp_path, **settings) as server:
        wanted = {"/api/v2/models/", "/api/v2/users/user/settings", "/api/v1/auths/"}
        await eventually(lambda: wanted <= {asked.path for asked in emulator.requests})
        assert {asked.status for asked in emulator.requests} == {200}
        assert await server.stop() == 0


async def test_a_running_server_gives_a_chat_the_title_that_a_person_expects(
    tmp_path: Path, emulator: Emulator
) -> None:
    settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
    async with (
        server_process(tmp_path, module="tests.e2e.hurried", **settings) as server,
        aiohttp.ClientSession() as session,
    ):
        await Conversation(Client(session, server.url), system=SYSTEM).say(ASK)
        await eventually(lambda: [chat.title for chat in emulator.chats.values()] == [ASK])
        assert await server.stop() == 0
