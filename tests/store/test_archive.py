"""What is left after sessions are erased: the turns of all others, and nothing that refers to what is gone."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.ports import SessionStore
from app.store.archive import open_archive
from tests.store.making import MIGRATIONS, Outside, end, minute, node, session, sqlite_store, turn

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
