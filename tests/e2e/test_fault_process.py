"""One daemon lives through every fault of the site and serves the next request as if nothing had been."""

from pathlib import Path

import aiohttp
import pytest

from app.emulator.faults import REFUSALS, Disturbance
from tests.e2e.harness import Client, Conversation, emulating
from tests.e2e.processes import server_process

WAITS_FOR_AN_ACCOUNT = {"unauthorized", "expired", Disturbance.EXPIRED_IN_STREAM.value}
SILENT = {Disturbance.STALL.value, Disturbance.SLOW_START.value, Disturbance.ONLY_KEEP_ALIVES.value}


@pytest.mark.no_cover  # for its volume
async def test_a_daemon_lives_through_the_whole_catalogue(tmp_path: Path) -> None:
    faults = [*REFUSALS, *(disturbance.value for disturbance in Disturbance)]
    quick = {"BLOCK_PAUSE_SECONDS": "0", "FIRST_EVENT_TIMEOUT": "1", "BETWEEN_EVENTS_TIMEOUT": "0.3"}
    async with emulating(lock_seconds=0) as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token(), **quick}
        async with server_process(tmp_path, **settings) as server:
            client = Client(session, server.url)
            for fault in faults:
                if fault in WAITS_FOR_AN_ACCOUNT:
                    continue  # the next request would get the same answer for ten seconds; test_faults.py has them
                talk = Conversation(client, stream=fault not in SILENT, enable_thinking=False)
                await talk.say(f"Before {fault}.")
                emulator.script.fault(fault)
                met = await talk.say("And now?")
                if met.status != 200 or met.finish_reason is None:
                    assert set(met.error) == {"message", "type", "param", "code"}, fault
                    assert met.error["code"], fault
                    talk.messages.pop()
                after = await talk.say("And after that?")
                assert (after.status, after.finish_reason) == (200, "stop"), (fault, after.body)
            assert await server.stop() == 0
            log = await server.log()
    assert "Traceback" not in log
    assert "a fault in qwen-thread" not in log
