"""How the site wraps its answers and says no (docs/upstream-protocol.md, Envelope)."""

import json
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web

from app.emulator.faults import REFUSALS, Page, Refusal

Era = Literal["2025", "2026"]


def accept(request: web.Request, data: Any) -> web.Response:
    """Answer with data in the envelope; the request's id is echoed."""
    return _answer(request, {"success": True, "data": data}, wire=200, actual=200)


def refuse(request: web.Request, refusal: Refusal, era: Era) -> web.Response:
    """Say no: with status 200 and the real one in a header, or as 2025 did with the real one on the wire."""
    data = {"code": refusal.code, "details": refusal.details, **refusal.extra}
    wire = refusal.status if era == "2025" else 200
    return _answer(request, {"success": False, "data": data}, wire=wire, actual=refusal.status)


def refuse_by_name(request: web.Request, name: str, era: Era) -> web.Response:
    """Answer with one of the named faults."""
    fault = REFUSALS[name]
    if isinstance(fault, Refusal):
        return refuse(request, fault, era)
    return show_page(fault)


def show_page(page: Page) -> web.Response:
    """Answer with something that is no envelope."""
    return web.Response(text=page.body, content_type=page.content_type, charset="utf-8", status=page.status)


def plain(data: Any) -> web.Response:
    """Answer without the envelope, as the routes of the first generation do."""
    return web.json_response(data, headers={"x-actual-status-code": "200"})


def _answer(request: web.Request, body: dict[str, Any], *, wire: int, actual: int) -> web.Response:
    request_id = request.headers.get("X-Request-Id") or str(uuid4())
    ordered = {"success": body["success"], "request_id": request_id, "data": body["data"]}
    return web.Response(
        text=json.dumps(ordered, ensure_ascii=False),
        content_type="application/json",
        status=wire,
        headers={"x-actual-status-code": str(actual), "x-request-id": request_id, "cache-control": "no-cache"},
    )
