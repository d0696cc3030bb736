"""`login` takes the token out of whatever a person pastes, tries it, and keeps it where only they can read it."""

import asyncio
import os
import re
import signal
import stat
import sys
import termios
from pathlib import Path

import aiohttp
import pytest

from app.commands.login import Pasted, find_credentials, keep
from app.errors import InvalidRequest
from tests.e2e.harness import Client, emulating
from tests.e2e.processes import ROOT, environment, server_process

pytestmark = pytest.mark.measured
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6ImFiYyIsImV4cCI6MX0.c2lnbmF0dXJlMTIzNDU2"
PASTES = {
    "the token": (TOKEN, ""),
    "quoted": (f'"{TOKEN}"\n', ""),
    "bearer": (f"Bearer {TOKEN}", ""),
    "a line of .env": (f"QWEN_AUTH_TOKEN={TOKEN}", ""),
    "curl in bash": (
        f"curl 'https://chat.qwen.ai/api/v2/chats/?page=1' \\\n  -H 'accept: */*' \\\n"
        f"  -H 'authorization: Bearer {TOKEN}' \\\n  -H 'cookie: cna=x1; ssxmod_itna=y=2' \\\n  --compressed",
        "cna=x1; ssxmod_itna=y=2",
    ),
    "curl with cookies alone": (
        f"curl 'https://chat.qwen.ai/' \\\n  -b 'cna=x1; token={TOKEN}; a=b' \\\n  -H 'x: y'",
        f"cna=x1; token={TOKEN}; a=b",
    ),
    "curl in cmd": (
        f'curl ^"https://chat.qwen.ai/^" ^\n  -H ^"authorization: Bearer {TOKEN}^" ^\n  -H ^"cookie: cna=x1; a=b^"',
        "cna=x1; a=b",
    ),
    "curl with the page's newest cookies": (
        f"curl 'https://auth.qwen.ai/api/v2/auths/refresh' -b 'cna=x1; refresh_token={TOKEN}x; token={TOKEN}'",
        f"cna=x1; refresh_token={TOKEN}x; token={TOKEN}",
    ),
    "a line of cookies": (f"cna=x1; token={TOKEN}", f"cna=x1; token={TOKEN}"),
    "copied headers": (f"accept: */*\nauthorization: Bearer {TOKEN}\nCookie: cna=x1; a=b\nx: y", "cna=x1; a=b"),
    "PowerShell": (
        '$session.Cookies.Add((New-Object System.Net.Cookie("cna", "x1", "/", ".qwen.ai")))\n'
        f'Invoke-WebRequest -Headers @{{ "authorization"="Bearer {TOKEN}" }}',
        "cna=x1",
    ),
}


def one_account(kept: Pasted, pasted: Pasted) -> bool:
    return False


@pytest.mark.parametrize("name", PASTES)
def test_token_and_cookies_are_found(name: str) -> None:
    text, cookie = PASTES[name]
    pasted = find_credentials(text)
    assert (pasted.token.reveal(), pasted.cookie.reveal()) == (TOKEN, cookie)
    assert TOKEN not in repr(pasted)


@pytest.mark.parametrize(
    "paste",
    [
        f"curl 'https://auth.qwen.ai/api/v2/auths/refresh' -b 'cna=x1; refresh_token={TOKEN}'",
        f"cookie: cna=x1; refresh_token={TOKEN}",
        f"cna=x1; refresh_token={TOKEN}",
    ],
)
def test_a_cookie_that_renews_is_not_taken_for_a_token(paste: str) -> None:
    pasted = find_credentials(paste)
    assert (pasted.token.reveal(), pasted.cookie.reveal()) == ("", f"cna=x1; refresh_token={TOKEN}")


@pytest.mark.parametrize("text", ["", "hello", "curl 'https://chat.qwen.ai/' -H 'accept: */*'", "a.b.c"])
def test_a_paste_without_a_token_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest, match="two dots"):
        find_credentials(text)


