"""Locks, full disks, damage and callers that leave: told clearly, nothing half done, and working again afterwards."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, cast

import aiosqlite
import pytest
from msgspec.structs import replace

from app.core.told import Told
from app.errors import StoreBusy, StoreError, StoreUnusable
from app.store.beginnings import Beginnings
from app.store.connection import Database, connect, store_errors
from app.store.journal import Journal
from app.store.opening import closing as closing_later
from app.store.sqlite import SqliteSessionStore
from app.store.turns import PREPARE
from tests.store.making import ACCOUNT, Outside, end, minute, node, session, sqlite_store, tell_a_story, written


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteSessionStore]:
    """A store that waits for a lock as long as the server's does."""
    async with sqlite_store(path, busy_seconds=5) as opened:
        yield opened


@pytest.fixture
async def hasty(path: Path) -> AsyncIterator[SqliteSessionStore]:
    """A store that hardly waits for a lock."""
    async with sqlite_store(path, busy_seconds=0.05) as opened:
        await tell_a_story(opened)
        yield opened


async def opens(store: SqliteSessionStore, name: str = "x") -> None:
    await store.open_turn(node(f"{name}1", name), session(name, delete_because="side call"), minute(30))
    await written(store)


# --- locks ----------------------------------------------------------------------------------------------------------


