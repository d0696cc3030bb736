"""The login follows `.env`, whoever looks and leaves, with as few readings as that takes."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from app.config_values import Secret
from app.upstream.qwen.credentials import Given, read_token
from app.upstream.qwen.token_file import TokenFile
from app.upstream.qwen.vault import NOTHING, Stamp
from app.upstream.qwen.wallet import Wallet
from tests.upstream.conftest import StillClock, make_token, write_env


class WatchedFile(TokenFile):
    """Counts the readings; each ends when the test lets it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.readings = 0
        self.has_read = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def read(self, known: Stamp | None) -> tuple[Stamp | None, Given] | None:
        self.readings += 1
        found = super().read(known)
        self.has_read.set()
        assert self.may_end.wait(10)
        return found


@pytest.fixture
def env(tmp_path: Path) -> Path:
    write_env(tmp_path / ".env", "QWEN_AUTH_TOKEN=the.first.one")
    return tmp_path / ".env"


@pytest.fixture
def file(env: Path) -> WatchedFile:
    return WatchedFile(env)


@pytest.fixture
async def wallet(file: WatchedFile, clock: StillClock) -> Wallet:
    wallet = Wallet(clock, NOTHING, file)
    assert await wallet.look(at_once=False)
    file.has_read.clear()
    return wallet


def token_in(wallet: Wallet) -> str:
    assert wallet.credential is not None
    return wallet.credential.token.reveal()


async def test_a_new_login_is_found_though_the_one_who_noticed_it_left(
    wallet: Wallet, file: WatchedFile, env: Path, clock: StillClock
) -> None:
    write_env(env, "QWEN_AUTH_TOKEN=the.second.one")
    clock.pass_time(1)
    file.may_end.clear()
    leaving = asyncio.create_task(wallet.look(at_once=False))
    assert await asyncio.to_thread(file.has_read.wait, 10)
    leaving.cancel()
    await asyncio.wait([leaving])
    file.may_end.set()
    assert await wallet.look(at_once=False)
    assert token_in(wallet) == "the.second.one"


async def test_many_looks_at_once_read_the_file_once_a_second(
    wallet: Wallet, file: WatchedFile, env: Path, clock: StillClock
) -> None:
    for readings in (2, 3):
        clock.pass_time(1)
        write_env(env, f"QWEN_AUTH_TOKEN=the.{'x' * readings}.one")
        found = await asyncio.gather(*(wallet.look(at_once=False) for _ in range(50)))
        assert (file.readings, found.count(True)) == (readings, 1)
        assert token_in(wallet) == f"the.{'x' * readings}.one"


async def test_of_many_looks_that_cannot_wait_those_that_began_before_a_reading_share_it(
    wallet: Wallet, file: WatchedFile
) -> None:
    await asyncio.gather(*(wallet.look(at_once=True) for _ in range(50)))
    assert file.readings == 3, "the first look reads at once, and all others after it"


async def test_what_is_written_while_a_reading_is_under_way_is_found_by_the_next_look(
    wallet: Wallet, file: WatchedFile, env: Path
) -> None:
    file.may_end.clear()
    early = asyncio.create_task(wallet.look(at_once=True))
    assert await asyncio.to_thread(file.has_read.wait, 10)
    write_env(env, "QWEN_AUTH_TOKEN=the.second.one")
    late = asyncio.create_task(wallet.look(at_once=True))
    await asyncio.sleep(0)
    file.may_end.set()
    assert (await early, await late) == (False, True)
    assert token_in(wallet) == "the.second.one"


MINE, THEIRS = make_token("me", timedelta(days=30)), make_token("them", timedelta(days=20))
THEIR_COOKIE = f"cna=1; refresh_token={make_token('them', timedelta(days=30))}"


@pytest.mark.parametrize(
    "lines",
    [
        [f"QWEN_AUTH_TOKEN='{THEIRS}'", f"QWEN_COOKIE='{THEIR_COOKIE}'"],
        [f"QWEN_AUTH_TOKEN='{THEIRS}'"],
        [f"QWEN_COOKIE='{THEIR_COOKIE}'"],
    ],
    ids=["token and cookies", "a token", "cookies"],
)
async def test_a_login_of_the_environment_is_neither_mixed_with_another_account_s_nor_stored_over_it(
    lines: list[str], tmp_path: Path, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    env = tmp_path / ".env"
    write_env(env, *lines)
    wallet = Wallet(clock, Given(Secret(MINE), Secret()), TokenFile(env))
    await wallet.look(at_once=True)
    for number in range(3):
        old = wallet.credential
        assert old is not None
        assert old.account == "me"
        assert THEIR_COOKIE not in old.cookie.reveal()
        fresh = make_token("me", timedelta(minutes=15), type="access_token", n=number)
        new = read_token(fresh, Secret(f"refresh_token={make_token('me', n=number)}"))
        assert new is not None
        assert await wallet.replace(old, new)
        await wallet.look(at_once=True)
        assert token_in(wallet) == fresh, "it is used all the same"
    assert env.read_text().splitlines() == lines
    told = [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    assert len(told) == 1
    assert "it holds another account's login" in told[0]
    assert "ENV_FILE" in told[0]


async def test_a_renewed_login_of_the_environment_is_stored_where_the_file_holds_none_or_its_own(
    tmp_path: Path, clock: StillClock
) -> None:
    for lines in (["LOG_LEVEL=info"], [f"QWEN_COOKIE='refresh_token={make_token('me')}'"], ["QWEN_COOKIE=cna=1"]):
        env = tmp_path / ".env"
        write_env(env, *lines)
        wallet = Wallet(clock, Given(Secret(MINE), Secret()), TokenFile(env))
        await wallet.look(at_once=True)
        later = read_token(make_token("me", timedelta(days=31)), Secret())
        assert wallet.credential is not None
        assert later is not None
        assert await wallet.replace(wallet.credential, later)
        assert later.token.reveal() in env.read_text()
