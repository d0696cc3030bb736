"""The control routes: planning and asking from another process."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.emulator.control import is_local, serve_locally
from app.emulator.faults import NAMES
from tests.emulator.page import SUMMARY, Site
from tests.emulator.upload import get, parsed, place, upload


async def control(site: Site, method: str, path: str, body: Any = None) -> Any:
    """Ask a control route as a stranger without a token."""
    url = f"{site.emulator.url}/_emulator/{path}"
    async with site.session.request(method, url, **({"json": body} if body is not None else {})) as response:
        return {"status": response.status, **dict(await response.json())}


async def test_an_answer_is_planned_with_its_thinking_and_pieces(site: Site) -> None:
    plan = {"pieces": ["a", "b"], "thinking": ["hm"], "delay": 0.0, "fault": "done_mark"}
    assert (await control(site, "POST", "script", plan))["planned"] is True
    turn = await site.say(await site.new_chat(), "hi", config=SUMMARY)
    assert turn.text == "ab"
    assert turn.phase("thinking_summary")[-2]["extra"]["summary_thought"]["content"] == ["hm"]
    assert b"[DONE]" in turn.raw


async def test_a_fault_is_planned_for_a_route(site: Site) -> None:
    await control(site, "POST", "script", {"fault": "busy", "times": 2, "target": "models"})
    codes = [(await site.ask("GET", "/api/v2/models/")).code for _ in range(2)]
    assert codes == ["Server_Busy"] * 2
    assert (await site.ask("GET", "/api/v2/models/")).data


async def test_an_answer_is_held_and_released_from_outside(site: Site) -> None:
    await control(site, "POST", "script", {"answer": "one two", "hold": "gate", "before": 1})
    waiting = asyncio.create_task(control(site, "GET", "holds/gate"))
    reading = asyncio.create_task(site.say(await site.new_chat(), "hi"))
    assert (await waiting)["reached"] is True
    assert not reading.done()
    assert (await control(site, "POST", "holds/gate/release"))["released"] is True
    assert (await reading).text == "one two"


@pytest.mark.parametrize(("method", "path"), [("GET", "holds/none"), ("POST", "holds/none/release")])
async def test_a_hold_that_nobody_planned_is_not_found(site: Site, method: str, path: str) -> None:
    assert (await control(site, method, path))["status"] == 404


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"fault": "typo"},
        {"fault": "cut", "target": "new"},
        {"answer": 1},
        {"answr": "x"},
        {"target": "x"},
        [],
        {"answer": "x", "fault": "typo"},
        {"answer": "x", "tools": ["typo"]},
        {"images": 1, "fault": "typo"},
    ],
)
async def test_a_plan_that_cannot_be_is_refused_with_a_reason(site: Site, plan: Any) -> None:
    reply = await control(site, "POST", "script", plan)
    assert reply["status"] == 400
    assert reply["error"]
    assert (await site.say(await site.new_chat(), "hi")).is_finished


async def test_the_state_shows_what_the_emulator_has_and_met(site: Site) -> None:
    chat = await site.new_chat()
    await site.say(chat, "say: one")
    await site.stop(chat)
    state = await control(site, "GET", "state")
    assert state["chats"] == {chat: "say: one"}
    assert state["shown"][0]["seen"] == [["user", "say: one"]]
    assert state["stops"] == [{"chat_id": chat}]
    assert state["delete_all_calls"] == 0
    assert state["faults"] == NAMES
    assert [asked["path"] for asked in state["requests"]] == [
        "/api/v2/chats/new",
        "/api/v2/chat/completions",
        "/api/v2/chat/completions/stop",
    ]


async def test_a_person_s_turns_are_added_from_outside(site: Site) -> None:
    first = await control(site, "POST", "browse", {"text": "hi", "answer": "hello"})
    chat_id = first["chat_id"]
    more = {"chat_id": chat_id, "parent_id": first["response_id"]}
    second = await control(site, "POST", "browse", {"text": "bye", "answer": "see you", **more})
    nodes = site.emulator.chats[chat_id].nodes
    assert list(nodes) == [first["user_id"], first["response_id"], second["user_id"], second["response_id"]]
    assert nodes[second["user_id"]].parent_id == first["response_id"]


@pytest.mark.parametrize("turn", [{}, {"text": "hi"}, {"text": "hi", "answer": "x", "chat_id": "never-was"}, []])
async def test_a_turn_that_cannot_be_is_refused_with_a_reason(site: Site, turn: Any) -> None:
    reply = await control(site, "POST", "browse", turn)
    assert reply["status"] == 400
    assert reply["error"]
    assert not site.emulator.chats


async def test_tools_pictures_and_questions_are_planned_from_outside(site: Site) -> None:
    used = ["image_search", {"name": "web_search", "docs": [], "used_id": 4}]
    await control(site, "POST", "script", {"answer": "so", "tools": used})
    turn = await site.say(await site.new_chat(), "hi")
    assert turn.phase("image_search")
    assert turn.phase("web_search")[-1]["extra"]["tool_result"]["used_id"] == 4
    await control(site, "POST", "script", {"images": 2, "fault": "done_mark"})
    painted = await site.say(await site.new_chat(), "A dog", chat_type="t2i", size="1:1")
    assert [delta["status"] for delta in painted.phase("image_gen")] == ["typing", "typing", "finished"]
    assert b"[DONE]" in painted.raw
    await control(site, "POST", "script", {"answer": "Which?", "asks": True})
    asked = await site.say(await site.new_chat(), "x" * 99, chat_type="deep_research")
    assert (asked.text, asked.phase("DeepThinking")) == ("Which?", [])


async def test_a_parse_is_planned_from_outside(site: Site) -> None:
    plan = {"states": ["pending", "failed"], "error_msg": "no", "error_code": "E1", "retry": True}
    assert (await control(site, "POST", "parse", plan))["planned"] is True
    file = await upload(site, "a.txt", b"hi", "file", parse=False)
    pending, failed = await parsed(site, file["id"])
    assert (pending["status"], failed["status"], failed["error_code"]) == ("pending", "failed", "E1")
    assert (await control(site, "GET", "state"))["files"][file["id"]]["parse"] == "failed"


@pytest.mark.parametrize("path", ["parse", "task", "clock"])
@pytest.mark.parametrize("plan", [{}, {"states": []}, {"states": ["x"], "typo": 1}, []])
async def test_a_course_that_cannot_be_is_refused_with_a_reason(site: Site, path: str, plan: Any) -> None:
    reply = await control(site, "POST", path, plan)
    assert reply["status"] == 400
    assert reply["error"]


async def test_the_clock_is_put_forward_from_outside(site: Site) -> None:
    where = await place(site, "a.png", 1)
    assert (await control(site, "POST", "clock", {"seconds": 301}))["shift"] == 301
    assert b"expired" in (await get(site, where["file_url"])).body


async def test_what_was_shown_is_a_list_of_its_own(site: Site) -> None:
    chat = await site.new_chat()
    await site.say(chat, "say: one")
    async with site.session.get(f"{site.emulator.url}/_emulator/shown") as response:
        [shown] = await response.json()
    assert (shown["chat_id"], shown["parent_id"], shown["text"]) == (chat, None, "say: one")


async def test_a_reset_drops_plans_and_records_and_keeps_chats(site: Site) -> None:
    chat = await site.new_chat()
    site.emulator.script.answer("never said")
    site.emulator.script.fault("busy", target="models")
    await site.ask("DELETE", "/api/v2/chats/")
    chat = await site.new_chat()
    assert (await control(site, "POST", "reset"))["reset"] is True
    assert not site.emulator.requests
    assert site.emulator.delete_all_calls == 0
    assert (await site.say(chat, "say: mine")).text == "mine"
    assert (await site.ask("GET", "/api/v2/models/")).data


async def test_a_reset_lets_held_answers_go_on(site: Site) -> None:
    hold = site.emulator.script.hold("done", name="gate")
    reading = asyncio.create_task(site.say(await site.new_chat(), "hi"))
    await hold.reached()
    await control(site, "POST", "reset")
    assert (await reading).text == "done"
    assert (await control(site, "GET", "holds/gate"))["status"] == 404


@pytest.mark.parametrize(
    ("remote", "local"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("2001:db8::1", False), (None, False)],
)
def test_only_loopback_may_control(remote: str | None, local: bool) -> None:
    assert is_local(remote) is local


class FarAway(asyncio.Transport):
    """A connection from another machine."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 4711) if name == "peername" else default


async def test_another_machine_is_refused() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError("it was let in")

    request = make_mocked_request("GET", "/_emulator/state", transport=FarAway())
    assert (await serve_locally(request, never)).status == 403
