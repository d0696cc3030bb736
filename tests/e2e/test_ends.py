"""An answer ends where the client asks for it or leaves, and upstream is told."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import MODEL, Server, emulating, eventually, serving

HI = [{"role": "user", "content": "hi"}]
WORDS = [f"word{number % 10} " for number in range(50)]


def stored(server: Server, query: str) -> list[Any]:
    with closing(sqlite3.connect(server.database)) as database, database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("stream", [False, True])
async def test_max_tokens_cuts_the_answer_and_stops_upstream(server: Server, stream: bool) -> None:
    hold = server.emulator.script.hold("", pieces=WORDS, before=40)
    talk = server.conversation(stream=stream, max_tokens=60)
    reply = await talk.say("hi")
    assert reply.finish_reason == "length"
    assert reply.text == "".join(WORDS[:30])
    await eventually(lambda: server.emulator.stops)
    assert server.emulator.stops[0]["response_id"]
    hold.release()
    after = await talk.say("go on", max_tokens=100)
    assert (after.match, after.finish_reason) == ("exact", "stop")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_sequence_ends_the_answer_before_it(server: Server, stream: bool) -> None:
    server.emulator.script.answer("", pieces=["one t", "wo E", "N", "D three"])
    talk = server.conversation(stream=stream)
    reply = await talk.say("hi", stop="END")
    assert (reply.text, reply.finish_reason) == ("one two ", "stop")
    assert (await talk.say("go on")).match == "exact"


async def test_thinking_does_not_count_as_answer(server: Server) -> None:
    server.emulator.script.answer("yes", thinking=["x" * 400])
    reply = await server.client.chat(HI, max_tokens=60)
    assert (reply.text, reply.finish_reason) == ("yes", "stop")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("before", [0, 3])
async def test_a_client_that_leaves_ends_the_answer_upstream(server: Server, stream: bool, before: int) -> None:
    hold = server.emulator.script.hold("", pieces=WORDS, before=before)
    asked = asyncio.create_task(server.client.chat(HI, stream=stream, enable_thinking=False))
    await hold.reached()
    if before:
        await eventually(lambda: stored(server, "SELECT 1 FROM nodes WHERE state = 'open'"))
        await asyncio.sleep(0.05)
    asked.cancel()
    await eventually(lambda: server.emulator.stops, 2)
    await eventually(lambda: stored(server, "SELECT 1 FROM nodes WHERE state <> 'open'"))
    ((state, text, error),) = stored(server, "SELECT state, answer_text, error FROM nodes")
    assert error == "the client left"
    assert (state, text) == (("aborted", "".join(WORDS[:before])) if before else ("failed", ""))


async def test_a_client_that_leaves_while_the_model_is_asked_again_ends_the_new_answer(server: Server) -> None:
    server.emulator.script.answer("This is no JSON.")
    server.emulator.script.fault("slow_start")
    asked = asyncio.create_task(server.client.chat(HI, response_format={"type": "json_object"}))
    await eventually(lambda: len(server.emulator.shown) == 2)
    asked.cancel()
    await eventually(lambda: server.emulator.stops)
    [chat] = server.emulator.chats.values()
    answers = [node for node in chat.nodes.values() if node.role == "assistant"]
    await eventually(lambda: answers[-1].done)
    assert [answer.is_stop for answer in answers] == [False, True]


async def test_a_client_that_leaves_while_its_chat_is_made_leaves_no_orphan(server: Server) -> None:
    asked = asyncio.create_task(server.client.chat(HI))
    await eventually(lambda: any(request.path.endswith("/chats/new") for request in server.emulator.requests))
    asked.cancel()
    await eventually(lambda: stored(server, "SELECT 1 FROM sessions"))
    await eventually(lambda: not stored(server, "SELECT 1 FROM nodes WHERE state = 'open'"))
    ((chat_id,),) = stored(server, "SELECT chat_id FROM sessions")
    assert list(server.emulator.chats) == [chat_id]


async def test_an_answer_that_was_stopped_is_found_by_the_text_that_was_written(server: Server) -> None:
    hold = server.emulator.script.hold("", pieces=WORDS, before=3)
    talk = server.conversation(stream=True, enable_thinking=False)
    talk.messages.append({"role": "user", "content": "hi"})
    body = {"model": MODEL, "messages": talk.messages, "stream": True, "enable_thinking": False}
    async with server.client.session.post(f"{server.url}/v1/chat/completions", json=body) as response:
        await hold.reached()
        seen = b""
        while b"word2" not in seen:
            seen += await response.content.readany()
    talk.messages.append({"role": "assistant", "content": "".join(WORDS[:3])})
    reply = await talk.say("What did you say?")
    assert reply.match == "exact"
    assert len(server.emulator.chats) == 1


async def test_an_answer_that_was_cut_is_waited_for_until_it_is_recorded(server: Server) -> None:
    hold = server.emulator.script.hold("", pieces=WORDS, before=30)
    body = {"model": MODEL, "messages": HI, "stream": True, "enable_thinking": False, "max_tokens": 60}
    with closing(sqlite3.connect(server.database, isolation_level=None)) as shell:
        async with server.client.session.post(f"{server.url}/v1/chat/completions", json=body) as response:
            await hold.reached()
            shell.execute("BEGIN IMMEDIATE")
            hold.release()
            seen = b""
            while seen.count(b"word9 ") < 3:
                seen += await response.content.readany()
            await asyncio.sleep(0.2)  # the commit waits for the lock by now
        await eventually(lambda: server.emulator.stops)
        whole = [*HI, {"role": "assistant", "content": "".join(WORDS[:30])}, {"role": "user", "content": "go on"}]
        asked = asyncio.create_task(server.client.chat(whole))
        await asyncio.sleep(0.3)
        shell.execute("ROLLBACK")
        assert (await asked).match == "exact"


async def test_a_silent_stream_is_kept_alive_with_comments(tmp_path: Path, server: Server) -> None:
    async with emulating() as emulator, serving(tmp_path / "b", emulator, KEEP_ALIVE_SECONDS="0.05") as quick:
        hold = emulator.script.hold("done")
        body = {"model": MODEL, "messages": HI, "stream": True, "enable_thinking": False}
        async with quick.client.session.post(f"{quick.url}/v1/chat/completions", json=body) as response:
            assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
            assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
            hold.release()
            rest = await response.read()
        assert b'"content":"done"' in rest
        assert rest.endswith(b"data: [DONE]\n\n")


async def test_an_error_after_the_first_keep_alive_is_a_frame(tmp_path: Path) -> None:
    settings = {"KEEP_ALIVE_SECONDS": "0.05", "BETWEEN_EVENTS_TIMEOUT": "0.3"}
    async with emulating() as emulator, serving(tmp_path, emulator, **settings) as server:
        emulator.script.hold("never")
        reply = await server.client.chat(HI, stream=True, enable_thinking=False)
        assert (reply.status, reply.error["code"]) == (200, "upstream_timeout")


async def test_a_database_that_is_locked_for_long_is_told_and_leaves_no_orphan(server: Server) -> None:
    talk = server.conversation()
    await talk.say("hi")
    with closing(sqlite3.connect(server.database, isolation_level=None)) as shell, shell:
        shell.execute("BEGIN IMMEDIATE")
        locked = await server.client.chat(HI)
        assert (locked.status, locked.error["code"]) == (503, "store_busy")
        assert (await server.client.get("/health")).status == 200
        shell.execute("ROLLBACK")
    chats = set(server.emulator.chats)
    await eventually(lambda: {row[0] for row in stored(server, "SELECT chat_id FROM sessions")} == chats)
    assert (await talk.say("and now?")).match == "exact"


async def test_an_answer_that_cannot_be_committed_is_an_error_and_is_recorded_later(server: Server) -> None:
    hold = server.emulator.script.hold("One two.", pieces=["One ", "two."], before=1)
    asked = asyncio.create_task(server.client.chat(HI, stream=True, enable_thinking=False))
    await hold.reached()
    await eventually(lambda: stored(server, "SELECT 1 FROM nodes WHERE state = 'open'"))
    shell = sqlite3.connect(server.database, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    hold.release()
    reply = await asked
    shell.execute("ROLLBACK")
    shell.close()
    assert (reply.text, reply.error["code"]) == ("One two.", "store_busy")
    await eventually(lambda: not stored(server, "SELECT 1 FROM nodes WHERE state = 'open'"))
    assert stored(server, "SELECT state, answer_text FROM nodes") == [("aborted", "One two.")]
