"""Chats: made, listed, read, renamed and deleted, and used by a person."""

import logging
from typing import Any

import pytest

from app.emulator.faults import Target
from tests.emulator.page import Site, answer_of, emulated

NEW = {"models": ["qwen3.7-plus"], "chat_mode": "normal", "chat_type": "t2t", "timestamp": 1790000000000}


async def rows(site: Site, page: int = 1) -> list[dict[str, Any]]:
    return list((await site.ask("GET", f"/api/v2/chats/?page={page}&exclude_project=true")).data)


async def test_a_new_chat_exists_at_once_without_a_title_of_its_own(site: Site) -> None:
    chat_id = await site.new_chat()
    [row] = await rows(site)
    assert (row["id"], row["title"]) == (chat_id, "New Chat")
    assert set(row) == {
        "id",
        "title",
        "updated_at",
        "created_at",
        "chat_type",
        "project_id",
        "pinned",
        "content",
        "highlight_indexes",
        "message_id",
    }


async def test_in_2025_a_row_has_five_columns() -> None:
    async with emulated(era="2025") as site:
        await site.new_chat()
        [row] = await rows(site)
        assert set(row) == {"id", "title", "updated_at", "created_at", "chat_type"}


@pytest.mark.parametrize("field", list(NEW))
async def test_a_chat_needs_every_field(site: Site, field: str) -> None:
    body = {name: value for name, value in NEW.items() if name != field}
    reply = await site.ask("POST", "/api/v2/chats/new", body)
    assert (reply.code, reply.actual) == ("RequestValidationError", "422")
    assert reply.body["data"]["details"] == [f"Field '{field}': Field required"]


@pytest.mark.parametrize(
    ("models", "code"),
    [([], "ValidationError"), ("qwen", "ValidationError"), (["gpt"], "Not_Found"), ([{}], "Not_Found")],
)
async def test_a_chat_needs_a_model_that_exists(site: Site, models: Any, code: str) -> None:
    assert (await site.ask("POST", "/api/v2/chats/new", {**NEW, "models": models})).code == code
    assert not site.emulator.chats


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object_is_refused(site: Site, data: bytes) -> None:
    reply = await site.raw("POST", "/api/v2/chats/new", data)
    assert (reply.status, reply.code) == (200, "RequestValidationError")


async def test_the_list_is_paged_newest_first_and_empty_past_its_end() -> None:
    async with emulated(page_size=2) as site:
        made = [await site.new_chat() for _ in range(5)]
        pages = [[row["id"] for row in await rows(site, page)] for page in (1, 2, 3, 4)]
        assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]], []]


async def test_a_page_that_is_no_number_is_refused(site: Site) -> None:
    assert (await site.ask("GET", "/api/v2/chats/?page=x")).code == "ValidationError"


async def test_a_chat_names_itself_after_its_first_turn(site: Site) -> None:
    chat_id = await site.new_chat()
    first = await site.say(chat_id, "  Tell me\nabout the long history of the town of Łódź, please  ")
    assert (await rows(site))[0]["title"] == "Tell me about the long history of the to"
    await site.say(chat_id, "Something else", first.node)
    assert (await rows(site))[0]["title"] == "Tell me about the long history of the to"


async def test_an_empty_chat_is_read_whole(site: Site) -> None:
    chat_id = await site.new_chat()
    tree = await site.tree(chat_id)
    assert (tree["id"], tree["currentId"], tree["currentResponseIds"]) == (chat_id, None, [])
    assert tree["chat"]["history"]["messages"] == {}
    assert tree["chat"]["models"] == ["qwen3.7-plus"]


async def test_a_deleted_chat_is_gone(site: Site) -> None:
    kept, chat_id = await site.new_chat(), await site.new_chat()
    assert (await site.ask("DELETE", f"/api/v2/chats/{chat_id}")).data == {"status": True}
    assert list(site.emulator.chats) == [kept]
    assert (await site.ask("GET", f"/api/v2/chats/{chat_id}")).code == "Not_Found"
    assert (await site.ask("DELETE", f"/api/v2/chats/{chat_id}")).code == "Not_Found"


async def test_a_deleted_chat_and_an_unknown_one_are_told_apart_by_a_completion(site: Site) -> None:
    chat_id = await site.new_chat()
    await site.emulator.delete_chat(chat_id)
    gone = await site.say(chat_id, "hi")
    assert gone.code == "CHAT_NOT_FOUND"
    assert gone.body["data"]["details"] == "This chat has been deleted. Please start a new chat to continue."
    assert (await site.say("never-was", "hi")).code == "Not_Found"


async def test_chats_are_deleted_in_a_batch(site: Site) -> None:
    chats = [await site.new_chat() for _ in range(3)]
    reply = await site.ask("POST", "/api/v2/chats/batch_delete", {"ids": [*chats[:2], "never-was"]})
    assert reply.body["success"] is True
    assert list(site.emulator.chats) == chats[2:]
    assert (await site.say("never-was", "hi")).code == "Not_Found"


@pytest.mark.parametrize("body", [{}, {"ids": "x"}, {"ids": [1]}])
async def test_a_batch_needs_ids(site: Site, body: dict[str, Any]) -> None:
    await site.new_chat()
    assert (await site.ask("POST", "/api/v2/chats/batch_delete", body)).code == "RequestValidationError"
    assert site.emulator.chats


