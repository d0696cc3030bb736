"""What the store costs a request, by how much it holds: `python -m bench.lookup` prints one table and ends.

Every row is a new database in a temporary folder, filled through the schema of migrations/sqlite/. A window is one of
seven messages, three turns and the new text; its miss is what the ladder does then, which is to look twice.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from app.clock import SystemClock, timestamp
from app.core.history import TurnRead, TurnRow
from app.core.ports import NewNode, NewSession, NodeEnd
from app.core.told import Told
from app.store import statements
from app.store.sqlite import SqliteSessionStore, open_sqlite
from bench.table import Figures

MIGRATIONS = Path(__file__).parent.parent / "migrations" / "sqlite"
SIZES = (1_000, 100_000, 1_000_000)
TURNS = 10
TEXT = "Some two hundred characters, as people write. " * 4
ROOT = "root"
ROUNDS = 400
WARM_UP = 20
Times = dict[str, list[float]]


def _before(number: int) -> str:
    return f"key-{number - 1}" if number % TURNS else ROOT


def _rows(size: int, at: str) -> Iterator[tuple[object, ...]]:
    """Nodes in conversations of TURNS turns each; their turn keys are `key-0` and so on. Every 50th was cut."""
    for number in range(size):
        depth = number % TURNS + 1
        parent = f"node-{number - 1}" if depth > 1 else None
        yield (
            number + 1, f"node-{number}", f"session-{number // TURNS}", parent, depth, TEXT, TEXT, len(TEXT),
            f"response-{number}", f"key-{number}", f"step-{number}" if number % 3 == 0 else None, _before(number),
            f"user-{number}", f"answer-{number}", None if number % 50 else f"asked-{number}", number + 1, at, at,
        )  # fmt: skip


def fill(path: Path, size: int) -> None:
    """Put `size` nodes into a database that has its schema."""
    at = timestamp(datetime.now(UTC))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO sessions (id, owner, account, chat_id, model, state_since, created_at, last_used_at) "
            "VALUES (?, 'owner', 'account', ?, 'model', ?, ?, ?)",
            ((f"session-{n}", f"chat-of-{n}", at, at, at) for n in range((size + TURNS - 1) // TURNS)),
        )
        connection.executemany(
            "INSERT INTO nodes (number, id, session_id, parent_id, depth, match, model, state, user_text, answer_text, "
            "user_chars, response_id, system_digest, turn_key, step_key, before_key, user_key, answer_key, asked_key, "
            "turn_start, created_at, finished_at) "
            "VALUES (?, ?, ?, ?, ?, 'exact', 'model', 'complete', ?, ?, ?, ?, 'digest', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _rows(size, at),
        )
        connection.executemany(
            "INSERT INTO turns (key, before_key, user_key, answer_key, turn_start) VALUES (?, ?, ?, ?, ?)",
            ((f"key-{n}", _before(n), f"user-{n}", f"answer-{n}", n + 1) for n in range(size)),
        )
        connection.executemany(
            "INSERT INTO tool_calls (id, node_id, scope) VALUES (?, ?, ?)",
            ((f"call-{n}", f"node-{n}", ROOT) for n in range(0, size, 3)),
        )


def _past(number: int, count: int) -> list[TurnRead]:
    """A client's last turns, newest first."""
    return [
        TurnRead((0,), (1,), f"user-{n}", f"answer-{n}", 0, 0, True, True) for n in range(number, number - count, -1)
    ]


async def _timed(times: Times, name: str, work: Awaitable[object]) -> object:
    began = time.perf_counter()
    result = await work
    times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
    return result


def _node(name: str, session: str, parent: str | None) -> NewNode:
    depth = 1 if parent is None else TURNS + 1
    return NewNode(
        id=name,
        session_id=session,
        parent_id=parent,
        depth=depth,
        match="exact",
        model="model",
        system_digest="digest",
        user_text=TEXT,
        sent_text=None,
        before_key=ROOT,
        user_key=f"u-{name}",
        asked_key=f"asked-{name}",
        answered="",
        results=0,
        opens_turn=True,
        sent_digest="",
        told=Told(),
    )


