"""What a long MCP conversation sends upstream: `python -m bench.conversation` prints one table and ends.

A client in the manner of Cherry Studio's prompt mode: every turn has a question, a tool call with its result, and an
answer; between turns the client collapses a turn's messages into one, and it may send its last messages only.
"""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.canned import CALL, WORDS
from bench.processes import canned_upstream, server
from bench.table import Figures

TURNS = 100
LONGEST = 300.0  # seconds
SYSTEM = "In this environment you have access to a set of tools. " + "Each tool has a description. " * 200
QUESTION = "Question {}: " + "what is to be looked up is described here in two hundred characters or so. " * 3
RESULT = "<tool_use_result>\n  <name>look_up</name>\n  <result>" + "found {} " * 100 + "</result>\n</tool_use_result>"
WINDOWS = {"the whole history": 0, "the last 7 messages": 7}


class Client:
    """Holds the history and counts the bytes of what is new in it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, window: int) -> None:
        self.session = session
        self.url = url
        self.window = window
        self.history: list[dict[str, str]] = []
        self.new_bytes = len(SYSTEM.encode())
        self.sent: list[int] = []
        self.milliseconds: list[float] = []
        self.matches: dict[str, int] = {}

    async def turn(self, number: int) -> None:
        """Ask, run the tool that the answer calls, and collapse the turn."""
        question = {"role": "user", "content": f"{QUESTION.format(number)} Use the tool."}
        sent = [*self.history, question][-self.window :] if self.window else [*self.history, question]
        while sent[0]["role"] != "user":
            sent = sent[1:]
        began = time.perf_counter()
        await self._ask(sent, question)
        self.milliseconds.append((time.perf_counter() - began) * 1000)
        result = {"role": "user", "content": RESULT.replace("{}", str(number))}
        await self._ask([*sent, {"role": "assistant", "content": CALL}, result], result)
        before_the_call = CALL.partition("<tool_use>")[0].strip()
        self.history += [question, {"role": "assistant", "content": f"{before_the_call}\n\n{WORDS.strip()}"}]

    async def _ask(self, messages: list[dict[str, str]], new: dict[str, str]) -> None:
        body = {"model": "canned", "messages": [{"role": "system", "content": SYSTEM}, *messages]}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200, await response.text()
            match = response.headers["X-Session-Match"]
        self.matches[match] = self.matches.get(match, 0) + 1
        self.new_bytes += len(new["content"].encode())


async def _talk(session: aiohttp.ClientSession, upstream: str, gateway: str, window: int, turns: int) -> Client:
    """Hold one conversation; `sent` of the client is what the site then was sent."""
    await session.delete(f"{upstream}/bench/sent")
    client = Client(session, gateway, window)
    for number in range(turns):
        await client.turn(number)
    async with session.get(f"{upstream}/bench/sent") as response:
        client.sent = json.loads(await response.read())
    return client


async def measure(upstream: str, gateway: str, turns: int) -> dict[str, Figures]:
    """Print a row for each window, and return its figures."""
    heading = f"{turns} turns with a tool call each"
    print(
        f"{heading:34}{'turn 2':>9}{f'turn {turns}':>9}{'sent':>10}{'new':>10}"
        f"{'ratio':>7}{'ms turn 2':>11}{f'ms turn {turns}':>12}   (bytes of message text)"
    )
    rows: dict[str, Figures] = {}
    async with aiohttp.ClientSession() as session:
        for name, window in WINDOWS.items():
            client = await _talk(session, upstream, gateway, window, turns)
            sent = client.sent
            second, last = sum(sent[2:4]), sum(sent[-2:])
            early, late = (statistics.median(client.milliseconds[part]) for part in (slice(1, 6), slice(-5, None)))
            ratio = sum(sent) / client.new_bytes
            matches = ", ".join(f"{match} {count}" for match, count in client.matches.items())
            print(
                f"{name:34}{second:9,}{last:9,}{sum(sent):10,}{client.new_bytes:10,}{ratio:7.3f}{early:11.2f}{late:12.2f}"
                f"   {matches}"
            )
            rows[f"{heading}, {name}"] = {"sent_to_new": ratio, "turn_2_ms": early, f"turn_{turns}_ms": late}
    return rows


def table(scale: float = 1.0) -> dict[str, Figures]:
    """Run both processes and measure."""
    turns = max(6, round(TURNS * scale))
    with (
        tempfile.TemporaryDirectory() as folder,
        canned_upstream() as upstream,
        server(upstream, Path(folder)) as measured,
    ):
        return asyncio.run(asyncio.wait_for(measure(upstream, measured.url, turns), LONGEST))


if __name__ == "__main__":
    table()
