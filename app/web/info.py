"""`GET /`, `GET /health` and `GET /ready`. None of them calls upstream."""

from typing import Any

from aiohttp import web

from app import __version__
from app.clock import timestamp
from app.core.ports import AccountStatus
from app.errors import StoreError
from app.web.keys import SERVICES, Services

_SECONDS_A_DAY = 86400


def token_days_left(account: AccountStatus, services: Services) -> float | None:
    """Return the days until the token ends; None for the emulator, or where the token does not say."""
    if account.upstream == "emulator" or account.token_expires_at is None:
        return None
    return max(0.0, (account.token_expires_at - services.clock.now()).total_seconds() / _SECONDS_A_DAY)


def _renews(account: AccountStatus) -> bool:
    """Say whether there is a login that renews itself; the emulator's is nobody's concern."""
    return account.token_renews and account.upstream != "emulator"


def _token(account: AccountStatus, services: Services) -> dict[str, Any]:
    left, renews = token_days_left(account, services), {"token_renews": _renews(account)}
    if left is None or account.token_expires_at is None:
        return {"token_expires_at": None, "token_days_left": None, **renews}
    return {"token_expires_at": timestamp(account.token_expires_at), "token_days_left": round(left, 1), **renews}


async def server_info(request: web.Request) -> web.Response:
    """Say what this server is, what answers behind it, and which routes there are."""
    services = request.app[SERVICES]
    account = services.upstream.account()
    routes = sorted({route.resource.canonical for route in request.app.router.routes() if route.resource is not None})
    return web.json_response(
        {
            "name": "qwen-thread",
            "version": __version__,
            "upstream": account.upstream,
            "simulated": account.upstream == "emulator",
            **_token(account, services),
            "routes": routes,
        }
    )


async def health(_request: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Say whether requests can be answered, as last known: 200, or 503 with the problems."""
    services = request.app[SERVICES]
    account = services.upstream.account()
    problems = [account.problem] if account.problem else []
    stored: dict[str, int] | None = None
    try:
        overview = await services.store.overview()
        stored = {
            "sessions": overview.sessions,
            "nodes": overview.nodes,
            "pending_deletions": overview.pending_deletions,
        }
    except StoreError as problem:
        problems.append(problem.message)
    return web.json_response(
        {
            "status": "unavailable" if problems else "ready",
            "upstream": account.upstream,
            **_token(account, services),
            "stored": stored,
            "problems": problems,
        },
        status=503 if problems else 200,
    )
