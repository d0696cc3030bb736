"""Completions: bodies, the tree of a chat, and the worked example of the protocol page."""

import json
import time
from typing import Any

import pytest

from tests.emulator.page import FAST, SUMMARY, Site, answer_of, completion, emulated


async def post(site: Site, chat_id: str, body: Any) -> Any:
    return await site.raw("POST", f"/api/v2/chat/completions?chat_id={chat_id}", json.dumps(body).encode())


async def test_three_turns_with_thinking_link_as_in_the_worked_example(site: Site) -> None:
    chat = await site.new_chat()
    one = await site.say(chat, "Is 91 prime?", config=SUMMARY)
    two = await site.say(chat, "And 97?", one.node, config=SUMMARY)
    three = await site.say(chat, "And 99?", two.node, config=SUMMARY)
    tree = await site.tree(chat)
    users = [turn.created["parent_id"] for turn in (one, two, three)]
    answers = [turn.node for turn in (one, two, three)]
    assert len({*users, *answers}) == 6
    assert tree["currentId"] == three.node
    assert tree["currentResponseIds"] == tree["chat"]["history"]["currentResponseIds"] == [three.node]
    nodes = tree["chat"]["history"]["messages"]
    links = {key: (node["role"], node["parentId"], node["childrenIds"]) for key, node in nodes.items()}
    assert links == {
        users[0]: ("user", None, [answers[0]]),
        answers[0]: ("assistant", users[0], [users[1]]),
        users[1]: ("user", answers[0], [answers[1]]),
        answers[1]: ("assistant", users[1], [users[2]]),
        users[2]: ("user", answers[1], [answers[2]]),
        answers[2]: ("assistant", users[2], []),
    }
    assert [node["id"] for node in tree["chat"]["messages"]] == [
        users[0],
        answers[0],
        users[1],
        answers[1],
        users[2],
        answers[2],
    ]
    stored = nodes[answers[0]]
    assert [item["phase"] for item in stored["content_list"]] == ["thinking_summary", "answer"]
    assert stored["content_list"][0]["extra"]["summary_thought"]["content"]
    assert (answer_of(stored), stored["done"], stored["is_stop"]) == (one.text, True, False)


async def test_the_events_of_a_thinking_turn_have_the_shapes_of_the_worked_example(site: Site) -> None:
    site.emulator.script.answer("", pieces=["No: 91 = ", "7 x 13."], thinking=["I try small primes.", "7 times 13."])
    created, *events = (await site.say(await site.new_chat(), "Is 91 prime?", config=SUMMARY)).events
    assert list(created) == ["response.created"]
    assert list(created["response.created"]) == ["chat_id", "parent_id", "response_id", "response_index"]
    shapes: dict[tuple[str, str], set[tuple[tuple[str, ...], ...]]] = {}
    for event in events:
        [choice] = event["choices"]
        delta = choice["delta"]
        shapes.setdefault((delta["phase"], delta["status"]), set()).add((tuple(event), tuple(choice), tuple(delta)))
    typing = ("choices", "response_id", "usage", "timestamp")
    delta = ("role", "content", "phase", "status")
    assert list(shapes.items()) == [
        (
            ("thinking_summary", "typing"),
            {(typing, ("delta",), ("role", "content", "phase", "extra", "status"))},
        ),
        (("thinking_summary", "finished"), {(("choices", "response_id", "timestamp"), ("delta",), delta)}),
        (("answer", "typing"), {(typing, ("delta",), delta)}),
        (
            ("answer", "finished"),
            {(("choices", "response_id"), ("delta",), ("content", "role", "status", "phase"))},
        ),
    ]
    assert set(events[0]["usage"]) == {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "characters",
        "input_tokens_details",
        "output_tokens_details",
        "prompt_tokens_details",
    }


async def test_a_stored_answer_tells_its_model_by_name_and_when_it_ended(site: Site) -> None:
    chat = await site.new_chat()
    turn = await site.say(chat, "hi")
    node = (await site.tree(chat))["chat"]["history"]["messages"][turn.node]
    assert (node["model"], node["modelName"]) == ("qwen3.7-plus", "Qwen3.7-Plus")
    assert node["extra"]["meta"] == {"subChatType": "t2t"}
    assert node["extra"]["endTime"] == pytest.approx(time.time(), abs=30)


