"""A daemon among others: systemd hears of it, secrets stay inside, and bad hours end without a restart."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from app.tasks.service_manager import ServiceManager
from tests.e2e.harness import Client, Conversation, emulating, serving
from tests.e2e.processes import ROOT, launch, server_process

HI = [{"role": "user", "content": "hi"}]
UNIT = ROOT / "deploy" / "qwen-thread.service"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 2.0  # of 10, by systemd's own count


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Manager:
    """Systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    async def hears(self) -> dict[str, str]:
        """Return the next message."""
        async with asyncio.timeout(10):
            told = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        return dict(line.split("=", 1) for line in told.decode().splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.mark.measured
@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_that_the_server_is_ready_lives_and_stops(tmp_path: Path, abstract: bool) -> None:
    address = f"@qwen-thread-{tmp_path.name}-{os.getpid()}" if abstract else str(tmp_path / "notify")
    manager = Manager(f"\0{address[1:]}" if abstract else address)
    try:
        async with server_process(tmp_path, NOTIFY_SOCKET=address, WATCHDOG_USEC="100000") as server:
            ready = await manager.hears()
            assert (ready["READY"], ready["STATUS"]) == ("1", f"Serving on {server.url}")
            assert [await manager.hears() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
            assert await server.stop() == 0
            while (told := await manager.hears()) == {"WATCHDOG": "1"}:
                pass
            assert told["STOPPING"] == "1"
    finally:
        manager.close()


async def test_without_systemd_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}):
        async with ServiceManager(environ).watching("here"):
            await asyncio.sleep(0)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")
def test_the_unit_is_valid_and_hardened_by_systemds_own_count() -> None:
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, "security", "--offline=yes", str(UNIT)], capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level.*: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot score a file: {done.stderr[:200]}")
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


async def test_no_secret_is_in_what_ps_shows_and_no_core_is_dumped(tmp_path: Path) -> None:
    async with emulating() as emulator:
        token = emulator.mint_token()
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": token}
        async with server_process(tmp_path, **settings) as server:
            proc = Path(f"/proc/{server.process.pid}")
            if not await asyncio.to_thread(proc.exists):
                pytest.skip("there is no /proc here")
            command = await asyncio.to_thread((proc / "cmdline").read_text)
            limits = await asyncio.to_thread((proc / "limits").read_text)
    assert token not in command
    assert re.search(r"Max core file size +0 +0 ", limits)


async def test_a_site_that_is_down_at_the_start_is_told_and_served_as_soon_as_it_is_up(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with emulating() as other:
        token = other.mint_token()
    async with server_process(tmp_path, QWEN_BASE_URL=f"http://127.0.0.1:{port}", QWEN_AUTH_TOKEN=token) as server:
        client = Client(session, server.url)
        down = await client.chat(HI)
        assert (down.status, down.error["code"]) == (502, "upstream_unreachable")
        async with emulating(port=port):
            assert (await client.chat(HI)).status == 200


async def test_a_name_that_cannot_be_resolved_is_told_as_such(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async with emulating() as other:
        token = other.mint_token()
    async with server_process(tmp_path, QWEN_BASE_URL="http://nowhere.invalid", QWEN_AUTH_TOKEN=token) as server:
        reply = await Client(session, server.url).chat(HI)
        assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
        assert "nowhere.invalid could not be resolved" in reply.error["message"]
        assert (await Client(session, server.url).get("/health")).status == 200


async def test_a_read_only_folder_is_told_at_the_start(tmp_path: Path) -> None:
    process = await launch(tmp_path, DATABASE_URL="sqlite:////proc/qwen-thread.db")
    _, log = await process.communicate()
    assert process.returncode == 1
    assert "cannot be opened for writing" in log.decode()
    assert "DATABASE_URL" in log.decode()


# --- every time limit, as a client meets it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "fault"),
    [("FIRST_EVENT_TIMEOUT", "slow_start"), ("BETWEEN_EVENTS_TIMEOUT", "stall"), ("TOTAL_TIMEOUT", "stall")],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_limit_names_itself_to_the_client(tmp_path: Path, setting: str, fault: str, stream: bool) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, **{setting: "0.3"}) as server:
        emulator.script.answer("One two three four.", pieces=["One ", "two ", "three ", "four."], fault=fault)
        reply = await server.client.chat(HI, stream=stream, enable_thinking=False)
        assert reply.error["code"] == "upstream_timeout"
        assert f"0.3 s ({setting})" in reply.error["message"]
        assert reply.status == (200 if stream and fault == "stall" else 504)
        assert (await Conversation(server.client).say("And now?")).status == 200


async def test_signs_of_life_do_not_count_for_ever(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, BETWEEN_EVENTS_TIMEOUT="0.2") as server:
        emulator.script.answer("One two.", pieces=["One ", "two."], fault="only_keep_alives")
        reply = await server.client.chat(HI, enable_thinking=False)
        assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
        assert "nothing but signs of life" in reply.error["message"]


async def test_a_site_that_takes_no_connection_names_the_limit(tmp_path: Path) -> None:
    """A backlog that is full accepts nobody."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(8):
            knock = socket.socket()
            knock.setblocking(False)
            knock.connect_ex(full.getsockname())
            waiting.append(knock)
        async with emulating() as emulator:
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            async with serving(tmp_path, emulator, QWEN_BASE_URL=url, CONNECT_TIMEOUT="0.2") as server:
                reply = await server.client.chat(HI)
        for knock in waiting:
            knock.close()
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert "0.2 s (CONNECT_TIMEOUT)" in reply.error["message"]


async def test_the_greeting_names_an_address_that_a_client_can_call(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with server_process(tmp_path, HOST="0.0.0.0", ALLOW_OPEN="1") as server:
        assert server.url.startswith("http://127.0.0.1:")
        async with session.get(f"{server.url}/health") as response:
            assert response.status == 200


EMULATED = {"UPSTREAM": "emulator"}
UNSET, LOG_IN = "take UPSTREAM out of the settings", "python3 run.py login"


@pytest.mark.parametrize(
    ("settings", "why", "remedy"),
    [
        ({}, "No QWEN_AUTH_TOKEN is set", LOG_IN),
        (EMULATED, "UPSTREAM is emulator", f"{UNSET}, then {LOG_IN}"),
        ({**EMULATED, "QWEN_AUTH_TOKEN": "abc.def.ghi"}, "UPSTREAM is emulator", UNSET),
    ],
)
async def test_the_greeting_says_why_the_emulator_answers(
    tmp_path: Path, session: aiohttp.ClientSession, settings: dict[str, str], why: str, remedy: str
) -> None:
    async with server_process(tmp_path, **settings) as server:
        for path in ("/", "/ready"):
            async with session.get(server.url + path) as response:
                told = await response.json()
                assert (told["token_expires_at"], told["token_renews"]) == (None, False), "there is no login"
        assert server.process.stdout is not None
        said = [(await server.process.stdout.readline()).decode().rstrip() for _ in range(2)]
    assert said == [
        f"{why}: a built-in emulator answers, and its answers are simulated.",
        f"To use your own account: {remedy}",
    ]
