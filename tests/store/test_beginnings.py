"""A turn that has begun is in the journal until the database has it: the end of the process does not lose it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.errors import StoreUnusable
from app.store.journal import Journal
from app.store.sqlite import SqliteSessionStore
from tests.store.making import Outside, beside, end, minute, node, session, sqlite_store, written


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteSessionStore]:
    async with sqlite_store(path) as opened:
        yield opened


def kill(path: Path, lines: bytes) -> None:
    """Leave behind what a process that was killed would."""
    beside(path, "-open").write_bytes(lines)


async def lines_of(path: Path) -> bytes:
    """Return what the journal holds of a chat with three turns, of which only the first has ended."""
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await store.finish_turn(end("a1", turn_key="k1"), minute(2))
        await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
        await store.open_turn(node("b1", "b", says="\n \ud83d"), session("b", delete_because="side call"), minute(3))
        return beside(path, "-open").read_bytes().rstrip(b"\0")


async def test_what_a_kill_cut_is_open_after_the_next_start(path: Path, tmp_path: Path, outside: Outside) -> None:
    lines = await lines_of(tmp_path / "other" / "qwen-thread.db")
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    kill(path, lines)
    async with sqlite_store(path) as store:
        assert not beside(path, "-open").read_bytes().strip(b"\0")
        assert [left.node_id for left in await store.interrupted(minute(9))] == ["a2"]
        assert outside.rows("SELECT id, state, created_at FROM nodes ORDER BY number") == [
            ("a1", "complete", "2026-11-22T09:01:00.000Z"),
            ("a2", "open", "2026-11-22T09:03:00.000Z"),
            ("b1", "failed", "2026-11-22T09:03:00.000Z"),
        ]
        assert outside.rows("SELECT chat_id FROM deletions") == [("chat-of-b",)]


async def test_what_still_waits_at_a_stop_is_found_by_the_next_start(path: Path, outside: Outside) -> None:
    await lines_of(path)
    async with sqlite_store(path) as store:
        assert [left.node_id for left in await store.interrupted(minute(9))] == ["a2"]


async def test_a_torn_line_and_a_turn_of_no_session_cost_nothing_else(
    path: Path, tmp_path: Path, outside: Outside
) -> None:
    lines = await lines_of(tmp_path / "other" / "qwen-thread.db")
    _, a2, b1 = lines.split(b"\n\n")
    path.parent.mkdir()
    kill(path, a2[:100] + b"\n" + a2 + b"\n" + b1)  # this database does not have the session of a2
    async with sqlite_store(path) as store:
        assert await store.interrupted(minute(9)) == []
        assert outside.rows("SELECT id, state FROM nodes") == [("b1", "failed")]


async def test_a_turn_that_takes_longer_is_in_the_database_after_a_second(
    store: SqliteSessionStore, outside: Outside
) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(1))
    assert not outside.rows("SELECT 1 FROM nodes")
    await written(store)
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "open")]
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "complete")]


async def test_a_message_that_follows_is_known_while_it_waits(store: SqliteSessionStore) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(1))
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    assert [place.has_children for place in await store.find_turn("k1")] == [False]
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
    assert [place.has_children for place in await store.find_turn("k1")] == [True]


def test_the_journal_stays_small_and_keeps_what_is_wanted(path: Path) -> None:
    path.parent.mkdir()
    lines = Journal(path, half=1000)
    lines.add(b"wanted", ())
    for number in range(1000):
        assert lines.add(b"line %d" % number, [b"wanted"])
        assert b"wanted" in lines.read()
    assert lines.read()[-1] == b"line 999"
    assert len(beside(path, "-open").read_bytes()) == 2000
    lines.close(is_wanted=False)


def test_a_line_without_room_is_refused(path: Path) -> None:
    path.parent.mkdir()
    lines = Journal(path, half=100)
    assert lines.add(b"x" * 60, ())
    assert not lines.add(b"y" * 60, [b"x" * 60])
    assert not lines.add(b"z" * 99, ())
    assert lines.read() == [b"x" * 60]
    lines.close(is_wanted=False)


async def test_a_turn_without_room_in_the_journal_is_in_the_database_at_once(
    store: SqliteSessionStore, outside: Outside
) -> None:
    await store.open_turn(node("a1", "a", says="long " * 400_000), session("a"), minute(1))
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "open")]
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "complete")]


def test_a_journal_that_cannot_be_written_is_told_at_the_start(path: Path) -> None:
    path.parent.mkdir()
    beside(path, "-open").mkdir()
    with pytest.raises(StoreUnusable, match=r"qwen-thread\.db-open cannot be written: Is a directory"):
        Journal(path)


def test_what_a_torn_line_leaves_does_not_spoil_the_next(path: Path) -> None:
    path.parent.mkdir()
    beside(path, "-open").write_bytes(b'\n{"torn')
    lines = Journal(path)
    assert lines.read() == [b'{"torn']
    lines.clear()
    lines.add(b"whole", ())
    assert lines.read() == [b"whole"]
    lines.close(is_wanted=True)
