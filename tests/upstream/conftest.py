"""What the adapter's tests share: clocks that stand still, tokens, and an adapter in front of a scripted site."""

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings, load
from app.upstream.qwen import QwenUpstream, TokenSource
from tests.upstream.scripted import Site, running_site

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


class StillClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOW
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


def make_token(account: str | None = "user-1", life: timedelta | None = timedelta(days=30), **claims: Any) -> str:
    if account is not None:
        claims["id"] = account
    if life is not None:
        claims["exp"] = int((NOW + life).timestamp())
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, "c2lnbmF0dXJl"])


def make_settings(root: Path, **environ: str) -> Settings:
    """Settings with short times; names as in the environment."""
    short = {
        "QWEN_AUTH_URL": "http://127.0.0.1:9",
        "CONNECT_TIMEOUT": "2",
        "FIRST_EVENT_TIMEOUT": "5",
        "BETWEEN_EVENTS_TIMEOUT": "5",
        "TOTAL_TIMEOUT": "20",
    }
    return load(root, {**short, **environ})


def write_env(path: Path, *lines: str) -> None:
    """Write a file that is long settled, and another one by its stamp wherever its first line has another length."""
    path.write_text("\n".join(lines) + "\n", "utf-8")
    os.utime(path, ns=(10**18, 10**18 + len(lines[0])))


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
async def upstream(site: Site, settings: Settings, clock: StillClock) -> AsyncIterator[QwenUpstream]:
    tokens = TokenSource.fixed(settings, clock, make_token())
    async with QwenUpstream(settings, clock, base_url=site.url, tokens=tokens, kind="qwen") as opened:
        yield opened


@pytest.fixture
def open_upstream(site: Site, clock: StillClock) -> Callable[[Settings], QwenUpstream]:
    """Make an adapter from settings, its token from `.env` and the environment; the test enters it."""

    def make(settings: Settings) -> QwenUpstream:
        tokens = TokenSource.from_settings(settings, clock)
        return QwenUpstream(settings, clock, base_url=site.url, tokens=tokens, kind="qwen")

    return make
