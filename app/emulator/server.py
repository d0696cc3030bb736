"""The emulator as a server: the site's host and its host for signing in, on two ports of loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web

from app.emulator import (
    account_routes,
    bucket_routes,
    chat_routes,
    completion_routes,
    control,
    file_routes,
    output_routes,
    port,
)
from app.emulator.browser import browse
from app.emulator.envelope import Refused, refuse
from app.emulator.faults import Refusal, unauthorized
from app.emulator.files import FileStore, StoredFile
from app.emulator.keys import STATE
from app.emulator.options import EmulatorOptions
from app.emulator.outputs import PREFIX as OUTPUT_PREFIX
from app.emulator.script import Script
from app.emulator.state import EmulatorState, Requested, Shown
from app.emulator.storage import ChatStorage
from app.emulator.tasks import Tasks
from app.emulator.tokens import REFRESH_SECONDS, Kind
from app.emulator.tree import Chat

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN_TO_GUESTS = {"/api/models", "/api/v2/models/", "/api/v2/models", "/api/v2/auths/refresh"}
_SIGNING: frozenset[Kind] = frozenset({"session", "access"})
_ACCESS_ALONE: frozenset[Kind] = frozenset({"access"})
_NO_ROUTE = Refusal("Not_Found", "Not Found", 404)


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record what was asked for; unknown routes and refused requests are answered in the envelope."""
    if request.path.startswith(control.PREFIX):
        return await control.serve_locally(request, handler)
    state = request.app[STATE]
    try:
        response = await (bucket_routes.serve(request) if bucket_routes.is_bucket(request) else handler(request))
    except web.HTTPNotFound:
        response = refuse(request, _NO_ROUTE)
    except Refused as refused:
        response = refuse(request, refused.refusal)
    except web.HTTPException as answer:
        state.remember(Requested(request.method, request.path, answer.status))
        raise
    actual = int(response.headers.get("x-actual-status-code", response.status))
    state.remember(Requested(request.method, request.path, actual))
    return response


