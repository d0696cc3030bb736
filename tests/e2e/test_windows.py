"""A client that sends only its last turns keeps its thread, and never another conversation's."""

from pathlib import Path

import pytest

from tests.e2e.habits import Topic, assistant, call_text, last_messages, result_text, user
from tests.e2e.harness import Messages, Server, emulating, serving

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"


@pytest.mark.no_cover  # for its volume
@pytest.mark.parametrize("window", [7, 5, 3])
async def test_a_window_stays_in_its_chat_for_many_turns(server: Server, window: int) -> None:
    topic = Topic(server.client, window=window)
    await topic.say(DOG)
    matches = [(await topic.say(f"Tell me something about the number {number}.")).match for number in range(12)]
    last = await topic.say(ASK)
    assert set(matches) == {"exact", "window"}
    assert (last.match, last.text) == ("window", "Your dog is Waldo.")
    assert len(server.emulator.chats) == 1
    assert all("<conversation>" not in shown.text for shown in server.emulator.shown)
    assert [shown.text for shown in server.emulator.shown][-2:] == ["Tell me something about the number 11.", ASK]


async def test_a_window_of_four_that_begins_with_an_answer(server: Server) -> None:
    """NextChat sends its last four messages, the summary of the rest in a system message."""
    history: Messages = []
    replies = []
    for number in range(6):
        history.append(user(DOG if number == 0 else f"Tell me something about the number {number}."))
        summary = {"role": "system", "content": f"This is a summary of the chat history as a recap: version {number}"}
        sent = history if number < 2 else [summary, *history[-4:]]
        reply = await server.client.chat(sent)
        history.append(assistant(reply.text))
        replies.append(reply)
    assert [reply.match for reply in replies] == ["new", "exact", "window", "window", "window", "window"]
    assert len(server.emulator.chats) == 1
    for number, shown in enumerate(server.emulator.shown[2:], 2):
        assert shown.text.count("as a recap") == 1
        assert f"version {number}" in shown.text
        assert shown.text.endswith(f"Tell me something about the number {number}.")


async def test_a_tool_loop_inside_a_window_goes_on_in_its_chat(server: Server) -> None:
    topic = Topic(server.client, system="Use the tools.", window=5)
    for number in range(5):
        await topic.say(f"Tell me something about the number {number}.")
    script = server.emulator.script
    script.answer("I look. " + call_text())
    asked = await topic.say("How warm is it?")
    script.answer("Again. " + call_text())
    first = await topic.step(result_text("20"), asked.text)
    script.answer("It is 20 degrees.")
    second = await topic.step(result_text("21"), first.text)
    after = await topic.say("Thanks")
    assert [reply.match for reply in (asked, first, second, after)] == ["window", "window", "window", "window"]
    assert [shown.text for shown in server.emulator.shown[-3:]] == [result_text("20"), result_text("21"), "Thanks"]
    assert len(server.emulator.chats) == 1


async def test_a_window_goes_on_natively_after_a_replay(server: Server) -> None:
    topic = Topic(server.client, window=7)
    for number in range(6):
        await topic.say(f"Tell me something about the number {number}.")
    await server.emulator.delete_chat(server.emulator.shown[0].chat_id)
    matches = [(await topic.say(f"And about {number}?")).match for number in range(10, 16)]
    assert matches == ["new", "window", "window", "window", "window", "window"]
    assert len(server.emulator.chats) == 1


async def test_a_window_that_began_elsewhere_is_replayed_once(server: Server) -> None:
    """The owner switched to this server in the middle of a topic."""
    topic = Topic(server.client, window=7)
    for number in range(5):
        topic.turns += [user(f"Question {number}, put to somebody else?"), assistant(f"The answer number {number}.")]
    matches = [(await topic.say(f"And about {number}?")).match for number in range(5)]
    assert matches == ["new", "window", "window", "window", "window"]
    assert "Question 2" in server.emulator.shown[0].text
    assert "Question 1" not in server.emulator.shown[0].text


async def test_regenerate_inside_a_window_is_a_sibling(server: Server) -> None:
    topic = Topic(server.client, window=7)
    for number in range(6):
        await topic.say(f"Tell me something about the number {number}.")
    again = await topic.send()
    one, two = server.emulator.shown[-2:]
    assert again.match == "window"
    assert (one.chat_id, one.parent_id, one.text) == (two.chat_id, two.parent_id, two.text)
    assert two.user_action == "edit"


