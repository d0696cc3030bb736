"""Histories that are read once more without what some clients add: what stands like an addition may be the model's."""

import asyncio

import pytest

from tests.e2e.habits import assistant, user
from tests.e2e.harness import Messages, Server
from tests.e2e.test_equal_texts import ask, visible

QUOTE = "> To be, or not to be.\n\nHamlet says so, and he says it well."
ENTITY = 'Write: <a title="&quot;To be, or not to be.&quot;">'


async def talk(server: Server, *turns: tuple[str, str]) -> Messages:
    history: Messages = []
    for asked, answered in turns:
        history.append(user(asked))
        await ask(server, history, answered)
        history.append(assistant(answered))
    return history


@pytest.mark.parametrize("answer", [QUOTE, ENTITY])
async def test_an_answer_that_is_told_again_is_told_whole(server: Server, answer: str) -> None:
    """The client deletes a turn in the middle, so that what follows it is told once more."""
    history = await talk(server, ("I read Hamlet.", "I like it."), ("Tell me a joke.", "No."), ("Quote it.", answer))
    del history[2:4]
    reply = await ask(server, [*history, user("Translate that.")], "Sein oder nicht sein.")
    assert reply.match == "branch"
    assert answer in visible(server)


async def test_an_answer_of_another_model_is_told_whole(server: Server) -> None:
    history = await talk(server, ("I read Hamlet.", "I like it."))
    reply = await ask(server, [*history, user("Quote it."), assistant(QUOTE), user("Translate that.")], "Sein.")
    assert reply.match == "branch"
    assert QUOTE in visible(server)


async def test_a_busy_chat_is_not_left_for_one_that_only_looks_like_it(server: Server) -> None:
    plain = QUOTE.partition("\n\n")[2]
    await talk(server, ("Quote something.", plain))
    history = await talk(server, ("Quote something.", QUOTE))
    hold = server.emulator.script.hold("Well.", pieces=["We", "ll."], before=1)
    busy = asyncio.create_task(server.client.chat([*history, user("Go on.")], stream=True))
    await hold.reached()
    reply = await ask(server, [*history, user("Who says that?")], "Hamlet.")
    hold.release()
    await busy
    assert (reply.match, QUOTE in visible(server)) == ("new", True)
