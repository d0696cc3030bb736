"""`GET /metrics`, in Prometheus's text format."""

import logging

from aiohttp import web

from app.core.ports import StoreOverview
from app.errors import StoreError
from app.web.info import token_days_left
from app.web.keys import SERVICES

_log = logging.getLogger(__name__)


async def metrics(request: web.Request) -> web.Response:
    """Write the metrics; without those of the store while that cannot be read."""
    from app.telemetry.page import PAGE_TYPE, ServerState, write_page

    services = request.app[SERVICES]
    account = services.upstream.account()
    stored: StoreOverview | None = None
    size: int | None = None
    try:
        stored, size = await services.store.overview(), await services.store.size()
    except StoreError as problem:
        _log.warning("The metrics lack what is stored: %s", problem.message)
    page = write_page(
        services.metrics.families,
        ServerState(
            waiting=services.gateway.waiting,
            running=services.gateway.running,
            has_problem=account.problem is not None,
            is_blocked=account.is_blocked,
            token_days_left=token_days_left(account, services),
            stored=stored,
            database_bytes=size,
        ),
    )
    return web.Response(body=page, headers={"Content-Type": PAGE_TYPE})
