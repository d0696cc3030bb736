"""`login` takes the token out of whatever a person pastes, tries it, and keeps it where only they can read it."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from app.commands.login import find_credentials, keep
from app.errors import InvalidRequest
from tests.e2e.harness import Client, emulating
from tests.e2e.processes import ROOT, environment, server_process

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
    "PowerShell": (
        '$session.Cookies.Add((New-Object System.Net.Cookie("cna", "x1", "/", ".qwen.ai")))\n'
        f'Invoke-WebRequest -Headers @{{ "authorization"="Bearer {TOKEN}" }}',
        "cna=x1",
    ),
}


@pytest.mark.parametrize("name", PASTES)
def test_token_and_cookies_are_found(name: str) -> None:
    text, cookie = PASTES[name]
    pasted = find_credentials(text)
    assert (pasted.token.reveal(), pasted.cookie.reveal()) == (TOKEN, cookie)
    assert TOKEN not in repr(pasted)


@pytest.mark.parametrize("text", ["", "hello", "curl 'https://chat.qwen.ai/' -H 'accept: */*'", "a.b.c"])
def test_a_paste_without_a_token_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest, match="two dots"):
        find_credentials(text)


def test_other_lines_of_the_file_stay_and_old_values_go(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nPORT=5005\nQWEN_AUTH_TOKEN=old\nexport QWEN_COOKIE='old'\n")
    path.chmod(0o644)
    pasted = find_credentials(PASTES["curl in bash"][0])
    keep(path, pasted)
    assert path.read_text() == (
        f"# mine\nPORT=5005\nQWEN_AUTH_TOKEN='{TOKEN}'\nexport QWEN_COOKIE='cna=x1; ssxmod_itna=y=2'\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keep(path, find_credentials(TOKEN))
    assert path.read_text().count("QWEN_COOKIE") == 1


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(InvalidRequest, match="could not be written"):
        keep(tmp_path / ".env", find_credentials(TOKEN))
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


async def log_in(folder: Path, pasted: str, url: str) -> tuple[int | None, str]:
    """Run the command with a paste on its standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "login",
        cwd=ROOT,
        env=environment(folder, QWEN_BASE_URL=url),
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
        async with server_process(tmp_path, QWEN_BASE_URL=emulator.url) as server, aiohttp.ClientSession() as session:
            reply = await Client(session, server.url).chat([{"role": "user", "content": "hi"}])
        assert reply.status == 200
        assert [shown.text for shown in emulator.shown] == ["hi"]


async def test_a_token_that_the_site_refuses_is_not_kept(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        emulator.revoke(token)
        code, told = await log_in(tmp_path, token, emulator.url)
    assert code == 1
    assert token not in told
    assert not (tmp_path / ".env").exists()


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
        told += await asyncio.to_thread(_until, ours, "takes it at once")
        assert await process.wait() == 0
        os.close(ours)
    assert "yyyy" not in told
    assert "The token and the cookies are in" in told
    assert f"QWEN_COOKIE='x={'y' * 6000}'" in (tmp_path / ".env").read_text()


def _until(device: int, mark: str) -> str:
    text = b""
    while mark.encode() not in text:
        text += os.read(device, 65536)
    return text.decode()
