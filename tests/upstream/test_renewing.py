"""The end of the program meets a renewal: it waits seconds for the site, and as long as it takes for the disk."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app.upstream.qwen import QwenUpstream, TokenSource
from app.upstream.qwen import renewing as renewing_module
from app.upstream.qwen.token_file import TokenFile
from tests.upstream.conftest import NOW, StillClock, make_settings, make_token
from tests.upstream.scripted import Act, Site, good

REFRESH = "GET /api/v2/auths/refresh"
FRESH = make_token(life=timedelta(minutes=15), type="access_token", iat=int(NOW.timestamp()))
SPENT = make_token(life=timedelta(0), type="access_token", iat=int(NOW.timestamp()) - 900)
FIRST, SECOND = (make_token(life=timedelta(days=30), n=number) for number in (1, 2))


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def stop(site: Site, tmp_path: Path, clock: StillClock) -> Callable[[Act], "asyncio.Future[float]"]:
    """Renew, stop as soon as the site was asked, and return how many seconds the stop took."""
    env = tmp_path / ".env"
    env.write_text(f"QWEN_AUTH_TOKEN='{SPENT}'\nQWEN_COOKIE='refresh_token={FIRST}'\n")

    async def run(act: Act) -> float:
        site.on(REFRESH, act)
        settings = await asyncio.to_thread(make_settings, tmp_path, QWEN_AUTH_URL=site.url, FIRST_EVENT_TIMEOUT="60")
        tokens = TokenSource.from_settings(settings, clock)
        async with QwenUpstream(settings, clock, base_url=site.url, tokens=tokens, kind="qwen") as upstream:
            keeping = asyncio.create_task(upstream.keep_login())
            while not site.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            keeping.cancel()
            begun = time.monotonic()
        return time.monotonic() - begun

    return lambda act: asyncio.ensure_future(run(act))


async def test_a_stop_does_not_wait_long_for_a_host_that_says_nothing(
    stop: Callable[[Act], "asyncio.Future[float]"], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert 2 < await asyncio.wait_for(stop(silence), 20) < 6
    assert "did not answer before the server stopped" in caplog.text
    assert FIRST in (tmp_path / ".env").read_text()


async def test_a_renewal_that_was_answered_is_stored_however_long_the_disk_takes(
    stop: Callable[[Act], "asyncio.Future[float]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TokenFile.store

    def slowly(self: TokenFile, *givens: object) -> object:
        time.sleep(0.6)
        return store(self, *givens)  # type: ignore[arg-type]

    monkeypatch.setattr(TokenFile, "store", slowly)
    monkeypatch.setattr(renewing_module, "_PATIENCE", 0.1)
    took = await asyncio.wait_for(stop(good({"access_token": FRESH, "refresh_token": SECOND})), 20)
    kept = (tmp_path / ".env").read_text()
    assert (FRESH in kept, SECOND in kept, FIRST in kept) == (True, True, False)
    assert took > 0.3
