"""The composition root: the only place that names concrete adapters, and what the commands do with them."""

import argparse
import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from app.clock import Clock, SystemClock
from app.commands import login, sessions
from app.commands.terminal import tamed
from app.config import Settings
from app.core.admission import Admission
from app.core.attaching import Attaching
from app.core.catalog import ModelCatalog
from app.core.citations import Marks
from app.core.gateway import Gateway
from app.core.policy import Policy
from app.core.ports import Login, Meter, Upstream
from app.core.pull import Pull
from app.core.recovery import Recovery, RecoveryPace
from app.core.surroundings import Patience, Surroundings
from app.core.uploads import Uploads
from app.core.videos import Videos
from app.errors import StoreInUse, UpstreamError
from app.files.fetching import open_fetcher
from app.files.library import open_library
from app.store.archive import open_archive
from app.store.sqlite import open_sqlite
from app.tasks.background import BackgroundTasks
from app.tasks.cleaner import Cleaner
from app.tasks.titler import Titler
from app.tasks.token_keeper import TokenKeeper
from app.telemetry.metrics import Metrics
from app.upstream.qwen import Given, KeptByLogin, QwenUpstream, Renewal, TokenSource, are_of_two_accounts
from app.web.access_log import AccessLog
from app.web.keys import Services

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent.parent / "migrations" / "sqlite"
PATIENCE = Patience()
RECOVERY_PACE = RecoveryPace()
_BACKGROUND_SECONDS = 10.0
_TYPING_SECONDS = 0.02
_PULL_PAUSE = 0.5  # seconds between two requests to the site
_TITLE_SECONDS = 5.0  # the site writes its own title within about 3 (docs/upstream-protocol.md, Create)


@dataclass(frozen=True, slots=True)
class Program:
    """The opened program: what the web serves and what runs beside it."""

    services: Services
    cleaner: Cleaner
    recovery: Recovery
    titler: Titler
    keeper: TokenKeeper


@asynccontextmanager
async def open_upstream(settings: Settings, clock: Clock, meter: Meter) -> AsyncIterator[QwenUpstream]:
    """Open the adapter to the site, or to the embedded emulator of it."""
    async with AsyncExitStack() as stack:
        if settings.uses_emulator:
            from app.emulator import Emulator, EmulatorOptions  # a real account never needs it

            emulator = await stack.enter_async_context(
                Emulator(EmulatorOptions(data_file=settings.path(settings.emulator_file), chunk_delay=_TYPING_SECONDS))
            )
            renewal = Renewal(settings, clock, base_url=emulator.url, auth_url=emulator.auth_url)
            tokens = TokenSource.fixed(settings, clock, emulator.mint_token(), quiet=True, renewal=renewal)
            yield await stack.enter_async_context(
                QwenUpstream(settings, clock, base_url=emulator.url, tokens=tokens, kind="emulator", meter=meter)
            )
        else:
            tokens = TokenSource.from_settings(settings, clock)
            yield await stack.enter_async_context(
                QwenUpstream(settings, clock, base_url=settings.qwen_base_url, tokens=tokens, kind="qwen", meter=meter)
            )


class AccountUpstream(Upstream, Login, Protocol):
    """What the program needs of a site: its service, and an account whose login is kept."""


UpstreamOpener = Callable[[Settings, Clock, Meter], AbstractAsyncContextManager[AccountUpstream]]


