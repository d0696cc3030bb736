"""What is asked of a server to learn how fast it is; each scenario returns figures by name."""

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from bench.canned import WORDS
from bench.client import Answered, Connection, message
from bench.table import Figures

_QUESTION = "What is to be looked up is described here in some words. "
_UNIQUE = itertools.count()


@dataclass(frozen=True)
class Scenario:
    """A name, what to do with a server's address, and the figure that counts; `answers` is how many it asks for."""

    name: str
    run: Callable[[str], Awaitable[Figures]]
    key: str
    answers: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[list[Connection]]:
    """Open so many connections to a server, closed with the block."""
    connections: list[Connection] = []
    try:
        for _ in range(count):
            connections.append(await Connection.open(url))
        yield connections
    finally:
        for connection in connections:
            connection.close()


def new_question(how: str = "") -> bytes:
    """Return a first message that no other is like; `how` is what the canned upstream reads (bench/canned.py)."""
    return message("user", f"{_QUESTION}{next(_UNIQUE)} {how}".strip())


async def _repeat(url: str, clients: int, rounds: int, *, stream: bool, how: str) -> Figures:
    """Let clients ask new questions, each its next one when it has its answer."""
    answers: list[Answered] = []

    async def one(connection: Connection) -> None:
        for _ in range(rounds):
            answers.append(await connection.ask(new_question(how), stream=stream))

    async with connected(url, clients) as connections:
        began = time.monotonic()
        await asyncio.gather(*map(one, connections))
        elapsed = time.monotonic() - began
    whole = [answer.whole * 1000 for answer in answers]
    figures = {
        "per_second": len(answers) / elapsed,
        "p50_ms": statistics.median(whole),
        "p99_ms": percentile(whole, 0.99),
    }
    if stream:
        figures["first_p50_ms"] = statistics.median(answer.first * 1000 for answer in answers)
    return figures


async def _paced(url: str, streams: int) -> Figures:
    """Let many answers come at once, a piece every 10 ms."""
    async with connected(url, streams) as connections:
        answers = await asyncio.gather(
            *(connection.ask(new_question("chunks=100 pace=10"), stream=True) for connection in connections)
        )
    late = [seconds * 1000 for answer in answers for seconds in answer.late]
    assert len(late) == streams * 100, f"{streams * 100 - len(late)} pieces are missing"
    return {"late_p50_ms": statistics.median(late), "late_p99_ms": percentile(late, 0.99)}


async def _converse(url: str, conversations: int, turns: int) -> Figures:
    """Let conversations grow, 2 KB a turn; each request holds all of its history, as every OpenAI client's does."""
    answer = message("assistant", WORDS)
    by_turn: list[list[float]] = [[] for _ in range(turns)]

    async def one(connection: Connection, number: int) -> None:
        history = b""
        for turn in range(turns):
            question = message("user", f"Conversation {number}, turn {turn}. {_QUESTION * 31}")
            history = b",".join(part for part in (history, question) if part)
            by_turn[turn].append((await connection.ask(history, stream=True)).whole * 1000)
            history = history + b"," + answer

    async with connected(url, conversations) as connections:
        began = time.monotonic()
        await asyncio.gather(*(one(connection, next(_UNIQUE)) for connection in connections))
        elapsed = time.monotonic() - began
    early, late = ([time for times in part for time in times] for part in (by_turn[1:6], by_turn[-5:]))
    return {
        "per_second": conversations * turns / elapsed,
        "turn_1_ms": statistics.median(early),
        f"turn_{turns}_ms": statistics.median(late),
    }


def scenarios(scale: float) -> list[Scenario]:
    """Return what is measured; `scale` 1 takes some minutes."""

    def rounds(count: int) -> int:
        return max(2, round(count * scale))

    def repeat(name: str, clients: int, count: int, how: str, *, stream: bool, key: str = "per_second") -> Scenario:
        each = rounds(count)
        run = partial(_repeat, clients=clients, rounds=each, stream=stream, how=how)
        return Scenario(f"{name}, {clients} client{'s' if clients > 1 else ''}", run, key, clients * each)

    def converse(name: str, conversations: int, turns: int, key: str) -> Scenario:
        run = partial(_converse, conversations=conversations, turns=turns)
        return Scenario(name, run, key, conversations * turns)

    def paced(streams: int) -> Scenario:
        name = f"{streams} streams, a chunk every 10 ms"
        return Scenario(name, partial(_paced, streams=streams), "late_p99_ms", streams)

    return [
        repeat("short answers", 1, 1000, "chunks=1", stream=False),
        repeat("short answers", 32, 100, "chunks=1", stream=False),
        repeat("streams of 20 chunks", 1, 300, "", stream=True, key="first_p50_ms"),
        repeat("streams of 200 chunks", 1, 100, "chunks=200", stream=True, key="p50_ms"),
        repeat("streams of 20 chunks", 32, 60, "", stream=True),
        converse("32 conversations of 100 turns", 32, rounds(100), "per_second"),
        converse("one conversation of 100 turns", 1, 100, "turn_100_ms"),
        paced(50),
        paced(500),
    ]