async def test_short_answers_never_choose_between_conversations(server: Server) -> None:
    """Many conversations that end in "OK": only what tells them apart decides, and else nothing."""
    topics = [Topic(server.client, window=5) for _ in range(12)]
    for number, topic in enumerate(topics):
        for text in (f"My dog is called Dog{number}.", "Remember it.", "Keep it in mind.", "Do not forget it."):
            server.emulator.script.answer("OK")
            await topic.say(text)
    for number, topic in enumerate(topics):
        server.emulator.script.answer("OK")
        reply = await topic.say(f"Well then, {number}?")
        seen = " ".join(text for _, text in server.emulator.shown[-1].seen)
        assert all(f"Dog{other}." not in seen for other in range(12) if other != number)
        assert reply.match == "new"


async def test_short_answers_with_questions_of_their_own_are_enough(server: Server) -> None:
    topics = [Topic(server.client, window=5) for _ in range(12)]
    for number, topic in enumerate(topics):
        for text in (
            f"My dog is called Dog{number}.",
            "Remember it.",
            f"That is number {number}.",
            "Do not forget it.",
        ):
            server.emulator.script.answer("OK")
            await topic.say(text)
    for number, topic in enumerate(topics):
        reply = await topic.say(ASK)
        assert (reply.match, reply.text) == ("window", f"Your dog is Dog{number}.")


async def test_one_short_turn_is_not_enough(server: Server) -> None:
    topic = Topic(server.client, window=3)
    for text in (DOG, "Hello", "Hello again"):
        server.emulator.script.answer("OK")
        await topic.say(text)
    assert (await topic.say("Well?")).match == "new"


async def test_a_window_in_which_a_text_was_edited_is_replayed(server: Server) -> None:
    topic = Topic(server.client, window=7)
    for number in range(6):
        await topic.say(f"Tell me something about the number {number}.")
    topic.close()
    topic.turns[-4] = user("My cat is called Tom.")
    reply = await topic.say("What is my cat called?")
    assert (reply.match, reply.text) == ("new", "Your cat is Tom.")


async def test_a_text_that_grew_in_an_edit_is_not_taken_for_the_old_one(server: Server) -> None:
    talk = server.conversation()
    await talk.say("Hello there.")
    await talk.say("Go on.")
    talk.messages[0]["content"] = "Hello there. My cat is called Tom."
    reply = await talk.say("What is my cat called?")
    assert (reply.match, reply.text) == ("new", "Your cat is Tom.")


async def test_what_a_client_put_around_a_text_once_may_be_gone(server: Server) -> None:
    """Reminders (aider) and references (Cherry Studio, Open WebUI) are on a text only when it is new."""
    history: Messages = []
    for number in range(4):
        text = f"Tell me something about the number {number}."
        wrapped = f"Please answer from the references.\n\n## Question\n{text}\n\n## References\n[]\n\nReply in English."
        reply = await server.client.chat([*history, user(wrapped)])
        history += [user(text), assistant(reply.text)]
        assert reply.match == ("new" if number == 0 else "window")
    assert len(server.emulator.chats) == 1


async def test_window_matching_can_be_switched_off(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, WINDOW_MATCH="0") as server:
        topic = Topic(server.client, window=5)
        replies = [await topic.say(f"Tell me something about the number {number}.") for number in range(5)]
        assert [reply.match for reply in replies] == ["new", "exact", "exact", "new", "new"]
        assert "number 0" not in emulator.shown[-1].text


async def test_hashes_alone_are_enough_for_a_window(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, STORE_TEXT="0") as server:
        topic = Topic(server.client, window=5)
        replies = [await topic.say(f"Tell me something about the number {number}.") for number in range(6)]
        assert [reply.match for reply in replies] == ["new", "exact", "exact", "window", "window", "window"]


async def test_another_owner_with_the_same_window_finds_nothing(tmp_path: Path) -> None:
    keys = "anna:anna-key-1,ben:ben-key-12"
    async with emulating() as emulator, serving(tmp_path, emulator, API_KEYS=keys) as server:
        server.client.headers = {"Authorization": "Bearer anna-key-1"}
        topic = Topic(server.client, window=5)
        for number in range(5):
            await topic.say(f"Tell me something about the number {number}.")
        server.client.headers = {"Authorization": "Bearer ben-key-12"}
        assert (await topic.say("And now?")).match == "new"
        topic.close()
        topic.turns = topic.turns[:-2]
        server.client.headers = {"Authorization": "Bearer anna-key-1"}
        assert (await topic.say("And now?")).match == "window"


def test_trimming_keeps_whole_turns() -> None:
    turns = [user("a"), assistant("b"), user("c"), assistant("d"), user("e")]
    assert last_messages(turns, 4) == turns[2:]
