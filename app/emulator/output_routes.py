"""The routes of what the site made: pictures and videos by their address, and the tasks that make videos."""

from typing import Any

from aiohttp import web

from app.emulator.envelope import fault_at, origin, plain, refuse_by_name
from app.emulator.keys import STATE
from app.emulator.outputs import Outputs, find


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer a picture or a video to whoever has its address."""
    fault = fault_at(request, "output")
    if fault is not None:
        return fault
    found = find(request.app[STATE].tokens, str(request.url))
    if found is None or found.expired:
        return web.Response(text="403 Forbidden", status=403)
    return web.Response(body=found.data, content_type=found.content_type)


def outputs(request: web.Request) -> Outputs:
    """Return who gives addresses, as this client reaches them."""
    state = request.app[STATE]
    return Outputs(state.tokens, origin(request), state.options.link_seconds)


async def task_status(request: web.Request) -> web.StreamResponse:
    """Answer how far a video is, bare; each call moves it on by one state."""
    fault = fault_at(request, "task")
    if fault is not None:
        return fault
    state = request.app[STATE]
    task = state.tasks.find(request.match_info["task_id"])
    if task is None:
        return refuse_by_name(request, "task_not_found")
    status = await state.tasks.advance(task, outputs(request))
    told: dict[str, Any] = {"chat_type": "t2v", "task_status": status, "content": task.answer.text}
    return plain(request, told)
