"""Which token is sent: the one of `.env` as it is now, not one that is over, and a refused one only now and then."""

import asyncio
import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import Settings
from app.config_values import Secret
from app.errors import UpstreamLoginRequired
from app.upstream.qwen.token_source import TokenSource
from tests.upstream.conftest import StillClock, make_settings, make_token, write_env

LONG, LONGER = timedelta(days=20), timedelta(days=25)


async def write(path: Path, *lines: str) -> None:
    await asyncio.to_thread(write_env, path, *lines)


async def source_for(root: Path, clock: StillClock, **environ: str) -> TokenSource:
    return TokenSource.from_settings(await asyncio.to_thread(make_settings, root, **environ), clock)


async def taken(source: TokenSource) -> str:
    return (await source.take()).token.reveal()


async def test_the_env_file_is_read_again_when_it_changes(tmp_path: Path, clock: StillClock) -> None:
    first, second = make_token(life=LONG), make_token("user-2", life=LONG)
    await write(tmp_path / ".env", f'QWEN_AUTH_TOKEN="Bearer {first}"', "QWEN_COOKIE='cna=1'")
    source = await source_for(tmp_path, clock)
    assert source.credential is not None
    assert source.credential.account == "user-1"
    assert (await source.take()).cookie == Secret("cna=1")
    await write(tmp_path / ".env", f"QWEN_AUTH_TOKEN={second}")
    assert await taken(source) == first, "a token that works is looked at once a second"
    clock.pass_time(1)
    assert await taken(source) == second
    clock.pass_time(1)
    assert await taken(source) == second


async def test_a_file_that_was_written_just_now_is_looked_at_again(tmp_path: Path, clock: StillClock) -> None:
    env = tmp_path / ".env"
    soon = time.time_ns() + 60 * 10**9
    write_env(env, "QWEN_AUTH_TOKEN=a.token.aaa")
    os.utime(env, ns=(soon, soon))
    source = await source_for(tmp_path, clock)
    assert await taken(source) == "a.token.aaa"
    write_env(env, "QWEN_AUTH_TOKEN=a.token.bbb")
    os.utime(env, ns=(soon, soon))
    clock.pass_time(1)
    assert await taken(source) == "a.token.bbb"


@pytest.mark.parametrize(
    ("in_file", "in_environment", "wins"),
    [
        (make_token(life=LONG), make_token(life=LONGER), "environment"),
        (make_token(life=LONGER), make_token(life=LONG), "file"),
        (make_token(life=LONG), make_token(life=LONG), "file"),
        ("an.opaque.token", make_token(life=LONGER), "file"),
        (make_token(life=LONG), "an.opaque.token", "file"),
        ("", make_token(life=LONG), "environment"),
        (make_token(life=LONG), "", "file"),
    ],
)
async def test_of_two_tokens_the_one_that_lives_longer_is_used(
    tmp_path: Path, clock: StillClock, in_file: str, in_environment: str, wins: str
) -> None:
    await write(tmp_path / ".env", f"QWEN_AUTH_TOKEN={in_file}")
    environ = {"QWEN_AUTH_TOKEN": in_environment} if in_environment else {}
    source = await source_for(tmp_path, clock, **environ)
    assert await taken(source) == (in_file if wins == "file" else in_environment)


async def test_without_a_token_nothing_is_sent(tmp_path: Path, clock: StillClock) -> None:
    source = await source_for(tmp_path, clock)
    assert source.problem == "There is no token for the account."
    with pytest.raises(UpstreamLoginRequired, match="no token"):
        await source.take()
    await write(tmp_path / ".env", "QWEN_AUTH_TOKEN=an.opaque.token")
    assert await taken(source) == "an.opaque.token"
    (tmp_path / ".env").unlink()
    clock.pass_time(1)
    with pytest.raises(UpstreamLoginRequired):
        await source.take()


