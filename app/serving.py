"""The life of the server: what runs beside the requests, where it listens, how it is stopped, whom it greets."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from app import __version__
from app.clock import SystemClock
from app.config import Settings
from app.core.ports import Upstream
from app.errors import CannotListen, UpstreamError
from app.main import open_program
from app.tasks.background import running
from app.tasks.service_manager import ServiceManager
from app.web.connections import Runner
from app.web.keys import Services
from app.web.routes import make_app

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 3600.0  # seconds


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once."""
    stop, manager = _signalled(), ServiceManager(os.environ)
    async with (
        open_program(settings, SystemClock()) as program,
        running(program.cleaner.run, "clean up"),
        running(program.recovery.run, "read cut answers back"),
        running(program.titler.run, "name chats"),
        running(program.keeper.run, "keep the login"),
        running(partial(warm_up, program.services), "warm up"),
        listening(program.services) as address,
    ):
        _calm_collector()
        _greet(settings, program.services.upstream, address)
        async with manager.watching(f"Serving on {address}"):
            await stop.wait()
        _log.info("Stopping; running answers get %g seconds", settings.shutdown_timeout)
    _log.info("Stopped")


async def warm_up(services: Services, *, first_pause: float = 30.0) -> None:
    """Fetch the model list, so that the first request need not wait for it, and the account's settings.

    Whoever needs the list asks for it again; for the settings nobody else does, so they are tried until they are there.
    """
    try:
        await services.catalog.models()
    except UpstreamError as problem:
        _log.warning("The site could not be asked for its models yet: %s", problem.message)
    pause = first_pause
    while True:
        try:
            await services.upstream.load_settings()
            return
        except UpstreamError as problem:
            _log.info("The account's settings could not be fetched, next try in %.0f s: %s", pause, problem)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


@asynccontextmanager
async def listening(services: Services) -> AsyncIterator[str]:
    """Serve HTTP; gives the address. On leaving, running answers get SHUTDOWN_TIMEOUT seconds to end.

    Raises CannotListen.
    """
    settings = services.settings
    # What its timeout is for, `web/stopping.py` has done by then; aiohttp waits twice for it, and for ever for 0.
    runner = Runner(make_app(services), access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as problem:
            raise CannotListen(settings.host, settings.port, problem) from problem
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _calm_collector() -> None:
    """Spare the garbage collector what the start made and stays for good, and look less often (docs/performance.md).

    At all that is left it looks more often: that is little, and connections that ended are in it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 2)


def _signalled() -> asyncio.Event:
    """Return an event that the first signal to stop sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
    return stop


def _greet(settings: Settings, upstream: Upstream, address: str) -> None:
    """Tell the person at the terminal where the server is and who answers."""
    called = address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    lines = [f"qwen-thread {__version__} is ready at {called}/v1"]
    if called != address:
        lines.append("It listens on every address of this machine: other machines call it by that one's.")
    if settings.uses_emulator:
        is_chosen = settings.upstream == "emulator"
        why = "UPSTREAM is emulator" if is_chosen else "No QWEN_AUTH_TOKEN is set"
        steps = ["take UPSTREAM out of the settings"] if is_chosen else []
        steps += [] if settings.has_login else ["python3 run.py login"]
        lines += [
            f"{why}: a built-in emulator answers, and its answers are simulated.",
            f"To use your own account: {', then '.join(steps)}",
        ]
    if problem := upstream.account().problem:
        lines.append(f"But: {problem}")
    # standard output holds nothing but JSON where it is the access log
    print("\n".join(lines), flush=True, file=sys.stderr if settings.access_log == "json" else sys.stdout)
    _log.info(
        "Listening at %s, answers come from %s", address, "the emulator" if settings.uses_emulator else "the site"
    )
