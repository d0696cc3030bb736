"""Every way in which clients are known to give a history back finds its place (docs/clients.md)."""

import json
import re

import pytest

from tests.e2e.habits import Topic, assistant, call_text, old_result, result_text, user
from tests.e2e.harness import MODEL, Reply, Server
from tests.e2e.test_tools import WEATHER, echo, ids_of, result

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
TOOLS = "In this environment you have access to a set of tools."


def sent(server: Server) -> list[str]:
    """What upstream was sent, one text a turn."""
    return [shown.text for shown in server.emulator.shown]


def before_the_call(reply: Reply) -> str | None:
    """Show an answer as Cherry Studio 1.4 to 1.6 does: up to its first call, or not at all."""
    return reply.text.partition("<tool_use>")[0] or None


async def test_a_prompt_mode_loop_of_cherry_studio_before_1_7(server: Server) -> None:
    script, topic = server.emulator.script, Topic(server.client, system=TOOLS)
    script.answer("I look it up. \n" + call_text())
    one = await topic.say("How warm is it in Paris?")
    script.answer("Once more. " + call_text())
    two = await topic.step(old_result("20"), before_the_call(one))
    script.answer("It is 20 degrees.")
    three = await topic.step(old_result("21"), before_the_call(two))
    after = await topic.say(ASK)
    assert [reply.match for reply in (two, three, after)] == ["exact", "exact", "exact"]
    assert sent(server)[1:] == ["\n".join(part["text"] for part in old_result(text)) for text in ("20", "21")] + [ASK]


@pytest.mark.parametrize("steps", [2, 5])
async def test_tool_steps_without_any_text_that_the_client_leaves_out(server: Server, steps: int) -> None:
    script, topic = server.emulator.script, Topic(server.client, system=TOOLS)
    script.answer(call_text())
    reply = await topic.say("How warm is it in Paris?")
    for number in range(steps):
        script.answer(call_text() if number + 1 < steps else "It is 20 degrees.")
        reply = await topic.step(old_result(f"{number}"), before_the_call(reply))
        assert reply.match == "exact"
    assert sent(server)[1:] == ["\n".join(part["text"] for part in old_result(f"{number}")) for number in range(steps)]
    assert (await topic.say(ASK)).match == "exact"
    assert len(server.emulator.chats) == 1


async def test_two_results_of_one_step_are_told_together(server: Server) -> None:
    script = server.emulator.script
    script.answer(call_text() + "\n" + call_text("get_time"))
    asked = [user("How warm and how late is it?")]
    await server.client.chat(asked)
    reply = await server.client.chat([*asked, user(old_result("20")), user(old_result("noon", "get_time"))])
    assert reply.match == "exact"
    assert "20" in sent(server)[1]
    assert "noon" in sent(server)[1]


async def test_a_failed_tool_of_cherry_studio_before_1_7_is_a_result(server: Server) -> None:
    script, topic = server.emulator.script, Topic(server.client, system=TOOLS)
    script.answer("I look. " + call_text())
    one = await topic.say("How warm is it in Paris?")
    failed = '[{"type":"text","text":"no such city"}]'
    reply = await topic.step(failed, one.text)
    assert (reply.match, sent(server)[-1]) == ("exact", failed)


@pytest.mark.parametrize("words", ["I look. ", ""])
async def test_a_failed_tool_is_a_result_where_its_call_is_hidden(server: Server, words: str) -> None:
    script, topic = server.emulator.script, Topic(server.client, system=f"{TOOLS} Write {call_text()} to call one.")
    script.answer(words + call_text())
    one = await topic.say("How warm is it in Paris?")
    script.answer("The network is down.")
    failed = '[{"type":"text","text":"no network"}]'
    loop = await topic.step(failed, before_the_call(one))
    assert (loop.match, sent(server)[-1]) == ("exact", failed)
    after = await topic.say(ASK)
    assert (after.match, len(server.emulator.chats)) == ("exact", 1)


async def test_an_array_that_a_user_begins_with_is_a_question(server: Server) -> None:
    talk = server.conversation(system=f"{TOOLS} Write {call_text()} to call one.")
    server.emulator.script.answer("What is that?")
    await talk.say('[{"type":"text","text":"no network"}]')
    assert (await talk.say("Nothing.")).match == "exact"


async def test_a_prompt_mode_loop_of_cherry_studio_since_1_7(server: Server) -> None:
    script, topic = server.emulator.script, Topic(server.client, system=TOOLS)
    script.answer("\n\nI look it up. \n" + call_text())
    one = await topic.say("How warm is it in Paris?")
    script.answer(call_text())
    two = await topic.step(result_text("20"), one.text)
    script.answer("It is 20 degrees. \n")
    three = await topic.step(result_text("21"), two.text)
    after = await topic.say(ASK)
    assert [reply.match for reply in (two, three, after)] == ["exact", "exact", "exact"]
    assert sent(server)[1:] == [result_text("20"), result_text("21"), ASK]
    assert topic.turns[1]["content"] == "I look it up. \n\n\nIt is 20 degrees."


