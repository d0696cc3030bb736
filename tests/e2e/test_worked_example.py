"""The worked example of docs/sessions.md is true."""

import json
import re

from tests.e2e.harness import Server
from tests.e2e.processes import ROOT


async def test_the_worked_example_is_true(server: Server) -> None:
    page = (ROOT / "docs" / "sessions.md").read_text("utf-8").split("## Worked example", 1)[1]
    steps = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert {step["match"] for step in steps} == {"new", "exact", "window", "branch"}
    for step in steps:
        server.emulator.script.answer(step["answer"])
        reply = await server.client.chat([{"role": role, "content": text} for role, text in step["request"]])
        assert (reply.match, server.emulator.shown[-1].text, reply.text) == (
            step["match"],
            step["sent"],
            step["answer"],
        )
    assert len(server.emulator.chats) == 1
