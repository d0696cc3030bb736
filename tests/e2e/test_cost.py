"""What a turn costs, counted in calls and bytes: time would depend on the machine."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.core.budget import estimate_tokens
from app.core.canonical import (
    canonical_assistant,
    canonical_user,
    digest_of,
    framed,
    is_tool_result,
    squeeze,
)
from app.core.told import told_by
from app.core.turn import Turn
from app.emulator import Emulator
from app.openai.responses import ChunkWriter
from app.upstream.qwen.frames import decode_frame
from bench.canned import Canned, words
from tests.core.fakes import FakeClock
from tests.counting import Calls
from tests.e2e.habits import call_text, user
from tests.e2e.harness import CLOCK, MODEL, Server, eventually, serving
from tests.e2e.test_tools import WEATHER, echo, ids_of, result


async def test_a_new_conversation_is_two_calls_and_every_further_turn_is_one(server: Server) -> None:
    talk = server.conversation(stream=True, enable_thinking=False)
    await server.client.get("/v1/models")
    calls = []
    for number in range(6):
        before = len(server.emulator.requests)
        await talk.say(f"Question {number}.")
        calls.append(len(server.emulator.requests) - before)
    assert calls == [2, 1, 1, 1, 1, 1]


async def test_what_a_turn_sends_does_not_grow_with_the_conversation(server: Server) -> None:
    talk = server.conversation(enable_thinking=False)
    for number in range(12):
        await talk.say(f"Question {number:02}: " + "word " * 400)
    sizes = {len(shown.text) for shown in server.emulator.shown}
    assert len(sizes) == 1


async def test_a_turn_reads_names_and_hashes_what_is_new_however_long_the_conversation_is(server: Server) -> None:
    work = Calls(
        squeeze,
        canonical_user,
        canonical_assistant,
        is_tool_result,
        told_by,
        estimate_tokens,
        framed,
        digest_of,
        measure=lambda frame: len(frame.f_locals.get("encoded", "")),
    )
    talk = server.conversation(enable_thinking=False)
    turns, hashed = [], []
    for number in range(12):
        before = work.measured
        with work.here():
            await talk.say(f"Question {number:02}: " + "word " * 4000)
        turns.append(work.take())
        hashed.append(work.measured - before)
    assert turns[2:] == [turns[2]] * 10  # the first message is read again with its answer: no turn was kept before
    assert max(hashed[2:]) - min(hashed[2:]) < 10  # bytes; an answer says which one it is
    assert turns[2]["told_by"] == 2


async def test_a_turn_goes_to_the_database_for_its_place_and_its_end(tmp_path: Path, emulator: Emulator) -> None:
    ways = Calls(asyncio.BaseEventLoop.call_soon_threadsafe)
    with ways.in_new_threads():
        async with serving(tmp_path, emulator, FakeClock()) as server:  # else the login is looked at once a second
            talk = server.conversation(enable_thinking=False)
            await talk.say("One.")
            for text in ("Two.", "Three.", "Four."):
                ways.take()
                await talk.say(text)
                assert ways.take().total() == 2


async def test_a_turn_below_a_named_response_goes_to_the_database_no_more_often(
    tmp_path: Path, emulator: Emulator
) -> None:
    ways = Calls(asyncio.BaseEventLoop.call_soon_threadsafe)
    with ways.in_new_threads():
        async with serving(tmp_path, emulator, FakeClock()) as server:
            previous = None
            for number in range(4):
                ways.take()
                body = {"model": MODEL, "input": f"Text {number}.", "previous_response_id": previous}
                reply = await server.client.post("/v1/responses", {**body, "enable_thinking": False})
                previous = reply.body["id"]
                assert not number or (reply.match, ways.take().total()) == ("exact", 2)


async def test_a_turn_in_anthropics_wire_format_goes_to_the_database_no_more_often(
    tmp_path: Path, emulator: Emulator
) -> None:
    ways = Calls(asyncio.BaseEventLoop.call_soon_threadsafe)
    with ways.in_new_threads():
        async with serving(tmp_path, emulator, FakeClock()) as server:
            messages: list[Any] = []
            for number in range(4):
                messages.append(user(f"Text {number}."))
                ways.take()
                reply = await server.client.post("/v1/messages", {"model": MODEL, "messages": messages})
                messages.append({"role": "assistant", "content": reply.body["content"]})
                assert not number or (reply.match, ways.take().total()) == ("exact", 2)


async def test_a_step_of_a_tool_loop_goes_to_the_database_no_more_often(tmp_path: Path, emulator: Emulator) -> None:
    ways = Calls(asyncio.BaseEventLoop.call_soon_threadsafe)
    with ways.in_new_threads():
        async with serving(tmp_path, emulator, FakeClock()) as server:
            history, counts = [user("How warm is it?")], []
            for step in range(5):
                emulator.script.answer(call_text(arguments=f'{{"city": "Paris {step}", "days": 2}}'))
                ways.take()
                reply = await server.client.chat(history, tools=[WEATHER], enable_thinking=False)
                assert reply.match == ("tool-call" if step else "new")
                counts.append(ways.take().total())
                history += [echo(reply), result(ids_of(reply)[0], f"{step} degrees")]
            assert min(counts[1:]) == 2  # the chat is given its title meanwhile, for which a name may be looked up


@asynccontextmanager
async def quick_server(folder: Path, emulator: Emulator) -> AsyncIterator[Server]:
    """A server whose site writes a whole answer at once."""
    site = await asyncio.get_running_loop().create_server(lambda: Canned([]), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{site.sockets[0].getsockname()[1]}"
    async with serving(folder, emulator, CLOCK, QWEN_BASE_URL=url) as server:
        yield server
    site.close()


async def ask(server: Server, route: str, text: str, *, stream: bool) -> None:
    """Ask a question in the wire format of a route, and take the answer."""
    messages = [user(text)]
    bodies = {
        "/v1/chat/completions": {"messages": messages, "enable_thinking": False},
        "/v1/responses": {"input": text, "enable_thinking": False},
        "/v1/messages": {"messages": messages, "max_tokens": 1000},
    }
    client = server.client
    async with client.session.post(
        client.url + route, json={"model": MODEL, "stream": stream, **bodies[route]}
    ) as reply:
        assert reply.status == 200
        await reply.read()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_a_turn_that_is_over_holds_no_memory_until_the_collector_looks(
    server: Server, route: str, *, stream: bool
) -> None:
    """What a turn refers to may be a long history; in a circle it would stay until thousands of objects are new."""
    turns, begin = [], Turn.__init__

    def noted(turn: Turn, *arguments: Any, **named: Any) -> None:
        begin(turn, *arguments, **named)
        turns.append(weakref.ref(turn))

    gc.disable()
    try:
        with mock.patch.object(Turn, "__init__", noted):
            for number in range(5):
                await ask(server, route, f"Question {number}.", stream=stream)
        await eventually(lambda: [turn() for turn in turns[:-1]] == [None] * 4)  # the connection knows its last one
    finally:
        gc.enable()


async def test_what_arrives_together_is_decoded_once_and_written_together(tmp_path: Path, emulator: Emulator) -> None:
    work = Calls(decode_frame, ChunkWriter.write, "Decoder.decode", "json_decode")
    async with quick_server(tmp_path, emulator) as server:
        talk = server.conversation(stream=True, model="canned")
        await talk.say("Warm up.")
        with work.here():
            reply = await talk.say("Go. chunks=200")
    heard = work.take()
    assert reply.text == words(200)
    assert heard["decode_frame"] == 202  # with the beginning and the end
    assert heard["Decoder.decode"] + heard["json_decode"] <= 202 + 10  # the request, and a count for each batch
    assert heard["write"] <= 6


async def test_a_log_that_is_not_printed_is_not_written_either(server: Server) -> None:
    written = Calls(logging.LogRecord.__init__)
    talk = server.conversation(stream=True, enable_thinking=False)
    await talk.say("Warm up.")
    assert not logging.getLogger("app").isEnabledFor(logging.INFO)
    with written.here():
        await talk.say("And now.")
    assert not written.take()
