"""SIGKILL at any moment: whatever the client saw goes on in its chat."""

import asyncio
import contextlib
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulator import Emulator
from bench.crashes import kill_under_load
from tests.e2e.habits import call_text
from tests.e2e.harness import MODEL, Client, Messages, Reply, emulating, eventually, serving
from tests.e2e.processes import server_process

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "required": ["city"]}},
}
WORDS = [f"word{number} " for number in range(12)]


def stored(folder: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(folder / "qwen-thread.db")) as database:
        return database.execute(query).fetchall()


async def stream(
    session: aiohttp.ClientSession, url: str, messages: Messages, got: list[str], *, model: str = MODEL, **fields: Any
) -> bool:
    """Read an answer into `got`, piece by piece; return whether its end was seen."""
    body = {"model": model, "messages": messages, "stream": True, "enable_thinking": False, **fields}
    ended = False
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        got.append(choice["delta"].get("content") or "")
                        ended = ended or choice["finish_reason"] is not None
    return ended


@pytest.mark.no_cover  # for its volume
@pytest.mark.timeout(120)
async def test_ten_kills_under_load_damage_nothing_and_lose_no_answer_whose_end_was_seen(tmp_path: Path) -> None:
    report = await kill_under_load(tmp_path, 10, seed=2026)
    assert report.lost == []
    assert report.kills == 10
    assert report.continued >= 5
    assert report.partial >= 1


@pytest.mark.timeout(120)
async def test_a_kill_at_any_moment_loses_nothing_that_was_seen(tmp_path: Path) -> None:
    moments = random.Random(2026)
    history: Messages = []
    async with emulating(lock_seconds=0.0) as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        for number in range(4):
            async with server_process(tmp_path, **settings) as server:
                client = Client(session, server.url)
                reply = await client.chat([*history, {"role": "user", "content": DOG if not number else ASK}])
                assert (reply.status, reply.match) == (200, "exact" if number else "new"), number
                assert "Waldo" in reply.text
                history += [{"role": "user", "content": DOG if not number else ASK}, said(reply.text)]
                emulator.script.answer("", pieces=WORDS, delay=0.01)
                got: list[str] = []
                asked = [*history, {"role": "user", "content": f"Count, round {number}."}]
                reading = asyncio.create_task(stream(session, server.url, asked, got))
                await asyncio.sleep(moments.uniform(0.0, 0.2))
                server.process.kill()
                ended = await reading
            emulator.script.clear()
            if "".join(got).strip():
                history = [*asked, said("".join(got))]
                assert ended <= ("".join(got) == "".join(WORDS))
        async with server_process(tmp_path, **settings) as server:
            reply = await Client(session, server.url).chat([*history, {"role": "user", "content": ASK}])
            assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")
            assert len(emulator.chats) == 1
    assert stored(tmp_path, "SELECT count(*) FROM nodes WHERE recovered") != [(0,)]
    assert stored(tmp_path, "SELECT count(*) FROM nodes WHERE state = 'open'") == [(0,)]


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


async def cut_by_a_kill(folder: Path, emulator: Emulator, session: aiohttp.ClientSession, **settings: str) -> Messages:
    """Have a server killed in mid-answer, after four words; return the history as the client has it."""
    history: Messages = [{"role": "user", "content": DOG}]
    async with server_process(folder, **settings) as server:
        first = await Client(session, server.url).chat(history)
        history += [said(first.text), {"role": "user", "content": "Count."}]
        hold = emulator.script.hold("", pieces=WORDS, before=4, name="counting")
        got: list[str] = []
        reading = asyncio.create_task(stream(session, server.url, history, got))
        await hold.reached()
        await eventually(lambda: "".join(got) == "".join(WORDS[:4]))
        server.process.kill()
        await reading
    return [*history, said("".join(got)), {"role": "user", "content": ASK}]


async def again(server_url: str, session: aiohttp.ClientSession, history: Messages) -> Reply:
    return await Client(session, server_url).chat(history)