@pytest.mark.parametrize("path", ["/api/v2/chats/", "/api/v2/chats"])
async def test_a_delete_without_an_id_deletes_everything_and_is_told_loudly(
    site: Site, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await site.new_chat()
    with caplog.at_level(logging.WARNING):
        assert (await site.ask("DELETE", path)).data == {"status": True}
    assert not site.emulator.chats
    assert site.emulator.delete_all_calls == 1
    assert "ALL 3 chats" in caplog.text


async def test_a_deletion_fails_as_often_as_planned(site: Site) -> None:
    chat_id = await site.new_chat()
    site.emulator.script.fault("server_error", times=2, target="delete")
    codes = [(await site.ask("DELETE", f"/api/v2/chats/{chat_id}")).code for _ in range(2)]
    assert codes == ["Internal_Server_Error"] * 2
    assert (await site.ask("DELETE", f"/api/v2/chats/{chat_id}")).data == {"status": True}


async def test_making_a_chat_fails_by_plan_or_by_header(site: Site) -> None:
    site.emulator.script.fault("rate_limited", target="new")
    planned = await site.ask("POST", "/api/v2/chats/new", NEW)
    asked = await site.ask("POST", "/api/v2/chats/new", NEW, **{"X-Emulator-Fault": "parallel_limited"})
    assert (planned.code, planned.body["data"]["num"], asked.code) == ("RateLimited", 2, "ParallelLimited")
    assert not site.emulator.chats


@pytest.mark.parametrize("fault", ["cut", "nonsense"])
async def test_a_fault_that_fits_no_such_route_is_answered_with_those_that_do(site: Site, fault: str) -> None:
    reply = await site.ask("POST", "/api/v2/chats/new", NEW, **{"X-Emulator-Fault": fault})
    assert reply.code == "Bad_Request"
    assert f"no fault '{fault}' here" in reply.body["data"]["details"]
    assert "rate_limited" in reply.body["data"]["details"]


RENAMING = [("POST", ""), ("PATCH", ""), ("POST", "/title")]


@pytest.mark.parametrize(("method", "path"), RENAMING)
async def test_a_chat_is_renamed_every_way_and_keeps_its_title(site: Site, method: str, path: str) -> None:
    chat_id = await site.new_chat()
    reply = await site.ask(method, f"/api/v2/chats/{chat_id}{path}", {"title": "Mine"})
    assert reply.data == {"status": True}
    await site.say(chat_id, "hi")
    assert ((await rows(site))[0]["title"], (await site.tree(chat_id))["title"]) == ("Mine", "Mine")


async def test_a_new_title_must_be_there_and_the_chat_too(site: Site) -> None:
    chat_id = await site.new_chat()
    assert (await site.ask("POST", f"/api/v2/chats/{chat_id}", {})).code == "RequestValidationError"
    assert (await site.ask("POST", "/api/v2/chats/never-was", {"title": "x"})).code == "Not_Found"
    assert (await rows(site))[0]["title"] == "New Chat"


@pytest.mark.parametrize(
    ("target", "method", "body"), [("read", "GET", None), ("rename", "POST", {"title": "x"}), ("list", "GET", None)]
)
async def test_reading_listing_and_renaming_fail_by_plan_or_by_header(
    site: Site, target: Target, method: str, body: Any
) -> None:
    path = "/api/v2/chats/" + ("" if target == "list" else await site.new_chat())
    site.emulator.script.fault("busy", target=target)
    planned = await site.ask(method, path, body)
    asked = await site.ask(method, path, body, **{"X-Emulator-Fault": "too_many_requests"})
    assert (planned.code, asked.code) == ("Server_Busy", "Too_Many_Requests")
    assert (await site.ask(method, path, body)).body["success"] is True


async def test_a_person_opens_a_chat_and_goes_on_in_it(site: Site) -> None:
    chat_id, first, hello = await site.emulator.browse(None, "My dog is called Rex.", "Nice.")
    again = await site.emulator.browse(chat_id, "And my cat is called Tom.", "Nice too.")
    assert again[0] == chat_id
    tree = await site.tree(chat_id)
    nodes = tree["chat"]["history"]["messages"]
    assert (tree["title"], tree["currentId"]) == ("My dog is called Rex.", again[2])
    assert [(node["id"], node["parentId"]) for node in nodes.values()] == [
        (first, None),
        (hello, first),
        (again[1], hello),
        (again[2], again[1]),
    ]
    assert (answer_of(nodes[again[2]]), nodes[again[2]]["done"]) == ("Nice too.", True)
    assert (await site.say(chat_id, "What is my dog called?", again[2])).text == "Your dog is Rex."


async def test_a_person_edits_an_earlier_message_and_the_first(site: Site) -> None:
    chat_id, _, hello = await site.emulator.browse(None, "hi", "hello")
    await site.emulator.browse(chat_id, "how are you?", "fine")
    _, edited, _ = await site.emulator.browse(chat_id, "who are you?", "I", hello)
    _, other, _ = await site.emulator.browse(chat_id, "hey", "hey!", "")
    nodes = (await site.tree(chat_id))["chat"]["history"]["messages"]
    assert (nodes[edited]["parentId"], nodes[other]["parentId"]) == (hello, None)
    assert len(nodes[hello]["childrenIds"]) == 2


async def test_a_person_cannot_go_on_where_there_is_no_answer(site: Site) -> None:
    chat_id, first, _ = await site.emulator.browse(None, "hi", "hello")
    for parent in (first, "never-was"):
        with pytest.raises(ValueError, match="no whole answer"):
            await site.emulator.browse(chat_id, "x", "y", parent)
    with pytest.raises(ValueError, match="no chat 'never-was'"):
        await site.emulator.browse("never-was", "x", "y")
    assert len(site.emulator.chats[chat_id].nodes) == 2
