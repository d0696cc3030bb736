"""SIGKILL at random moments under load: `python -m bench.crashes --kills 200` prints what was lost, and ends.

Some clients talk to a server in front of the emulator; it is killed in the middle, started again, and so on. Each time
the database must be sound, and every answer whose end a client saw must be continued in its chat.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from app.emulator import Emulator, EmulatorOptions
from bench.processes import ROOT, environment

CLIENTS = 4
Messages = list[dict[str, Any]]


@dataclass
class Report:
    """What came of the kills; `lost` says which promise was broken, and when."""

    kills: int = 0
    seen: int = 0
    continued: int = 0
    partial: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass
class Talker:
    """A client with a conversation of its own."""

    name: int
    history: Messages = field(default_factory=list)
    end_was_seen: bool = False
    number: int = 0

    async def talk(self, session: aiohttp.ClientSession, url: str, report: Report) -> None:
        """Ask one question after the other until the server is gone."""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            while True:
                self.number += 1
                question = {"role": "user", "content": f"Client {self.name}, question {self.number}: go on."}
                if not await self._ask(session, url, question, report):
                    return

    async def _ask(self, session: aiohttp.ClientSession, url: str, question: dict[str, Any], report: Report) -> bool:
        got: list[str] = []
        ended = False
        try:
            body = {"model": "qwen3.7-plus", "messages": [*self.history, question], "stream": True}
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                if response.status != 200:
                    report.lost.append(f"kill {report.kills}, {self.name}: {await response.text()}")
                    return False
                if self.end_was_seen:
                    report.continued += 1
                    if response.headers["X-Session-Match"] != "exact":
                        report.lost.append(f"kill {report.kills}, {self.name}: {response.headers['X-Session-Match']}")
                async for line in response.content:
                    if line.startswith(b"data: {"):
                        for choice in json.loads(line[6:])["choices"]:
                            got.append(choice["delta"].get("content") or "")
                            ended = ended or choice["finish_reason"] is not None
        finally:
            text = "".join(got)
            report.seen += ended
            report.partial += bool(text) and not ended
            if text:
                self.history += [question, {"role": "assistant", "content": text}]
                self.end_was_seen = ended
        return ended


@contextlib.asynccontextmanager
async def _server(
    folder: Path, emulator: Emulator, token: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    environ = environment(emulator.url, token, folder, LOG_LEVEL="error", COVERAGE_PROCESS_CONFIG="")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        yield process, line.split()[-1].removesuffix("/v1")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _is_sound(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


async def kill_under_load(folder: Path, kills: int, *, seed: int) -> Report:
    """Kill the server so often, at random moments of its first half second; return what came of it."""
    moments, report = random.Random(seed), Report()
    talkers = [Talker(number) for number in range(CLIENTS)]
    async with Emulator(EmulatorOptions(chunk_delay=0.002)) as emulator, aiohttp.ClientSession() as session:
        token = emulator.mint_token()
        for number in range(kills + 1):
            async with _server(folder, emulator, token) as (process, url):
                talking = [asyncio.create_task(talker.talk(session, url, report)) for talker in talkers]
                await asyncio.sleep(moments.uniform(0.02, 0.7) if number < kills else 0.5)
                process.kill()
                await process.wait()
                await asyncio.gather(*talking)
            report.kills += number < kills
            if not await asyncio.to_thread(_is_sound, folder / "bench.db"):
                report.lost.append(f"kill {report.kills}: the database is damaged")
    return report


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(kill_under_load(Path(folder), chosen.kills, seed=chosen.seed))
    print(f"kills {report.kills}, ends seen {report.seen}, of these continued {report.continued}, cut {report.partial}")
    print("\n".join(report.lost) or "nothing was lost")
    sys.exit(1 if report.lost else 0)


if __name__ == "__main__":
    main()
