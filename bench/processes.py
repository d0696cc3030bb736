"""The processes that are measured, on loopback; each ends with its block."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _token() -> str:
    claims = {"id": "00000000-0000-4000-8000-000000000001", "exp": int(time.time()) + 30 * 86400}
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims, 1)
    )


def environment(upstream: str, token: str, folder: Path, **settings: str) -> dict[str, str]:
    """Return settings under which qwen-thread stands in front of this upstream and keeps its files in the folder."""
    own = {
        "QWEN_BASE_URL": upstream,
        "QWEN_AUTH_TOKEN": token,
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "ENV_FILE": f"{folder}/.env",
        "PORT": "0",
    }
    return {**os.environ, **own, **settings}


@contextmanager
def _printing_its_port(*command: str) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@contextmanager
def canned_upstream() -> Iterator[str]:
    """Run the canned upstream; gives its address."""
    with _printing_its_port("bench.canned") as url:
        yield url


@contextmanager
def floor(upstream: str) -> Iterator[str]:
    """Run the bare proxy in front of it; gives its address."""
    with _printing_its_port("bench.floor", upstream) as url:
        yield url


@contextmanager
def server(upstream: str, folder: Path) -> Iterator[tuple[str, int, float]]:
    """Run qwen-thread in front of it; gives its address, process id, and the seconds until it was ready."""
    environ = environment(upstream, _token(), folder, LOG_LEVEL="warning", MAX_CONCURRENT="0")
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "app"], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1].removesuffix("/v1")
        try:
            yield address, process.pid, time.perf_counter() - began
        finally:
            process.terminate()


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
