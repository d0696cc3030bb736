"""What is left after sessions are erased: the turns of all others, and nothing that refers to what is gone."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.ports import Erased, SessionStore
from app.errors import StoreError
from app.store.archive import open_archive
from tests.store.making import (
    MIGRATIONS,
    Outside,
    beside,
    end,
    make,
    minute,
    node,
    session,
    set_mode,
    sqlite_store,
    turn,
    written,
)

AT = "2026-11-22T10:00:00.000Z"
paths = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=5)


def key(path: str) -> str:
    """Name a conversation of these turns."""
    return path or "root"


async def converse(store: SessionStore, name: str, path: str, told: int) -> None:
    """Hold a conversation in a new chat, of which the first turns were told to it."""
    rows = tuple(turn(key(path[: n + 1]), before=key(path[:n])) for n in range(told))
    for number in range(told, len(path)):
        is_first = number == told
        asked = node(f"{name}{number}", name, parent=None if is_first else f"{name}{number - 1}", depth=number + 1)
        here = turn(key(path[: number + 1]), before=key(path[:number]))
        asked = replace(asked, before_key=here.before_key, user_key=here.user_key, rows=rows if is_first else ())
        await store.open_turn(asked, session(name) if is_first else None, minute(number))
        await store.finish_turn(replace(end(asked.id), turn=here), minute(number))


@pytest.mark.no_cover  # for its volume
@settings(max_examples=25, deadline=None)
@given(paths, st.data())
def test_the_turns_of_sessions_that_are_not_erased_stay_and_all_others_go(
    talks: list[str], data: st.DataObject
) -> None:
    names = [f"s{number}" for number in range(len(talks))]
    told = [data.draw(st.integers(0, len(path) - 1)) for path in talks]
    erased = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_erase(Path(folder) / "qwen-thread.db", names, talks, told, erased))


async def _erase(path: Path, names: list[str], talks: list[str], told: list[int], erased: list[str]) -> None:
    outside = Outside(path)
    async with sqlite_store(path) as store:
        for name, talk, known in zip(names, talks, told, strict=True):
            await converse(store, name, talk, known)
        with open_archive(path, MIGRATIONS) as archive:
            assert archive.erase(erased, AT).sessions == len(erased)
        kept = [talk for name, talk in zip(names, talks, strict=True) if name not in erased]
        left = {talk[: number + 1] for talk in kept for number in range(len(talk))}
        assert {row[0] for row in outside.rows("SELECT key FROM turns")} == left
        await converse(store, "later", "c", 0)  # which may have a number that was erased
    strangers = "SELECT t.key FROM turns t JOIN nodes n ON n.number = t.turn_start WHERE n.user_key <> t.user_key"
    assert outside.rows(strangers) == []
    gone = "SELECT key FROM turns WHERE turn_start NOT IN (SELECT number FROM nodes)"
    assert outside.rows(gone) == []


def erase(path: Path, *names: str) -> Erased:
    with open_archive(path, MIGRATIONS, busy_seconds=0.1) as archive:
        return archive.erase(names, AT)


def files_with(folder: Path, words: bytes) -> set[str]:
    return {file.name for file in folder.iterdir() if words in file.read_bytes()}


async def test_what_is_erased_beside_a_running_server_is_in_none_of_its_files(tmp_path: Path) -> None:
    path, secret = tmp_path / "qwen-thread.db", "Nobody is to read this again. " * 400
    async with sqlite_store(path) as store:
        for name in ("a", "b"):
            await store.open_turn(node(f"{name}1", name, says=secret), session(name, title=secret[:60]), minute(1))
            await store.finish_turn(end(f"{name}1", turn_key=name, says=secret), minute(2))
        assert (await asyncio.to_thread(erase, path, "a", "b")).still_in == ()
        assert await asyncio.to_thread(files_with, tmp_path, b"Nobody is to read") == set()


async def test_a_log_that_a_reader_keeps_and_backups_are_named(tmp_path: Path) -> None:
    path = tmp_path / "qwen-thread.db"
    backup = tmp_path / "qwen-thread.db.schema-1.backup"
    backup.touch()
    async with sqlite_store(path) as store:
        await converse(store, "s", "ab", 0)
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM nodes").fetchall()
            assert (await asyncio.to_thread(erase, path, "s")).still_in == (f"{path}-wal", str(backup))


@pytest.mark.usefixtures("rights_count")
def test_a_history_on_a_read_only_disk_is_shown_and_nothing_of_it_erased(path: Path) -> None:
    asyncio.run(make(path))
    there = sorted(path.parent.iterdir())
    set_mode(path.parent, 0o500)
    try:
        with open_archive(path, MIGRATIONS) as archive:
            assert {found.id for found in archive.sessions(owner=None, limit=10)} == {"a", "b", "c"}
            assert [said.text for said in archive.branches("b")[0].said] == ["Name a river.", "The Rhine."]
        with pytest.raises(StoreError, match="The file or its folder is read-only"):
            erase(path, "b")
        assert sorted(path.parent.iterdir()) == there
    finally:
        set_mode(path.parent, 0o700)


@pytest.mark.usefixtures("rights_count")
def test_a_read_only_disk_with_what_a_kill_left_is_told_with_the_way_out(path: Path) -> None:
    asyncio.run(make(path))
    beside(path, "-wal").write_bytes(b"what a kill left")
    set_mode(path.parent, 0o500)
    try:
        with (
            pytest.raises(StoreError, match=r"in .*-wal, .* is read-only\. Make it writable; or copy the database"),
            open_archive(path, MIGRATIONS),
        ):
            raise AssertionError("it was opened")
    finally:
        set_mode(path.parent, 0o700)


async def test_an_answer_that_a_stop_cut_is_told_from_one_that_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "qwen-thread.db"
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(1))
        await written(store)
        with pytest.raises(StoreError, match="is being answered just now"):
            await asyncio.to_thread(erase, path, "a")
    with pytest.raises(StoreError, match="A stop cut an answer"):
        await asyncio.to_thread(erase, path, "a")
