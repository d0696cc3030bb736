"""Many turns, some of them given up in the middle: `python -m bench.soak` prints memory and descriptors, and ends.

A real server in front of the canned upstream. Memory and open files must stay flat once the server is warm.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.canned import WORDS
from bench.client import Connection, message
from bench.processes import canned_upstream, resident_megabytes, server

CLIENTS = 16
TURNS_A_CONVERSATION = 20
LEFT_IN_THE_MIDDLE = 0.1  # of all turns
SAMPLES = 20
WARM = 0.25  # of all turns, before the slope is taken


@dataclass(frozen=True)
class Sample:
    """What the server holds after so many turns."""

    turns: int
    megabytes: float
    files: int
    database: float
    rate: float

    def __str__(self) -> str:
        return (
            f"{self.turns:9,}{self.megabytes:11.1f}{self.files:8}{self.database:12.1f}{self.rate:10.0f}   "
            + "#" * round(self.megabytes / 2)
        )


async def _client(url: str, numbers: Iterator[int], turns: int, chance: random.Random) -> None:
    """Hold conversations, one after the other, until so many turns are taken by all clients."""
    connection = await Connection.open(url)
    history, answer = b"", message("assistant", WORDS)
    for number in numbers:
        if number >= turns:
            break
        if number % TURNS_A_CONVERSATION == 0:
            history = b""
        question = message("user", f"Question {number}: " + "what is to be looked up is described here. " * 5)
        history = b",".join(part for part in (history, question) if part)
        if chance.random() < LEFT_IN_THE_MIDDLE:
            leaving = asyncio.create_task(connection.ask(history + b" ", stream=True))
            await asyncio.sleep(chance.uniform(0.0, 0.004))
            connection.close()
            await asyncio.gather(leaving, return_exceptions=True)
            connection, history = await Connection.open(url), b""
            continue
        await connection.ask(history, stream=True)
        history += b"," + answer
    connection.close()


def _sizes(pid: int, database: Path) -> tuple[float, int]:
    """Return the megabytes of the database with its journal, and the number of open files (Linux)."""
    size = sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*")) / 1e6
    return size, len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def soak(url: str, pid: int, database: Path, turns: int) -> list[Sample]:
    """Take so many turns; print and return a sample now and then."""
    numbers, samples = itertools.count(), list[Sample]()
    taken = 0
    print(f"{'turns':>9}{'memory MB':>11}{'files':>8}{'database MB':>12}{'turns/s':>10}")
    while taken < turns:
        until = min(turns, taken + max(1, turns // SAMPLES))
        began = time.monotonic()
        await asyncio.gather(*(_client(url, numbers, until, random.Random(seed)) for seed in range(CLIENTS)))
        numbers = itertools.count(until)
        size, files = _sizes(pid, database)
        rate = (until - taken) / (time.monotonic() - began)
        taken = until
        samples.append(Sample(taken, resident_megabytes(pid), files, size, rate))
        print(samples[-1], flush=True)
    return samples


def slope(samples: list[Sample]) -> float:
    """Return by how many bytes memory grew in a thousand turns, once warm: the line of least squares."""
    warm = samples[int(len(samples) * WARM) :]
    mean_turns = sum(sample.turns for sample in warm) / len(warm)
    mean_bytes = sum(sample.megabytes for sample in warm) / len(warm) * 1048576
    spread = sum((sample.turns - mean_turns) ** 2 for sample in warm)
    rise = sum((sample.turns - mean_turns) * (sample.megabytes * 1048576 - mean_bytes) for sample in warm)
    return 1000 * rise / spread if spread else 0.0


def main() -> None:
    """Soak, and print the curve."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--turns", type=int, default=100_000)
    turns = parser.parse_args().turns
    with (
        tempfile.TemporaryDirectory() as folder,
        canned_upstream() as upstream,
        server(upstream, Path(folder)) as measured,
    ):
        samples = asyncio.run(soak(measured.url, measured.pid, Path(folder) / "bench.db", turns))
    print(f"\nmemory, once warm: {slope(samples):+,.0f} bytes in 1,000 turns; files: {samples[-1].files}")


if __name__ == "__main__":
    main()
