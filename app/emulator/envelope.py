"""How the site wraps its answers and says no (docs/upstream-protocol.md, Envelope and Statuses)."""

import json
from typing import Any
from uuid import uuid4

from aiohttp import web

from app.emulator.faults import NAMES, REFUSALS, Page, Refusal, Target
from app.emulator.keys import STATE


class Refused(Exception):
    """A request that the site refuses; a middleware writes the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def accept(request: web.Request, data: Any) -> web.Response:
    """Answer with data in the envelope; the request's id is echoed."""
    return _answer(request, {"success": True, "request_id": request_id(request), "data": data}, 200)


def refuse(request: web.Request, refusal: Refusal) -> web.Response:
    """Say no: with status 200 and the real one in a header, or as 2025 did with the real one on the wire."""
    if request.app[STATE].options.era == "2025" and refusal.bare_2025 is not None:
        return _answer(request, refusal.bare_2025, refusal.status)
    data = {"code": refusal.code, "details": refusal.details, **refusal.extra}
    return _answer(request, {"success": False, "request_id": request_id(request), "data": data}, refusal.status)


def refuse_by_name(request: web.Request, name: str) -> web.Response:
    """Answer with one of the named refusals."""
    fault = REFUSALS[name]
    return refuse(request, fault) if isinstance(fault, Refusal) else show_page(fault)


def fault_at(request: web.Request, target: Target) -> web.Response | None:
    """Return the refusal that this request's header or the script asks for, if any."""
    name = request.headers.get("X-Emulator-Fault") or request.app[STATE].script.next_fault(target)
    if name is None:
        return None
    if name not in REFUSALS:
        raise Refused(unknown_fault(name, sorted(REFUSALS)))
    return refuse_by_name(request, name)


def unknown_fault(name: str, names: list[str] = NAMES) -> Refusal:
    """Say which faults there are."""
    return Refusal("Bad_Request", f"The emulator has no fault {name!r} here; there are: {', '.join(names)}", 400)


def show_page(page: Page) -> web.Response:
    """Answer with something that is no envelope."""
    return web.Response(text=page.body, content_type=page.content_type, charset="utf-8", status=page.status)


def plain(request: web.Request, data: Any) -> web.Response:
    """Answer without the envelope, as the routes of the first generation do."""
    return _answer(request, data, 200)


async def body_of(request: web.Request) -> dict[str, Any]:
    """Decode a JSON object. Raises Refused for anything else."""
    return decoded(await request.read())


def decoded(raw: bytes) -> dict[str, Any]:
    """Decode the bytes of a JSON object. Raises Refused for anything else."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(Refusal("RequestValidationError", ["Body: a JSON object is required"], 422))
    return body


def require(body: dict[str, Any], *names: str) -> None:
    """Refuse a body without these fields, naming each that is missing."""
    missing = [f"Field '{name}': Field required" for name in names if name not in body]
    if missing:
        raise Refused(Refusal("RequestValidationError", missing, 422))


def request_id(request: web.Request) -> str:
    """Return the id that the request brought, or make one."""
    return request.headers.get("X-Request-Id") or str(uuid4())


def origin(request: web.Request) -> str:
    """Return how the client reaches this emulator."""
    return f"{request.scheme}://{request.host}"


def _answer(request: web.Request, body: Any, actual: int) -> web.Response:
    old = request.app[STATE].options.era == "2025"
    response = web.Response(
        body=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
        content_type="application/json",
        charset="utf-8",
        status=actual if old else 200,
        headers={"x-request-id": request_id(request), "cache-control": "no-cache"},
    )
    if not old:
        response.headers["x-actual-status-code"] = str(actual)
    return response
