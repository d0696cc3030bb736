"""The account's login: renewed before it ends, once for all who wait, stored before it is used, told when it cannot."""

import asyncio
import re
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.clock import SystemClock
from app.config import Settings, load
from app.emulator import Emulator
from app.main import Program, open_program, sweep
from app.tasks.cleaner import SweepReport
from tests.e2e.harness import Client, emulating, eventually, serving
from tests.e2e.processes import server_process

HI = [{"role": "user", "content": "hi"}]
REFRESH, PROFILE = "/api/v2/auths/refresh", "/api/v1/auths/"


class MovedClock(SystemClock):
    """The machine's clock, put forward by a test."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.shift)

    def monotonic(self) -> float:
        return super().monotonic() + self.shift


class World:
    """A site, a `.env` file and a clock for both of the site and the server."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.clock = MovedClock()
        self.env = folder / ".env"

    def pass_time(self, seconds: float) -> None:
        self.clock.shift += seconds
        self.emulator.pass_time(seconds)

    def serving(self, **settings: str) -> Any:
        return serving(self.folder, self.emulator, self.clock, **{"QWEN_AUTH_TOKEN": "", **settings})

    @asynccontextmanager
    async def program(self) -> AsyncIterator[Program]:
        """The program alone, without what runs beside the requests."""
        async with open_program(await self.settings(), self.clock) as program:
            yield program

    async def settings(self) -> Settings:
        environ = {"QWEN_BASE_URL": self.emulator.url, "QWEN_AUTH_URL": self.emulator.auth_url}
        return await asyncio.to_thread(load, self.folder, environ)

    def write(self, token: str, cookie: str = "") -> None:
        self.env.write_text(f"# my own words\nQWEN_AUTH_TOKEN={token}\n\nQWEN_COOKIE='{cookie}'\nLOG_LEVEL=info\n")
        self.env.chmod(0o600)

    def sign_in(self, *, access: float = 900) -> None:
        """Write what a paste of the site's newest page leaves: a token of 15 minutes and the cookie that renews it."""
        self.write(
            self.emulator.mint_access_token(access), f"cna=1; refresh_token={self.emulator.mint_refresh_token()}"
        )

    @property
    def kept(self) -> dict[str, str]:
        """What `.env` holds."""
        return dict(re.findall(r"^(\w+)='?(.*?)'?$", self.env.read_text(), re.MULTILINE))

    def asked(self, path: str) -> list[int]:
        """The real statuses of all answers on a route."""
        return [asked.status for asked in self.emulator.requests if asked.path == path]


@pytest.fixture
def world(tmp_path: Path, emulator: Emulator) -> World:
    return World(tmp_path, emulator)


