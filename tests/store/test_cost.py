"""What a turn costs the database, counted in statements and commits: time would depend on the machine."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from contextlib import closing as closing_now
from pathlib import Path

import pytest

from app.store.beginnings import Beginnings
from app.store.connection import Database, connect
from app.store.journal import Journal
from app.store.opening import closing
from app.store.sqlite import SqliteSessionStore
from app.store.turns import PREPARE
from tests.store.making import end, minute, node, session, sqlite_store


class Counted:
    """A store whose statements are heard."""

    def __init__(self, store: SqliteSessionStore) -> None:
        self.store = store
        self.heard: list[str] = []

    def take(self) -> list[str]:
        """Return the first words of the statements since the last time; one with a trigger is heard once for each."""
        heard, self.heard = self.heard, []
        words = [(text, text.split()[0]) for text in heard if not text.startswith(("--", "PRAGMA"))]
        return [word for number, (text, word) in enumerate(words) if not number or words[number - 1][0] != text]


@pytest.fixture
async def counted(path: Path) -> AsyncIterator[Counted]:
    async with sqlite_store(path):
        pass
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(closing(await connect(path, busy_seconds=1))) for _ in range(2)]
        writer, reader = opened
        database = Database(writer, reader, path)
        await writer.executescript(PREPARE)
        beginnings = Beginnings(database, await asyncio.to_thread(Journal, path))
        counted = Counted(SqliteSessionStore(database, beginnings, store_text=True))
        for connection in opened:
            await connection.set_trace_callback(lambda text: counted.heard.append(text))
        yield counted
        await beginnings.close()


async def test_a_turn_that_ends_soon_is_one_look_up_and_one_statement(counted: Counted) -> None:
    await counted.store.open_turn(node("a0", "z"), session("z"), minute(1))
    await counted.store.finish_turn(end("a0", turn_key="k0"), minute(1))
    assert counted.take() == ["SELECT", "INSERT"]  # the first one asks for the last number, once
    await counted.store.open_turn(node("a1", "a"), session("a"), minute(1))
    assert counted.take() == []
    await counted.store.finish_turn(end("a1", turn_key="k1"), minute(2))
    assert counted.take() == ["INSERT"]
    assert await counted.store.find_turn("k1")
    assert counted.take() == ["SELECT"]
    await counted.store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
    await counted.store.finish_turn(end("a2", turn_key="k2"), minute(4))
    assert counted.take() == ["INSERT"]


async def test_turns_that_end_together_take_a_statement_for_the_first_and_one_for_the_others(counted: Counted) -> None:
    names = [f"n{number}" for number in range(60)]
    await asyncio.gather(*(counted.store.open_turn(node(name, name), session(name), minute(1)) for name in names))
    await asyncio.gather(*(counted.store.finish_turn(end(name, turn_key=name), minute(2)) for name in names))
    assert counted.take() == ["SELECT", "INSERT", "INSERT"]
    assert len(await counted.store.find_turn(*names)) == 60
    assert counted.take() == ["SELECT"]


async def test_no_check_of_what_a_turn_writes_makes_a_table_in_memory(path: Path) -> None:
    async with sqlite_store(path):
        pass
    with closing_now(sqlite3.connect(path)) as other:
        for table in ("sessions", "nodes", "turns"):
            columns = [row[1] for row in other.execute(f"PRAGMA table_info({table})")]
            insert = f"EXPLAIN INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            assert "OpenEphemeral" not in [row[1] for row in other.execute(insert, [None] * len(columns))]
