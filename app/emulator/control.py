"""Routes under `/_emulator/` for tests in other processes and for curious people.

They need no token and answer loopback only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address

import msgspec
from aiohttp import web

from app.emulator.browser import browse
from app.emulator.faults import NAMES, Target
from app.emulator.hosted import Tool, ToolName
from app.emulator.keys import STATE
from app.emulator.script import Hold

PREFIX = "/_emulator/"


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """What the next completion does, or which fault the next requests to a route meet.

    With `hold` the answer waits after `before` pieces for its release under that name. `delay` is in seconds. `tools`
    are names of hosted tools or whole calls (`hosted.Tool`), `images` is how many pictures are made, `asks` whether a
    deep research asks back.
    """

    answer: str | None = None
    thinking: list[str] | None = None
    pieces: list[str] | None = None
    delay: float | None = None
    fault: str | None = None
    times: int = 1
    target: Target = "completions"
    hold: str | None = None
    before: int = 0
    tools: list[ToolName | Tool] = []
    images: int | None = None
    asks: bool | None = None


class CoursePlan(msgspec.Struct, forbid_unknown_fields=True):
    """The states that the next parsing, or the next video's task, goes through; an error is for the last of them."""

    states: list[str]
    error_msg: str = ""
    error_code: str | None = None
    retry: bool = False


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """By how many seconds the site's clock goes forward."""

    seconds: float


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """A turn that a person takes in the browser; `browser.browse` says what the ids mean."""

    text: str
    answer: str
    chat_id: str | None = None
    parent_id: str | None = None


def is_local(remote: str | None) -> bool:
    """Say whether a peer's address is this machine's loopback."""
    return remote is not None and ip_address(remote).is_loopback


async def serve_locally(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a peer on loopback; any other gets 403."""
    return await handler(request) if is_local(request.remote) else _problem("This route answers loopback only.", 403)


async def read_state(request: web.Request) -> web.Response:
    """Show what the emulator has and met."""
    state = request.app[STATE]
    return web.json_response(
        {
            "chats": {chat.id: chat.title for chat in state.storage.chats.values()},
            "shown": [asdict(shown) for shown in state.shown],
            "requests": [asdict(requested) for requested in state.requests],
            "files": {file.id: asdict(file) for file in state.files.files.values()},
            "stops": state.stops,
            "delete_all_calls": state.delete_all_calls,
            "faults": NAMES,
        }
    )


async def read_shown(request: web.Request) -> web.Response:
    """Show every completion as the model met it."""
    return web.json_response([asdict(shown) for shown in request.app[STATE].shown])


async def plan(request: web.Request) -> web.Response:
    """Plan the next answer or fault; the body is a `Plan` as JSON."""
    script = request.app[STATE].script
    try:
        given = msgspec.json.decode(await request.read(), type=Plan)
        if given.images is not None:
            script.paint(given.images, fault=given.fault, delay=given.delay, hold=given.hold, before=given.before)
        elif given.answer is None and given.pieces is None:
            if given.fault is None:
                return _problem("Plan an answer, pieces of one, pictures, or a fault.", 400)
            script.fault(given.fault, times=given.times, target=given.target)
        elif given.hold is not None:
            script.hold(given.answer or "", pieces=given.pieces, before=given.before, name=given.hold)
        else:
            script.answer(
                given.answer or "",
                thinking=given.thinking,
                pieces=given.pieces,
                fault=given.fault,
                delay=given.delay,
                tools=given.tools,
                asks=given.asks,
            )
    except (msgspec.DecodeError, ValueError) as problem:
        return _problem(str(problem), 400)
    return web.json_response({"planned": True})


async def plan_parse(request: web.Request) -> web.Response:
    """Plan the states of the next document that is parsed; the body is a `CoursePlan` as JSON."""
    try:
        given = msgspec.json.decode(await request.read(), type=CoursePlan)
        request.app[STATE].script.parse(
            *given.states, error_msg=given.error_msg, error_code=given.error_code, retry=given.retry
        )
    except (msgspec.DecodeError, ValueError) as problem:
        return _problem(str(problem), 400)
    return web.json_response({"planned": True})


async def plan_task(request: web.Request) -> web.Response:
    """Plan the states of the next video's task; the body is a `CoursePlan` as JSON, without an error."""
    try:
        given = msgspec.json.decode(await request.read(), type=CoursePlan)
        request.app[STATE].script.task(*given.states)
    except (msgspec.DecodeError, ValueError) as problem:
        return _problem(str(problem), 400)
    return web.json_response({"planned": True})


async def pass_time(request: web.Request) -> web.Response:
    """Put the site's clock forward, by which tokens, permissions and signed addresses end."""
    try:
        given = msgspec.json.decode(await request.read(), type=Clock)
    except msgspec.DecodeError as problem:
        return _problem(str(problem), 400)
    request.app[STATE].tokens.shift += given.seconds
    return web.json_response({"shift": request.app[STATE].tokens.shift})


async def add_turn(request: web.Request) -> web.Response:
    """Take a turn as a person would in the browser; the body is a `Turn` as JSON, the answer has its ids."""
    storage = request.app[STATE].storage
    try:
        given = msgspec.json.decode(await request.read(), type=Turn)
        ids = await browse(storage, given.chat_id, given.text, given.answer, given.parent_id)
    except (msgspec.DecodeError, ValueError) as problem:
        return _problem(str(problem), 400)
    return web.json_response(dict(zip(("chat_id", "user_id", "response_id"), ids, strict=True)))


def _hold(request: web.Request) -> Hold | None:
    return request.app[STATE].script.holds.get(request.match_info["name"])


async def wait_for_hold(request: web.Request) -> web.Response:
    """Answer when a held answer has begun."""
    hold = _hold(request)
    if hold is None:
        return _problem("Nothing is held under that name.", 404)
    await hold.reached()
    return web.json_response({"reached": True})


async def release(request: web.Request) -> web.Response:
    """Let a held answer go on."""
    hold = _hold(request)
    if hold is None:
        return _problem("Nothing is held under that name.", 404)
    hold.release()
    return web.json_response({"released": True})


async def reset(request: web.Request) -> web.Response:
    """Drop all plans and everything that was recorded; held answers go on, the chats stay."""
    request.app[STATE].forget_records()
    return web.json_response({"reset": True})


def _problem(text: str, status: int) -> web.Response:
    return web.json_response({"error": text}, status=status)
