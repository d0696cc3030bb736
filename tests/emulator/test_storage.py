"""The journal that keeps the chats."""

import asyncio
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.emulator import Emulator, EmulatorOptions, journal
from app.emulator.storage import ChatStorage
from app.emulator.tree import Chat, new_chat, new_node
from tests.emulator.page import RAW, SUMMARY, Site, answer_of, emulated


async def opened(path: Path) -> ChatStorage:
    storage = ChatStorage(path)
    await storage.open()
    return storage


def turn(chat: Chat, text: str, answer: str) -> list[Any]:
    user = new_node("user", chat.current_id, text, "m", {"thinking_enabled": True})
    node = new_node("assistant", user.id, answer, "m", {})
    node.thoughts, node.done, node.summary = ["I look."], True, True
    node.ended_at = 1790000000.5
    chat.add(user)
    chat.add(node)
    return [user, node]


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def kept(path: Path, *turns: tuple[str, str]) -> Chat:
    storage = await opened(path)
    chat = new_chat("m")
    await storage.add_chat(chat)
    for text, answer in turns:
        nodes = turn(chat, text, answer)
        chat.name_itself()
        await storage.keep_turn(chat, *nodes)
    return chat


async def test_chats_are_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chats.json"
    chat = await kept(path, ("hi", "hello"), ("我的狗叫Rex\u2028\n", "记住了"))
    for _ in range(2):
        [again] = (await opened(path)).chats.values()
        assert again == chat


async def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with emulated(data_file=path) as site:
        chat = await site.new_chat()
        first = await site.say(chat, "My dog is called Rex.", config=SUMMARY)
        before = await site.tree(chat)
    async with emulated(data_file=path) as site:
        assert await site.tree(chat) == before
        assert (await site.say(chat, "What is my dog called?", first.node)).text == "Your dog is Rex."


async def test_a_deleted_chat_is_remembered_as_deleted(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with emulated(data_file=path) as site:
        chat = await site.new_chat()
        await site.ask("DELETE", f"/api/v2/chats/{chat}")
    for _ in range(2):
        async with emulated(data_file=path) as site:
            assert (await site.say(chat, "hi")).code == "CHAT_NOT_FOUND"
            assert (await site.say("never-was", "hi")).code == "Not_Found"


async def test_a_torn_last_line_costs_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    chat = await kept(path, ("one", "1"), ("two", "2"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    storage = await opened(path)
    assert [node.text for node in storage.chats[chat.id].nodes.values()] == ["one", "1"]
    await storage.add_chat(new_chat("m"))
    assert len((await opened(path)).chats) == 2


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0), tail=st.binary(max_size=8))
async def test_any_beginning_of_the_journal_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "chats.json"
    chat = await kept(path, ("one", "1"), ("two", "2"))
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % (len(whole) + 1)] + tail)
    found = (await opened(path)).chats
    assert set(found) <= {chat.id}
    texts = [node.text for node in found[chat.id].nodes.values()] if found else []
    assert texts == ["one", "1", "two", "2"][: len(texts)]


async def test_a_turn_of_a_chat_that_was_deleted_meanwhile_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    storage = await opened(path)
    chat = new_chat("m")
    await storage.add_chat(chat)
    await storage.delete(chat.id)
    await storage.keep_turn(chat, *turn(chat, "late", "too late"))
    again = await opened(path)
    assert (again.chats, again.deleted) == ({}, {chat.id})