async def test_an_answer_that_went_on_upstream_is_read_back_whole(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        history = await cut_by_a_kill(tmp_path, emulator, session, **settings)
        emulator.script.holds["counting"].release()
        async with server_process(tmp_path, **settings) as server:
            reply = await again(server.url, session, history)
        assert (reply.match, reply.text, len(emulator.chats)) == ("exact", "Your dog is Waldo.", 1)
        told = stored(tmp_path, "SELECT role, text FROM v_history WHERE state = 'recovered'")
        assert told == [("user", "Count."), ("assistant", "".join(WORDS))]


async def test_an_answer_that_is_still_being_written_is_stopped(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        history = await cut_by_a_kill(tmp_path, emulator, session, **settings)
        async with server_process(tmp_path, **settings) as server:
            reply = await again(server.url, session, history)
        assert (reply.match, reply.text, len(emulator.chats)) == ("exact", "Your dog is Waldo.", 1)
        assert emulator.stops
        told = stored(tmp_path, "SELECT role, text FROM v_history WHERE state = 'recovered'")
        assert told == [("user", "Count."), ("assistant", "".join(WORDS[:4]))]


async def test_a_video_that_was_made_meanwhile_is_read_back_as_a_link(tmp_path: Path) -> None:
    film = {"role": "user", "content": "A dog runs"}
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        emulator.script.task("running", "running", "success")
        async with server_process(tmp_path, **settings) as server:
            asking = asyncio.create_task(Client(session, server.url).chat([film], model=f"{MODEL}-video"))
            await eventually(lambda: any("/tasks/status/" in request.path for request in emulator.requests))
            server.process.kill()
            await asyncio.gather(asking, return_exceptions=True)
        async with server_process(tmp_path, **settings) as server:
            await eventually(lambda: stored(tmp_path, "SELECT 1 FROM nodes WHERE recovered"))
            [chat] = emulator.chats.values()
            link = f"[video]({list(chat.nodes.values())[-1].text})"
            asked = {"role": "user", "content": "What did you film?"}
            assert (await again(server.url, session, [film, said(link), asked])).match == "exact"
        assert (link,) in stored(tmp_path, "SELECT text FROM v_history WHERE role = 'assistant'")


async def killed_while_it_counts(folder: Path, session: aiohttp.ClientSession, history: Messages) -> str:
    """Ask a server with an emulator of its own, and kill both after some words; return these."""
    got: list[str] = []
    async with server_process(folder) as server:
        reading = asyncio.create_task(stream(session, server.url, history, got))
        await eventually(lambda: len("".join(got).split()) > 4)
        server.process.kill()
        assert not await reading
    return "".join(got)


async def test_a_kill_together_with_the_embedded_emulator_cuts_no_answer(tmp_path: Path) -> None:
    """Without a token the stand-in for the site dies too; the site itself would have written on."""
    numbers, history = " ".join(map(str, range(1, 61))), [{"role": "user", "content": "count to 60"}]
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            heard = await killed_while_it_counts(tmp_path, session, history)
            assert numbers.startswith(heard)
            history += [said(heard), {"role": "user", "content": "How many messages?"}]
            async with server_process(tmp_path) as server:
                reply = await again(server.url, session, history)
            assert reply.match == "exact"
            history += [said(reply.text), {"role": "user", "content": "Please count to 60"}]
    told = stored(tmp_path, "SELECT text FROM v_history WHERE state = 'recovered' AND role = 'assistant'")
    assert told == [(numbers,), (numbers,)]
    assert stored(tmp_path, "SELECT count(*) FROM sessions") == [(1,)]


@pytest.mark.parametrize("stored_as", ["a record of the journal", "an open node"])
@pytest.mark.parametrize("rest", [call_text(), "It is warm there."])
async def test_an_answer_that_was_asked_for_again_is_read_back_with_the_words_before_it(
    tmp_path: Path, rest: str, stored_as: str
) -> None:
    asked = {"role": "user", "content": "How warm is it in Paris?"}
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        emulator.script.answer("", pieces=["I look again at it. ", call_text(arguments="{}")])
        hold = emulator.script.hold("", pieces=[rest], before=0)
        async with server_process(tmp_path, **settings) as server:
            got: list[str] = []
            reading = asyncio.create_task(stream(session, server.url, [asked], got, tools=[WEATHER]))
            await hold.reached()
            await eventually(lambda: stored(tmp_path, "SELECT 1 FROM nodes WHERE error = 'asked again'"))
            await asyncio.sleep(0.1)
            if stored_as == "an open node":
                await eventually(lambda: stored(tmp_path, "SELECT 1 FROM nodes WHERE state = 'open'"))
            server.process.kill()
            await reading
        hold.release()
        assert "".join(got) == "I look again at it."
        async with server_process(tmp_path, **settings) as server:
            after = [asked, said("".join(got)), {"role": "user", "content": "Go on."}]
            assert (await Client(session, server.url).chat(after, tools=[WEATHER])).match == "exact"
    told = stored(tmp_path, "SELECT answer_text FROM nodes WHERE recovered")
    assert told == [(f"I look again at it.\n\n{rest}",)]


async def test_a_site_that_cannot_be_read_at_the_start_delays_nothing(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        history = await cut_by_a_kill(tmp_path, emulator, session, **settings)
        emulator.script.fault("server_error", target="read")
        async with server_process(tmp_path, **settings) as server:
            other = await Client(session, server.url).chat([{"role": "user", "content": DOG}])
            reply = await again(server.url, session, history)
            assert (other.match, reply.match, reply.text) == ("new", "branch", "Your dog is Waldo.")
        assert stored(tmp_path, "SELECT state FROM nodes WHERE user_text = 'Count.'") == [("open",)]
        async with server_process(tmp_path, **settings) as server:
            await again(server.url, session, history)
        assert stored(tmp_path, "SELECT count(*) FROM nodes WHERE recovered") == [(1,)]


async def test_a_chat_that_was_deleted_meanwhile_closes_its_node(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        history = await cut_by_a_kill(tmp_path, emulator, session, **settings)
        await emulator.delete_chat(emulator.shown[0].chat_id)
        async with server_process(tmp_path, **settings) as server:
            reply = await again(server.url, session, history)
        assert (reply.match, reply.text) == ("new", "Your dog is Waldo.")
        assert stored(tmp_path, "SELECT state, recovered FROM nodes WHERE user_text = 'Count.'") == [("failed", 0)]
        assert ("gone",) in stored(tmp_path, "SELECT state FROM sessions")


async def test_a_message_that_never_arrived_has_failed(tmp_path: Path) -> None:
    """The node was opened, and then the process ended."""
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            first = await server.client.chat([{"role": "user", "content": DOG}])
        with contextlib.closing(sqlite3.connect(server.database, isolation_level=None)) as database:
            database.execute(
                "INSERT INTO nodes (id, session_id, parent_id, depth, match, model, user_text, user_chars, "
                "system_digest, before_key, user_key, created_at) SELECT 'lost', session_id, id, 2, 'exact', model, "
                "'lost', 4, '', turn_key, 'user', created_at FROM nodes"
            )
        async with serving(tmp_path, emulator) as server:
            history = [{"role": "user", "content": DOG}, said(first.text), {"role": "user", "content": ASK}]
            assert (await server.client.chat(history)).match == "exact"
        with contextlib.closing(sqlite3.connect(server.database)) as database:
            lost = database.execute("SELECT state, error FROM nodes WHERE id = 'lost'").fetchall()
    assert lost == [("failed", "the message never reached the site")]


async def test_a_first_message_that_was_never_answered_leaves_no_chat(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        hold = emulator.script.hold("", pieces=WORDS, before=0, name="thinking")
        async with server_process(tmp_path, **settings) as killed:
            reading = asyncio.create_task(stream(session, killed.url, [{"role": "user", "content": DOG}], []))
            await hold.reached()
            killed.process.kill()
            await reading
        async with server_process(tmp_path, **settings):
            await eventually(lambda: stored(tmp_path, "SELECT state FROM sessions") == [("deleted",)])
        assert not emulator.chats
    assert stored(tmp_path, "SELECT state FROM nodes") == [("failed",)]
