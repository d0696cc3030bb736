"""Routes under `/_emulator/` for tests in other processes and for curious people. They need no token."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from app.emulator.faults import NAMES
from app.emulator.keys import STATE


async def read_state(request: web.Request) -> web.Response:
    """Show what the emulator has and met."""
    state = request.app[STATE]
    return web.json_response(
        {
            "chats": {chat.id: chat.title for chat in state.storage.chats.values()},
            "shown": [asdict(shown) for shown in state.shown],
            "requests": [asdict(requested) for requested in state.requests],
            "stops": state.stops,
            "delete_all_calls": state.delete_all_calls,
            "faults": NAMES,
        }
    )


async def plan(request: web.Request) -> web.Response:
    """Plan the next answer or fault.

    The body is `{"answer": TEXT}`, with `"hold": NAME` and `"before": N` for one that waits after N pieces, or
    `{"fault": NAME, "times": N, "target": ROUTE}`.
    """
    body: dict[str, Any] = await request.json()
    script = request.app[STATE].script
    if "fault" in body:
        script.fault(body["fault"], times=body.get("times", 1), target=body.get("target", "completions"))
    elif "hold" in body:
        script.hold(body["answer"], before=body.get("before", 0), name=body["hold"])
    else:
        script.answer(body["answer"])
    return web.json_response({"planned": True})


async def wait_for_hold(request: web.Request) -> web.Response:
    """Answer when a held answer has begun."""
    await request.app[STATE].script.holds[request.match_info["name"]].reached()
    return web.json_response({"reached": True})


async def release(request: web.Request) -> web.Response:
    """Let a held answer go on."""
    request.app[STATE].script.holds[request.match_info["name"]].release()
    return web.json_response({"released": True})


async def reset(request: web.Request) -> web.Response:
    """Drop all plans and everything that was recorded; the chats stay."""
    state = request.app[STATE]
    state.script.clear()
    for record in (state.shown, state.requests, state.stops):
        record.clear()
    return web.json_response({"reset": True})