async def test_only_the_owner_reads_the_file_even_if_it_was_open_before(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    path.write_text("")
    path.chmod(0o644)
    await kept(path, ("hi", "hello"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_journal_is_made_compact_at_a_start_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    chat = await kept(path, *[("hi", "hello")] * 5)
    (tmp_path / "chats.json.new").write_text("left by a kill")
    await opened(path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["op"] for record in records] == ["delete", "chat", "turn"]
    assert len(records[2]["nodes"]) == len(chat.nodes) == 10
    assert names_in(tmp_path) == ["chats.json"]


async def test_a_chat_without_turns_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    chat = await kept(path)
    for _ in range(2):
        assert (await opened(path)).chats == {chat.id: chat}


async def test_a_title_and_a_person_s_turns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with emulated(data_file=path) as site:
        empty, (chat, _, _) = await site.new_chat(), await site.emulator.browse(None, "hi", "hello")
        for chat_id, title in ((empty, "Nothing yet"), (chat, "Greetings")):
            await site.ask("POST", f"/api/v2/chats/{chat_id}", {"title": title})
        before = await site.tree(chat)
    for _ in range(2):
        async with emulated(data_file=path) as site:
            assert await site.tree(chat) == before
            assert {key: kept.title for key, kept in site.emulator.chats.items()} == {
                empty: "Nothing yet",
                chat: "Greetings",
            }


async def test_nothing_of_a_deleted_chat_stays_in_the_file_and_no_promise_of_another_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    storage = await opened(path)
    chat = new_chat("m")
    await storage.add_chat(chat)
    secret = await kept(path, ("my secret", "is safe"))
    promised = turn(new_chat("m"), "hi", "the whole answer")
    await storage.keep_turn(chat, *promised)  # the chat in memory does not have it yet
    await storage.delete(secret.id)
    assert "secret" not in await asyncio.to_thread(path.read_text)
    again = await opened(path)
    assert again.deleted == {secret.id}
    assert [node.text for node in again.chats[chat.id].nodes.values()] == ["hi", "the whole answer"]


def test_a_record_that_finds_no_room_leaves_no_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal.append(path, [{"number": 1}])
    writes = os.write

    def half(file: int, data: memoryview) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return writes(file, data[: len(data) - 5])

    with mock.patch("os.write", half), pytest.raises(OSError, match="No space left"):
        journal.append(path, [{"number": 2}])
    journal.append(path, [{"number": 3}])
    assert [*journal.read(path)] == [{"number": 1}, {"number": 3}]


async def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.chdir(tmp_path)
    chat = await site.new_chat()
    await site.say(chat, "hi")
    await site.ask("DELETE", f"/api/v2/chats/{chat}")
    assert names_in(tmp_path) == []
    assert (await site.say(chat, "hi")).code == "CHAT_NOT_FOUND"


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "thinking": ("count to 30", {"config": SUMMARY}),
    "raw thinking": ("count to 30", {"config": RAW}),
    "a search": ("Search the web for trains", {"chat_type": "search"}),
    "pictures": ("Two pictures of a dog", {"chat_type": "t2i"}),
    "research": ("Compare the railways of Switzerland and of Austria since 1850.", {"chat_type": "deep_research"}),
    "research that asks back": ("Trains", {"chat_type": "deep_research"}),
    "silence": ("hi\n#emulator fault=empty", {}),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_is_kept_as_it_will_be_once_its_message_was_taken(tmp_path: Path, kind: str) -> None:
    """What a kill in mid-answer leaves is the journal without its last line."""
    path, (text, changes) = tmp_path / "chats.json", KINDS[kind]
    async with emulated(data_file=path) as site:
        chat = await site.new_chat(chat_type=changes.get("chat_type", "t2t"))
        answer = await site.say(chat, text, **changes)
        made = await site.tree(chat)
    *before, last = path.read_bytes().splitlines(keepends=True)
    assert json.loads(last)["nodes"][1]["done"]
    path.write_bytes(b"".join(before))
    async with emulated(data_file=path) as site:
        found = await site.tree(chat)
        assert found["title"] == made["title"]
        for tree in (made, found):
            node = tree["chat"]["history"]["messages"][answer.node]
            assert node.pop("extra")["endTime"]
            for item in node["content_list"]:
                item.pop("usage", None)
                item["content"] = item["content"].partition("?key=")[0]
        assert found["chat"]["history"] == made["chat"]["history"]


async def test_an_answer_that_was_stopped_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    async with emulated(data_file=path) as site:
        chat = await site.new_chat()
        hold = site.emulator.script.hold("", pieces=["one ", "two ", "three"], before=2)
        saying = asyncio.create_task(site.say(chat, "hi"))
        await hold.reached()
        await site.stop(chat)
        await saying
    async with emulated(data_file=path) as site:
        [_, answer] = (await site.tree(chat))["chat"]["history"]["messages"].values()
        assert (answer_of(answer), answer["is_stop"]) == ("one two ", True)


async def test_the_port_is_that_of_the_last_start_so_that_addresses_still_hold(tmp_path: Path) -> None:
    kept = EmulatorOptions(data_file=tmp_path / "chats.jsonl")
    async with Emulator(kept) as first:
        url = first.url
        async with Emulator(kept) as beside:
            assert beside.url != url, "it is taken"
            elsewhere = beside.url
    async with Emulator(kept) as again:
        assert again.url == elsewhere
    (tmp_path / "chats.jsonl.port").write_text("no number")
    async with Emulator(kept) as anew:
        assert anew.url