@asynccontextmanager
async def open_program(
    settings: Settings,
    clock: Clock,
    patience: Patience = PATIENCE,
    recovery_pace: RecoveryPace = RECOVERY_PACE,
    title_delay: float = _TITLE_SECONDS,
    opener: UpstreamOpener = open_upstream,
) -> AsyncIterator[Program]:
    """Open the store, the upstream and everything between them; closed in reverse. Raises StoreError."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_sqlite(settings.database_path, MIGRATIONS, store_text=settings.store_text, clock=clock)
        )
        interrupted = await store.interrupted(clock.now())
        await store.files.forget_ended(clock.now())
        metrics = Metrics("emulator" if settings.uses_emulator else "qwen")
        upstream = await stack.enter_async_context(opener(settings, clock, metrics))
        first_retry = timedelta(seconds=settings.delete_retry_seconds)
        cleaner = Cleaner(
            upstream, store, clock, first_retry=first_retry, retention=timedelta(days=settings.retention_days)
        )
        titler = Titler(upstream, clock, delay=title_delay)
        background = await stack.enter_async_context(BackgroundTasks(patience=_BACKGROUND_SECONDS))
        catalog = ModelCatalog(
            upstream,
            background,
            clock,
            aliases=settings.model_aliases,
            default=settings.default_model,
            ttl=settings.models_ttl,
        )
        around = Surroundings(
            upstream=upstream,
            store=store,
            background=background,
            clock=clock,
            meter=metrics,
            patience=patience,
            deletion_delay=first_retry,
            on_chat_released=cleaner.wake,
            on_chat_named=titler.name,
        )
        marks: Marks = "links" if settings.citations == "links" else "kept"
        recovery = Recovery(around, interrupted, recovery_pace, marks)
        admission = Admission(
            clock, concurrent=settings.max_concurrent, queue=settings.queue_size, pace=settings.pace_seconds
        )
        folder = await asyncio.to_thread(settings.files_folder)
        budget, largest = settings.files_budget, settings.file_bytes
        library = await stack.enter_async_context(
            open_library(folder, store.files, clock, budget=budget, largest=largest)
        )
        fetcher = await stack.enter_async_context(
            open_fetcher(enabled=settings.fetch_urls, allow_private=settings.fetch_private)
        )
        attaching = Attaching(catalog, library, fetcher, file_bytes=settings.file_bytes)
        uploads = Uploads(upstream, store.files, background, clock, patience)
        policy = Policy(
            body_budget=settings.body_budget,
            max_input_tokens=settings.max_input_tokens,
            is_delete=settings.is_delete,
            window_match=settings.window_match,
            result_budget=settings.result_budget,
            tool_retries=settings.tool_retries,
            marks=marks,
        )
        gateway = Gateway(around, catalog, admission, recovery, attaching, uploads, policy)
        access_log = AccessLog(sys.stdout) if settings.access_log == "json" else None
        videos = Videos(gateway, around, store.videos)
        services = Services(settings, clock, gateway, videos, catalog, upstream, store, library, metrics, access_log)
        yield Program(services, cleaner, recovery, titler, TokenKeeper(upstream))


async def sweep(settings: Settings) -> str:
    """Do the clean-up that is due, once; return what came of it."""
    async with open_program(settings, SystemClock()) as program:
        report = await program.cleaner.sweep()
        services = program.services
        due = await services.store.deletions.next_due(await services.upstream.account_now())
    told = (
        f"Chats deleted on the site: {report.deleted}, failed: {report.failed}, "
        f"still waiting for their time: {report.waiting}."
    )
    if report.waiting and due is not None:
        whole = due + timedelta(seconds=1)  # not before it, without its fraction
        told += f" The next one is due at {whole:%Y-%m-%d %H:%M:%S} UTC; a server that runs then does it by itself."
    if report.elsewhere:
        told += f" In another account: {report.elsewhere}; they are deleted once that one is logged in again."
    return told


async def pull(settings: Settings, *, owner: str, most: int | None) -> str:
    """Bring chats of the browser into the store, once; return what came of it."""
    clock = SystemClock()
    async with open_program(settings, clock) as program:
        services = program.services
        work = Pull(services.upstream, services.store, clock, owner=owner, pause=_PULL_PAUSE)
        report = await work.run(lambda chat, new: print(tamed(f"{new:>5}  {chat.title}"), flush=True), most=most)
    return (
        f"Chats listed: {report.listed}, read: {report.read}, new answers: {report.answers}, "
        f"passed over: {report.passed_over}."
    )


def log_in(settings: Settings) -> int:
    """Take a pasted token, try it at the site and keep it; return the exit code."""
    path = settings.path(settings.env_file)

    def are_apart(kept: login.Pasted, pasted: login.Pasted) -> bool:
        return are_of_two_accounts(Given(kept.token, kept.cookie), Given(pasted.token, pasted.cookie))

    async def ask_site(pasted: login.Pasted) -> str:
        clock = SystemClock()
        site = settings.qwen_base_url
        agent = pasted.user_agent or settings.qwen_user_agent
        as_pasted = replace(settings, qwen_user_agent=agent)
        renewal = Renewal(as_pasted, clock, base_url=site, auth_url=settings.qwen_auth_url)
        vault = KeptByLogin(
            lambda token, cookie: login.keep(path, login.Pasted(token, cookie, pasted.user_agent), are_apart)
        )
        tokens = TokenSource(
            as_pasted,
            clock,
            token=pasted.token,
            cookie=pasted.cookie,
            vault=vault,
            renewal=renewal,
            quiet=True,
            tries_again=False,
        )
        async with QwenUpstream(as_pasted, clock, base_url=site, tokens=tokens, kind="qwen") as upstream:
            try:
                await tokens.renew_now()
                await upstream.load_settings()
            except UpstreamError as problem:
                raise login.not_taken(problem, path, is_renewed=vault.is_kept) from problem
            vault.store_unless_renewed(pasted.token, pasted.cookie)
            return tokens.lasts()

    return login.run(path, lambda pasted: run(ask_site(pasted)))


def look_into_sessions(settings: Settings, chosen: argparse.Namespace) -> int:
    """List, show, export or delete sessions; return the exit code."""

    def delete_upstream() -> str:
        try:
            return run(sweep(settings))
        except StoreInUse:
            return "The running server deletes the chats on the site within a minute."

    with open_archive(settings.database_path, MIGRATIONS) as archive:
        return sessions.run(chosen, archive, SystemClock(), delete_upstream)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine as the program, on uvloop where it exists."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if sys.platform != "win32":
        import uvloop

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)
