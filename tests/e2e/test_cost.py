"""What a turn costs the site, counted in calls and bytes."""

from tests.e2e.harness import Server


async def test_a_new_conversation_is_two_calls_and_every_further_turn_is_one(server: Server) -> None:
    talk = server.conversation(stream=True, enable_thinking=False)
    await server.client.get("/v1/models")
    calls = []
    for number in range(6):
        before = len(server.emulator.requests)
        await talk.say(f"Question {number}.")
        calls.append(len(server.emulator.requests) - before)
    assert calls == [2, 1, 1, 1, 1, 1]


async def test_what_a_turn_sends_does_not_grow_with_the_conversation(server: Server) -> None:
    talk = server.conversation(enable_thinking=False)
    for number in range(12):
        await talk.say(f"Question {number:02}: " + "word " * 400)
    sizes = {len(shown.text) for shown in server.emulator.shown}
    assert len(sizes) == 1
