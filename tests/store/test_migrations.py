"""How the schema is brought up to date, and when it is not."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.clock import SystemClock
from app.errors import StoreBusy, StoreUnusable
from app.store.connection import connect
from app.store.migrate import Migration, migrate, read_migrations
from app.store.opening import closing as closing_later
from tests.store.making import (
    MIGRATIONS,
    Outside,
    beside,
    change,
    end,
    make,
    minute,
    mode,
    node,
    refusal,
    sqlite_store,
)

AT = "2026-11-22T09:00:00.000Z"
RELEASED = read_migrations(MIGRATIONS)


def copy_migrations(tmp_path: Path, **more: str) -> Path:
    """A folder of our own with the released migrations and `more` of them by name."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    for name, sql in more.items():
        (folder / f"{name.removeprefix('n')}.sql").write_text(sql)
    return folder


async def test_a_database_that_a_changed_migration_made_is_refused(path: Path, tmp_path: Path) -> None:
    await make(path)
    changed = copy_migrations(tmp_path)
    (changed / "0001_sessions.sql").write_text((MIGRATIONS / "0001_sessions.sql").read_text() + "-- better\n")
    assert "0001_sessions.sql was changed" in await refusal(path, changed)


async def test_an_older_database_is_backed_up_and_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    await make(path)
    newer = copy_migrations(tmp_path, n0003_tags="CREATE TABLE tags (name TEXT) STRICT;", n0004_more="SELECT 1;")
    before = os.umask(0)
    try:
        async with sqlite_store(path, migrations=newer) as store:
            assert await store.find_turn("key-a1") is not None
    finally:
        os.umask(before)
    now, then = Outside(path), Outside(beside(path, ".schema-2.backup"))
    assert [name for (name,) in now.rows("SELECT name FROM migrations")] == ["sessions", "matching", "tags", "more"]
    assert now.value("PRAGMA user_version") == 4
    assert now.value("SELECT count(*) FROM tags") == 0
    assert then.value("PRAGMA user_version") == 2
    assert then.value("SELECT count(*) FROM nodes") == now.value("SELECT count(*) FROM nodes")
    assert mode(then.path) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".lock", then.path.name]


async def test_an_upgraded_database_has_the_schema_of_a_new_one(path: Path, tmp_path: Path) -> None:
    newer = copy_migrations(tmp_path, n0003_tags="CREATE TABLE tags (name TEXT) STRICT;")
    fresh = tmp_path / "fresh.db"
    await make(path)
    for file in (path, fresh):
        async with sqlite_store(file, migrations=newer):
            pass
    schema = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name"
    assert Outside(path).rows(schema) == Outside(fresh).rows(schema)


async def test_a_backup_put_in_the_place_of_the_database_works(path: Path, tmp_path: Path, outside: Outside) -> None:
    await make(path)
    newer = copy_migrations(tmp_path, n0003_tags="CREATE TABLE tags (name TEXT) STRICT;")
    async with sqlite_store(path, migrations=newer):
        pass
    beside(path, ".schema-2.backup").replace(path)
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1") is not None
    assert outside.value("PRAGMA journal_mode") == "wal"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE tags (name TEXT) STRICT; CREATE TABLE tags (name TEXT) STRICT;",
        "CREATE TABLE tags (node TEXT REFERENCES nodes (id)) STRICT; INSERT INTO tags VALUES ('nobody');",
    ],
    ids=["broken SQL", "broken foreign key"],
)
async def test_a_migration_that_fails_changes_nothing(path: Path, tmp_path: Path, outside: Outside, sql: str) -> None:
    await make(path)
    newer = copy_migrations(tmp_path, n0003_tags=sql)
    with pytest.raises(sqlite3.Error):
        async with sqlite_store(path, migrations=newer):
            raise AssertionError("it was opened")
    assert outside.value("PRAGMA user_version") == 2
    assert outside.rows("SELECT name FROM sqlite_schema WHERE name = 'tags'") == []
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1") is not None


async def test_a_migration_that_fails_leaves_no_transaction_open(path: Path, tmp_path: Path) -> None:
    await make(path)
    known = [*RELEASED, Migration(3, "no", "SELECT no;")]
    async with closing_later(await connect(path, busy_seconds=1)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            await migrate(connection, path, known, SystemClock())
        assert not connection.in_transaction
        (row,) = await connection.execute_fetchall("PRAGMA foreign_keys")
        assert row[0] == 1


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "0004_late.sql").write_text("SELECT 1;"), "without a gap: see 0004_late.sql"),
        (lambda folder: (folder / "0001_twice.sql").write_text("SELECT 1;"), "without a gap: see 0001_twice.sql"),
        (lambda folder: (folder / "notes.sql").write_text("SELECT 1;"), "without a gap: see notes.sql"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], "no migrations"),
    ],
    ids=["gap", "double", "no number", "none"],
)
async def test_a_spoilt_folder_of_migrations_is_told_before_a_file_is_touched(
    path: Path, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    folder = copy_migrations(tmp_path)
    spoil(folder)
    with pytest.raises(StoreUnusable, match=told):
        async with sqlite_store(path, migrations=folder):
            raise AssertionError("it was opened")
    assert not path.parent.exists()


async def test_a_database_that_is_locked_at_the_start_is_told_as_busy(path: Path, tmp_path: Path) -> None:
    await make(path)
    newer = copy_migrations(tmp_path, n0003_tags="CREATE TABLE tags (name TEXT) STRICT;")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked by another program"):
            async with sqlite_store(path, migrations=newer, busy_seconds=0.05):
                raise AssertionError("it was opened")
    async with sqlite_store(path, migrations=newer) as store:
        assert await store.find_turn("key-a1") is not None


async def test_a_database_of_the_first_schema_keeps_its_history(path: Path, tmp_path: Path, outside: Outside) -> None:
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(MIGRATIONS / "0001_sessions.sql", first)
    async with sqlite_store(path, migrations=first):
        pass
    change(
        path,
        "INSERT INTO sessions (id, owner, account, chat_id, model, title, state_since, created_at, last_used_at) "
        f"VALUES ('s', 'owner', 'a', 'chat-of-s', 'm', 'Tides', '{AT}', '{AT}', '{AT}')",
        "INSERT INTO nodes (id, session_id, depth, match, model, state, user_text, answer_text, user_chars, "
        "response_id, system_digest, turn_key, created_at) "
        f"VALUES ('n', 's', 1, 'new', 'm', 'complete', 'Why?', 'The moon.', 4, 'r', '', 'old key', '{AT}')",
    )
    async with sqlite_store(path) as store:
        place = await store.find_turn("old key")
        assert place is not None
        assert (place.node_id, place.before_key) == ("n", "")
        await store.open_turn(node("n2", "s", parent="n", depth=2), None, minute(1))
        await store.finish_turn(end("n2", turn_key="new key"), minute(2))
    assert [row[:2] for row in outside.rows("SELECT role, text FROM v_history")][:2] == [
        ("user", "Why?"),
        ("assistant", "The moon."),
    ]
    assert outside.rows("SELECT title, nodes, origin FROM v_sessions") == [("Tides", 2, "made")]
    assert Outside(beside(path, ".schema-1.backup")).value("SELECT count(*) FROM nodes") == 1
