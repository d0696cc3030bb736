"""How a database file is opened, locked, checked for damage, refused and closed."""

import asyncio
import errno
import logging
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.errors import StoreError, StoreInUse, StoreUnusable
from app.store.in_place import prepare_index_of_log, write_in_place
from app.store.lock import DatabaseLock
from app.store.migrate import APPLICATION_ID
from app.store.sqlite import open_sqlite
from tests.store.making import (
    MIGRATIONS,
    NEWEST,
    Outside,
    beside,
    change,
    end,
    make,
    minute,
    mode,
    node,
    refusal,
    session,
    set_mode,
    sqlite_store,
    tell_a_story,
    write,
)

ROOT = MIGRATIONS.parent.parent


@asynccontextmanager
async def holder(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that has the store open, in mid-answer; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.store.holder", str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        yield process
    finally:
        with suppress(ProcessLookupError):  # the test killed it
            process.kill()
        await process.communicate()


# --- a new file -----------------------------------------------------------------------------------------------------


async def test_a_new_file_says_what_it_is_and_how_it_is_kept(path: Path, outside: Outside) -> None:
    await make(path)
    assert outside.value("PRAGMA application_id") == APPLICATION_ID
    assert outside.value("PRAGMA user_version") == NEWEST
    assert outside.value("PRAGMA journal_mode") == "wal"
    assert outside.value("PRAGMA auto_vacuum") == 2, "incremental"
    assert outside.rows("SELECT number FROM migrations") == [(number,) for number in range(1, NEWEST + 1)]
    loose = "SELECT name FROM pragma_table_list WHERE type = 'table' AND NOT strict AND name NOT LIKE 'sqlite_%'"
    assert outside.rows(loose) == []


async def test_other_users_of_the_machine_cannot_read_any_of_the_files(path: Path) -> None:
    before = os.umask(0)
    try:
        async with sqlite_store(path) as store:
            await tell_a_story(store)
            assert mode(path.parent) == 0o700
            assert {file.name: mode(file) for file in path.parent.iterdir()} == {
                path.name + suffix: 0o600 for suffix in ("", "-wal", "-shm", "-open", ".lock")
            }
    finally:
        os.umask(before)


async def test_a_clean_stop_leaves_one_file_and_an_empty_lock(path: Path) -> None:
    await make(path)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".lock"]
    assert beside(path, ".lock").read_text() == ""


async def test_an_empty_file_is_as_good_as_none(path: Path, outside: Outside) -> None:
    write(path, b"")
    await make(path)
    assert outside.value("SELECT count(*) FROM sessions") == 3


async def test_a_start_that_died_before_its_first_table_is_taken_up(path: Path, outside: Outside) -> None:
    path.parent.mkdir()
    change(path, "PRAGMA auto_vacuum = INCREMENTAL", f"PRAGMA application_id = {APPLICATION_ID}")
    await make(path)
    assert outside.value("SELECT count(*) FROM sessions") == 3
    assert outside.value("PRAGMA auto_vacuum") == 2


