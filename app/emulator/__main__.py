"""Run the emulator by hand: `python3 run.py emulator --port 5055`."""

import argparse
import asyncio
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.emulator import Emulator, EmulatorOptions


def port(text: str) -> int:
    """Read the number of a port."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, a free one, to 65535 (it is {text!r})")
    return int(text)


def options_from(arguments: list[str]) -> EmulatorOptions:
    """Read the command line; ends the process for one that cannot be."""
    parser = argparse.ArgumentParser(prog="run.py emulator", description="A stand-in for chat.qwen.ai on loopback.")
    parser.add_argument("--port", type=port, default=5055, help="the site's port (default 5055)")
    parser.add_argument("--auth-port", type=port, default=0, help="the sign-in host's port (default: a free one)")
    parser.add_argument("--data", type=Path, help="a file that keeps the chats, files beside it (default: memory)")
    parser.add_argument(
        "--era", choices=("2025", "2026"), default="2026", help="wire shapes of which year (default 2026)"
    )
    parser.add_argument("--access-seconds", type=int, default=900, help="how long an access token lasts (default 900)")
    parser.add_argument("--lock-seconds", type=float, default=0.0, help="how long a chat stays locked after an answer")
    parser.add_argument("--chunk-delay", type=float, default=0.02, help="seconds between two pieces (default 0.02)")
    parser.add_argument("--parse-polls", type=int, default=1, help="how often a document is still pending (default 1)")
    parser.add_argument("--task-polls", type=int, default=2, help="how often a video is still running (default 2)")
    given = parser.parse_args(arguments)
    return EmulatorOptions(
        port=given.port,
        auth_port=given.auth_port,
        data_file=given.data,
        era=given.era,
        access_seconds=given.access_seconds,
        lock_seconds=given.lock_seconds,
        chunk_delay=given.chunk_delay,
        parse_polls=given.parse_polls,
        task_polls=given.task_polls,
    )


@contextmanager
def place_of_its_own(data: Path | None) -> Iterator[Path]:
    """Say where a server keeps what it learns of this emulator: beside its data, else where nothing else is."""
    if data is not None:
        yield data.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="qwen-thread-emulator-"))
    try:
        yield folder / "emulator"
    finally:
        try:
            folder.rmdir()
        except OSError:  # a server that kept something there may still run
            with suppress(OSError):  # whoever read what we say may be gone
                print(f"{folder} holds what a server kept of this emulator; it may be deleted.", file=sys.stderr)


def settings_for(emulator: Emulator, place: Path) -> dict[str, str]:
    """Return the settings of a server in front of the emulator, which touches no login and no history but its own."""
    return {
        "QWEN_BASE_URL": emulator.url,
        "QWEN_AUTH_TOKEN": emulator.mint_token(),
        "QWEN_AUTH_URL": emulator.auth_url,
        "ENV_FILE": f"{place}.env",
        "DATABASE_URL": f"sqlite:///{place}.db",
    }


async def _run(options: EmulatorOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    async with Emulator(options) as emulator:
        print(f"The emulator is at {emulator.url}, its sign-in host at {emulator.auth_url}.", flush=True)
        with place_of_its_own(options.data_file) as place:
            print(*(f"{name}={shlex.quote(text)}" for name, text in settings_for(emulator, place).items()), flush=True)
            await stop.wait()


def main(arguments: list[str]) -> int:
    """Run until SIGTERM or SIGINT."""
    options = options_from(arguments)
    try:
        asyncio.run(_run(options))
    except OSError as problem:
        print(f"The emulator cannot start: {problem.strerror or problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
