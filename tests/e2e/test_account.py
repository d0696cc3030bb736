"""The account's token is renewed before anybody notices, once, and never lost on the way."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from app.emulator import Emulator
from tests.e2e.harness import Server, emulating, eventually, serving

HI = [{"role": "user", "content": "hi"}]
DAY = 86400


@asynccontextmanager
async def renewing(
    folder: Path, *, access: float, refresh: float = 30 * DAY, lives: int = 900
) -> AsyncIterator[Server]:
    """A server whose account has an access token that lives `access` seconds, and a refresh cookie."""
    async with emulating(access_seconds=lives) as emulator:
        cookie = f"cna=x; refresh_token={emulator.mint_refresh_token(refresh)}"
        lines = (
            f"# mine\nQWEN_AUTH_TOKEN={emulator.mint_access_token(access)}\nQWEN_COOKIE='{cookie}'\nLOG_LEVEL=info\n"
        )
        await asyncio.to_thread((folder / ".env").write_text, lines)
        async with serving(folder, emulator, QWEN_AUTH_TOKEN="", QWEN_AUTH_URL=emulator.auth_url) as server:
            yield server


def renewals(emulator: Emulator) -> int:
    return sum(request.path.endswith("/auths/refresh") for request in emulator.requests)


async def kept(folder: Path) -> dict[str, Any]:
    return dict(await asyncio.to_thread(dotenv_values, folder / ".env"))


async def test_an_access_token_that_is_over_is_renewed_once_for_all_who_wait(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=-1) as server:
        before = await kept(tmp_path)
        replies = await asyncio.gather(*(server.client.chat(HI) for _ in range(20)))
        assert {reply.status for reply in replies} == {200}
        assert renewals(server.emulator) == 1
        after = await kept(tmp_path)
        assert after["QWEN_AUTH_TOKEN"] != before["QWEN_AUTH_TOKEN"]
        assert after["QWEN_COOKIE"] != before["QWEN_COOKIE"]
        assert (after["QWEN_COOKIE"] or "").startswith("cna=x; refresh_token=")


async def test_a_token_that_ends_soon_is_renewed_while_requests_go_on(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=100) as server:
        assert (await server.client.chat(HI)).status == 200
        await eventually(lambda: renewals(server.emulator) == 1)
        assert (await server.client.chat(HI)).status == 200
        assert renewals(server.emulator) == 1


async def test_a_token_that_lasts_is_left_alone(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=600) as server:
        assert (await server.client.chat(HI)).status == 200
        assert renewals(server.emulator) == 0


async def test_the_rotated_cookie_renews_again_after_a_restart(tmp_path: Path) -> None:
    async with emulating(access_seconds=0) as emulator:
        cookie = f"refresh_token={emulator.mint_refresh_token()}"
        lines = f"QWEN_AUTH_TOKEN={emulator.mint_access_token(-1)}\nQWEN_COOKIE='{cookie}'\n"
        await asyncio.to_thread((tmp_path / ".env").write_text, lines)
        for number in (1, 2, 3):
            async with serving(tmp_path, emulator, QWEN_AUTH_TOKEN="", QWEN_AUTH_URL=emulator.auth_url) as server:
                assert (await server.client.chat(HI)).status == 503, "what it got is over already"
            asked = [request.status for request in emulator.requests if request.path.endswith("refresh")]
            assert asked == [200] * number


async def test_other_lines_of_the_file_stay_and_its_mode_keeps_others_out(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=-1) as server:
        await server.client.chat(HI)
        text = await asyncio.to_thread((tmp_path / ".env").read_text)
        assert text.splitlines()[0] == "# mine"
        assert text.splitlines()[-1] == "LOG_LEVEL=info"
        assert stat.S_IMODE((await asyncio.to_thread((tmp_path / ".env").stat)).st_mode) == 0o600


async def test_a_token_that_the_site_refuses_early_is_renewed_and_the_request_answered(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=600) as server:
        assert (await server.client.chat(HI)).status == 200
        server.emulator.revoke((await kept(tmp_path))["QWEN_AUTH_TOKEN"])
        assert (await server.client.chat(HI)).status == 200
        assert renewals(server.emulator) == 1


async def test_an_account_that_is_refused_all_the_same_is_not_renewed_again_and_again(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=600) as server:
        server.emulator.script.fault("unauthorized", times=20, target="new")
        for _ in range(5):
            reply = await server.client.chat(HI)
            assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
        assert renewals(server.emulator) == 1


async def test_cookies_that_renew_no_more_are_told_precisely_and_not_tried_in_a_loop(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=-1) as server:
        server.emulator.revoke((await kept(tmp_path))["QWEN_COOKIE"].partition("refresh_token=")[2])
        for _ in range(5):
            reply = await server.client.chat(HI)
            assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
            assert "no longer renews the account's session" in reply.error["message"]
        assert renewals(server.emulator) == 1
        ready = await server.client.get("/ready")
        assert (ready.status, "no longer renews" in ready.body["problems"][0]) == (503, True)
        fresh = f"QWEN_AUTH_TOKEN={server.emulator.mint_token()}\n"
        await asyncio.to_thread((tmp_path / ".env").write_text, fresh)
        assert (await server.client.chat(HI)).status == 200, "a new token works without a restart"


async def test_a_renewed_token_that_cannot_be_written_is_used_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with renewing(tmp_path, access=-1) as server:
        await asyncio.to_thread((tmp_path / ".env").rename, tmp_path / "old")
        await asyncio.to_thread((tmp_path / ".env").mkdir)
        assert (await server.client.chat(HI)).status == 200
        assert (await server.client.chat(HI)).status == 200
        assert renewals(server.emulator) == 1
    assert caplog.text.count("after a restart you have to sign in again") == 1


async def test_ready_tells_the_days_of_the_session_not_of_the_quarter_of_an_hour(tmp_path: Path) -> None:
    async with renewing(tmp_path, access=-1, refresh=12 * DAY) as server:
        ready = (await server.client.get("/ready")).body
        assert (ready["status"], 11.9 <= ready["token_days_left"] <= 12) == ("ready", True)


@pytest.mark.parametrize(("days", "slides"), [(2, True), (20, False)])
async def test_an_older_token_is_slid_on_by_the_profile_before_it_ends(tmp_path: Path, days: int, slides: bool) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token(days * DAY)
        async with serving(tmp_path, emulator, QWEN_AUTH_TOKEN=token) as server:
            for _ in range(3):
                await server.services.upstream.keep_session()
            assert sum(asked.path == "/api/v1/auths/" for asked in emulator.requests) == slides
            left = (await server.client.get("/ready")).body["token_days_left"]
            assert left == pytest.approx(30 if slides else 20, abs=0.1)
            assert ((await kept(tmp_path)).get("QWEN_AUTH_TOKEN") is not None) is slides


async def test_no_token_and_no_cookie_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with renewing(tmp_path, access=-1) as server:
        before = await kept(tmp_path)
        await server.client.chat(HI)
        after = await kept(tmp_path)
    for values in (before, after):
        assert values["QWEN_AUTH_TOKEN"] not in caplog.text
        assert values["QWEN_COOKIE"].partition("refresh_token=")[2] not in caplog.text
