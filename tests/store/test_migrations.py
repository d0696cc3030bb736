"""How the schema is brought up to date, and when it is not."""

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.clock import SystemClock
from app.core.history import TurnRead
from app.core.told import Told
from app.errors import StoreBusy, StoreUnusable
from app.store.connection import connect
from app.store.migrate import Migration, migrate, read_migrations
from app.store.opening import closing as closing_later
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
    sqlite_store,
    tell_a_story,
    turn,
)

AT = "2026-11-22T09:00:00.000Z"
RELEASED = read_migrations(MIGRATIONS)


def copy_migrations(tmp_path: Path, **more: str) -> Path:
    """A folder of our own with the released migrations and `more` after them, by name."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    for number, (name, sql) in enumerate(more.items(), NEWEST + 1):
        (folder / f"{number:04}_{name}.sql").write_text(sql)
    return folder


async def test_a_database_that_a_changed_migration_made_is_refused(path: Path, tmp_path: Path) -> None:
    await make(path)
    changed = copy_migrations(tmp_path)
    (changed / "0001_sessions.sql").write_text((MIGRATIONS / "0001_sessions.sql").read_text() + "-- better\n")
    assert "0001_sessions.sql was changed" in await refusal(path, changed)


async def test_an_older_database_is_backed_up_and_brought_up_to_date(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await make(path)
    assert "brought" not in caplog.text, "a new one"
    newer = copy_migrations(tmp_path, tags="CREATE TABLE tags (name TEXT) STRICT;", more="SELECT 1;")
    before = os.umask(0)
    try:
        async with sqlite_store(path, migrations=newer) as store:
            assert await store.find_turn("key-a1")
    finally:
        os.umask(before)
    now, then = Outside(path), Outside(beside(path, f".schema-{NEWEST}.backup"))
    assert [name for (name,) in now.rows("SELECT name FROM migrations")] == [
        *(migration.name for migration in RELEASED),
        "tags",
        "more",
    ]
    assert now.value("PRAGMA user_version") == NEWEST + 2
    assert now.value("SELECT count(*) FROM tags") == 0
    assert then.value("PRAGMA user_version") == NEWEST
    assert then.value("SELECT count(*) FROM nodes") == now.value("SELECT count(*) FROM nodes")
    assert mode(then.path) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".lock", then.path.name]
    assert f"brought from schema {NEWEST} to {NEWEST + 2}; as it was before it is in {then.path}" in caplog.text


async def test_an_upgraded_database_has_the_schema_of_a_new_one(path: Path, tmp_path: Path) -> None:
    newer = copy_migrations(tmp_path, tags="CREATE TABLE tags (name TEXT) STRICT;")
    fresh = tmp_path / "fresh.db"
    await make(path)
    for file in (path, fresh):
        async with sqlite_store(file, migrations=newer):
            pass
    schema = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name"
    assert Outside(path).rows(schema) == Outside(fresh).rows(schema)


async def test_a_backup_put_in_the_place_of_the_database_works(path: Path, tmp_path: Path, outside: Outside) -> None:
    await make(path)
    newer = copy_migrations(tmp_path, tags="CREATE TABLE tags (name TEXT) STRICT;")
    async with sqlite_store(path, migrations=newer):
        pass
    beside(path, f".schema-{NEWEST}.backup").replace(path)
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1")
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
    newer = copy_migrations(tmp_path, tags=sql)
    with pytest.raises(sqlite3.Error):
        async with sqlite_store(path, migrations=newer):
            raise AssertionError("it was opened")
    assert outside.value("PRAGMA user_version") == NEWEST
    assert outside.rows("SELECT name FROM sqlite_schema WHERE name = 'tags'") == []
    async with sqlite_store(path) as store:
        assert await store.find_turn("key-a1")


async def test_a_row_that_a_shell_left_astray_does_not_keep_the_schema_old(
    path: Path, tmp_path: Path, outside: Outside
) -> None:
    await make(path)
    change(path, "DELETE FROM sessions")
    async with sqlite_store(path, migrations=copy_migrations(tmp_path, tags="CREATE TABLE tags (name TEXT) STRICT;")):
        assert outside.value("PRAGMA user_version") == NEWEST + 1


async def test_a_backup_that_finds_no_room_leaves_nothing_behind(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(path)
    before = {file.name for file in path.parent.iterdir()}

    def full(_: Path) -> None:
        beside(path, f".schema-{NEWEST}.backup.partial").write_bytes(b"a part of it")
        beside(path, f".schema-{NEWEST}.backup.partial-journal").write_bytes(b"")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("app.store.migrate._make_empty", full)
    with pytest.raises(OSError, match="No space left"):
        async with sqlite_store(path, migrations=copy_migrations(tmp_path, more="SELECT 1;")):
            raise AssertionError("it was opened")
    assert {file.name for file in path.parent.iterdir()} == before


async def test_a_table_that_is_built_anew_leaves_no_room_behind_that_nothing_uses(
    path: Path, tmp_path: Path, outside: Outside
) -> None:
    await make(path)
    change(path, "CREATE TABLE ballast (bytes BLOB) STRICT", "INSERT INTO ballast VALUES (zeroblob(2000000))")
    newer = copy_migrations(tmp_path, lighter="DROP TABLE ballast;")
    async with sqlite_store(path, migrations=newer):
        assert outside.value("PRAGMA freelist_count") == 0
        sizes = {name: await asyncio.to_thread(os.path.getsize, f"{path}{name}") for name in ("", "-wal")}
        assert max(sizes.values()) < 1_000_000, sizes


async def test_a_migration_that_fails_leaves_no_transaction_open(path: Path, tmp_path: Path) -> None:
    await make(path)
    known = [*RELEASED, Migration(len(RELEASED) + 1, "no", "SELECT no;")]
    async with closing_later(await connect(path, busy_seconds=1)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            await migrate(connection, path, known, SystemClock())
        assert not connection.in_transaction
        (row,) = await connection.execute_fetchall("PRAGMA foreign_keys")
        assert row[0] == 1


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "0099_late.sql").write_text("SELECT 1;"), "without a gap: see 0099_late.sql"),
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
    newer = copy_migrations(tmp_path, tags="CREATE TABLE tags (name TEXT) STRICT;")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="locked by another program"):
            async with sqlite_store(path, migrations=newer, busy_seconds=0.05):
                raise AssertionError("it was opened")
    async with sqlite_store(path, migrations=newer) as store:
        assert await store.find_turn("key-a1")


async def test_tables_that_are_built_anew_keep_every_value_and_what_refers_to_them(
    path: Path, tmp_path: Path, outside: Outside
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for file in sorted(MIGRATIONS.glob("*.sql"))[:6]:
        shutil.copy(file, before)
    async with sqlite_store(path, migrations=before) as store:
        await tell_a_story(store)
        cut = replace(end("a9", turn_key="key-a9", step_key="step-a9", state="aborted"), calls=("call-1",))
        await store.open_turn(replace(node("a9", "a", parent="a2", depth=3), answered="so far"), None, minute(20))
        await store.finish_turn(replace(cut, recovered=True, told=Told("all", "calls", "results", ("c",))), minute(21))
        await store.saw_chat("chat-of-a", minute(22))
    change(
        path,
        "INSERT INTO turns (key, before_key, user_key, answer_key) VALUES ('told', 'root', 'user-t', 'answer-t')",
    )

    def everything() -> list[list[tuple[object, ...]]]:
        names = "SELECT name FROM pragma_table_info(?) WHERE name <> 'idle_hours' ORDER BY name"  # they pass
        columns = f"SELECT group_concat(name) FROM ({names})"
        tables = ("sessions", "nodes", "turns", "tool_calls", "deletions", "v_sessions", "v_history", "v_deletions")
        return [
            sorted(outside.rows(f"SELECT {outside.value(columns, (each,))} FROM {each}"), key=str) for each in tables
        ]

    kept = everything()
    async with sqlite_store(path) as store:
        assert await store.find_calls(["call-1"], "")
    assert everything() == kept
    assert outside.rows("PRAGMA foreign_key_check") == []
    references = "SELECT DISTINCT f.[table] FROM sqlite_schema t, pragma_foreign_key_list(t.name) f ORDER BY 1"
    assert outside.rows(references) == [("nodes",), ("sessions",)]


SESSION = (
    "INSERT INTO sessions (id, owner, account, chat_id, model, title, state_since, created_at, last_used_at) "
    f"VALUES ('s', 'owner', 'a', 'chat-of-s', 'm', 'Tides', '{AT}', '{AT}', '{AT}')"
)
NODE = (
    "INSERT INTO nodes (id, session_id, parent_id, depth, match, model, state, user_text, answer_text, user_chars, "
    "response_id, system_digest, turn_key, step_key, created_at) VALUES "
)
FIRST_SCHEMA_HOLDS = (
    SESSION,
    f"{NODE} ('n1', 's', NULL, 1, 'new', 'm', 'complete', 'Why?', 'The moon.', 4, 'r1', '', 'key 1', 'step 1', '{AT}')",
    f"{NODE} ('n2', 's', 'n1', 2, 'exact', 'm', 'open', 'How high?', NULL, 9, NULL, '', NULL, NULL, '{AT}')",
)


@pytest.fixture
async def of_first_schema(path: Path, tmp_path: Path) -> Path:
    """A database as the first schema left it: an answer, and one that the end of the process cut."""
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(MIGRATIONS / "0001_sessions.sql", first)
    async with sqlite_store(path, migrations=first):
        pass
    change(path, *FIRST_SCHEMA_HOLDS)
    return path


async def test_a_database_of_the_first_schema_is_brought_to_the_newest_with_its_history(
    of_first_schema: Path, outside: Outside
) -> None:
    async with sqlite_store(of_first_schema) as store:
        for [place] in (await store.find_turn("key 1"), await store.find_step("step 1")):
            assert (place.node_id, place.before_key, place.has_children) == ("n1", "", True)
    assert outside.value("PRAGMA user_version") == NEWEST
    assert outside.rows("SELECT turn, role, text, state FROM v_history") == [
        (1, "user", "Why?", "complete"),
        (1, "assistant", "The moon.", "complete"),
        (2, "user", "How high?", "open"),
        (2, "assistant", None, "open"),
    ]
    shown = "SELECT title, nodes, turns, branches, origin, aborted, recovered FROM v_sessions"
    assert outside.rows(shown) == [("Tides", 2, 2, 1, "made", 0, 0)]
    assert outside.rows("SELECT * FROM v_deletions") == []
    backup = Outside(beside(of_first_schema, ".schema-1.backup"))
    assert backup.value("PRAGMA user_version") == 1
    assert backup.rows("SELECT id, answer_text FROM nodes") == [("n1", "The moon."), ("n2", None)]
    assert backup.value("SELECT count(*) FROM v_history") == 4


async def test_a_conversation_of_the_first_schema_goes_on_in_the_newest(of_first_schema: Path) -> None:
    async with sqlite_store(of_first_schema) as store:
        [place] = await store.find_turn("key 1")
        assert place.told is None
        new = replace(node("n3", "s", parent="n1", depth=2), before_key="key 1", user_key="user of key 3")
        await store.open_turn(new, None, minute(1))
        await store.finish_turn(replace(end("n3"), turn=turn("key 3", before="key 1")), minute(2))
        read = TurnRead((0,), (1,), "user of key 3", "answer of key 3", 0, 0, True, True)
        (tail,) = await store.find_tails([read], "root", same_user=True, limit=9)
        assert (tail.key, tail.is_whole) == ("key 3", False)


async def test_an_answer_that_the_first_schema_left_open_is_completed_but_not_continued(
    of_first_schema: Path, outside: Outside
) -> None:
    async with sqlite_store(of_first_schema) as store:
        (cut,) = await store.interrupted(minute(1))
        assert (cut.node_id, cut.parent_response_id, cut.sent_digest) == ("n2", "r1", None)
        recovered = end("n2", turn_key="made of nothing", step_key="made of nothing", says="Up to 16 metres.")
        await store.finish_turn(replace(recovered, recovered=True), minute(2))
        assert not await store.find_turn("made of nothing")
        assert not await store.find_step("made of nothing")
    assert outside.rows("SELECT text, state FROM v_history WHERE turn = 2 AND role = 'assistant'") == [
        ("Up to 16 metres.", "recovered")
    ]
