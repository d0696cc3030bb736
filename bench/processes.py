"""The processes that are measured, on loopback; each ends with its block."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Measured:
    """A server that runs; `ready` is how many seconds it took to begin."""

    url: str
    pid: int
    ready: float


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
def running(
    command: Sequence[str], environ: Mapping[str, str] | None = None, *, output: IO[str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a program until the block ends, killed if it does not stop by itself; `output` takes all that it says."""
    said, failed = (output, output) if output else (subprocess.PIPE, None)
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=said, stderr=failed, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    """Return the first thing that a program says. Raises RuntimeError if it does not speak in time."""
    assert process.stdout is not None
    alarm = threading.Timer(_START_SECONDS, process.kill)
    alarm.start()
    try:
        line = process.stdout.readline().strip()
    finally:
        alarm.cancel()
    if not line:
        raise RuntimeError(f"{process.args!r} did not start")
    return line


@contextmanager
def canned_upstream() -> Iterator[str]:
    """Run the canned upstream; gives its address."""
    with running([sys.executable, "-m", "bench.canned"]) as process:
        yield f"http://127.0.0.1:{first_line(process)}"


@contextmanager
def floor(upstream: str) -> Iterator[Measured]:
    """Run the bare proxy in front of it."""
    began = time.perf_counter()
    with running([sys.executable, "-m", "bench.floor", upstream]) as process:
        url = f"http://127.0.0.1:{first_line(process)}"
        yield Measured(url, process.pid, time.perf_counter() - began)


@contextmanager
def server(upstream: str, folder: Path) -> Iterator[Measured]:
    """Run qwen-thread in front of it."""
    environ = environment(upstream, _token(), folder, LOG_LEVEL="warning", MAX_CONCURRENT="0")
    began = time.perf_counter()
    with running([sys.executable, "-m", "app"], environ) as process:
        url = first_line(process).split()[-1].removesuffix("/v1")
        yield Measured(url, process.pid, time.perf_counter() - began)


def processor_seconds(pid: int) -> float:
    """Return what a process has used of the processors so far, the kernel's work for it included (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