def test_other_lines_of_the_file_stay_and_old_values_go(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nPORT=5005\nQWEN_AUTH_TOKEN=old\nexport QWEN_COOKIE='old'\n")
    path.chmod(0o644)
    pasted = find_credentials(PASTES["curl in bash"][0])
    keep(path, pasted, one_account)
    assert path.read_text() == (
        f"# mine\nPORT=5005\nQWEN_AUTH_TOKEN='{TOKEN}'\nexport QWEN_COOKIE='cna=x1; ssxmod_itna=y=2'\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keep(path, find_credentials(TOKEN), one_account)
    assert path.read_text().count("QWEN_COOKIE") == 1


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(InvalidRequest, match="could not be written"):
        keep(tmp_path / ".env", find_credentials(TOKEN), one_account)
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


async def log_in(folder: Path, pasted: str, url: str, auth_url: str = "", **settings: str) -> tuple[int | None, str]:
    """Run the command with a paste on its standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "login",
        cwd=ROOT,
        env=environment(folder, QWEN_BASE_URL=url, **({"QWEN_AUTH_URL": auth_url} if auth_url else {}), **settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(pasted.encode())
    return process.returncode, out.decode()


async def test_a_token_that_works_is_kept_and_used(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        code, told = await log_in(tmp_path, f"curl '{emulator.url}/' -H 'authorization: Bearer {token}'", emulator.url)
        assert (code, "The site takes this token. It lasts until" in told) == (0, True)
        assert token not in told
        assert f"It is in {tmp_path / '.env'}, readable by you only." in told
        assert (
            "was started with a login takes the login at once. One that answers from the emulator has to be stopped"
            in told
        )
        async with server_process(tmp_path, QWEN_BASE_URL=emulator.url) as server, aiohttp.ClientSession() as session:
            reply = await Client(session, server.url).chat([{"role": "user", "content": "hi"}])
        assert reply.status == 200
        assert [shown.text for shown in emulator.shown] == ["hi"]


async def test_a_name_of_the_browser_that_was_not_pasted_is_not_written(tmp_path: Path) -> None:
    async with emulating() as emulator:
        refresh = f"refresh_token={emulator.mint_refresh_token()}"
        for paste in (emulator.mint_token(), refresh):
            code, told = await log_in(tmp_path, paste, emulator.url, emulator.auth_url, QWEN_USER_AGENT="Mine/1")
            assert (code, "QWEN_USER_AGENT" in told) == (0, False), told
            assert "QWEN_USER_AGENT" not in kept_in(tmp_path)


def kept_in(folder: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)='(.*)'$", (folder / ".env").read_text(), re.MULTILINE))


async def test_cookies_without_a_token_are_renewed_at_once_and_go_on_renewing(tmp_path: Path) -> None:
    async with emulating() as emulator:
        paste = f"curl '{emulator.auth_url}/' -b 'cna=1; refresh_token={emulator.mint_refresh_token()}'"
        code, told = await log_in(tmp_path, paste, emulator.url, emulator.auth_url)
        assert code == 0, told
        assert "It renews itself while the server runs; unused it lasts until" in told
        assert re.search(r"UTC, (29|30) days", told)
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_URL": emulator.auth_url}
        async with server_process(tmp_path, **settings) as server, aiohttp.ClientSession() as session:
            assert (await Client(session, server.url).chat([{"role": "user", "content": "hi"}])).status == 200


async def test_the_cookies_of_the_account_before_go_with_its_token(tmp_path: Path) -> None:
    async with emulating() as emulator:
        theirs = f"-b 'cna=1; refresh_token={emulator.mint_refresh_token()}'"
        paste = f"curl '{emulator.url}/' -H 'authorization: Bearer {emulator.mint_token()}' {theirs}"
        assert (await log_in(tmp_path, paste, emulator.url, emulator.auth_url))[0] == 0
        cookie = kept_in(tmp_path)["QWEN_COOKIE"]
        assert (await log_in(tmp_path, emulator.mint_token(), emulator.url, emulator.auth_url))[0] == 0
        assert kept_in(tmp_path)["QWEN_COOKIE"] == cookie, "a later token of the same account"
        token = emulator.mint_token(account="another")
        assert (await log_in(tmp_path, token, emulator.url, emulator.auth_url))[0] == 0
        assert (kept_in(tmp_path)["QWEN_AUTH_TOKEN"], kept_in(tmp_path)["QWEN_COOKIE"]) == (token, "")


async def test_an_access_token_with_its_cookies_is_renewed_at_once(tmp_path: Path) -> None:
    async with emulating() as emulator:
        access, refresh = emulator.mint_access_token(), emulator.mint_refresh_token()
        paste = (
            f"curl '{emulator.url}/' -H 'user-agent: Mozilla/5.0' -H 'authorization: Bearer {access}' "
            f"-b 'cna=1; refresh_token={refresh}'"
        )
        code, told = await log_in(tmp_path, paste, emulator.url, emulator.auth_url)
        assert (code, "It renews itself" in told) == (0, True), told
        assert "as QWEN_USER_AGENT; a running server takes it at its next start" in told
        kept = kept_in(tmp_path)
        assert kept["QWEN_USER_AGENT"] == "Mozilla/5.0"
        assert kept["QWEN_AUTH_TOKEN"] not in {access, refresh}
        assert refresh not in kept["QWEN_COOKIE"]
        assert not [secret for secret in (access, refresh, kept["QWEN_AUTH_TOKEN"]) if secret in told]


async def test_an_access_token_alone_is_kept_with_a_word_about_its_end(tmp_path: Path) -> None:
    async with emulating() as emulator:
        code, told = await log_in(tmp_path, emulator.mint_access_token(), emulator.url, emulator.auth_url)
    assert code == 0, told
    assert "14 minutes, and does not renew itself." in told
    assert "the cookies that renew it are missing" in told


async def test_a_long_token_that_is_no_bearer_any_more_is_traded_by_the_login(tmp_path: Path) -> None:
    async with emulating(session_bearer=False) as emulator:
        token = emulator.mint_token()
        code, told = await log_in(tmp_path, token, emulator.url, emulator.auth_url)
    assert (code, "It renews itself" in told) == (0, True), told
    assert kept_in(tmp_path)["QWEN_AUTH_TOKEN"] == token
    assert "refresh_token=" in kept_in(tmp_path)["QWEN_COOKIE"]


async def test_cookies_that_the_site_does_not_renew_are_not_kept(tmp_path: Path) -> None:
    async with emulating() as emulator:
        refresh = emulator.mint_refresh_token()
        emulator.revoke(refresh)
        code, told = await log_in(tmp_path, f"refresh_token={refresh}", emulator.url, emulator.auth_url)
    assert (code, "such as a browser, renewed it in between. Nothing was stored" in told) == (1, True), told
    assert "next try" not in told
    assert refresh not in told
    assert not (tmp_path / ".env").exists()


async def test_a_token_that_the_site_refuses_is_not_kept(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        emulator.revoke(token)
        code, told = await log_in(tmp_path, token, emulator.url)
    assert code == 1
    assert f"Nothing was stored in {tmp_path / '.env'}. Sign in at chat.qwen.ai, copy" in told
    assert "give this command again" in told
    assert not [word for word in ("run.py login", "next try", "another program", "no restart") if word in told]
    assert token not in told
    assert not (tmp_path / ".env").exists()


async def test_a_token_that_cannot_be_tried_is_not_kept_and_that_is_said(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        url, auth_url = emulator.url, emulator.auth_url
    code, told = await log_in(tmp_path, token, url, auth_url)
    assert (code, f"Nothing was stored in {tmp_path / '.env'}. Check the network" in told) == (1, True), told
    assert not (tmp_path / ".env").exists()


async def test_a_login_that_was_renewed_before_the_site_failed_is_kept_and_that_is_said(tmp_path: Path) -> None:
    async with emulating() as emulator:
        paste = f"refresh_token={emulator.mint_refresh_token()}"
        code, told = await log_in(tmp_path, paste, "http://127.0.0.1:9", emulator.auth_url)
    assert (code, f"The login was renewed before that, and is in {tmp_path / '.env'}." in told) == (1, True), told
    assert "refresh_token=" in kept_in(tmp_path)["QWEN_COOKIE"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
async def test_what_is_pasted_into_a_terminal_is_not_shown_and_may_be_long(tmp_path: Path) -> None:
    async with emulating() as emulator:
        paste = (
            f"curl '{emulator.url}/' \\\n -b 'x={'y' * 6000}' \\\n -H 'authorization: Bearer {emulator.mint_token()}'\n"
        )
        ours, theirs = os.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            "login",
            cwd=ROOT,
            env=environment(tmp_path, QWEN_BASE_URL=emulator.url),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        told = await asyncio.to_thread(_until, ours, "内容不会显示。")
        await asyncio.sleep(0.1)  # the terminal is made quiet right after that
        for at in range(0, len(paste), 1000):
            await asyncio.to_thread(os.write, ours, paste[at : at + 1000].encode())
        told += await asyncio.to_thread(_until, ours, "takes the login at once")
        assert await process.wait() == 0
        os.close(ours)
    assert "yyyy" not in told
    assert "The token and the cookies are in" in told
    assert f"QWEN_COOKIE='x={'y' * 6000}'" in (tmp_path / ".env").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
async def test_ctrl_c_at_the_prompt_ends_quietly_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "login",
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
    )
    await asyncio.to_thread(_until, ours, "内容不会显示。")
    while termios.tcgetattr(theirs)[3] & termios.ECHO:
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert (process.returncode, told.strip()) == (130, b"")
    assert termios.tcgetattr(theirs) == before
    assert not (tmp_path / ".env").exists()
    os.close(theirs)
    os.close(ours)


def _until(device: int, mark: str) -> str:
    text = b""
    while mark.encode() not in text:
        text += os.read(device, 65536)
    return text.decode()
