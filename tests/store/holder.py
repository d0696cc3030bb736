"""A process that opens a store, begins an answer, says so and waits: `python -m tests.store.holder FILE`."""

import asyncio
import sys
from pathlib import Path

from tests.store.making import end, minute, node, session, sqlite_store


async def hold(path: Path) -> None:
    async with sqlite_store(path) as store:
        await store.open_turn(node("a1", "a"), session("a"), minute(0))
        await store.finish_turn(end("a1", turn_key="key-a1"), minute(1))
        await store.open_turn(node("a2", "a", parent="a1", depth=2), None, minute(2))
        sys.stdout.write("open\n")  # what the parent waits for
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1])))