async def test_a_token_that_is_no_header_value_is_refused_without_being_shown(
    tmp_path: Path, clock: StillClock
) -> None:
    source = await source_for(tmp_path, clock)
    await write(tmp_path / ".env", "QWEN_AUTH_TOKEN=tökèn-value")
    with pytest.raises(UpstreamLoginRequired, match="one line of plain ASCII") as caught:
        await source.take()
    assert "tökèn" not in str(caught.value)
    assert "plain ASCII" in (source.problem or "")


async def test_an_expired_token_is_noticed_before_it_is_sent(settings: Settings, clock: StillClock) -> None:
    source = TokenSource.fixed(settings, clock, make_token(life=timedelta(hours=1)))
    await source.take()
    clock.pass_time(3600)
    with pytest.raises(UpstreamLoginRequired, match="expired on 2026-11-22 10:00 UTC"):
        await source.take()
    assert "expired" in (source.problem or "")


async def test_a_refused_token_is_tried_again_every_ten_seconds(settings: Settings, clock: StillClock) -> None:
    source = TokenSource.fixed(settings, clock, "opaque")
    credential = await source.take()
    source.refused(credential, "Refused.")
    with pytest.raises(UpstreamLoginRequired, match="Refused"):
        await source.take()
    clock.pass_time(10)
    await source.take()
    with pytest.raises(UpstreamLoginRequired, match="Refused"):
        await source.take()
    assert source.problem == "Refused."
    source.accepted(credential)
    source.accepted(credential)
    await source.take()


async def test_a_token_that_was_refused_and_then_taken_is_no_problem(settings: Settings, clock: StillClock) -> None:
    source = TokenSource.fixed(settings, clock, "opaque")
    credential = await source.take()
    source.refused(credential, "Refused.")
    source.accepted(credential)
    assert source.problem is None


async def test_a_new_token_is_used_at_once_after_a_refusal(tmp_path: Path, clock: StillClock) -> None:
    await write(tmp_path / ".env", "QWEN_AUTH_TOKEN=the.first.one")
    source = await source_for(tmp_path, clock)
    old = await source.take()
    source.refused(old, "Refused.")
    await write(tmp_path / ".env", "QWEN_AUTH_TOKEN=the.second.one")
    new = await source.take()
    assert new.token == Secret("the.second.one")
    source.accepted(new)
    assert source.problem is None


async def test_an_unreadable_file_leaves_the_token_in_use(
    tmp_path: Path, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    env = tmp_path / ".env"
    await write(env, "QWEN_AUTH_TOKEN=an.opaque.token")
    source = await source_for(tmp_path, clock)
    env.write_bytes(b"QWEN_AUTH_TOKEN=\xff\xfe\n")
    assert await taken(source) == "an.opaque.token"
    assert await taken(source) == "an.opaque.token"
    assert [record.getMessage()[:21] for record in caplog.records] == [".env cannot be read, "]
    env.unlink()
    env.mkdir()
    assert await taken(source) == "an.opaque.token"


async def test_the_end_of_a_token_is_told_once_and_again_when_it_is_near(
    settings: Settings, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = TokenSource.fixed(settings, clock, make_token(life=timedelta(days=5)))
    for seconds in (0, 0, 86400, 2 * 86400, 0, 2 * 86400 - 60):
        clock.pass_time(seconds)
        await source.refresh()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "The token of account user-1 expires on 2026-11-27 09:00 UTC, in 5 days"),
        ("WARNING", "The token of account user-1 expires on 2026-11-27 09:00 UTC, in 2 days"),
    ]


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (timedelta(days=3, seconds=-9), "expires on 2026-11-25 08:59 UTC, in 3 days"),
        (timedelta(days=1), "expires on 2026-11-23 09:00 UTC, in 1 day"),
        (timedelta(minutes=15), "expires on 2026-11-22 09:15 UTC, in 15 minutes"),
        (timedelta(0), "expired on 2026-11-22 09:00 UTC"),
    ],
)
async def test_a_short_life_is_told_in_fitting_words(
    settings: Settings, clock: StillClock, caplog: pytest.LogCaptureFixture, life: timedelta, said: str
) -> None:
    await TokenSource.fixed(settings, clock, make_token(life=life)).refresh()
    assert caplog.records[0].getMessage().endswith(said)