async def test_where_a_filesystem_copies_what_is_written_the_index_of_the_log_is_made_beforehand(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def copies(file: int) -> bool:
        made.append(file)
        return True

    monkeypatch.setattr("app.store.in_place.write_in_place", copies)
    for name in ("a", "b"):
        async with sqlite_store(path) as store:
            assert mode(beside(path, "-shm")) == 0o600
            await store.open_turn(node(name, name), session(name), minute(1))
            await store.finish_turn(end(name, turn_key=name), minute(2))
    assert len(made) == 4, "each time a file to see, and then the index"
    async with sqlite_store(path) as store:
        assert await store.find_turn("a", "b")


def test_a_filesystem_that_never_copies_is_asked_for_nothing(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        is_asked = write_in_place(file.fileno())
    prepare_index_of_log(tmp_path / "q.db")
    assert (tmp_path / "q.db-shm").exists() is is_asked


async def test_an_sqlite_that_is_too_old_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreUnusable, match=r"3\.37 or newer is needed"):
        await make(path)
    assert not path.parent.exists()


# --- one daemon -----------------------------------------------------------------------------------------------------


async def test_a_second_process_is_refused_by_the_first_ones_number(path: Path) -> None:
    async with holder(path) as first:
        with pytest.raises(StoreUnusable, match=rf"process {first.pid}\b"):
            async with sqlite_store(path):
                raise AssertionError("it was opened")
        assert first.returncode is None


async def test_another_name_of_the_same_file_is_no_way_round_the_lock(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.db"
    async with sqlite_store(path) as store:
        await asyncio.to_thread(other.symlink_to, path)
        with pytest.raises(StoreInUse):
            async with sqlite_store(other):
                raise AssertionError("it was opened")
        await tell_a_story(store)
    assert {*await asyncio.to_thread(os.listdir, tmp_path)} == {path.parent.name, other.name}


async def test_a_start_on_a_full_disk_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DatabaseLock, "_write", full)
    with pytest.raises(StoreUnusable, match=r"No space left on device\. Make room"):
        await make(path)


async def test_the_same_process_cannot_open_it_twice_either(path: Path) -> None:
    async with sqlite_store(path) as store:
        with pytest.raises(StoreUnusable, match=f"process {os.getpid()}"):
            async with sqlite_store(path):
                raise AssertionError("it was opened")
        await store.open_turn(node("a1", "a"), session("a"), minute(0))
    assert beside(path, ".lock").read_text() == ""


async def test_a_killed_process_leaves_every_finished_answer_and_a_failed_open_one(
    path: Path, outside: Outside
) -> None:
    async with holder(path) as process:
        process.kill()
        await process.wait()
    async with sqlite_store(path) as store:
        assert [node.node_id for node in await store.interrupted(minute(10))] == ["a2"]
        assert [place.node_id for place in await store.find_turn("key-a1")] == ["a1"]
        await store.open_turn(node("a3", "a", parent="a1", depth=2), None, minute(11))
        await store.finish_turn(end("a3", turn_key="key-a3"), minute(12))
    assert outside.rows("SELECT id, state, error FROM nodes ORDER BY number") == [
        ("a1", "complete", None),
        ("a2", "open", None),
        ("a3", "complete", None),
    ]


# --- files that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"x", b"This is a letter to my bank. " * 100, b"SQLite format 3\x00"])
async def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    write(path, content)
    assert "no SQLite file" in await refusal(path)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_the_database_of_another_program_is_refused(path: Path, journal: str) -> None:
    path.parent.mkdir()
    change(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE recipes (name TEXT)", "PRAGMA user_version = 1")
    assert "another program" in await refusal(path)


async def test_a_database_with_a_version_that_we_never_wrote_is_refused(path: Path) -> None:
    await make(path)
    change(path, "PRAGMA user_version = -3")
    assert "another program" in await refusal(path)


async def test_the_database_of_a_newer_version_is_refused(path: Path) -> None:
    await make(path)
    change(path, "PRAGMA user_version = 99")
    assert f"newer qwen-thread (schema 99, this program knows {NEWEST})" in await refusal(path)


async def test_a_newer_version_that_only_the_log_knows_is_refused_too(path: Path) -> None:
    await make(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")  # in the -wal file, as long as this connection is open
        assert "newer qwen-thread" in await refusal(path)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(StoreUnusable, match=r"cannot be opened for writing.*DATABASE_URL"):
        async with sqlite_store(tmp_path / "data" / "qwen-thread.db"):
            raise AssertionError("it was opened")


@pytest.mark.usefixtures("rights_count")
async def test_a_new_database_in_a_folder_that_may_not_be_written_is_told(path: Path) -> None:
    path.parent.mkdir(mode=0o500)
    with pytest.raises(StoreUnusable, match="cannot be opened for writing: Permission denied"):
        async with sqlite_store(path):
            raise AssertionError("it was opened")


@pytest.mark.usefixtures("rights_count")
async def test_a_folder_that_lost_its_right_to_write_is_told_and_works_again_with_it(path: Path) -> None:
    await make(path)
    set_mode(path.parent, 0o500)
    try:
        with pytest.raises(StoreError, match=r"for writing: Permission denied\. Give the server's user"):
            async with sqlite_store(path):
                raise AssertionError("it was opened")
    finally:
        set_mode(path.parent, 0o700)
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1")


@pytest.mark.usefixtures("rights_count")
async def test_a_file_that_may_not_be_written_is_told_and_left_alone(path: Path) -> None:
    await make(path)
    set_mode(path, 0o400)
    assert "cannot be opened for writing: Permission denied" in await refusal(path)


async def test_a_folder_in_place_of_the_file_is_told_and_the_lock_is_given_back(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    with pytest.raises(StoreUnusable, match="cannot be opened for writing"):
        async with sqlite_store(place):
            raise AssertionError("it was opened")
    place.rmdir()
    await make(place)


# --- damage ---------------------------------------------------------------------------------------------------------

# Two indexes in one place of the file: no look-up notices, only who reads all of it.
MUDDLE = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'tool_calls_by_node') "
    "WHERE name = 'turns_by_answer'",
)


def damage(path: Path) -> None:
    """Overwrite the middle of the file, which holds pages of the tables."""
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 8192 - 4096)
    path.write_bytes(content)


async def test_a_damaged_file_is_refused_after_an_unclean_stop(path: Path) -> None:
    await make(path)
    damage(path)
    beside(path, ".lock").write_text("4711")
    assert "Restore a backup" in await refusal(path)


async def test_damage_that_only_the_check_finds_is_refused_at_every_start(path: Path) -> None:
    await make(path)
    change(path, *MUDDLE)
    beside(path, ".lock").write_text("4711")
    for _ in range(2):
        assert "is damaged (" in await refusal(path)


async def test_after_a_clean_stop_nobody_reads_the_whole_file(path: Path) -> None:
    await make(path)
    change(path, *MUDDLE)
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1")


async def test_a_sound_file_is_opened_after_an_unclean_stop(path: Path) -> None:
    await make(path)
    beside(path, ".lock").write_text("4711")
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1")
    assert beside(path, ".lock").read_text() == ""


async def test_the_check_of_a_large_file_is_given_up_in_time(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await make(path)
    beside(path, ".lock").write_text("4711")
    opened = open_sqlite(path, MIGRATIONS, store_text=True, clock=SystemClock(), check_seconds=0)
    with caplog.at_level(logging.WARNING):
        async with opened as store:
            assert await store.find_turn("key-a1")
    assert "too large to be checked" in caplog.text


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_a_lock_held_at_the_end_is_no_failure_and_nothing_is_lost(path: Path, outside: Outside) -> None:
    async with sqlite_store(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with sqlite_store(path, busy_seconds=0.05) as store:
            await tell_a_story(store)
            other.execute("BEGIN IMMEDIATE")
        assert beside(path, ".lock").read_text() == ""
    assert outside.value("SELECT count(*) FROM nodes") == 5
