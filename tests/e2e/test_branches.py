"""Edits, deletions, regenerations and parallel requests: the model sees what the client sent, and nothing else."""

import asyncio

import pytest

from tests.e2e.harness import Conversation, Server

DOG = "My dog is called Waldo."
ASK = "What is my dog called?"
CAT = "My cat is called Tom."


def seen(server: Server) -> str:
    """All that the model was shown for the last answer."""
    return " ".join(text for _, text in server.emulator.shown[-1].seen)


async def tell(server: Server, *texts: str) -> Conversation:
    talk = server.conversation()
    for text in texts:
        await talk.say(text)
    return talk


async def test_a_middle_turn_that_was_deleted_is_unknown_to_the_model(server: Server) -> None:
    talk = await tell(server, DOG, CAT, "My bird is called Pip.")
    del talk.messages[2:4]
    reply = await talk.say("What is my bird called?")
    assert (reply.match, reply.text) == ("branch", "Your bird is Pip.")
    assert CAT not in seen(server)
    assert DOG not in server.emulator.shown[-1].text
    assert server.emulator.shown[-1].parent_id == server.emulator.shown[1].parent_id
    assert (await talk.say(ASK)).match == "exact"
    assert server.emulator.shown[-1].text == ASK
    assert len(server.emulator.chats) == 1


async def test_an_earlier_text_that_was_edited_branches_before_it(server: Server) -> None:
    talk = await tell(server, DOG, CAT, "My bird is called Pip.")
    talk.messages[2]["content"] = "My cat is called Felix."
    reply = await talk.say("What is my cat called?")
    assert (reply.match, reply.text) == ("branch", "Your cat is Felix.")
    assert CAT not in seen(server)
    assert "Pip" in seen(server)


async def test_the_first_text_that_was_edited_is_replayed(server: Server) -> None:
    talk = await tell(server, DOG, CAT)
    talk.messages[0]["content"] = "My dog is called Bello."
    reply = await talk.say(ASK)
    assert (reply.match, reply.text) == ("new", "Your dog is Bello.")
    assert DOG not in seen(server)


async def test_an_answer_that_the_client_changed_is_told(server: Server) -> None:
    talk = await tell(server, DOG, "Go on.")
    talk.messages[3]["content"] = "My parrot is called Kiwi."
    reply = await talk.say("What is my parrot called?")
    assert (reply.match, reply.text) == ("branch", "Your parrot is Kiwi.")


async def test_regenerate_in_the_middle_and_go_on_from_either_branch(server: Server) -> None:
    talk = await tell(server, DOG, CAT, "Go on.")
    other = Conversation(server.client)
    other.messages = talk.messages[:2]
    again = await other.say("My cat is called Felix.")
    assert again.match == "exact"
    assert (await other.say("What is my cat called?")).text == "Your cat is Felix."
    assert CAT not in seen(server)
    assert (await talk.say("What is my cat called?")).text == "Your cat is Tom."
    assert "Felix" not in seen(server)
    assert (await other.say(ASK)).text == (await talk.say(ASK)).text == "Your dog is Waldo."
    assert len(server.emulator.chats) == 1
    (chat,) = server.emulator.chats.values()
    children = [len(node.children) for node in chat.nodes.values() if node.role == "assistant"]
    assert sorted(children, reverse=True)[:2] == [2, 1]


async def test_an_answer_that_was_regenerated_twice_leaves_three_siblings(server: Server) -> None:
    talk = await tell(server, DOG, "Say something.")
    for _ in range(2):
        talk.messages.pop()
        await talk.again()
    first, *others = server.emulator.shown[1:]
    assert {(shown.chat_id, shown.parent_id) for shown in others} == {(first.chat_id, first.parent_id)}
    assert [shown.user_action for shown in others] == ["edit", "edit"]


async def test_three_parallel_requests_on_one_prefix_are_all_answered(server: Server) -> None:
    talk = await tell(server, DOG, "Go on.")
    branches = [Conversation(server.client, messages=[*talk.messages]) for _ in range(3)]
    replies = await asyncio.gather(*(branch.say(ASK) for branch in branches))
    assert sorted(reply.match for reply in replies) == ["exact", "new", "new"]
    assert {reply.text for reply in replies} == {"Your dog is Waldo."}
    cats = await asyncio.gather(*(branch.say(f"My cat is called Tom{n}.") for n, branch in enumerate(branches)))
    assert all(reply.status == 200 for reply in cats)
    for number, branch in enumerate(branches):
        assert (await branch.say("What is my cat called?")).text == f"Your cat is Tom{number}."


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_request_twice_at_once_is_answered_twice(server: Server, stream: bool) -> None:
    talk = await tell(server, DOG, "Go on.")
    talk.messages.append({"role": "user", "content": ASK})
    replies = await asyncio.gather(*(server.client.chat(talk.messages, stream=stream) for _ in range(2)))
    assert {reply.text for reply in replies} == {"Your dog is Waldo."}
    talk.messages.append({"role": "assistant", "content": replies[0].text})
    reply = await talk.say(ASK)
    assert (reply.match, reply.text) == ("exact", "Your dog is Waldo.")


async def test_a_client_that_gives_up_and_tries_again_gets_a_sibling(server: Server) -> None:
    talk = await tell(server, DOG)
    hold = server.emulator.script.hold("Your dog", pieces=["Your dog"], before=0)
    talk.messages.append({"role": "user", "content": ASK})
    first = asyncio.create_task(server.client.chat(talk.messages))
    await hold.reached()
    first.cancel()
    await asyncio.wait([first])
    again = await server.client.chat(talk.messages)
    one, two = server.emulator.shown[-2:]
    assert (again.match, again.text) == ("exact", "Your dog is Waldo.")
    assert (one.chat_id, one.parent_id) == (two.chat_id, two.parent_id)