async def test_the_ids_that_the_client_proposes_are_thrown_away(site: Site) -> None:
    chat = await site.new_chat()
    body = completion(chat, "hi")
    turn = await post(site, chat, body)
    proposed = {body["messages"][0]["fid"], *body["messages"][0]["childrenIds"]}
    assert turn.is_finished
    assert not proposed & set((await site.tree(chat))["chat"]["history"]["messages"])


async def test_the_model_is_shown_the_branch_above_the_parent_and_nothing_else(site: Site) -> None:
    chat = await site.new_chat()
    one = await site.say(chat, "say: one")
    await site.say(chat, "say: two", one.node)
    again = await site.say(chat, "say: three", one.node, action="edit")
    shown = site.emulator.shown[-1]
    assert shown.seen == [("user", "say: one"), ("assistant", "one"), ("user", "say: three")]
    assert (shown.chat_id, shown.parent_id, shown.user_action) == (chat, one.node, "edit")
    assert (shown.model, shown.feature_config, shown.text) == ("qwen3.7-plus", FAST, "say: three")
    assert (await site.tree(chat))["currentId"] == again.node


async def test_an_edit_is_a_sibling_of_the_message_that_it_edits(site: Site) -> None:
    chat = await site.new_chat()
    one = await site.say(chat, "first")
    two = await site.say(chat, "second", one.node)
    edited = await site.say(chat, "second, better", one.node, action="edit")
    nodes = (await site.tree(chat))["chat"]["history"]["messages"]
    assert nodes[one.node]["childrenIds"] == [two.created["parent_id"], edited.created["parent_id"]]


async def test_no_parent_in_a_chat_with_turns_starts_a_new_root(site: Site) -> None:
    chat = await site.new_chat()
    await site.say(chat, "My dog is called Rex.")
    other = await site.say(chat, "What is my dog called?")
    assert other.text == "You did not tell me that."


async def test_a_turn_may_change_the_model(site: Site) -> None:
    chat = await site.new_chat()
    one = await site.say(chat, "hi")
    two = await site.say(chat, "hi", one.node, model="qwen3-coder-plus")
    nodes = (await site.tree(chat))["chat"]["history"]["messages"]
    assert [nodes[turn.node]["model"] for turn in (one, two)] == ["qwen3.7-plus", "qwen3-coder-plus"]


async def test_a_message_of_parts_is_read_as_their_text(site: Site) -> None:
    chat = await site.new_chat()
    body = completion(chat, "")
    body["messages"][0]["content"] = [{"type": "text", "text": "say: "}, {"type": "image", "image": "u"}, "x"]
    body["messages"][0]["content"].append({"type": "text", "text": "parts"})
    assert (await post(site, chat, body)).text == "parts"


async def test_unknown_fields_change_nothing(site: Site) -> None:
    chat = await site.new_chat()
    assert (await site.say(chat, "say: yes", temperature=2, tools=[], top_p=0)).text == "yes"


async def test_a_message_without_content_or_config_is_still_answered(site: Site) -> None:
    chat = await site.new_chat()
    body = completion(chat, "")
    body["messages"] = [{"content": None, "feature_config": None}]
    turn = await post(site, chat, body)
    assert turn.status == 200
    assert "emulator" in "".join(delta["content"] for delta in turn.deltas)


@pytest.mark.parametrize("field", ["chat_id", "model", "messages", "stream"])
async def test_a_completion_needs_every_field(site: Site, field: str) -> None:
    chat = await site.new_chat()
    body = completion(chat, "hi")
    del body[field]
    reply = await post(site, chat, body)
    assert (reply.code, reply.headers["x-actual-status-code"]) == ("RequestValidationError", "422")
    assert reply.body["data"]["details"] == [f"Field '{field}': Field required"]


