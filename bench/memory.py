"""What an open stream holds of a server's memory."""

import asyncio

from bench.processes import Measured, resident_megabytes
from bench.scenarios import connected, new_question

STREAMS = 500
_WARM_UP = 20
_SETTLING_SECONDS = 0.5


async def _held(server: Measured, streams: int) -> float:
    """Return the resident megabytes while so many streams have begun and do not go on."""
    async with connected(server.url, streams) as connections:
        question = new_question("chunks=2 pace=600000")
        asking = [asyncio.create_task(each.ask(question, stream=True)) for each in connections]
        try:
            while not all(each.has_begun for each in connections):
                await asyncio.sleep(0.02)
                for task in asking:
                    if task.done():
                        task.result()
            await asyncio.sleep(_SETTLING_SECONDS)
            return resident_megabytes(server.pid)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


async def kilobytes_a_stream(server: Measured, streams: int = STREAMS) -> float:
    """Return how much more a server holds for each of many open streams, after a few that warmed it up."""
    await _held(server, _WARM_UP)
    await asyncio.sleep(_SETTLING_SECONDS)
    before = resident_megabytes(server.pid)
    after = await _held(server, streams)
    await asyncio.sleep(2 * _SETTLING_SECONDS)  # given up upstream too
    return (after - before) * 1024 / streams
