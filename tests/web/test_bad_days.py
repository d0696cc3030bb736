"""The surface when the store is unusable, when a handler has a fault, when upstream does not tell when a token ends."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.clock import SystemClock
from app.config import load
from app.core.ports import AccountStatus, StoreOverview
from app.errors import StoreBusy
from app.serving import listening
from app.telemetry.metrics import Metrics
from app.web.keys import Services


class Broken:
    """Stands for a store and an upstream: only what the probes ask for, and a fault of our own for the rest."""

    def __init__(self, expires: datetime | None) -> None:
        self.expires = expires

    def account(self) -> AccountStatus:
        return AccountStatus("qwen", "a1", self.expires, None)

    async def overview(self) -> StoreOverview:
        raise StoreBusy("The database is locked by another program.")

    async def models(self) -> Any:
        raise ZeroDivisionError("a fault of our own")


@asynccontextmanager
async def served(
    root: Path, expires: datetime | None = None, metrics: Metrics | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    broken: Any = Broken(expires)
    settings = dataclasses.replace(load(root, {}), port=0)
    services = Services(
        settings,
        SystemClock(),
        gateway=broken,
        videos=broken,
        catalog=broken,
        upstream=broken,
        store=broken,
        files=broken,
        metrics=metrics or Metrics("qwen"),
    )
    async with listening(services) as url, aiohttp.ClientSession() as session:
        yield session, url


@pytest.fixture
def root() -> Path:
    return Path("/nonexistent-folder")


async def test_an_unusable_store_makes_the_server_unready_but_alive(root: Path) -> None:
    async with served(root) as (session, url):
        async with session.get(f"{url}/ready") as response:
            body = await response.json()
            assert (response.status, body["stored"]) == (503, None)
            assert "locked by another program" in body["problems"][0]
        async with session.get(f"{url}/health") as response:
            assert response.status == 200


async def test_a_token_that_does_not_say_when_it_ends_has_no_days(root: Path) -> None:
    async with served(root) as (session, url), session.get(f"{url}/") as response:
        body = await response.json()
        assert (body["token_expires_at"], body["token_days_left"]) == (None, None)


async def test_a_token_that_ended_has_no_days_left(root: Path) -> None:
    async with served(root, datetime(2020, 1, 1, tzinfo=UTC)) as (session, url), session.get(f"{url}/") as response:
        assert (await response.json())["token_days_left"] == 0


async def test_a_fault_of_our_own_is_logged_whole_and_told_without_details(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(root) as (session, url), session.get(f"{url}/v1/models") as response:
        body = await response.json()
        assert (response.status, body["error"]["type"]) == (500, "api_error")
        assert "fault of our own" not in str(body)
    assert "ZeroDivisionError: a fault of our own" in caplog.text


class BrokenMetrics(Metrics):
    def answered(self, route: str, outcome: str) -> None:
        raise ZeroDivisionError("a fault beside the handlers")


async def test_a_fault_outside_the_middleware_is_answered_too(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(root, metrics=BrokenMetrics("qwen")) as (session, url), session.get(f"{url}/health") as response:
        body = await response.json()
        assert (response.status, body["error"]["type"]) == (500, "api_error")
        assert "fault beside" not in str(body)
        assert response.headers["Server"] == "qwen-thread"
    assert "ZeroDivisionError: a fault beside the handlers" in caplog.text


async def test_probes_may_be_asked_with_head(root: Path) -> None:
    async with served(root) as (session, url), session.head(f"{url}/health") as response:
        assert response.status == 200