@pytest.mark.parametrize("suffix", ["/no_think", " /no_think", " /think"])
async def test_a_thinking_switch_on_the_newest_text_only(server: Server, suffix: str) -> None:
    history = [user(DOG + suffix)]
    first = await server.client.chat(history)
    history = [user(DOG), assistant(first.text), user(ASK + suffix)]
    reply = await server.client.chat(history)
    assert (reply.match, "Waldo" in reply.text) == ("exact", True)


async def test_reasoning_that_comes_back_as_text(server: Server) -> None:
    first = await server.client.chat([user(DOG)])
    quoted = "\n".join(f"> {line}" for line in first.reasoning.splitlines())
    for shown in (
        f"{quoted}\n\n{first.text}",
        f"<think>\n{first.reasoning}\n</think>\n\n{first.text}",
        f'<details type="reasoning" done="true">\n<summary>Thought</summary>\n{quoted}\n</details>\n{first.text}',
    ):
        reply = await server.client.chat([user(DOG), assistant(shown), user(ASK)])
        assert (reply.match, "Waldo" in reply.text) == ("exact", True)
    assert sent(server)[1:] == [ASK] * 3


async def test_reasoning_that_comes_back_in_fields_of_its_own(server: Server) -> None:
    first = await server.client.chat([user(DOG)])
    shown = assistant(first.text, reasoning_content="anything", reasoning="else", refusal=None, annotations=[])
    assert (await server.client.chat([user(DOG), shown, user(ASK)])).match == "exact"


async def test_parts_in_the_place_of_strings(server: Server) -> None:
    first = await server.client.chat([user([{"type": "text", "text": DOG}])])
    answered = {"role": "assistant", "content": [{"type": "output_text", "text": first.text, "extra": 1}]}
    reply = await server.client.chat([user(DOG), answered, user([{"type": "input_text", "text": ASK}])])
    assert (reply.match, sent(server)) == ("exact", [DOG, ASK])


@pytest.mark.parametrize(
    ("again", "changed"),
    [
        ("It is Tuesday, 2026-11-24 18:00:01. Answer in at most 100 words.", False),
        ("It is 2026年11月24日 星期二 下午6:00. Answer in at most 100 words.", None),
        ("It is Monday, 2026-11-23 05:14:46. Answer in at most 50 words.", True),
    ],
)
async def test_a_clock_in_the_system_prompt_is_no_change(server: Server, again: str, changed: bool | None) -> None:
    talk = server.conversation(system="It is Monday, 2026-11-23 05:14:46. Answer in at most 100 words.")
    await talk.say(DOG)
    talk.messages[0]["content"] = again
    replies = [await talk.say(text) for text in (ASK, "And again?")]
    assert [reply.match for reply in replies] == ["exact", "exact"]
    if changed is not None:
        assert (again in sent(server)[1]) is changed
    assert sent(server)[2] == "And again?"


@pytest.mark.no_cover  # for its volume
async def test_many_turns_of_every_habit_at_once(server: Server) -> None:
    """A client that trims, joins and re-wraps at every turn, over thirty turns in one chat."""
    history: list[dict[str, object]] = []
    for number in range(30):
        asked = f"Tell me something about the number {number}."
        reply = await server.client.chat([*history, user(f"{asked} /no_think")])
        shown = re.sub(r"\s+", "\n\n", reply.text) if number % 2 else f"<think>hm</think>{reply.text}\n"
        history += [user([{"type": "text", "text": f"  {asked}\n"}]), assistant(shown)]
        assert reply.match == ("exact" if number else "new")
    assert len(server.emulator.chats) == 1
    assert max(len(text) for text in sent(server)) < 60


@pytest.mark.parametrize("answer", ["Yes, and I shall keep that in mind.", "Yes.\n\n> Waldo, he said.\n\nSo I do."])
async def test_reasoning_as_nextchat_quotes_it(server: Server, answer: str) -> None:
    """Paragraphs are marked, their other lines are not."""
    server.emulator.script.answer(answer, thinking=["First.\nSecond.\n\nThird", ".\nFourth.\n\n\nFifth."])
    first = await server.client.chat([user(DOG)], stream=True)
    quoted = first.reasoning.replace("\n\n", "\n\n> ")
    reply = await server.client.chat([user(DOG), assistant(f"> {quoted}\n\n{answer}"), user(ASK)])
    assert (reply.match, sent(server)[-1]) == ("exact", ASK)


