"""The thread survives what happens to processes: stops, kills, second starts, bad settings."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.harness import MODEL, Client, Conversation, emulating, eventually
from tests.e2e.processes import launch, server_process

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_with_nothing_but_python_a_newcomer_holds_a_conversation_that_survives_a_restart(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with server_process(tmp_path) as server:
        talk = Conversation(Client(session, server.url), model="qwen", stream=True)
        await talk.say(DOG)
        assert await server.stop() == 0
    async with server_process(tmp_path) as server:
        talk.client.url = server.url
        reply = await talk.say(ASK)
        assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")


@pytest.mark.measured
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_answer_end(
    tmp_path: Path, session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        async with server_process(tmp_path, QWEN_BASE_URL=emulator.url, QWEN_AUTH_TOKEN=token) as server:
            hold = emulator.script.hold("One two.")
            talk = Conversation(Client(session, server.url))
            asked = asyncio.create_task(talk.say("hi"))
            await hold.reached()
            server.process.send_signal(number)
            await asyncio.sleep(0.1)
            hold.release()
            assert (await asked).text == "One two."
            assert await asyncio.wait_for(server.process.wait(), 10) == 0


@pytest.mark.measured
@pytest.mark.parametrize("seconds", ["0.2", "0"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_that_cannot_wait_cuts_the_answer_and_says_why(
    tmp_path: Path, session: aiohttp.ClientSession, seconds: str, stream: bool
) -> None:
    async with emulating() as emulator:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        async with server_process(tmp_path, SHUTDOWN_TIMEOUT=seconds, **settings) as server:
            hold = emulator.script.hold("", pieces=["One ", "two."], before=1)
            body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
            asked = asyncio.create_task(_answer(session, server.url, body))
            await hold.reached()
            await asyncio.sleep(0.3)  # the first piece is on its way to the client
            began = asyncio.get_running_loop().time()
            assert await server.stop() == 0
            assert asyncio.get_running_loop().time() - began < 5
            status, text = await asked
            assert status == (200 if stream else 503)
            *_, error = [line for line in text.splitlines() if '"error"' in line]
            assert json.loads(error.removeprefix("data: "))["error"]["code"] == "server_stopping"
            assert text.endswith("data: [DONE]\n\n") is stream
        assert emulator.stops
        with closing(sqlite3.connect(tmp_path / "qwen-thread.db")) as database, database:
            assert database.execute("SELECT state, error FROM nodes").fetchall() == [
                ("aborted", "The server is being stopped.")
            ]


async def _answer(session: aiohttp.ClientSession, url: str, body: dict[str, object]) -> tuple[int, str]:
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        return response.status, await response.text()


@pytest.mark.measured
async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        async with server_process(tmp_path, QWEN_BASE_URL=emulator.url, QWEN_AUTH_TOKEN=token) as server:
            hold = emulator.script.hold("never")
            asked = asyncio.create_task(Client(session, server.url).chat([{"role": "user", "content": "hi"}]))
            await hold.reached()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            assert await server.stop() == 1
            await asyncio.wait([asked])
            assert asked.exception() is not None


async def test_every_answer_whose_end_was_seen_continues_after_a_kill(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with emulating() as emulator:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        talk = Conversation(Client(session, ""), stream=True)
        for text in (DOG, "one", "two", "three"):
            async with server_process(tmp_path, **settings) as server:
                talk.client.url = server.url
                await talk.say(text)
                server.process.kill()
                assert await server.process.wait() == -signal.SIGKILL
        async with server_process(tmp_path, **settings) as server:
            talk.client.url = server.url
            reply = await talk.say(ASK)
        assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
        assert len(emulator.chats) == 1
        assert [shown.text for shown in emulator.shown] == [DOG, "one", "two", "three", ASK]


async def test_a_kill_in_mid_answer_leaves_the_thread_before_it_whole(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with emulating() as emulator:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        talk = Conversation(Client(session, ""))
        async with server_process(tmp_path, **settings) as server:
            talk.client.url = server.url
            await talk.say(DOG)
            hold = emulator.script.hold("never seen")
            asked = asyncio.create_task(talk.say("Tell me a story."))
            await hold.reached()
            server.process.kill()
            await asyncio.wait([asked])
            assert asked.exception() is not None
        hold.release()
        async with server_process(tmp_path, **settings) as server:
            talk.client.url = server.url
            talk.messages[-1]["content"] = ASK
            reply = await talk.again()
        assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
        with closing(sqlite3.connect(tmp_path / "qwen-thread.db")) as database, database:
            told = database.execute("SELECT role, text FROM v_history WHERE state = 'recovered'").fetchall()
        assert told == [("user", "Tell me a story."), ("assistant", "never seen")]


async def test_is_delete_leaves_no_chat_behind_when_the_delete_fails_and_the_daemon_is_killed(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with emulating() as emulator:
        settings = {
            "QWEN_BASE_URL": emulator.url,
            "QWEN_AUTH_TOKEN": emulator.mint_token(),
            "IS_DELETE": "1",
            "DELETE_RETRY_SECONDS": "0.1",
        }
        emulator.script.fault("server_error", target="delete")
        async with server_process(tmp_path, **settings) as server:
            await Conversation(Client(session, server.url)).say("hi")
            await eventually(lambda: any(request.method == "DELETE" for request in emulator.requests))
            server.process.kill()
            await server.process.wait()
        assert len(emulator.chats) == 1
        async with server_process(tmp_path, **settings):
            await eventually(lambda: not emulator.chats)
        assert emulator.delete_all_calls == 0


@pytest.mark.measured
async def test_a_sweep_by_hand_deletes_what_is_due(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async with emulating() as emulator:
        settings = {
            "QWEN_BASE_URL": emulator.url,
            "QWEN_AUTH_TOKEN": emulator.mint_token(),
            "IS_DELETE": "1",
            "DELETE_RETRY_SECONDS": "60",
        }
        async with server_process(tmp_path, **settings) as server:
            await Conversation(Client(session, server.url)).say("hi")
            busy = await launch(tmp_path, "sweep", **settings)
            _, told = await busy.communicate()
            assert busy.returncode == 1
            assert b"in use by another qwen-thread" in told
            assert b"it deletes what is due by itself" in told
            await server.stop()
        with closing(sqlite3.connect(tmp_path / "qwen-thread.db")) as database, database:
            database.execute("UPDATE deletions SET due_at = '2020-01-01T00:00:00.000Z'")
        sweep = await launch(tmp_path, "sweep", **settings)
        said, _ = await sweep.communicate()
        assert (sweep.returncode, said.decode().strip()) == (
            0,
            "Chats deleted on the site: 1, failed: 0, still waiting for their time: 0.",
        )
        assert not emulator.chats


@pytest.mark.measured
async def test_a_second_daemon_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with server_process(tmp_path) as server:
        for settings, own in (
            ({}, "DATABASE_URL and EMULATOR_FILE."),
            ({"QWEN_AUTH_TOKEN": "a.token.aaa"}, "DATABASE_URL."),
        ):
            second = await launch(tmp_path, **settings)
            _, told = await second.communicate()
            assert second.returncode == 1
            assert f"process {server.process.pid}. Stop that one first, or give this one another {own}" in told.decode()


@pytest.mark.measured
async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with server_process(tmp_path) as server:
        port = server.url.rsplit(":", 1)[1]
        second = await launch(tmp_path / "other", PORT=port)
        _, told = await second.communicate()
        assert second.returncode == 1
        assert f"Cannot listen on 127.0.0.1 port {port}: another program has this port" in told.decode()
        assert "set PORT to another number" in told.decode()


@pytest.mark.measured
@pytest.mark.parametrize("command", ["serve", "sweep"])
async def test_a_file_that_cannot_be_made_is_not_taken_for_the_port(tmp_path: Path, command: str) -> None:
    process = await launch(tmp_path, command, EMULATOR_FILE="/dev/null/emulator.jsonl")
    _, told = await process.communicate()
    assert process.returncode == 1
    assert "Set EMULATOR_FILE to a file that can be written" in told.decode()
    assert "Cannot listen" not in told.decode()


@pytest.mark.measured
async def test_a_host_that_is_not_this_machine_is_told(tmp_path: Path) -> None:
    process = await launch(tmp_path, HOST="host.invalid", ALLOW_OPEN="1")
    _, told = await process.communicate()
    assert process.returncode == 1
    assert "this is no address of this machine. Set HOST" in told.decode()


@pytest.mark.measured
async def test_a_bad_configuration_is_told_whole_and_nothing_starts(tmp_path: Path) -> None:
    process = await launch(tmp_path, PORT="many", IS_DELETE="perhaps")
    _, told = await process.communicate()
    assert process.returncode == 2
    assert "PORT: must be a whole number" in told.decode()
    assert "IS_DELETE: must be 0 or 1" in told.decode()
    assert not (tmp_path / "qwen-thread.db").exists()


async def test_what_is_wrong_with_the_cookies_is_told_without_them(tmp_path: Path) -> None:
    process = await launch(tmp_path, QWEN_COOKIE="cna=abc; größe=secret")
    _, told = await process.communicate()
    assert process.returncode == 2
    assert "QWEN_COOKIE: must be one line of plain ASCII; copy it again" in told.decode()
    assert "secret" not in told.decode()


async def test_a_token_in_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6ImFiYyIsImV4cCI6MX0.c2lnbmF0dXJlMTIzNDU2"
    (tmp_path / ".env").write_text(f"QWEN_AUTH_TOKEN=\n{token}\n")
    process = await launch(tmp_path, PORT=token)
    said, told = await process.communicate()
    assert process.returncode == 2
    assert "line 2 of .env is no setting" in told.decode()
    assert "(it is '***')" in told.decode()
    assert token not in (said + told).decode()


@pytest.mark.measured
async def test_a_foreign_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "qwen-thread.db"
    path.write_bytes(b"This is no database at all." * 100)
    process = await launch(tmp_path)
    _, told = await process.communicate()
    assert process.returncode == 1
    assert "cannot be used" in told.decode()
    assert path.read_bytes() == b"This is no database at all." * 100


async def test_the_token_is_in_no_output(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": token, "LOG_LEVEL": "debug"}
        async with server_process(tmp_path, **settings) as server:
            client = Client(session, server.url)
            await client.chat([{"role": "user", "content": "hi"}], model=MODEL)
            emulator.revoke(token)
            await client.chat([{"role": "user", "content": "hi"}], model=MODEL)
            await server.stop()
            log = await server.log()
        assert "expires on" in log
        assert token not in log
        assert token.split(".")[2] not in log
