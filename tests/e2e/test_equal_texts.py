"""Conversations of equal words that are not the same: the model never sees what the other's tools or prompt said."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.habits import assistant, call_text, old_result, result_text, user
from tests.e2e.harness import MODEL, Messages, Reply, Server, eventually
from tests.e2e.test_tools import ASK, TIME, WEATHER, echo, ids_of, result

LONG = "Here is what you wanted to know about the weather, as short as I can put it."


async def ask(server: Server, history: Messages, answer: str, **fields: Any) -> Reply:
    server.emulator.script.answer(answer)
    reply = await server.client.chat(history, **fields)
    assert reply.status == 200, reply.body
    return reply


async def asked_the_weather(server: Server, degrees: str) -> Messages:
    """A conversation in function mode whose words are always the same."""
    history = [user(ASK)]
    first = await ask(server, history, call_text(), tools=[WEATHER])
    history += [echo(first), result(ids_of(first)[0], degrees)]
    last = await ask(server, history, LONG, tools=[WEATHER])
    return [*history, echo(last)]


def seen_in_chat(server: Server, number: int) -> str:
    """All that the model can see in the chat of its last answer, in the order of the requests."""
    chat = server.emulator.shown[number].chat_id
    return "\n".join(shown.text for shown in server.emulator.shown if shown.chat_id == chat)


async def test_equal_words_with_other_results_go_on_in_their_own_chats(server: Server) -> None:
    cold, warm = await asked_the_weather(server, "5 degrees"), await asked_the_weather(server, "22 degrees")
    for history, mine, other in ((cold, "5 degrees", "22 degrees"), (warm, "22 degrees", "5 degrees")):
        reply = await ask(server, [*history, user("Is that cold?")], "Well.", tools=[WEATHER])
        assert reply.match == "exact"
        assert mine in seen_in_chat(server, -1)
        assert other not in seen_in_chat(server, -1)


async def test_when_its_own_chat_is_lost_another_of_equal_words_is_not_taken(server: Server) -> None:
    cold = await asked_the_weather(server, "5 degrees")
    await server.emulator.delete_chat(server.emulator.shown[-1].chat_id)
    lost = await ask(server, [*cold, user("Is that cold?")], "Well.", tools=[WEATHER])
    assert lost.match == "new"
    await asked_the_weather(server, "22 degrees")
    for number in (1, 2):
        again = await ask(server, [*cold, user(f"Is that really cold? {number}")], "Well.", tools=[WEATHER])
        assert again.match == "new"
        assert "22 degrees" not in seen_in_chat(server, -1)


async def test_a_client_that_leaves_the_calls_out_is_told_anew_where_two_chats_have_its_words(server: Server) -> None:
    await asked_the_weather(server, "5 degrees")
    collapsed = [user(ASK), assistant(LONG)]
    assert (await ask(server, [*collapsed, user("Thanks")], "Well.", tools=[WEATHER])).match == "exact"
    await asked_the_weather(server, "22 degrees")
    reply = await ask(server, [*collapsed, user("Is that cold?")], "Well.", tools=[WEATHER])
    assert reply.match == "new"


async def test_a_client_with_ids_of_its_own_goes_on_below_the_call_that_it_shows(server: Server) -> None:
    for city in ("Paris", "Rome"):
        await ask(server, [user("Go on.")], call_text(arguments=f'{{"city":"{city}"}}'), tools=[WEATHER])
    for city in ("Paris", "Rome", "Oslo"):
        call = {
            "id": "x1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'},
        }
        history = [user("Go on."), assistant("", tool_calls=[call]), result("x1", f"It is fine in {city}.")]
        reply = await ask(server, history, "Good.", tools=[WEATHER])
        assert reply.match == ("new" if city == "Oslo" else "exact")
        assert all(other == city or other not in seen_in_chat(server, -1) for other in ("Paris", "Rome", "Oslo"))


async def test_in_prompt_mode_the_second_step_goes_on_below_the_results_that_the_client_shows(server: Server) -> None:
    call = call_text()
    histories = {}
    for degrees in ("5 degrees", "22 degrees"):
        history = [user(ASK)]
        await ask(server, history, call)
        history += [assistant(call), user(result_text(degrees))]
        await ask(server, history, call)
        histories[degrees] = [*history, assistant(call)]
    for mine, other in (("5 degrees", "22 degrees"), ("22 degrees", "5 degrees")):
        reply = await ask(server, [*histories[mine], user(result_text("rain"))], "Wet.")
        assert reply.match == "exact"
        assert other not in seen_in_chat(server, -1)


async def test_equal_words_under_other_instructions_go_on_in_their_own_chats(server: Server) -> None:
    pirate, judge = ({"role": "system", "content": f"You are a {name}."} for name in ("pirate", "judge"))
    turn = [user("Hi"), assistant("Hello!")]
    for prompt in (pirate, judge):
        await ask(server, [prompt, user("Hi")], "Hello!")
    for mine, other in ((pirate, "judge"), (judge, "pirate")):
        reply = await ask(server, [mine, *turn, user("And now?")], "Well.")
        assert reply.match == "exact"
        assert other not in seen_in_chat(server, -1)


async def test_a_greeting_under_instructions_that_no_chat_has_opens_a_chat_of_its_own(server: Server) -> None:
    await ask(server, [{"role": "system", "content": "You are a pirate."}, user("Hi")], "Hello!")
    poet = {"role": "system", "content": "You are a poet."}
    reply = await ask(server, [poet, user("Hi"), assistant("Hello!"), user("And now?")], "Well.")
    assert reply.match == "new"
    assert "pirate" not in seen_in_chat(server, -1)


async def test_a_question_that_was_edited_within_its_loop_is_not_kept(server: Server) -> None:
    first = await ask(server, [user("How warm is it in Paris, in Kelvin?")], call_text(), tools=[WEATHER])
    edited = [user(ASK), echo(first), result(ids_of(first)[0], "20 degrees")]
    reply = await ask(server, edited, "20.", tools=[WEATHER])
    assert reply.match == "new"
    assert "Kelvin" not in seen_in_chat(server, -1)


async def test_calls_and_results_behind_the_beginning_that_is_stored_are_told_in_their_place(server: Server) -> None:
    """The question of a loop was edited: the chat branches before it and is told the rest, results once."""
    start = [user("My cat is called Minka."), assistant("A fine name for a cat, I will keep it in mind for later.")]
    await ask(server, start[:1], str(start[1]["content"]), tools=[WEATHER])
    first = await ask(server, [*start, user("How warm is it, in Kelvin?")], call_text(), tools=[WEATHER])
    edited = [*start, user(ASK), echo(first), result(ids_of(first)[0], "20 degrees")]
    reply = await ask(server, edited, "20.", tools=[WEATHER])
    told = server.emulator.shown[-1].text
    assert reply.match == "branch"
    assert told.index(ASK) < told.index("get_weather") < told.index("20 degrees")
    assert (told.count("20 degrees"), "Kelvin" in told) == (1, False)


async def test_another_answer_to_the_same_results_goes_on_from_its_own_branch(server: Server) -> None:
    first = await ask(server, [user(ASK)], call_text(), tools=[WEATHER])
    loop = [user(ASK), echo(first), result(ids_of(first)[0], "20 degrees")]
    for text in ("It is warm.", "It is mild."):
        reply = await ask(server, loop, text, tools=[WEATHER])
        after = await ask(server, [*loop, echo(reply), user("Sure?")], "Yes.", tools=[WEATHER])
        assert (reply.match, after.match) == ("tool-call", "exact")
        parent = server.emulator.shown[-1].parent_id
        (chat,) = server.emulator.chats.values()
        assert parent is not None
        assert chat.nodes[parent].text == text


def visible(server: Server) -> str:
    """What the model sees with the last message: the branch above it, and the message."""
    return "\n".join(text for _, text in server.emulator.shown[-1].seen)


async def give_up(server: Server, history: Messages, words: str, *, sign: str = "", **fields: Any) -> None:
    """Ask, and leave after these words, which the client knows by a `sign` where it is not sent them as they are."""
    before = cut_answers(server)
    hold = server.emulator.script.hold(f"{words} and more", pieces=[words, " and more"], before=1)
    body = {"model": MODEL, "messages": history, "stream": True, **fields}
    async with server.client.session.post(f"{server.url}/v1/chat/completions", json=body) as response:
        await hold.reached()
        seen = b""
        while (sign or words).encode() not in seen:
            seen += await response.content.readany()
    hold.release()
    await eventually(lambda: cut_answers(server) == before + 1)
    await eventually(lambda: server.emulator.stops)


def cut_answers(server: Server) -> int:
    """How many answers were cut after some words."""
    with closing(sqlite3.connect(server.database)) as connection:
        query = "SELECT count(*) FROM nodes WHERE state = 'aborted' AND answer_text <> ''"
        return int(connection.execute(query).fetchone()[0])


async def test_two_answers_that_were_cut_alike_are_not_taken_for_each_other(server: Server) -> None:
    for degrees in ("5 degrees", "22 degrees"):
        first = await ask(server, [user(ASK)], call_text(), tools=[WEATHER])
        loop = [user(ASK), echo(first), result(ids_of(first)[0], degrees)]
        await give_up(server, loop, "It is rather", tools=[WEATHER])
    reply = await ask(server, [user(ASK), assistant("It is rather"), user("Is that cold?")], "Well.", tools=[WEATHER])
    assert (reply.match, "degrees" in visible(server)) == ("new", False)


async def test_a_part_of_an_answer_goes_on_under_its_own_instructions(server: Server) -> None:
    story = "Once upon a time there was a man who lived by the sea"
    pirate, judge = ({"role": "system", "content": f"You are a {name}."} for name in ("pirate", "judge"))
    await give_up(server, [pirate, user("Tell me a story.")], f"{story} and sailed")
    await give_up(server, [judge, user("Tell me a story.")], story)
    reply = await ask(server, [pirate, user("Tell me a story."), assistant(story), user("On.")], "Well.")
    assert (reply.match, "judge" in visible(server)) == ("exact", False)


async def test_calls_of_one_answer_that_come_one_after_the_other_are_all_told(server: Server) -> None:
    both = await ask(server, [user(ASK)], call_text() + call_text("get_time", "{}"), tools=[WEATHER, TIME])
    one, two = both.body["choices"][0]["message"]["tool_calls"]
    history = [user(ASK), assistant("", tool_calls=[one]), result(one["id"], "22 degrees")]
    history += [assistant("", tool_calls=[two]), result(two["id"], "noon")]
    reply = await ask(server, history, "Well.", tools=[WEATHER, TIME])
    told = server.emulator.shown[-1].text
    assert (reply.match, told.count("22 degrees"), told.count("noon")) == ("tool-call", 1, 1)


async def test_words_between_a_call_and_its_result_are_told(server: Server) -> None:
    first = await ask(server, [user(f"{ASK} Be quick.")], call_text(), tools=[WEATHER])
    history = [user(f"{ASK} Be quick."), echo(first), user("Be quick."), result(ids_of(first)[0], "22 degrees")]
    reply = await ask(server, history, "Well.", tools=[WEATHER])
    assert (reply.match, "Be quick." in server.emulator.shown[-1].text) == ("tool-call", True)


async def test_results_that_the_client_shows_count_where_it_hides_the_calls(server: Server) -> None:
    """Cherry Studio 1.4 to 1.6; only the other conversation is stored."""

    def loop(degrees: str) -> Messages:
        return [user(ASK), assistant("I look."), user(old_result(degrees)), assistant("And the time.")]

    await ask(server, loop("")[:1], f"I look. {call_text()}")
    await ask(server, loop("5 degrees")[:3], f"And the time. {call_text('get_time', '{}')}")
    reply = await ask(server, [*loop("22 degrees"), user(old_result("noon", "get_time"))], "Well.")
    assert (reply.match, "5 degrees" in visible(server)) == ("new", False)
    reply = await ask(server, [*loop("5 degrees"), user(old_result("noon", "get_time"))], "Well.")
    assert (reply.match, "22 degrees" in visible(server)) == ("exact", False)


async def test_loops_of_earlier_turns_count_where_the_client_keeps_them(server: Server) -> None:
    call = {"id": "x1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}

    def kept(degrees: str) -> Messages:
        return [user(ASK), assistant("", tool_calls=[call]), result("x1", degrees), assistant(LONG), user("Thanks")]

    for end, answer in ((1, call_text()), (3, LONG), (5, "You are welcome.")):
        await ask(server, kept("5 degrees")[:end], answer, tools=[WEATHER])
    after = [assistant("You are welcome."), user("Is that cold?")]
    for degrees, match in (("22 degrees", "new"), ("5 degrees", "exact")):
        reply = await ask(server, [*kept(degrees), *after], "Well.", tools=[WEATHER])
        assert reply.match == match
    assert "22 degrees" not in visible(server)


async def test_results_for_calls_of_two_answers_are_told_to_neither_chat(server: Server) -> None:
    """Two tries of one question, which a client shows as one step with the calls of both."""
    words = ("Let me see. ", "I look it up. ")
    tries = [await ask(server, [user(ASK)], said + call_text(), tools=[WEATHER]) for said in words]
    calls = [call for reply in tries for call in reply.body["choices"][0]["message"]["tool_calls"]]
    chats = {shown.chat_id for shown in server.emulator.shown}
    history = [user(ASK), assistant("".join(words), tool_calls=calls)]
    history += [result(call["id"], f"{number} degrees") for number, call in enumerate(calls, 21)]
    reply = await ask(server, history, "Well.", tools=[WEATHER])
    told = server.emulator.shown[-1]
    assert (len(chats), told.chat_id in chats) == (2, False)
    assert (reply.match, told.text.count("21 degrees"), told.text.count("22 degrees")) == ("new", 1, 1)


CALLING = '<tool_call>\n{{"name": "get_weather", "arguments": {{"city": "{}"}}}}\n</tool_call>'
ALIKE = {
    "calls that the client reads": (CALLING, "<tool_response>\n22 degrees\n</tool_response>"),
    "mentions of a tag": ("Write the `<tool_call>` tag, and then {}.", "Why?"),
    "charts": ("Here: ![chart](https://quickchart.io/chart?c={})", "Explain it."),
    "examples of thinking": ("```\n<think>\n{}\n</think>\n```", "Explain it."),
}


@pytest.mark.parametrize("what", ALIKE)
async def test_answers_that_differ_only_in_what_clients_take_out_are_not_taken_for_each_other(
    server: Server, what: str
) -> None:
    text, says = ALIKE[what]
    asked = user(f"Show me {what}.")
    for name in ("Paris", "Rome"):
        await ask(server, [asked], text.format(name))
    reply = await ask(server, [asked, assistant(text.format("Paris")), user(says)], "Well.")
    assert (reply.match, "Paris" in visible(server), "Rome" in visible(server)) == ("exact", True, False)


async def test_a_part_of_another_answer_is_not_taken_where_the_whole_ones_are_in_doubt(server: Server) -> None:
    for degrees, words in (("5 degrees", "It is fine."), ("6 degrees", "It is fine."), ("22 degrees", "")):
        first = await ask(server, [user(ASK)], call_text(), tools=[WEATHER])
        loop = [user(ASK), echo(first), result(ids_of(first)[0], degrees)]
        if words:
            await ask(server, loop, words, tools=[WEATHER])
        else:
            await give_up(server, loop, "It is fine. Take a hat", tools=[WEATHER])
    reply = await ask(server, [user(ASK), assistant("It is fine."), user("Is it?")], "Well.", tools=[WEATHER])
    assert (reply.match, "22 degrees" in visible(server)) == ("new", False)


async def test_words_before_a_call_are_no_part_of_an_answer_that_was_cut_behind_another(server: Server) -> None:
    """Two topics ask the same, and their models say the same before they call another tool."""
    paris, rome = (f"I look it up.\n{call_text(arguments=text)}" for text in ('{"city":"Paris"}', '{"city":"Rome"}'))
    await ask(server, [user(ASK)], paris)
    await ask(server, [user(ASK)], rome)
    await give_up(server, [user(ASK), assistant(rome), user(result_text("5 degrees in Rome"))], "It is rather")
    await ask(server, [user(ASK), assistant("I look it up."), user("Never mind. What do you think?")], "Well.")
    assert "Rome" not in visible(server)


async def test_pictures_tell_answers_apart_behind_a_loop_too(server: Server) -> None:
    first = await ask(server, [user(ASK)], call_text(), tools=[WEATHER])
    history = [user(ASK), echo(first), result(ids_of(first)[0], "22 degrees")]
    history += [echo(await ask(server, history, LONG, tools=[WEATHER])), user("Show me a chart.")]
    one, other = (f"Here: ![chart](https://quickchart.io/chart?c={name})" for name in ("ALPHA", "BETA"))
    await ask(server, history, other, tools=[WEATHER])
    await ask(server, [*history, assistant(one), user("Explain it.")], "Well.", tools=[WEATHER])
    assert ("ALPHA" in visible(server), "BETA" in visible(server)) == (True, False)