@pytest.mark.parametrize(
    "shown", ['"&quot;22 degrees&quot;"', '<tool_calls name="get_weather" result="&quot;22 degrees&quot;"/>']
)
async def test_results_that_open_webui_puts_in_the_place_of_calls(server: Server, shown: str) -> None:
    script, history, asked = server.emulator.script, [user("How warm is it in Paris?")], [WEATHER]
    script.answer("I look it up.\n" + call_text())
    first = await server.client.chat(history, tools=asked)
    history += [echo(first), result(ids_of(first)[0], "22 degrees")]
    script.answer("It is 22 degrees in Paris.")
    second = await server.client.chat(history, tools=asked)
    collapsed = [history[0], assistant(f"I look it up.\n{shown}\n{second.text}"), user(ASK)]
    reply = await server.client.chat(collapsed, tools=asked)
    assert (reply.match, sent(server)[-1]) == ("exact", ASK)


async def test_answers_that_begin_with_a_quotation_are_told_apart(server: Server) -> None:
    server.emulator.script.answer("Good.")
    await server.client.chat([user("I read Hamlet.")])
    history = [user("I read Hamlet."), assistant("Good."), user("Quote it.")]
    for answer in ("> To be, or not to be.", "> Something is rotten."):
        server.emulator.script.answer(answer)
        await server.client.chat(history)
    server.emulator.script.answer("Hamlet does.")
    reply = await server.client.chat([*history, assistant("> To be, or not to be."), user("Who says that?")])
    assert reply.match == "exact"
    assert [text for _, text in server.emulator.shown[-1].seen[-2:]] == ["> To be, or not to be.", "Who says that?"]


async def test_reasoning_quoted_before_some_answers_only(server: Server) -> None:
    first = await server.client.chat([user(DOG)])
    history = [user(DOG), assistant(first.text), user("And my cat is called Tom.")]
    second = await server.client.chat(history)
    history += [assistant(f"> I think of cats.\n\n{second.text}"), user(ASK)]
    reply = await server.client.chat(history)
    assert (reply.match, sent(server)[-1]) == ("exact", ASK)


async def test_a_loop_whose_last_step_begins_with_a_quotation_may_be_collapsed(server: Server) -> None:
    script, topic = server.emulator.script, Topic(server.client)
    script.answer("I look it up.\n\n" + call_text())
    reply = await topic.say("How warm is it in Paris?")
    script.answer("> 22 degrees, says the station.\n\nIt is a fine day there.")
    await topic.step(result_text("22"), reply.text)
    script.answer("Welcome.")
    assert (await topic.say("Thanks.")).match == "exact"


async def test_calls_that_a_client_reads_in_the_text_by_itself_are_no_part_of_a_collapsed_turn(server: Server) -> None:
    call = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    server.emulator.script.answer(f"I look it up.\n{call}")
    first = await server.client.chat([user("How warm is it?")])
    history = [user("How warm is it?"), assistant(first.text)]
    server.emulator.script.answer("It is warm.")
    second = await server.client.chat(
        [*history, user("<tool_use_result><name>look</name><result>22</result></tool_use_result>")]
    )
    server.emulator.script.answer("Welcome.")
    collapsed = [user("How warm is it?"), assistant(f"I look it up.\n\n{second.text}"), user("Thanks.")]
    assert (await server.client.chat(collapsed)).match == "exact"


async def test_a_client_that_reads_lines_as_python_does_reads_whole_frames(server: Server) -> None:
    said = "one\u2028two\u2029three\x85four 你好"
    server.emulator.script.answer(said)
    body = {"model": MODEL, "stream": True, "messages": [user("Say it.")]}
    async with server.client.session.post(f"{server.url}/v1/chat/completions", json=body) as response:
        lines = [line for line in (await response.text()).splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == said


async def test_who_says_what_is_told_where_a_client_names_its_users(server: Server) -> None:
    talk = [{**user("I have a cat."), "name": "Ann"}, assistant("A cat is good company."), user("Who has it?")]
    talk.insert(2, {**user("I have a dog."), "name": "Bob"})
    await server.client.chat(talk)
    assert "Ann: I have a cat." in sent(server)[-1]
    assert sent(server)[-1].endswith("Bob: I have a dog.\n\nWho has it?")


async def test_names_do_not_change_where_a_conversation_goes_on(server: Server) -> None:
    first = await server.client.chat([{**user(DOG), "name": "Ann"}])
    reply = await server.client.chat([user(DOG), assistant(first.text), {**user(ASK), "name": "Ann"}])
    assert (reply.match, sent(server)) == ("exact", [f"Ann: {DOG}", f"Ann: {ASK}"])


async def test_a_question_and_the_file_behind_it_do_not_run_into_each_other(server: Server) -> None:
    parts = [{"type": "text", "text": text} for text in ("Summarize this", "notes.txt\n", "One two.")]
    first = await server.client.chat([{"role": "user", "content": parts}])
    assert sent(server) == ["Summarize this\nnotes.txt\nOne two."]
    glued = user("Summarize thisnotes.txt\nOne two.")
    assert (await server.client.chat([glued, assistant(first.text), user(ASK)])).match == "exact"