async def test_a_write_waits_for_another_programs_transaction(store: SqliteSessionStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(opens(store))
        await asyncio.wait([writing], timeout=0.1)
        assert not writing.done()
        assert (await store.overview()).sessions == 0, "reads go on meanwhile"
        other.execute("COMMIT")
        await writing
    assert (await store.overview()).sessions == 1


WRITES: dict[str, Callable[[SqliteSessionStore], Awaitable[object]]] = {
    "open_turn in a new chat": lambda store: opens(store),
    "finish_turn": lambda store: store.finish_turn(end("a2"), minute(30)),
    "interrupted": lambda store: store.interrupted(minute(30)),
    "forget": lambda store: store.forget("a", "not found", minute(30)),
    "release": lambda store: store.release("c", minute(30)),
    "doom": lambda store: store.doom("a", "no answer", minute(30), minute(31)),
    "doom_idle": lambda store: store.deletions.doom_idle(minute(30), minute(30), 5),
    "deletion_done": lambda store: store.deletions.done("chat-of-c", minute(30)),
    "deletion_failed": lambda store: store.deletions.failed("chat-of-c", "no", minute(30), minute(31)),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_lock_held_for_too_long_is_told_and_the_store_works_again(
    hasty: SqliteSessionStore, path: Path, outside: Outside, name: str
) -> None:
    dump = "SELECT (SELECT group_concat(id || state) FROM sessions), (SELECT group_concat(id || state) FROM nodes)"
    before = outside.rows(dump)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked by another program") as told:
            await WRITES[name](hasty)
        other.execute("COMMIT")
    assert told.value.retry_after == 5
    assert told.value.should_retry
    assert outside.rows(dump) == before
    await WRITES[name](hasty)


# --- disks ----------------------------------------------------------------------------------------------------------


async def store_of(database: Database, path: Path) -> SqliteSessionStore:
    journal = await asyncio.to_thread(Journal, path)
    return SqliteSessionStore(database, Beginnings(database, journal), store_text=True)


class ByHand:
    """The two connections of a store, opened here so that a test can set them limits."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self.writer = writer
        self.reader = reader

    async def store(self, path: Path) -> SqliteSessionStore:
        return await store_of(Database(self.writer, self.reader, path), path)

    async def limit(self, pages: int) -> None:
        await self.writer.execute_fetchall(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
async def by_hand(path: Path) -> AsyncIterator[ByHand]:
    async with sqlite_store(path) as store:
        await tell_a_story(store)
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(closing_later(await connect(path, busy_seconds=1, read_only=read_only)))
            for read_only in (False, True)
        ]
        await opened[0].executescript(PREPARE)
        yield ByHand(*opened)


async def test_a_full_disk_is_told_and_the_store_works_again(
    by_hand: ByHand, path: Path, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    store = await by_hand.store(path)
    await store.open_turn(node("a9", "a", parent="a2", depth=3), None, minute(30))
    await by_hand.limit(1)  # not one page more than there are
    long = "long " * 30_000  # the journal has room for it
    with pytest.raises(StoreError, match="The disk is full; make room") as told:
        await store.finish_turn(end("a9", turn_key="key-a9", says=long), minute(31))
    assert told.value.retry_after == 5
    await store.open_turn(node("x1", "x", says=long), session("x"), minute(31))
    await written(store)
    assert "could not be written so far" in caplog.text
    assert "The disk is full; make room" in caplog.text
    assert outside.value("SELECT count(*) FROM sessions WHERE id = 'x'") == 0
    assert await store.find_turn("key-a2")
    await by_hand.limit(1_000_000)
    await store.finish_turn(end("a9", turn_key="key-a9", says=long), minute(32))
    await written(store)
    assert outside.value("SELECT count(*) FROM sessions WHERE id = 'x'") == 1
    assert await store.find_turn("key-a9")


async def test_a_file_that_may_not_be_written_is_told(by_hand: ByHand, path: Path) -> None:
    store = await by_hand.store(path)
    await by_hand.writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="read-only; give the server's user the right to write"):
        await store.finish_turn(end("a2"), minute(30))


async def test_the_connection_for_reading_cannot_write(by_hand: ByHand) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await by_hand.reader.execute("DELETE FROM nodes")


async def test_damage_that_shows_later_is_told(path: Path, by_hand: ByHand) -> None:
    store = await by_hand.store(path)
    overwrite_pages(path)
    with pytest.raises(StoreUnusable, match=r"cannot be used: .*Restore a backup"):
        await store.find_turn("key-a1")


def overwrite_pages(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, StoreError, "The disk does not work"),
        (sqlite3.SQLITE_IOERR_GETTEMPPATH, StoreError, "no folder for SQLite's temporary files"),
        (sqlite3.SQLITE_CANTOPEN, StoreError, "how many files are open"),
        (sqlite3.SQLITE_PROTOCOL, StoreBusy, "locked by another program"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreBusy, "locked by another program"),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreUnusable, "Restore a backup"),
        (sqlite3.SQLITE_ERROR, sqlite3.OperationalError, "as it came"),
    ],
)
def test_what_the_driver_says_is_told_by_its_code(path: Path, code: int, kind: type[Exception], told: str) -> None:
    problem = sqlite3.OperationalError("as it came")
    problem.sqlite_errorcode = code
    with pytest.raises(kind, match=told), store_errors(path):
        raise problem


async def test_a_mistake_of_the_program_itself_passes_through(store: SqliteSessionStore) -> None:
    await opens(store, "x")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        await store.finish_turn(end("x1", state=cast(Any, "wrong")), minute(1))
    await opens(store, "y")
    assert (await store.overview()).sessions == 2


# --- callers that leave ---------------------------------------------------------------------------------------------


NODES = ("a1", "b1")


async def leave(work: Awaitable[object], after: int) -> None:
    """Cancel a call after that many turns of the event loop."""
    task = asyncio.ensure_future(work)
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
async def test_a_caller_that_leaves_opens_a_turn_whole_or_not_at_all(
    store: SqliteSessionStore, outside: Outside, after: int
) -> None:
    for number in range(10):
        await leave(opens(store, f"s{number}"), after)
    await opens(store, "next")
    sessions, nodes, deletions = outside.rows(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM nodes), (SELECT count(*) FROM deletions)"
    )[0]
    assert sessions == nodes == deletions >= 1
    assert outside.value("SELECT count(*) FROM nodes WHERE id = 'next1'") == 1


@pytest.mark.parametrize("leaves", ["the caller's task", "the future itself"])
async def test_a_write_that_was_asked_for_is_done_though_its_caller_left_before_it_began(
    store: SqliteSessionStore, path: Path, outside: Outside, leaves: str
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = asyncio.create_task(opens(store, "begun"))
        await asyncio.wait([begun], timeout=0.05)  # it waits for the lock, in SQLite's thread
        waiting: asyncio.Future[None]
        if leaves == "the caller's task":
            waiting = asyncio.create_task(opens(store, "waiting"))
        else:
            await store.open_turn(node("waiting1", "waiting"), session("waiting"), minute(30))
            waiting = store.finish_turn(end("waiting1"), minute(31))
        await asyncio.wait([waiting], timeout=0.05)
        for left in (begun, waiting):
            left.cancel()
            await asyncio.wait([left])
            assert left.cancelled()
        other.execute("COMMIT")
    await opens(store, "next")
    assert outside.rows("SELECT id FROM sessions ORDER BY rowid") == [("begun",), ("waiting",), ("next",)]


async def test_what_could_not_be_written_is_logged_if_nobody_waits_for_it_any_more(
    store: SqliteSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    lost = store.finish_turn(end("no such node"), minute(0))
    lost.cancel()
    await opens(store)
    assert "could not be written: The turn cannot be recorded: its session was erased" in caplog.text


async def test_writes_that_share_a_transaction_fail_each_for_itself(
    store: SqliteSessionStore, outside: Outside
) -> None:
    lost = store.finish_turn(end("no such node"), minute(0))
    outcomes = await asyncio.gather(opens(store, "a"), lost, opens(store, "b"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), StoreError, type(None)]
    assert outside.rows("SELECT id FROM nodes ORDER BY id") == [("a1",), ("b1",)]


async def test_one_turn_that_fails_among_more_than_a_statement_takes_fails_alone(
    store: SqliteSessionStore, outside: Outside
) -> None:
    names = [f"n{number}" for number in range(130)]
    opened = [store.open_turn(node(name, name), session(name), minute(1)) for name in names]
    ended = [store.finish_turn(end(name, turn_key=name), minute(2)) for name in (*names, "no such node")]
    outcomes = await asyncio.gather(*opened, *ended, return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is not None] == [outcomes[-1]]
    assert isinstance(outcomes[-1], StoreError)
    assert outside.value("SELECT count(*) FROM nodes WHERE state = 'complete'") == 130


async def test_writes_that_meet_a_lock_together_wait_for_it_together(hasty: SqliteSessionStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = hasty.finish_turn(end("a2"), minute(30))
        await asyncio.sleep(0)
        began = time.monotonic()
        others = [hasty.finish_turn(end(f"x{number}"), minute(30)) for number in range(40)]
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        other.execute("ROLLBACK")
    assert {type(outcome) for outcome in outcomes} == {StoreBusy}
    assert time.monotonic() - began < 1, "40 times 0.05 s, if each waited alone"


async def test_an_answer_in_a_chat_that_is_to_be_deleted_has_no_keys(
    store: SqliteSessionStore, outside: Outside
) -> None:
    await store.open_turn(node("a1", "a"), session("a", delete_because="side call"), minute(1))
    await store.finish_turn(end("a1", turn_key="key-a1", step_key="step-a1"), minute(2))
    await store.open_turn(node("b1", "b"), session("b"), minute(1))
    await store.doom("b", "no answer", minute(2), minute(3))
    await store.open_turn(node("b2", "b", parent="b1", depth=2), None, minute(4))
    await store.finish_turn(end("b2", turn_key="key-b2", step_key="step-b2"), minute(5))
    assert outside.rows("SELECT id FROM nodes WHERE turn_key IS NOT NULL OR step_key IS NOT NULL") == []
    assert outside.rows("SELECT key FROM turns") == []


async def test_what_a_chat_was_told_is_kept_with_an_end_that_comes_later(
    store: SqliteSessionStore, outside: Outside
) -> None:
    told = [Told(f"key {when}", "calls", "results", (f"call-{when}",), frozenset({when})) for when in ("then", "now")]
    await store.open_turn(replace(node("a1", "a"), told=told[0]), session("a"), minute(1))
    await written(store)
    columns = "SELECT told_key, told_calls, told_results, told_call, told_pictures FROM nodes"
    assert outside.rows(columns) == [("key then", "calls", "results", "call-then/", "then")]
    await store.finish_turn(end("a1", turn_key="key-a1", told=told[1]), minute(2))
    assert outside.rows(columns) == [("key now", "calls", "results", "call-now/", "now")]


async def test_other_writes_keep_their_place_among_turns_that_share_a_transaction(
    store: SqliteSessionStore, path: Path, outside: Outside
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = asyncio.create_task(opens(store, "begun"))
        await asyncio.wait([begun], timeout=0.05)
        writes: list[asyncio.Future[None]] = [begun]
        for name in ("a", "b"):
            writes.append(store.open_turn(node(f"{name}1", name), session(name), minute(1)))
        writes.append(asyncio.create_task(store.forget("a", "gone", minute(2))))
        await asyncio.sleep(0)
        for name in ("a", "b"):
            writes.append(store.finish_turn(end(f"{name}1", turn_key=f"key-{name}"), minute(3)))
        other.execute("COMMIT")
    await asyncio.gather(*writes)
    assert outside.rows("SELECT key FROM turns") == [("key-b",)], "a was forgotten when its answer ended"
    assert outside.rows("SELECT id, state FROM sessions WHERE id < 'begun'") == [("a", "gone"), ("b", "live")]


async def test_of_ends_that_share_a_transaction_each_nodes_first_counts(
    store: SqliteSessionStore, outside: Outside
) -> None:
    await asyncio.gather(opens(store, "a"), opens(store, "b"))
    ends = [replace(end(name, says=says), calls=(f"{name}-{says}",)) for says in ("first", "second") for name in NODES]
    await asyncio.gather(*(store.finish_turn(each, minute(31)) for each in ends))
    assert outside.rows("SELECT id, answer_text FROM nodes ORDER BY id") == [("a1", "first"), ("b1", "first")]
    assert outside.rows("SELECT id FROM tool_calls ORDER BY id") == [("a1-first",), ("b1-first",)]


async def test_any_number_of_rows_is_written_at_once(store: SqliteSessionStore, outside: Outside) -> None:
    total = 0
    for count in (1, 2, 3, 5, 63, 64, 65, 130):
        names = [f"n{count}-{number}" for number in range(count)]
        opened = [store.open_turn(node(name, name), session(name), minute(1)) for name in names]
        ended = [store.finish_turn(end(name, turn_key=name), minute(2)) for name in names]
        await asyncio.gather(*opened, *ended)
        total += count
        assert [place.node_id for place in await store.find_turn(*names)] == names
        assert outside.value("SELECT count(*) FROM sessions WHERE last_used_at GLOB '*T09:02:*'") == total
    assert outside.rows("SELECT min(number), max(number), count(*) FROM nodes") == [(1, total, total)]
    assert outside.value("SELECT count(*) FROM nodes WHERE turn_start = number AND parent_id IS NULL") == total


async def test_a_turns_next_message_that_shares_a_transaction_with_its_first_knows_it(
    store: SqliteSessionStore, outside: Outside
) -> None:
    first = node("a1", "a")
    steps = [
        replace(node(f"a{depth}", "a", parent=f"a{depth - 1}", depth=depth), opens_turn=False, before_key="before-a1")
        for depth in (2, 3)
    ]
    elsewhere = replace(steps[1], id="a4", parent_id="a3", depth=4, before_key="before another turn")
    opened = [store.open_turn(first, session("a"), minute(1))]
    opened += [store.open_turn(step, None, minute(1)) for step in (*steps, elsewhere)]
    await asyncio.gather(*opened)
    await written(store)
    starts = "SELECT id, turn_start FROM nodes ORDER BY id"
    assert outside.rows(starts) == [("a1", 1), ("a2", 1), ("a3", 1), ("a4", None)]


async def test_an_end_that_comes_later_takes_no_number(store: SqliteSessionStore, outside: Outside) -> None:
    for name in ("a", "b"):
        await opens(store, name)
        await store.finish_turn(end(f"{name}1"), minute(31))
    assert outside.rows("SELECT number FROM nodes") == [(1,), (2,)]


async def test_an_end_whose_caller_left_does_not_keep_the_next_from_writing(
    store: SqliteSessionStore, path: Path
) -> None:
    await tell_a_story(store)
    await store.open_turn(node("a9", "a", parent="a2", depth=3), None, minute(30))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await leave(store.finish_turn(end("a9", turn_key="key-a9"), minute(31)), 5)
        other.execute("COMMIT")
    await store.finish_turn(end("a9", turn_key="key-a9"), minute(32))
    assert await store.find_turn("key-a9")


async def test_many_at_once_while_some_leave(store: SqliteSessionStore, outside: Outside) -> None:
    await asyncio.gather(
        *(leave(opens(store, f"gone{number}"), number) for number in range(40)),
        *(opens(store, f"kept{number}") for number in range(40)),
    )
    assert outside.value("SELECT count(*) FROM nodes WHERE id GLOB 'kept*'") == 40
    assert outside.value("SELECT count(*) FROM sessions") == outside.value("SELECT count(*) FROM nodes")
    await store.interrupted(minute(40))
    due = await store.deletions.due(ACCOUNT, minute(40), 1000)
    assert len(due) == (await store.overview()).sessions