async def test_a_token_of_fifteen_minutes_is_renewed_in_its_last_three(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
        world.pass_time(700)
        assert (await server.client.chat(HI)).status == 200
        assert world.asked(REFRESH) == []
        world.pass_time(30)
        assert (await server.client.chat(HI)).status == 200
        await eventually(lambda: world.asked(REFRESH) == [200])
        world.pass_time(600)
        assert (await server.client.chat(HI)).status == 200, "the first token is over by now"
        for _ in range(5):
            world.pass_time(880)
            assert (await server.client.chat(HI)).status == 200
        assert set(world.asked("/api/v2/chat/completions")) == {200}, "no request met an expired token"
        assert (await server.client.get("/ready")).body["token_renews"] is True


async def test_a_login_in_use_is_renewed_while_nobody_asks(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
        world.pass_time(730)
        assert await server.keeper.keep() <= 60
        assert world.asked(REFRESH) == [200]


async def test_a_login_that_nobody_uses_is_renewed_once_a_day(world: World) -> None:
    world.sign_in(access=-1)
    old = world.kept["QWEN_AUTH_TOKEN"]
    async with world.serving() as server:
        await eventually(lambda: world.kept["QWEN_AUTH_TOKEN"] != old)
        assert world.asked(REFRESH) == [200]
        world.pass_time(3600)
        await server.keeper.keep()
        assert world.asked(REFRESH) == [200]
        assert (await server.client.get("/ready")).status == 200, "it will be renewed when it is needed"
        world.pass_time(86400)
        await server.keeper.keep()
        assert world.asked(REFRESH) == [200, 200]


async def test_twenty_requests_at_once_cause_one_renewal(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.pass_time(900)
        replies = await asyncio.gather(*(server.client.chat([{"role": "user", "content": f"{n}"}]) for n in range(20)))
        assert [reply.status for reply in replies] == [200] * 20
        assert world.asked(REFRESH) == [200]


async def test_twenty_refusals_at_once_cause_one_renewal(world: World) -> None:
    world.sign_in()
    world.emulator.revoke(world.kept["QWEN_AUTH_TOKEN"])
    async with world.serving() as server:
        replies = await asyncio.gather(*(server.client.chat([{"role": "user", "content": f"{n}"}]) for n in range(20)))
        assert [reply.status for reply in replies] == [200] * 20
        assert world.asked(REFRESH) == [200]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["expired", "unauthorized"])
async def test_a_refusal_in_place_of_an_answer_is_answered_after_one_renewal(
    world: World, fault: str, stream: bool
) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.emulator.script.fault(fault)
        reply = await server.client.chat([{"role": "user", "content": "say: hello"}], stream=stream)
        assert (reply.status, reply.text) == (200, "hello")
        assert world.asked(REFRESH) == [200]
        assert [shown.text for shown in world.emulator.shown] == ["say: hello"], "the model was asked once"


async def test_a_refusal_in_mid_answer_is_told_and_mended_for_the_next_request(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.emulator.script.fault("expired_in_stream")
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
        assert world.asked(REFRESH) == []
        assert (await server.client.chat(HI)).status == 200
        assert world.asked(REFRESH) == [200]


async def test_the_renewed_login_replaces_the_old_one_and_nothing_else(world: World) -> None:
    world.sign_in(access=-1)
    before = world.kept
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
    after = world.kept
    assert after["QWEN_AUTH_TOKEN"] != before["QWEN_AUTH_TOKEN"]
    assert re.fullmatch(r"cna=1; refresh_token=eyJ\S+", after["QWEN_COOKIE"])
    assert after["QWEN_COOKIE"] != before["QWEN_COOKIE"]
    lines = world.env.read_text().split("\n")
    assert [line.partition("=")[0] for line in lines] == [
        "# my own words",
        "QWEN_AUTH_TOKEN",
        "",
        "QWEN_COOKIE",
        "LOG_LEVEL",
        "",
    ]
    assert stat.S_IMODE(world.env.stat().st_mode) == 0o600
    assert [path.name for path in world.folder.iterdir() if path.name.startswith(".env")] == [".env"]


async def test_a_kill_right_after_a_renewal_loses_nothing(tmp_path: Path) -> None:
    async with emulating() as emulator, aiohttp.ClientSession() as session:
        world = World(tmp_path, emulator)
        world.sign_in(access=-1)
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_URL": emulator.auth_url}
        hold = emulator.script.hold("never heard")
        async with server_process(tmp_path, **settings) as server:
            asked = asyncio.create_task(Client(session, server.url).chat(HI))
            await hold.reached()
            server.process.send_signal(signal.SIGKILL)
            await asyncio.wait([asked])
            assert asked.exception() is not None
        assert world.asked(REFRESH) == [200]
        world.write("", world.kept["QWEN_COOKIE"])
        async with server_process(tmp_path, **settings) as server:
            assert (await Client(session, server.url).chat(HI)).status == 200
        assert world.asked(REFRESH) == [200, 200], "the cookie of the first renewal was kept"


async def test_a_file_that_cannot_be_written_keeps_the_login_in_memory_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    access, refresh = world.emulator.mint_access_token(-1), world.emulator.mint_refresh_token()
    settings = {"ENV_FILE": "elsewhere/.env", "QWEN_AUTH_TOKEN": access, "QWEN_COOKIE": f"refresh_token={refresh}"}
    async with world.serving(**settings) as server:
        for _ in range(3):
            assert (await server.client.chat(HI)).status == 200
            world.pass_time(1000)
    assert world.asked(REFRESH) == [200, 200, 200]
    told = [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    assert len(told) == 1
    assert "a restart loses it" in told[0]


async def test_a_renewal_that_is_refused_is_told_and_not_repeated_at_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.sign_in(access=-1)
    world.emulator.revoke(world.kept["QWEN_COOKIE"].partition("refresh_token=")[2])
    async with world.serving() as server:
        replies = await asyncio.gather(*(server.client.chat(HI) for _ in range(5)))
        for reply in replies:
            assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
            assert "expired" in reply.error["message"]
            assert "The site refuses to renew the login" in reply.error["message"]
            assert reply.headers["x-should-retry"] == "false"
        assert world.asked(REFRESH) == [401]
        for seconds, tries in ((9, 1), (1, 2), (10, 2), (10, 3), (39, 3), (1, 4)):
            world.pass_time(seconds)
            assert (await server.client.chat(HI)).status == 503
            assert len(world.asked(REFRESH)) == tries
        ready = await server.client.get("/ready")
        assert ready.status == 503
        assert "could not be renewed" in ready.body["problems"][0]
        world.sign_in()
        assert (await server.client.chat(HI)).status == 200, "a new login works at once"
        assert (await server.client.get("/ready")).status == 200
    warned = [record for record in caplog.records if record.getMessage().startswith("The login could not be renewed")]
    assert [record.levelname for record in warned] == ["WARNING"] * 4


async def test_a_renewal_that_fails_for_now_says_when_it_is_tried_again(world: World) -> None:
    world.sign_in(access=-1)
    world.emulator.script.fault("bad_gateway", target="refresh")
    async with world.serving() as server:
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
        assert "gateway" in reply.error["message"]
        assert 1 <= int(reply.headers["Retry-After"]) <= 10
        world.pass_time(10)
        assert (await server.client.chat(HI)).status == 200


async def test_a_renewal_that_fails_early_disturbs_no_request(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.pass_time(730)
        world.emulator.script.fault("server_error", target="refresh")
        assert (await server.client.chat(HI)).status == 200
        await eventually(lambda: world.asked(REFRESH) == [500])
        assert (await server.client.get("/ready")).status == 200
        world.pass_time(11)
        assert (await server.client.chat(HI)).status == 200
        await eventually(lambda: world.asked(REFRESH) == [500, 200])


async def test_bot_protection_at_the_renewal_is_told_as_such(world: World) -> None:
    world.sign_in(access=-1)
    world.emulator.script.fault("anti_bot", target="refresh")
    async with world.serving() as server:
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (503, "upstream_blocked")
        world.pass_time(500)
        assert (await server.client.chat(HI)).status == 503
        assert len(world.asked(REFRESH)) == 1, "asking again would deepen the block"


async def until_answered(client: Client) -> None:
    """Ask until there is an answer: after a pause one call tries the site, which may be another one than ours."""
    async with asyncio.timeout(5):
        while (await client.chat(HI)).status != 200:
            await asyncio.sleep(0.02)


async def test_while_a_blocked_site_is_left_alone_no_login_is_renewed(world: World) -> None:
    world.sign_in()
    async with world.serving(BLOCK_PAUSE_SECONDS="600") as server:
        assert (await server.client.chat(HI)).status == 200
        world.pass_time(700)
        world.emulator.script.fault("anti_bot")
        assert (await server.client.chat(HI)).status == 503
        world.pass_time(100)
        assert 1 < await server.keeper.keep() <= 60
        world.pass_time(200)
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (503, "upstream_blocked"), "though the token is over by now"
        assert 290 < int(reply.headers["retry-after"]) <= 300
        assert world.asked(REFRESH) == []
        world.pass_time(300)
        await until_answered(server.client)
        assert world.asked(REFRESH) == [200]


async def test_a_long_token_does_not_slide_while_a_blocked_site_is_left_alone(world: World) -> None:
    world.write(world.emulator.mint_token(8 * 86400))
    async with world.serving(BLOCK_PAUSE_SECONDS="600") as server:
        world.pass_time(2 * 86400)
        world.emulator.script.fault("anti_bot")
        assert (await server.client.chat(HI)).status == 503
        await server.keeper.keep()
        assert world.asked(PROFILE) == []
        world.pass_time(600)
        await server.keeper.keep()
        assert world.asked(PROFILE) == [200]


async def test_a_block_at_the_renewal_leaves_the_whole_site_alone(world: World) -> None:
    world.sign_in(access=-1)
    world.emulator.script.fault("anti_bot", target="refresh")
    async with world.serving(BLOCK_PAUSE_SECONDS="600") as server:
        assert (await server.client.chat(HI)).status == 503
        world.sign_in()
        asked = len(world.emulator.requests)
        reply = await server.client.chat(HI)
        assert (reply.status, reply.error["code"]) == (503, "upstream_blocked")
        assert len(world.emulator.requests) == asked
        world.pass_time(600)
        await until_answered(server.client)


async def test_a_site_that_refuses_renewed_tokens_too_is_not_asked_in_a_loop(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.emulator.script.fault("unauthorized", target="new", times=50)
        for _ in range(60):
            assert (await server.client.chat(HI)).status == 503
            world.pass_time(1)
        assert 1 <= len(world.asked(REFRESH)) <= 3


async def test_a_long_token_that_is_no_bearer_any_more_is_traded_for_a_short_one(tmp_path: Path) -> None:
    async with emulating(session_bearer=False) as emulator:
        world = World(tmp_path, emulator)
        token = emulator.mint_token()
        world.write(token)
        async with world.serving() as server:
            assert (await server.client.chat(HI)).status == 200
            world.pass_time(1000)
            assert (await server.client.chat(HI)).status == 200
        assert world.kept["QWEN_AUTH_TOKEN"] == token, "the token that outlives the others stays"
        assert "refresh_token=" in world.kept["QWEN_COOKIE"]
        world.pass_time(29 * 86400)
        async with world.serving() as server:
            assert (await server.client.chat(HI)).status == 200
        world.pass_time(3 * 86400)
        async with world.serving() as server:
            assert (await server.client.chat(HI)).status == 200, "the session went on beyond the token's thirty days"


async def test_a_cookie_that_a_browser_used_up_leaves_the_long_one_to_renew(world: World) -> None:
    used_up = world.emulator.mint_refresh_token()
    world.emulator.revoke(used_up)
    cookie = f"token={world.emulator.mint_token()}; refresh_token={used_up}"
    world.write(world.emulator.mint_access_token(-1), cookie)
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
    assert world.asked(REFRESH) == [401, 200]
    assert used_up not in world.kept["QWEN_COOKIE"]


async def test_a_clock_that_is_so_far_ahead_that_renewed_tokens_are_over_is_told_as_such(world: World) -> None:
    world.sign_in()
    world.clock.shift = 960
    async with world.serving() as server:
        for seconds, tries in ((0, 1), (9, 1), (1, 2), (19, 2), (1, 3)):
            world.pass_time(seconds)
            reply = await server.client.chat(HI)
            assert (reply.status, reply.error["code"]) == (503, "upstream_login_required")
            assert "Set this machine's clock" in reply.error["message"]
            assert int(reply.headers["Retry-After"]) >= 1
            assert world.asked(REFRESH) == [200] * tries
        ready = await server.client.get("/ready")
        assert ready.status == 503
        assert "By this machine's clock" in ready.body["problems"][0]
        world.clock.shift -= 960
        assert (await server.client.chat(HI)).status == 200, "the last token of the site is kept"
        assert (await server.client.get("/ready")).status == 200


async def test_renewed_tokens_that_are_nearly_over_are_used_and_not_renewed_at_every_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.sign_in(access=-1)
    world.clock.shift = 780
    async with world.serving() as server:
        for _ in range(60):
            assert (await server.client.chat(HI)).status == 200
            world.pass_time(10)
        assert (await server.client.get("/ready")).status == 200
        assert len(world.asked(REFRESH)) <= 15
    assert "Set this machine's clock" in caplog.text


async def test_an_access_token_without_cookies_says_that_it_cannot_be_renewed(world: World) -> None:
    world.write(world.emulator.mint_access_token())
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
        assert (await server.client.get("/ready")).body["token_renews"] is False
        world.pass_time(900)
        reply = await server.client.chat(HI)
        assert reply.status == 503
        assert "cookies that renew it are missing" in reply.error["message"]


async def test_cookies_alone_sign_in(world: World) -> None:
    world.write("", f"refresh_token={world.emulator.mint_refresh_token()}")
    async with world.serving() as server:
        assert (await server.client.get("/")).body["simulated"] is False
        assert (await server.client.chat(HI)).status == 200
    assert world.kept["QWEN_AUTH_TOKEN"].startswith("eyJ")


async def test_the_first_conversation_of_another_account_is_its_own(world: World) -> None:
    world.write(world.emulator.mint_token())
    async with world.serving() as server:
        ours = server.conversation()
        await ours.say("My dog is called Waldo.")
        world.write(world.emulator.mint_token(account="another"))
        world.pass_time(2)
        theirs = server.conversation()
        assert (await theirs.say("My cat is called Tom.")).match == "new"
        assert (await theirs.say("What is my cat called?")).match == "exact"
        other = server.conversation(messages=[*ours.messages])
        assert (await other.say("What is my dog called?")).match == "new", "its chat is in the first account"
        world.write(world.emulator.mint_token())
        world.pass_time(2)
        assert (await ours.say("What is my dog called?")).match == "exact"


async def test_a_chat_is_never_deleted_with_the_token_of_another_account(world: World) -> None:
    world.write(world.emulator.mint_token())
    async with world.serving(IS_DELETE="1", DELETE_RETRY_SECONDS="60") as server:
        await server.client.chat(HI)
    asked = len(world.emulator.requests)
    world.write(world.emulator.mint_token(account="another"))
    world.pass_time(120)
    assert (await sweep(await world.settings())).endswith(
        "still waiting for their time: 0. In another account: 1; they are deleted once that one is logged in again."
    )
    async with world.program() as program:
        assert await program.cleaner.sweep() == SweepReport(deleted=0, failed=0, aged=0, waiting=0, elsewhere=1)
        world.write(world.emulator.mint_token())
        world.pass_time(2)
        assert (await program.cleaner.sweep()).deleted == 1
        assert [request.method for request in world.emulator.requests[asked:]] == ["DELETE"]


async def test_a_login_that_is_mended_makes_the_server_ready_although_nobody_asks(world: World) -> None:
    world.write(world.emulator.mint_token(-60))
    async with world.serving() as server, aiohttp.ClientSession() as session:

        async def ready() -> int:
            async with session.get(f"{server.url}/ready") as response:
                return response.status

        assert await server.keeper.keep() <= 5
        assert await ready() == 503
        world.write(world.emulator.mint_token())
        assert await server.keeper.keep() > 5
        assert await ready() == 200


async def test_a_long_token_slides_in_its_last_week_once_a_day(world: World) -> None:
    world.write(world.emulator.mint_token(8 * 86400))
    async with world.serving() as server:
        before = world.kept["QWEN_AUTH_TOKEN"]
        assert (await server.client.chat(HI)).status == 200
        await server.keeper.keep()
        assert world.asked(PROFILE) == []
        world.pass_time(2 * 86400)
        world.emulator.script.fault("server_error", target="profile")
        for _ in range(3):
            await server.keeper.keep()
        assert world.asked(PROFILE) == [500]
        assert (await server.client.chat(HI)).status == 200
        world.pass_time(86400)
        await server.keeper.keep()
        assert world.asked(PROFILE) == [500, 200]
        after = world.kept["QWEN_AUTH_TOKEN"]
        assert after != before
        assert (await server.client.get("/ready")).body["token_days_left"] == 30.0
        world.pass_time(20 * 86400)
        assert (await server.client.chat(HI)).status == 200
    assert world.asked(REFRESH) == []


async def test_the_days_left_of_a_renewing_login_are_those_of_its_session(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    refresh = world.emulator.mint_refresh_token(2 * 86400 + 60)
    world.write(world.emulator.mint_access_token(), f"refresh_token={refresh}")
    async with world.serving() as server:
        for path in ("/", "/ready"):
            body = (await server.client.get(path)).body
            assert (body["token_days_left"], body["token_renews"]) == (2.0, True)
    told = [record for record in caplog.records if "renews itself; unused it ends" in record.getMessage()]
    assert [(record.levelname, record.getMessage()[-9:]) for record in told] == [("WARNING", "in 2 days")]


async def test_a_login_given_while_another_is_renewed_is_not_overwritten(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        assert (await server.client.chat(HI)).status == 200
        world.pass_time(900)
        other = world.emulator.mint_access_token()
        gate = world.emulator.script.hold_renewal()
        asked = asyncio.create_task(server.client.chat(HI))
        await gate.reached()
        world.write(other, "mine=1")
        gate.release()
        assert (await asked).status == 200
        assert (world.kept["QWEN_AUTH_TOKEN"], world.kept["QWEN_COOKIE"]) == (other, "mine=1")


async def test_a_client_that_leaves_does_not_stop_the_renewal_for_the_others(world: World) -> None:
    world.sign_in()
    async with world.serving() as server:
        world.pass_time(900)
        gate = world.emulator.script.hold_renewal()
        leaving, staying = (asyncio.create_task(server.client.chat(HI)) for _ in range(2))
        await gate.reached()
        leaving.cancel()
        await asyncio.wait([leaving])
        gate.release()
        assert (await staying).status == 200
        assert world.asked(REFRESH) == [200]


async def test_no_token_and_no_cookie_is_in_the_log_or_in_an_error(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    world.sign_in(access=-1)
    secrets = set(re.findall(r"eyJ[\w.-]+", world.env.read_text()))
    async with world.serving() as server:
        told = str(await server.client.chat(HI))
        secrets |= set(re.findall(r"eyJ[\w.-]+", world.env.read_text()))
        world.pass_time(900)
        world.emulator.revoke(world.kept["QWEN_COOKIE"].partition("refresh_token=")[2])
        told += str(await server.client.chat(HI)) + str(await server.client.get("/")) + caplog.text
    told += "".join(capfd.readouterr())
    assert len(secrets) == 4
    assert "was renewed" in told
    assert not [secret for secret in secrets if secret in told or secret.split(".")[2] in told]