async def _both_walks(store: SqliteSessionStore, past: list[TurnRead]) -> None:
    for same_user in (True, False):
        assert not await store.find_tails(past, ROOT, same_user=same_user, limit=256)


async def _one_round(store: SqliteSessionStore, size: int, number: int, times: Times) -> None:
    """What a new and a continued conversation ask of the store."""
    wanted = number * 7919 % (size // TURNS) * TURNS + TURNS - 1
    assert await _timed(times, "exact, hit", store.find_turn(f"key-{wanted}"))
    assert not await _timed(times, "exact, miss", store.find_turn(f"nobody-{number}"))
    tails = store.find_tails(_past(wanted, 3), ROOT, same_user=True, limit=256)
    assert await _timed(times, "window, hit", tails)
    await _timed(times, "window, miss", _both_walks(store, _past(-number, 3)))
    assert not await _timed(times, "aborted, miss", store.find_cut(f"nobody-{number}"))
    await _timed(times, "branch of 50", store.find_turn(*(f"no-{number}-{n}" for n in range(50))))
    now = datetime.now(UTC)
    session = NewSession(f"new-{number}", "owner", "account", f"new-chat-{number}", "model", TEXT[:60])
    first, second = f"first-{number}", f"second-{number}"
    await _timed(times, "open, new", store.open_turn(_node(first, session.id, None), session, now))
    follow_up = _node(second, f"session-{wanted // TURNS}", f"node-{wanted}")
    await _timed(times, "open, known", store.open_turn(follow_up, None, now))
    for name in (first, second):
        turn = TurnRow(f"k-{name}", ROOT, f"u-{name}", f"a-{name}")
        end = NodeEnd(name, "complete", f"r-{name}", TEXT, "", "stop", None, turn, None, 50, 50)
        await _timed(times, "finish", store.finish_turn(end, now))


def _inside_sqlite(path: Path, size: int) -> list[float]:
    """Return the milliseconds of exact look-ups in SQLite alone, without a thread in between."""
    times = []
    with closing(sqlite3.connect(path)) as connection:
        for number in range(ROUNDS):
            key = json.dumps([f"key-{number * 7919 % size}"])
            began = time.perf_counter()
            found = connection.execute(statements.FIND_TURN, (key,)).fetchall()
            times.append((time.perf_counter() - began) * 1000)
            assert found
    return times


async def measure(sizes: Sequence[int]) -> dict[int, Times]:
    """Return the milliseconds of each call by size; the sizes take turns, since a thread may wake up slow or fast."""
    times: dict[int, Times] = {size: {} for size in sizes}
    with tempfile.TemporaryDirectory() as folder:
        paths = {size: Path(folder) / f"{size}.db" for size in sizes}
        for size, path in paths.items():
            async with open_sqlite(path, MIGRATIONS, store_text=True, clock=SystemClock()):
                pass
            await asyncio.to_thread(fill, path, size)
        async with AsyncExitStack() as stack:
            stores = {
                size: await stack.enter_async_context(
                    open_sqlite(path, MIGRATIONS, store_text=True, clock=SystemClock())
                )
                for size, path in paths.items()
            }
            for number in range(ROUNDS):
                for size, store in stores.items():
                    await _one_round(store, size, number, times[size])
        for size, path in paths.items():
            times[size]["exact, inside"] = await asyncio.to_thread(_inside_sqlite, path, size)
    return times


def table(scale: float = 1.0, sizes: Sequence[int] = SIZES) -> dict[str, Figures]:
    """Print one table, and return its figures."""
    rows: dict[str, Figures] = {}
    for size, times in asyncio.run(measure(sorted({max(SIZES[0], round(size * scale)) for size in sizes}))).items():
        medians = {name: statistics.median(values[WARM_UP:]) for name, values in times.items()}
        if not rows:
            print(f"{'stored nodes':>14}" + "".join(f"{name:>14}" for name in medians) + "   (ms, median)")
        print(f"{size:>14,}" + "".join(f"{median:>14.3f}" for median in medians.values()), flush=True)
        rows[f"store, {size:,} nodes, ms"] = medians
    return rows


def main() -> None:
    """Measure at the sizes that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.lookup", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="how many answers are stored")
    table(sizes=parser.parse_args().sizes)


if __name__ == "__main__":
    main()
