"""Real processes: the server and the emulator, started as a person starts them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass
class ServerProcess:
    """A running server; `output` is what it said until its address."""

    process: asyncio.subprocess.Process
    url: str
    output: str

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 15)

    async def log(self) -> str:
        """Return the whole log of a process that ended."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return settings under which a process touches nothing outside its folder."""
    own = {
        "PORT": "0",
        "QWEN_AUTH_URL": "http://127.0.0.1:9",  # nothing goes out of this machine
        "SSL_CERT_FILE": os.devnull,  # certificates, which nothing here needs, are a tenth of a start
        "ENV_FILE": str(folder / ".env"),
        "DATABASE_URL": f"sqlite:///{folder}/qwen-thread.db",
        "EMULATOR_FILE": str(folder / "emulator.json"),
    }
    return {**os.environ, **own, **settings}


async def launch(folder: Path, *arguments: str, module: str = "app", **settings: str) -> asyncio.subprocess.Process:
    """Start `python -m app` with these settings."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        env=environment(folder, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def server_process(folder: Path, *, module: str = "app", **settings: str) -> AsyncIterator[ServerProcess]:
    """Run a server until the end of the block, whatever happens."""
    process = await launch(folder, module=module, **settings)
    try:
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), 15)).decode()
        if not first:
            assert process.stderr is not None
            raise AssertionError((await process.stderr.read()).decode())
        yield ServerProcess(process, first.split()[-1].removesuffix("/v1"), first)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.communicate()
