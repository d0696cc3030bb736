"""What the server adds: time to the first chunk, whole short answers, memory, and the look-up in a large store.

Everything runs on loopback in processes of its own and ends by itself. Figures depend on the machine; compare the
columns of one run.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.processes import ROOT, canned_upstream, resident_megabytes, server

ROUNDS = 300
WARM_UP = 30


async def time_one(
    session: aiohttp.ClientSession, url: str, body: dict[str, object], mark: bytes
) -> tuple[float, float]:
    """Return the milliseconds to the first chunk that holds `mark`, and to the end."""
    began = time.perf_counter()
    first = 0.0
    async with session.post(url, json=body) as response:
        assert response.status == 200, await response.text()
        seen = b""
        async for data in response.content.iter_any():
            seen += data
            if not first and mark in seen:
                first = time.perf_counter() - began
    return first * 1000, (time.perf_counter() - began) * 1000


def _median(values: list[float]) -> float:
    return statistics.median(values[WARM_UP:])


async def measure(upstream: str, gateway: str) -> list[tuple[str, float, float]]:
    """Ask both, in turns, so that whatever else the machine does meets both.

    A new conversation costs anyone who speaks to the site a call to make its chat, so that is measured directly too.
    """
    direct: list[tuple[float, float]] = []
    direct_new: list[tuple[float, float]] = []
    new: list[tuple[float, float]] = []
    continued: list[tuple[float, float]] = []
    async with aiohttp.ClientSession() as session:
        for number in range(ROUNDS):
            chat = f"{upstream}/api/v2/chat/completions?chat_id=c"
            direct.append(await time_one(session, chat, {"messages": [{"content": "hi"}]}, b"word 1"))
            _, made = await time_one(session, f"{upstream}/api/v2/chats/new", {}, b"id")
            asked, end = await time_one(session, chat, {"messages": [{"content": "hi"}]}, b"word 1")
            direct_new.append((made + asked, made + end))
            first = [{"role": "user", "content": f"question {number}"}]
            body: dict[str, object] = {"model": "canned", "stream": True, "messages": first}
            new.append(await time_one(session, f"{gateway}/v1/chat/completions", body, b"word 1"))
            answer = "".join(f"word {n} " for n in range(1, 21))
            body["messages"] = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "go on"}]
            continued.append(await time_one(session, f"{gateway}/v1/chat/completions", body, b"word 1"))
    measured = (
        ("canned upstream, new chat", direct_new),
        ("new conversation", new),
        ("canned upstream, known chat", direct),
        ("continued conversation", continued),
    )
    return [
        (name, _median([first for first, _ in times]), _median([end for _, end in times])) for name, times in measured
    ]


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(prog="run.py bench", description=__doc__).parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        canned_upstream() as upstream,
        server(upstream, Path(folder)) as (gateway, pid, ready),
    ):
        rest = resident_megabytes(pid)
        rows = asyncio.run(measure(upstream, gateway))
        loaded = resident_megabytes(pid)
    print(
        f"{'one client, streams of 20 chunks':34}{'first chunk':>12}{'added':>9}{'whole':>9}{'added':>9}   (ms, median)"
    )
    for base, ours in (rows[:2], rows[2:]):
        print(f"{base[0]:34}{base[1]:12.2f}{'':9}{base[2]:9.2f}")
        print(f"{ours[0]:34}{ours[1]:12.2f}{ours[1] - base[1]:9.2f}{ours[2]:9.2f}{ours[2] - base[2]:9.2f}")
    print(f"\n{'start to ready':34}{ready:12.2f} s")
    print(f"{'memory at rest':34}{rest:12.1f} MB")
    print(f"{f'memory after {2 * ROUNDS} answers':34}{loaded:12.1f} MB\n", flush=True)
    for module in ("bench.conversation", "bench.tools", "bench.lookup"):
        subprocess.run([sys.executable, "-m", module], cwd=ROOT, check=True)
        print(flush=True)


if __name__ == "__main__":
    main()
