"""Databases that are made once: the migrations are most of the time of a test that begins with an empty one."""

import asyncio
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from app.clock import SystemClock
from app.main import MIGRATIONS
from app.store.sqlite import open_sqlite


async def lay_empty_database(path: Path) -> None:
    """Put an empty database of the newest schema where none is."""
    await asyncio.to_thread(_lay, path)


def _lay(path: Path) -> None:
    if path.exists():
        return
    content = _empty_database()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)


@lru_cache(maxsize=1)
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        asyncio.run(_make(path))
        return path.read_bytes()


async def _make(path: Path) -> None:
    async with open_sqlite(path, MIGRATIONS, store_text=True, clock=SystemClock()):
        pass
