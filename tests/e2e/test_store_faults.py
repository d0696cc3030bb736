"""A fault of the store passes: how an answer ended is recorded then, whoever still waits for it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from app.store.sqlite import open_sqlite
from tests.e2e.habits import assistant, call_text, user
from tests.e2e.harness import Reply, Server, emulating, eventually, serving
from tests.e2e.test_ends import stored

PIECES = ["One ", "two ", "three."]
SAID = "".join(PIECES)
HELLO = [user("hi")]
NEXT = [*HELLO, assistant(SAID), user("go on")]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "required": ["city"]}},
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store hardly waits for a lock."""
    monkeypatch.setitem(cast(Any, open_sqlite).__wrapped__.__kwdefaults__, "busy_seconds", 0.1)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


@asynccontextmanager
async def ending(server: Server, *, written: bool = True) -> AsyncIterator["asyncio.Task[Reply]"]:
    """Lock the database before the end of an answer, `written` as open or not yet, for longer than two tries take."""
    hold = server.emulator.script.hold("", pieces=PIECES, before=1)
    asked = asyncio.create_task(server.client.chat(HELLO, stream=True, enable_thinking=False))
    await hold.reached()
    if written:
        await eventually(lambda: stored(server, "SELECT 1 FROM nodes"))
    with locked(server.database):
        hold.release()
        await asyncio.sleep(0.05)  # all is said, and the end waits for the lock
        yield asked
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("leaves", [False, True])
async def test_an_answer_whose_end_could_not_be_stored_is_gone_on_from(
    server: Server, written: bool, leaves: bool
) -> None:
    async with ending(server, written=written) as asked:
        if leaves:
            asked.cancel()
    if not leaves:
        reply = await asked
        assert (reply.text, reply.error["code"]) == (SAID, "store_busy")
    assert (await server.client.chat(NEXT)).match == "exact"
    state = "complete" if leaves else "aborted"
    assert stored(server, "SELECT state, answer_text FROM nodes")[0] == (state, SAID)
    assert len(server.emulator.chats) == 1


async def test_a_chat_that_is_to_be_deleted_is_deleted_also_then(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, IS_DELETE="1") as server:
        async with ending(server) as asked:
            pass
        assert (await asked).error["code"] == "store_busy"
        await eventually(lambda: not emulator.chats)


async def test_a_stop_tries_once_more(tmp_path: Path) -> None:
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server, ending(server) as asked:
            asked.cancel()
        assert stored(server, "SELECT state, answer_text FROM nodes") == [("complete", SAID)]
        assert not (server.database.parent / "qwen-thread.db-open").exists()


@pytest.mark.parametrize("written", [False, True])
async def test_what_a_stop_could_not_store_either_is_read_back_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    monkeypatch.setattr("app.main._BACKGROUND_SECONDS", 0.3)
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            hold = emulator.script.hold("", pieces=PIECES, before=1)
            asked = asyncio.create_task(server.client.chat(HELLO, stream=True, enable_thinking=False))
            await hold.reached()
            if written:
                await eventually(lambda: stored(server, "SELECT 1 FROM nodes"))
            shell = sqlite3.connect(server.database, isolation_level=None)
            shell.execute("BEGIN IMMEDIATE")
            hold.release()
            await asked
        shell.close()
        async with serving(tmp_path, emulator) as server:
            assert (await server.client.chat(NEXT)).match == "exact"
            assert stored(server, "SELECT state, recovered, answer_text FROM nodes")[0] == ("complete", 1, SAID)


async def test_words_before_a_call_that_is_asked_for_again_are_kept_where_that_cannot_be_stored(
    server: Server,
) -> None:
    server.emulator.script.answer("", pieces=["I look. ", call_text(arguments="{}")])
    server.emulator.script.hold("never")
    with locked(server.database):
        reply = await server.client.chat(HELLO, stream=True, tools=[WEATHER])
        assert (reply.text, reply.error["code"]) == ("I look.", "store_busy")
    await eventually(lambda: server.emulator.stops)
    after = await server.client.chat([*HELLO, assistant(reply.text), user("go on")], tools=[WEATHER])
    assert after.match == "exact"
    assert stored(server, "SELECT state, answer_text FROM nodes")[0] == ("aborted", "I look.")