@web.middleware
async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask for a good token, as bearer or as cookie, where the site does."""
    if request.path in _OPEN_TO_GUESTS or request.path.startswith((control.PREFIX, OUTPUT_PREFIX)):
        return await handler(request)
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else ""
    token = token or request.cookies.get("token", "")
    state = request.app[STATE]
    problem = state.tokens.problem(token, _SIGNING if state.options.session_bearer else _ACCESS_ALONE)
    return refuse(request, unauthorized(problem)) if problem else await handler(request)


class Emulator:
    """An async context manager, open while it runs; `script` plans what comes next. Raises OSError for a taken port."""

    def __init__(self, options: EmulatorOptions | None = None) -> None:
        chosen = options or EmulatorOptions()
        path = chosen.data_file
        folder = path.with_name(path.name + ".files") if path is not None else None
        storage = ChatStorage(path)
        tasks = Tasks(storage, chosen.task_polls)
        self._state = EmulatorState(chosen, storage, FileStore(folder, chosen.file_bytes), tasks)
        self._runners: list[web.AppRunner] = []
        self.url = ""
        self.auth_url = ""

    async def __aenter__(self) -> Self:
        options = self._state.options
        await self._state.storage.open()
        await self._state.files.open()
        try:
            if options.data_file is not None and not options.port:
                data_file = options.data_file
                self.url = await self._listen_again(data_file.with_name(data_file.name + ".port"))
            else:
                self.url = await self._listen(self._site(), options.port)
            self.auth_url = await self._listen(self._auth_host(), options.auth_port)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop every answer and close both ports; closing twice is harmless."""
        await self._state.close()
        while self._runners:
            await self._runners.pop().cleanup()

    @property
    def script(self) -> Script:
        """What the emulator does next."""
        return self._state.script

    @property
    def chats(self) -> Mapping[str, Chat]:
        """The chats that exist, by id."""
        return self._state.storage.chats

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """The files that a place was asked for, by id."""
        return self._state.files.files

    @property
    def shown(self) -> list[Shown]:
        """Every completion as the model met it."""
        return self._state.shown

    @property
    def requests(self) -> list[Requested]:
        """Every request to the site's routes."""
        return self._state.requests

    @property
    def stops(self) -> list[dict[str, object]]:
        """The bodies of all calls to stop an answer."""
        return self._state.stops

    @property
    def delete_all_calls(self) -> int:
        """How often somebody asked to delete every chat."""
        return self._state.delete_all_calls

    def mint_token(self, lifetime: float | None = None, *, account: str | None = None) -> str:
        """Make a session token that lasts `lifetime` seconds; that of another `account` shows the same chats."""
        seconds = self._state.options.token_seconds if lifetime is None else lifetime
        return self._state.tokens.mint(seconds, account=account)

    def mint_access_token(self, lifetime: float | None = None) -> str:
        """Make an access token that lasts `lifetime` seconds."""
        return self._state.tokens.mint(self._state.options.access_seconds if lifetime is None else lifetime, "access")

    def mint_refresh_token(self, lifetime: float = REFRESH_SECONDS) -> str:
        """Make a value of the cookie `refresh_token` that lasts `lifetime` seconds."""
        return self._state.tokens.mint(lifetime, "refresh")

    def pass_time(self, seconds: float) -> None:
        """Put the site's clock forward, by which its tokens end."""
        self._state.tokens.shift += seconds

    def revoke(self, token: str) -> None:
        """Refuse a token from now on."""
        self._state.tokens.revoked.add(token)

    async def delete_chat(self, chat_id: str) -> None:
        """Delete a chat as a person would in the browser."""
        await self._state.storage.delete(chat_id)

    async def browse(
        self, chat_id: str | None, text: str, answer: str, parent_id: str | None = None
    ) -> tuple[str, str, str]:
        """Take a turn as a person would in the browser; `browser.browse` says how. Raises ValueError."""
        return await browse(self._state.storage, chat_id, text, answer, parent_id)

    async def _listen_again(self, kept: Path) -> str:
        """Listen on the port of the last start, or on another one where that is taken, and keep it."""
        try:
            url = await self._listen(self._site(), await asyncio.to_thread(port.remembered, kept))
        except (OSError, OverflowError):
            url = await self._listen(self._site(), 0)
        await asyncio.to_thread(port.remember, kept, urlsplit(url).port or 0)
        return url

    async def _listen(self, app: web.Application, number: int) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._state.options.host, number).start()
        return f"http://{self._state.options.host}:{runner.addresses[0][1]}"

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[log_request, check_token], client_max_size=16 * 1024 * 1024)
        app[STATE] = self._state
        return app

    def _site(self) -> web.Application:
        app = self._application()
        app.add_routes(
            [
                web.get("/api/models", account_routes.list_models),
                web.get("/api/v2/models{slash:/?}", account_routes.list_models),
                web.get("/api/v1/auths/", account_routes.profile),
                web.get("/api/v2/users/user/settings", account_routes.read_settings),
                web.post("/api/v2/users/user/settings/update", account_routes.update_settings),
                web.post("/api/v2/users/status", account_routes.heartbeat),
                web.post("/api/v2/chats/new", chat_routes.create),
                web.get("/api/v2/chats{slash:/?}", chat_routes.list_page),
                web.delete("/api/v2/chats{slash:/?}", chat_routes.delete_all),
                web.post("/api/v2/chats/batch_delete", chat_routes.batch_delete),
                web.get("/api/v2/chats/{chat_id}", chat_routes.read),
                web.post("/api/v2/chats/{chat_id}", chat_routes.rename),
                web.patch("/api/v2/chats/{chat_id}", chat_routes.rename),
                web.post("/api/v2/chats/{chat_id}/title", chat_routes.rename),
                web.delete("/api/v2/chats/{chat_id}", chat_routes.delete),
                web.post("/api/v2/chat/completions", completion_routes.complete),
                web.post("/api/v2/chat/completions/stop", completion_routes.stop),
                web.post("/api/{version:v[12]}/files/getstsToken", file_routes.give_place),
                web.post("/api/v2/files/parse", file_routes.parse),
                web.post("/api/v2/files/parse/status", file_routes.parse_status),
                web.post("/api/v2/files/getfilelink", file_routes.link),
                web.get("/api/v1/tasks/status/{task_id}", output_routes.task_status),
                web.get("/output/{path:.+}", output_routes.serve),
                web.get("/_emulator/state", control.read_state),
                web.get("/_emulator/shown", control.read_shown),
                web.post("/_emulator/script", control.plan),
                web.post("/_emulator/parse", control.plan_parse),
                web.post("/_emulator/task", control.plan_task),
                web.post("/_emulator/clock", control.pass_time),
                web.post("/_emulator/browse", control.add_turn),
                web.get("/_emulator/holds/{name}", control.wait_for_hold),
                web.post("/_emulator/holds/{name}/release", control.release),
                web.post("/_emulator/reset", control.reset),
            ]
        )
        return app

    def _auth_host(self) -> web.Application:
        app = self._application()
        app.add_routes(
            [
                web.get("/api/v2/auths/", account_routes.profile_at_auth_host),
                web.get("/api/v2/auths/refresh", account_routes.refresh),
            ]
        )
        return app
