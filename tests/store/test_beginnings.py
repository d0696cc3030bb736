"""A turn that has begun is in the journal until the database has it: the end of the process does not lose it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import StoreBusy, StoreError, StoreUnusable
from app.store.archive import open_archive
from app.store.journal import Journal
from app.store.sqlite import SqliteSessionStore
from tests.store.making import MIGRATIONS, Outside, beside, end, minute, node, session, sqlite_store, written


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteSessionStore]:
    async with sqlite_store(path) as opened:
        yield opened


def kill(path: Path, records: bytes) -> None:
    """Leave behind what a process that was killed would."""
    beside(path, "-open").write_bytes(records)


def erase(path: Path, session_id: str) -> int:
    with open_archive(path, MIGRATIONS) as archive:
        return archive.erase([session_id], "2026-11-22T10:00:00.000Z").sessions


async def records_of(path: Path) -> bytes:
    """Return what the journal holds of three turns of two chats, of which the first has ended."""
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await store.finish_turn(end("a1", turn_key="k1"), minute(2))
        await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
        await store.open_turn(node("b1", "b", says="\n \ud83d"), session("b", delete_because="side call"), minute(3))
        await asyncio.sleep(0)  # what was written is dropped
        return beside(path, "-open").read_bytes().strip(b"\0")


async def test_what_a_kill_cut_is_open_after_the_next_start(path: Path, tmp_path: Path, outside: Outside) -> None:
    records = await records_of(tmp_path / "other" / "qwen-thread.db")
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    kill(path, records)
    for _ in range(2):  # killed again before the journal was emptied
        async with sqlite_store(path) as store:
            assert not beside(path, "-open").read_bytes().strip(b"\0")
            assert [left.node_id for left in await store.interrupted(minute(9))] == ["a2"]
            assert outside.rows("SELECT id, state, created_at FROM nodes ORDER BY number") == [
                ("a1", "complete", "2026-11-22T09:01:00.000Z"),
                ("a2", "open", "2026-11-22T09:03:00.000Z"),
                ("b1", "failed", "2026-11-22T09:03:00.000Z"),
            ]
            assert outside.rows("SELECT chat_id FROM deletions") == [("chat-of-b",)]
        kill(path, records)


@pytest.mark.parametrize("old", [True, False], ids=["as an earlier version wrote it", "with a hole"])
async def test_a_record_of_an_earlier_version_counts_and_one_with_a_hole_does_not(
    path: Path, tmp_path: Path, outside: Outside, caplog: pytest.LogCaptureFixture, *, old: bool
) -> None:
    async with sqlite_store(tmp_path / "other" / "qwen-thread.db") as store:
        await store.open_turn(node("a1", "a", says="word " * 100), session("a"), minute(1))
        record = beside(tmp_path / "other" / "qwen-thread.db", "-open").read_bytes().strip(b"\0")
    async with sqlite_store(path):
        pass
    if old:
        kill(path, b"\n" + record.strip().partition(b" ")[2] + b"\n")
    else:
        kill(path, record.replace(b"word " * 10, bytes(50), 1))
    async with sqlite_store(path):
        assert outside.rows("SELECT id FROM nodes") == ([("a1",)] if old else [])
    assert ("torn" in caplog.text) is not old


async def test_what_still_waits_at_a_stop_is_found_by_the_next_start(path: Path) -> None:
    await records_of(path)
    async with sqlite_store(path) as store:
        assert [left.node_id for left in await store.interrupted(minute(9))] == ["a2"]


async def test_a_start_that_fails_leaves_the_journal_as_it_was(path: Path) -> None:
    await records_of(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            async with sqlite_store(path):
                pass
    async with sqlite_store(path) as store:
        assert [left.node_id for left in await store.interrupted(minute(9))] == ["a2"]


async def test_what_is_not_understood_and_a_turn_of_no_session_cost_nothing_else(
    path: Path, tmp_path: Path, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    a2, b1 = (await records_of(tmp_path / "other" / "qwen-thread.db")).strip().split(b"\n\n")
    later = a2.replace(b'"form":2', b'"form":1').replace(b"a2", b"a3")
    path.parent.mkdir()
    kill(path, b"\n\n".join([a2[:100], b"\xff\xfe", b"{}", later, a2, b1]))  # the session of a2 is not here
    async with sqlite_store(path) as store:
        assert await store.interrupted(minute(9)) == []
        assert outside.rows("SELECT id, state FROM nodes") == [("b1", "failed")]
    assert caplog.text.count("torn, or of another version") == 4
    assert "belongs to no session here: a2" in caplog.text


async def test_what_is_in_the_database_is_no_longer_in_the_journal(store: SqliteSessionStore, path: Path) -> None:
    await store.open_turn(node("a1", "a", says="SECRET"), session("a"), minute(1))
    assert b"SECRET" in beside(path, "-open").read_bytes()
    await store.open_turn(node("b1", "b"), session("b"), minute(1))
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    await asyncio.sleep(0)
    assert b"SECRET" not in beside(path, "-open").read_bytes()


async def test_an_opening_and_an_end_that_a_lock_kept_away_are_written_later(
    path: Path, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    async with sqlite_store(path, busy_seconds=0.05) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy):
                await store.saw_chat("none", minute(1))
            with pytest.raises(StoreBusy):
                await store.finish_turn(end("a1", turn_key="k1"), minute(2))
        await store.finish_turn(end("a1", turn_key="k1"), minute(3))
        assert outside.rows("SELECT id, state FROM nodes") == [("a1", "complete")]
    assert caplog.text.count("could not be written so far") == 1


async def test_no_more_turns_begin_while_many_ends_cannot_be_written(path: Path, outside: Outside) -> None:
    async with sqlite_store(path, busy_seconds=0.05) as store:
        names = [f"n{number}" for number in range(64)]
        for name in names:
            await store.open_turn(node(name, name), session(name), minute(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ends = [store.finish_turn(end(name, turn_key=name), minute(2)) for name in names]
            assert {type(each) for each in await asyncio.gather(*ends, return_exceptions=True)} == {StoreBusy}
            with pytest.raises(StoreError, match="64 answers wait for it already") as told:
                await store.open_turn(node("more", "more"), session("more"), minute(3))
        assert told.value.retry_after
        await asyncio.gather(*(store.finish_turn(end(name, turn_key=name), minute(4)) for name in names))
        await store.open_turn(node("more", "more"), session("more"), minute(5))
        await store.finish_turn(end("more", turn_key="more"), minute(6))
        assert outside.rows("SELECT state, count(*) FROM nodes") == [("complete", 65)]


async def test_a_session_is_not_erased_while_a_turn_of_it_waits(store: SqliteSessionStore, path: Path) -> None:
    await store.open_turn(node("a1", "a"), session("session-a"), minute(1))
    await store.open_turn(node("b1", "session-b"), session("session-b"), minute(1))
    await store.finish_turn(end("b1", turn_key="k1"), minute(2))
    await store.open_turn(node("b2", "session-b", parent="b1", depth=2), None, minute(3))
    with pytest.raises(StoreError, match="being answered just now"):
        await asyncio.to_thread(erase, path, "session-b")
    await store.finish_turn(end("b2", turn_key="k2"), minute(4))
    await asyncio.sleep(0)
    assert await asyncio.to_thread(erase, path, "session-b") == 1


async def test_a_turn_whose_session_was_erased_meanwhile_is_told(store: SqliteSessionStore, path: Path) -> None:
    await store.open_turn(node("a1", "a"), session("a"), minute(1))
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(3))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM nodes")
        other.execute("DELETE FROM sessions")
    with pytest.raises(StoreError, match="its session was erased"):
        await store.finish_turn(end("a2", turn_key="k2"), minute(4))


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


@given(
    steps=st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.integers(0, 9)), max_size=80),
    size=st.integers(1, 200),
)
def test_a_ring_holds_what_was_added_and_not_dropped(steps: list[tuple[int, bool, int]], size: int) -> None:
    with TemporaryDirectory() as folder:
        ring = Journal(Path(folder) / "x.db", size=size)
        held: dict[int, bytes] = {}
        for number, (length, drops, which) in enumerate(steps):
            if drops and held:
                place = list(held)[which % len(held)]
                ring.drop(place)
                del held[place]
                continue
            record = b"%d" % number * length
            place_or_none = ring.add(record)
            if place_or_none is not None:
                assert place_or_none not in held
                held[place_or_none] = record
            else:
                assert held or len(b"\n%d %b\n" % (len(record), record)) > size
        assert sorted(ring.read()) == sorted(held.values())
        assert len((Path(folder) / "x.db-open").read_bytes()) == size
        ring.close(is_wanted=False)


async def test_a_turn_without_room_in_the_journal_is_in_the_database_at_once(
    store: SqliteSessionStore, outside: Outside
) -> None:
    await store.open_turn(node("a1", "a", says="long " * 400_000), session("a"), minute(1))
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "open")]
    await store.finish_turn(end("a1", turn_key="k1"), minute(2))
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "complete")]


async def test_a_journal_that_somebody_removed_is_no_failure_at_the_end(path: Path, outside: Outside) -> None:
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await store.finish_turn(end("a1", turn_key="k1"), minute(2))
        beside(path, "-open").unlink()
    assert outside.rows("SELECT id, state FROM nodes") == [("a1", "complete")]


def test_a_journal_that_cannot_be_written_is_told_at_the_start(path: Path) -> None:
    path.parent.mkdir()
    beside(path, "-open").mkdir()
    with pytest.raises(StoreUnusable, match=r"qwen-thread\.db-open cannot be written: Is a directory"):
        Journal(path)
