"""Clients leave out calls that never had a result: their chat goes on, and no other of the same words."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.habits import assistant, call_text, user
from tests.e2e.harness import Client, Messages, Server, emulating
from tests.e2e.processes import server_process
from tests.e2e.test_equal_texts import LONG, ask, asked_the_weather, give_up, visible
from tests.e2e.test_tools import ASK, TIME, WEATHER, echo, ids_of, result

TOOLS = [WEATHER, TIME]
BOTH = f"I look. {call_text()}{call_text('get_time', '{}')}"


async def two_calls(server: Server) -> list[dict[str, str]]:
    reply = await ask(server, [user(ASK)], BOTH, tools=TOOLS)
    calls: list[dict[str, str]] = reply.body["choices"][0]["message"]["tool_calls"]
    return calls


async def answered(server: Server, calls: list[dict[str, str]], *results: str) -> Messages:
    """A loop in which the client shows these calls only."""
    told = [result(call["id"], text) for call, text in zip(calls, results, strict=True)]
    history = [user(ASK), assistant("I look.", tool_calls=calls), *told]
    return [*history, echo(await ask(server, history, LONG, tools=TOOLS))]


@pytest.mark.parametrize("kept", [0, 1])
async def test_a_chat_goes_on_after_one_of_its_calls_was_declined(server: Server, kept: int) -> None:
    history = await answered(server, [(await two_calls(server))[kept]], "22 degrees")
    for words in ("Thanks.", "And tomorrow?"):
        history.append(user(words))
        reply = await ask(server, history, f"{words} {LONG}", tools=TOOLS)
        assert (reply.match, server.emulator.shown[-1].text) == ("exact", words)
        history.append(echo(reply))
    assert len(server.emulator.chats) == 1


async def test_a_chat_that_was_told_the_result_of_a_call_that_the_client_left_out_is_not_taken(server: Server) -> None:
    calls = await two_calls(server)
    whole = await answered(server, calls, "22 degrees", "noon")
    edited = [user(ASK), assistant("I look.", tool_calls=calls[:1]), result(calls[0]["id"], "22 degrees"), whole[-1]]
    reply = await ask(server, [*edited, user("Thanks.")], "Well.", tools=TOOLS)
    assert (reply.match, "noon" in visible(server), "22 degrees" in visible(server)) == ("new", False, True)


@pytest.mark.parametrize("calls", [call_text(), f"{call_text()}{call_text('get_time', '{}')}"])
async def test_an_answer_that_was_stopped_at_its_calls_goes_on_behind_an_earlier_loop(
    server: Server, calls: str
) -> None:
    history = [*await asked_the_weather(server, "5 degrees"), user("And now?")]
    sign = "get_time" if "get_time" in calls else "get_weather"
    await give_up(server, history, f"I look again. {calls}\n", sign=sign, tools=TOOLS)
    reply = await ask(server, [*history, assistant("I look again."), user("Never mind.")], "Well.", tools=TOOLS)
    assert (reply.match, server.emulator.shown[-1].text) == ("exact", "Never mind.")
    assert "5 degrees" in visible(server)


async def test_of_two_loops_of_equal_words_the_one_is_taken_whose_call_the_client_shows(server: Server) -> None:
    """Both end with an answer that was stopped at a call."""
    loops = [[*await asked_the_weather(server, degrees), user("And now?")] for degrees in ("5 degrees", "22 degrees")]
    for history in loops:
        server.emulator.stops.clear()
        await give_up(server, history, f"I look again. {call_text()}\n", sign="get_weather", tools=TOOLS)
    for history, mine in zip(loops, ("5 degrees", "22 degrees"), strict=True):
        reply = await ask(server, [*history, assistant("I look again."), user("Never mind.")], "Well.", tools=TOOLS)
        assert reply.match == "exact"
        assert [degrees in visible(server) for degrees in (mine, "degrees")] == [True, True]
        assert visible(server).count("degrees") == 1


async def test_an_answer_with_a_call_that_a_kill_cut_goes_on_behind_an_earlier_loop(tmp_path: Path) -> None:
    async with emulating(lock_seconds=0.0) as emulator, aiohttp.ClientSession() as session:
        settings = {"QWEN_BASE_URL": emulator.url, "QWEN_AUTH_TOKEN": emulator.mint_token()}
        async with server_process(tmp_path, **settings) as server:
            client = Client(session, server.url)
            emulator.script.answer(call_text())
            first = await client.chat([user(ASK)], tools=TOOLS)
            history = [user(ASK), echo(first), result(ids_of(first)[0], "5 degrees")]
            emulator.script.answer(LONG)
            history += [echo(await client.chat(history, tools=TOOLS)), user("And now?")]
            hold = emulator.script.hold("", pieces=["I look again. ", call_text()], before=1)
            asking = asyncio.create_task(client.chat(history, stream=True, tools=TOOLS))
            await hold.reached()
            server.process.kill()
            await asyncio.wait([asking])
            assert isinstance(asking.exception(), aiohttp.ClientError)
        hold.release()
        history += [assistant("I look again."), user("Never mind.")]
        async with server_process(tmp_path, **settings) as server:
            emulator.script.answer("Well.")
            reply = await Client(session, server.url).chat(history, tools=TOOLS)
        assert (reply.match, emulator.shown[-1].text) == ("exact", "Never mind.")
        assert any("5 degrees" in text for _, text in emulator.shown[-1].seen)


@pytest.mark.parametrize("earlier", [False, True])
async def test_a_result_that_comes_after_an_answer_to_the_others_goes_on_below_that_answer(
    server: Server, earlier: bool
) -> None:
    before = [*await asked_the_weather(server, "5 degrees"), user("And now?")] if earlier else [user(ASK)]
    first = await ask(server, before, BOTH, tools=TOOLS)
    weather, time = ids_of(first)
    history = [*before, echo(first), result(weather, "22 degrees")]
    history.append(echo(await ask(server, history, "One is here, I wait for the other.", tools=TOOLS)))
    history.append(result(time, "noon"))
    reply = await ask(server, history, "22 degrees at noon.", tools=TOOLS)
    sent = server.emulator.shown[-1].text
    assert (reply.match, "noon" in sent, "22 degrees" in sent, "One is here" in sent) == ("exact", True, False, False)
    assert [visible(server).count(text) for text in ("I look.", "22 degrees", "One is here", "noon")] == [1, 1, 1, 1]
    after = await ask(server, [*history, echo(reply), user("Thanks.")], "Well.", tools=TOOLS)
    assert (after.match, server.emulator.shown[-1].text) == ("exact", "Thanks.")


async def test_an_answer_that_is_not_stored_is_told_as_the_assistants_words(server: Server) -> None:
    first = await ask(server, [user(ASK)], BOTH, tools=TOOLS)
    weather, time = ids_of(first)
    history = [user(ASK), echo(first), result(weather, "22 degrees"), assistant("My own words."), result(time, "noon")]
    reply = await ask(server, history, "Well.", tools=TOOLS)
    assert (reply.match, "<assistant>\nMy own words.\n</assistant>" in visible(server)) == ("new", True)


async def test_words_that_are_shown_with_each_call_are_not_the_users(server: Server) -> None:
    one, two = await two_calls(server)
    history = [user(ASK), assistant("I look.", tool_calls=[one]), result(one["id"], "22 degrees")]
    history += [assistant("I look.", tool_calls=[two]), result(two["id"], "noon")]
    reply = await ask(server, history, "Well.", tools=TOOLS)
    sent = server.emulator.shown[-1].text
    assert (reply.match, "22 degrees" in sent, "noon" in sent, "I look" in sent) == ("tool-call", True, True, False)