async def test_a_completion_needs_the_chat_in_its_address(site: Site) -> None:
    chat = await site.new_chat()
    reply = await site.raw("POST", "/api/v2/chat/completions", json.dumps(completion(chat, "hi")).encode())
    assert reply.body["data"]["details"] == ["Field 'chat_id': Field required"]


@pytest.mark.parametrize("messages", [[], "x", None, ["x"]])
async def test_a_completion_needs_a_message(site: Site, messages: Any) -> None:
    chat = await site.new_chat()
    assert (await post(site, chat, completion(chat, "hi", messages=messages))).code == "RequestValidationError"


async def test_more_than_one_message_is_refused(site: Site) -> None:
    chat = await site.new_chat()
    body = completion(chat, "hi")
    body["messages"] *= 2
    reply = await post(site, chat, body)
    assert (reply.code, reply.body["data"]["details"]) == ("Bad_Request", "Invalid input too many messages.")


async def test_a_tool_result_of_a_clients_tool_is_refused(site: Site) -> None:
    chat = await site.new_chat()
    reply = await site.say(chat, "{}", role="function")
    assert (reply.code, reply.body["data"]["details"]) == ("Bad_Request", "Something wrong with request!")


async def test_a_system_message_opens_a_stream_without_an_answer(site: Site) -> None:
    chat = await site.new_chat()
    turn = await site.say(chat, "You are kind.", role="system")
    assert (turn.text, turn.is_finished) == ("", True)


async def test_a_parent_that_does_not_exist_is_refused(site: Site) -> None:
    chat = await site.new_chat()
    reply = await site.say(chat, "hi", "never-was")
    assert (reply.code, reply.headers["x-actual-status-code"]) == ("PARENT_NOT_FOUND", "404")


async def test_the_stored_message_of_the_user_is_no_parent(site: Site) -> None:
    chat = await site.new_chat()
    turn = await site.say(chat, "hi")
    assert (await site.say(chat, "hi", turn.created["parent_id"])).code == "PARENT_NOT_FOUND"


async def test_a_node_of_another_chat_is_no_parent(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "hi")
    assert (await site.say(await site.new_chat(), "hi", turn.node)).code == "PARENT_NOT_FOUND"


async def test_in_2025_a_wrong_parent_is_named(site: Site) -> None:
    async with emulated(era="2025") as old:
        reply = await old.say(await old.new_chat(), "hi", "x1")
        assert (reply.status, reply.body["data"]["details"]) == (400, "parent_id x1 is not exist")


async def test_an_unknown_model_is_not_found(site: Site) -> None:
    chat = await site.new_chat()
    reply = await site.say(chat, "hi", model="gpt-4")
    assert (reply.code, reply.body["data"]["details"]) == ("Not_Found", "Model not found")


async def test_a_model_that_must_think_refuses_not_to(site: Site) -> None:
    chat = await site.new_chat("qwq-32b")
    assert (await site.say(chat, "hi", model="qwq-32b")).code == "invalid_input"
    assert (await site.say(chat, "hi", model="qwq-32b", config=SUMMARY)).phase("thinking_summary")


async def test_a_model_that_cannot_think_does_not(site: Site) -> None:
    chat = await site.new_chat("qwen3-coder-plus")
    turn = await site.say(chat, "say: code", model="qwen3-coder-plus", config=SUMMARY)
    assert (turn.text, turn.phase("thinking_summary")) == ("code", [])


async def test_a_body_over_128_kib_meets_the_guard_and_one_below_does_not(site: Site) -> None:
    chat = await site.new_chat()
    spare = 128 * 1024 - len(json.dumps(completion(chat, "")))
    over = await site.say(chat, "x" * (spare + 1))
    assert over.body["ret"][0] == "FAIL_SYS_USER_VALIDATE"
    assert not site.emulator.shown
    assert (await site.say(chat, "x" * spare)).is_finished


async def test_a_refused_request_uses_up_no_planned_answer(site: Site) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("planned")
    await site.say("never-was", "hi")
    await site.say(chat, "hi", "never-was")
    await site.say(chat, "hi", headers={"X-Emulator-Fault": "busy"})
    assert (await site.say(chat, "hi")).text == "planned"
    assert (await site.say(chat, "say: own words")).text == "own words"
