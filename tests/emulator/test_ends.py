"""How answers end: by themselves, by a stop, without a reader, at a close; and the lock on their chat."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.emulator import Emulator, EmulatorOptions
from app.emulator.script import Hold
from tests.emulator.page import RAW, SUMMARY, Site, Stream, answer_of, completion, emulated, eventually

PIECES = ["One ", "two ", "three ", "four."]


@asynccontextmanager
async def half_said(site: Site, chat: str) -> AsyncIterator[tuple[Hold, asyncio.Task[Stream]]]:
    """Have an answer in the making that has said two of its four pieces."""
    hold = site.emulator.script.hold("", pieces=PIECES, before=2)
    reading = asyncio.create_task(site.say(chat, "hi"))
    await hold.reached()
    yield hold, reading
    hold.release()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_held_answer_waits_for_its_release(site: Site) -> None:
    async with half_said(site, await site.new_chat()) as (hold, reading):
        assert not reading.done()
        hold.release()
        assert (await reading).text == "One two three four."


@pytest.mark.parametrize(("text", "before"), [("", 0), ("one two", 99)])
async def test_a_hold_past_the_last_piece_waits_before_the_end(site: Site, text: str, before: int) -> None:
    hold = site.emulator.script.hold(text, before=before)
    reading = asyncio.create_task(site.say(await site.new_chat(), "hi"))
    await hold.reached()
    assert not reading.done()
    hold.release()
    turn = await reading
    assert (turn.text, turn.is_finished) == (text, True)


async def test_the_tree_of_a_chat_shows_an_answer_in_the_making(site: Site) -> None:
    chat = await site.new_chat()
    async with half_said(site, chat):
        tree = await site.tree(chat)
        node = tree["chat"]["history"]["messages"][tree["currentId"]]
        assert (answer_of(node), node["done"], node["content_list"][-1]["status"]) == ("One two ", False, "typing")


async def newest(site: Site, chat: str) -> dict[str, Any]:
    """Return the newest answer of a chat as its detail shows it, {} while there is none."""
    tree = await site.tree(chat)
    return dict(tree["chat"]["history"]["messages"].get(tree["currentId"], {}))


@pytest.mark.parametrize(("config", "phase"), [(SUMMARY, "thinking_summary"), (RAW, "think")])
async def test_the_tree_of_a_chat_shows_thinking_in_the_making(site: Site, config: Any, phase: str) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("never", thinking=["I look."], delay=60.0)
    reading = asyncio.create_task(site.say(chat, "hi", config=config))
    async with asyncio.timeout(5):
        while not (node := await newest(site, chat)) or node["content_list"][0]["phase"] != phase:
            await asyncio.sleep(0.005)
    thinking = node["content_list"][0]
    said = thinking["content"] or thinking["extra"]["summary_thought"]["content"][0]
    assert (said, thinking["status"], answer_of(node), node["done"]) == ("I l", "typing", "", False)
    await site.stop(chat)
    assert not (await reading).is_finished


async def test_a_chat_answers_one_message_at_a_time(site: Site) -> None:
    chat, other = await site.new_chat(), await site.new_chat()
    async with half_said(site, chat):
        refused = await site.say(chat, "hi")
        assert (refused.status, refused.headers["x-actual-status-code"]) == (200, "400")
        assert refused.body["data"] == {"code": "Bad_Request", "details": "The chat is in progress!"}
        assert (await site.say(other, "say: free")).text == "free"
    assert (await site.say(chat, "hi")).is_finished


async def test_in_2025_a_busy_chat_answers_without_an_envelope() -> None:
    async with emulated(era="2025") as site:
        chat = await site.new_chat()
        async with half_said(site, chat):
            refused = await site.say(chat, "hi")
            assert (refused.status, refused.body) == (400, {"error": {"message": "The chat is in progress!"}})


async def test_the_lock_outlasts_the_stream_for_as_long_as_chosen() -> None:
    async with emulated(lock_seconds=0.3) as site:
        chat = await site.new_chat()
        await site.say(chat, "hi")
        ended = time.monotonic()
        assert (await site.say(chat, "hi")).body["data"]["details"] == "The chat is in progress!"
        async with asyncio.timeout(5):
            while not (await site.say(chat, "hi")).events:
                await asyncio.sleep(0.02)
        assert time.monotonic() - ended >= 0.25


async def test_an_answer_goes_on_when_its_reader_is_gone(site: Site) -> None:
    chat = await site.new_chat()
    hold = site.emulator.script.hold("", pieces=PIECES, before=2)
    async with aiohttp.ClientSession(headers=site.headers) as session:
        url = f"{site.emulator.url}/api/v2/chat/completions?chat_id={chat}"
        response = await session.post(url, data=json.dumps(completion(chat, "hi")).encode())
        await hold.reached()
        response.close()
    hold.release()
    nodes = site.emulator.chats[chat].nodes
    await eventually(lambda: all(node.done for node in nodes.values() if node.role == "assistant"))
    tree = await site.tree(chat)
    node = tree["chat"]["history"]["messages"][tree["currentId"]]
    assert (answer_of(node), node["is_stop"]) == ("One two three four.", False)


async def test_a_stop_keeps_what_was_said_and_ends_the_stream_without_a_finish(site: Site) -> None:
    chat = await site.new_chat()
    async with half_said(site, chat) as (_, reading):
        assert (await site.stop(chat)).data == {"status": True}
        turn = await reading
        assert (turn.text, turn.is_finished) == ("One two ", False)
        assert turn.events[-1] == {"response.stopped": {"response_id": turn.node}}
        node = (await site.tree(chat))["chat"]["history"]["messages"][turn.node]
        assert (answer_of(node), node["done"], node["is_stop"]) == ("One two ", True, True)
    assert site.emulator.stops == [{"chat_id": chat}]
    assert (await site.say(chat, "say: on", turn.node)).text == "on"


async def test_a_stop_of_another_answer_than_the_running_one_stops_nothing(site: Site) -> None:
    chat = await site.new_chat()
    first = await site.say(chat, "hi")
    hold = site.emulator.script.hold("", pieces=PIECES, before=2)
    reading = asyncio.create_task(site.say(chat, "and now?", first.node))
    await hold.reached()
    assert (await site.stop(chat, response_id=first.node)).data == {"status": True}
    hold.release()
    assert (await reading).text == "One two three four."


async def test_a_stop_of_the_running_answer_stops_it(site: Site) -> None:
    chat = await site.new_chat()
    async with half_said(site, chat) as (_, reading):
        await site.stop(chat, response_id=(await site.tree(chat))["currentId"])
        assert (await reading).text == "One two "


async def test_a_stop_answers_when_what_was_said_is_stored(tmp_path: Path) -> None:
    async with emulated(data_file=tmp_path / "chats.json") as site:
        chat = await site.new_chat()
        async with half_said(site, chat) as (_, reading):
            await site.stop(chat)
            journal = (tmp_path / "chats.json").read_text()
            assert '"text": "One two "' in journal
            await reading


async def test_a_stop_without_anything_to_stop_is_accepted_and_recorded(site: Site) -> None:
    assert (await site.stop("never-was", response_id="r")).data == {"status": True}
    assert site.emulator.stops == [{"chat_id": "never-was", "response_id": "r"}]


async def test_a_close_ends_what_is_being_said_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with emulated(data_file=path) as site:
        chat = await site.new_chat()
        async with half_said(site, chat) as (_, reading):
            await site.emulator.close()
            assert (await reading).text == "One two "
            await site.emulator.close()
    async with emulated(data_file=path) as site:
        [_, answer] = site.emulator.chats[chat].nodes.values()
        assert (answer.text, answer.done, answer.is_stop) == ("One two ", True, True)


async def test_a_message_that_comes_while_it_closes_gets_an_answer_that_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    with ExitStack() as afterwards:
        async with emulated(data_file=path) as site:
            chat, late = await site.new_chat(), await site.new_chat()
            async with half_said(site, chat):
                path.unlink()
                os.mkfifo(path)  # whoever writes to it waits until somebody reads
                try:
                    closing = asyncio.create_task(site.emulator.close())
                    site.emulator.script.hold("never said")
                    reading = asyncio.create_task(site.say(late, "hi"))
                    await eventually(lambda: len(site.emulator.shown) == 2)
                finally:
                    afterwards.callback(os.close, os.open(path, os.O_RDWR))
                await closing
                assert "response.stopped" in (await reading).events[-1]
            [_, answer] = site.emulator.chats[late].nodes.values()
            assert (answer.text, answer.done, answer.is_stop) == ("", True, True)
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("generate")]


async def test_a_taken_port_is_told_and_leaves_nothing_open(site: Site) -> None:
    taken = int(site.emulator.url.rsplit(":", 1)[1])
    second = Emulator(EmulatorOptions(auth_port=taken))
    with pytest.raises(OSError, match="address already in use"):
        await second.__aenter__()
    assert second.url
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(second.url)


async def test_a_disk_that_fails_cuts_the_answer_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    async with emulated(data_file=folder / "chats.json") as site:
        chat = await site.new_chat()
        async with half_said(site, chat) as (hold, reading):
            for file in list(folder.iterdir()):
                file.unlink()
            folder.rmdir()
            hold.release()
            turn = await reading
            assert (turn.text, turn.is_finished) == ("One two three four.", False)
        assert "ended early" in caplog.text
        assert "FileNotFoundError" in caplog.text
        folder.mkdir()
        assert (await site.say(chat, "hi")).is_finished


@pytest.mark.no_cover  # for its volume
async def test_records_do_not_grow_without_end(site: Site) -> None:
    for _ in range(2001):
        await site.stop("never-was")
    assert len(site.emulator.stops) == len(site.emulator.requests) == 2000
