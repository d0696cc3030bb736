"""Videos: the task that makes one, how it is asked for, and where the result is."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.page import Reply, Site, answer_of, emulated
from tests.emulator.test_control import control
from tests.emulator.upload import get


async def film(site: Site, text: str = "A dog runs", *, chat: str | None = None, **changes: Any) -> tuple[str, Reply]:
    """Ask for a video; return the chat and what was answered."""
    chat_id = chat or await site.new_chat(chat_type="t2v")
    size = changes.pop("size", "16:9")
    places = {"size": size, "message": {"size": size}, "meta": {"size": size}}
    turn = await site.say(chat_id, text, **{"chat_type": "t2v", "stream": False, **places, **changes})
    return chat_id, Reply(turn.status, turn.headers, turn.body)


def task_in(reply: Reply) -> str:
    [message] = reply.data["messages"]
    assert (message["role"], message["chat_type"]) == ("assistant", "t2v")
    return str(message["extra"]["wanx"]["task_id"])


async def status(site: Site, task_id: str) -> dict[str, str]:
    return dict((await site.ask("GET", f"/api/v1/tasks/status/{task_id}")).body)


async def node_of(site: Site, chat: str) -> dict[str, Any]:
    tree = await site.tree(chat)
    return dict(tree["chat"]["history"]["messages"][tree["currentId"]])


async def test_a_video_is_a_task_that_runs_and_succeeds(site: Site) -> None:
    site.emulator.script.task("running", "running", "success")
    chat, reply = await film(site)
    task_id = task_in(reply)
    told = [await status(site, task_id) for _ in range(4)]
    assert told[:2] == [{"chat_type": "t2v", "task_status": "running", "content": ""}] * 2
    assert [row["task_status"] for row in told[2:]] == ["success", "success"]
    url = told[2]["content"]
    assert url == told[3]["content"]
    assert url.startswith(f"{site.emulator.url}/output/")
    read = await get(site, url)
    assert (read.status, read.headers["Content-Type"]) == (200, "video/mp4")
    boxes, position = [], 0
    while position < len(read.body):
        length, kind = struct.unpack(">I4s", read.body[position : position + 8])
        boxes.append(kind)
        position += length
    assert (boxes, position) == ([b"ftyp", b"moov", b"free"], len(read.body))
    assert site.emulator.shown[0].sizes == ("16:9",) * 3
    assert (await site.tree(chat))["title"] == "A dog runs"


async def test_a_video_runs_as_often_as_the_options_say() -> None:
    async with emulated(task_polls=1) as site:
        task_id = task_in((await film(site))[1])
        assert [(await status(site, task_id))["task_status"] for _ in range(2)] == ["running", "success"]


async def test_a_video_may_fail(site: Site) -> None:
    site.emulator.script.task("running", "failed")
    chat, reply = await film(site)
    told = [await status(site, task_in(reply)) for _ in range(2)]
    assert told[1] == {"chat_type": "t2v", "task_status": "failed", "content": ""}
    node = await node_of(site, chat)
    assert (answer_of(node), node["done"]) == ("", True)


async def test_the_chat_has_the_video_too_and_a_look_at_it_counts(site: Site) -> None:
    site.emulator.script.task("running", "success")
    chat, reply = await film(site)
    node = await node_of(site, chat)
    assert (answer_of(node), node["done"]) == ("", False)
    assert node["extra"]["wanx"]["task_id"] == task_in(reply)
    node = await node_of(site, chat)
    assert (await get(site, answer_of(node))).status == 200
    assert (await status(site, task_in(reply)))["content"] == answer_of(node)


async def test_an_answer_may_name_no_task(site: Site) -> None:
    site.emulator.script.fault("no_task_id")
    chat, reply = await film(site)
    assert reply.data["messages"] == [{"role": "assistant", "chat_type": "t2v", "extra": {}}]
    assert answer_of(await node_of(site, chat)).startswith("http")


@pytest.mark.parametrize("asked", [True, False])
async def test_the_task_may_stand_in_a_stream(site: Site, asked: bool) -> None:
    if not asked:
        site.emulator.script.fault("task_in_stream")
    chat = await site.new_chat(chat_type="t2v")
    turn = await site.say(chat, "A dog", chat_type="t2v", stream=asked, size="1:1")
    assert turn.created["chat_id"] == chat
    task_id = turn.events[1]["choices"][0]["delta"]["extra"]["wanx"]["task_id"]
    assert (await status(site, task_id))["task_status"] == "success"


@pytest.mark.parametrize("fault", ["cut_at_once", "cut", "reset"])
async def test_the_answer_that_names_a_task_may_break_off_and_the_chat_has_the_video(site: Site, fault: str) -> None:
    site.emulator.script.fault(fault)
    chat = await site.new_chat(chat_type="t2v")
    turn = await site.say(chat, "A dog", chat_type="t2v", stream=False, size="1:1")
    assert (len(turn.events), turn.broken) == (0 if fault == "cut_at_once" else 1, fault == "reset")
    node = await node_of(site, chat)
    assert node["extra"]["wanx"]["task_id"]
    assert (await get(site, answer_of(node))).status == 200


async def test_a_stop_ends_a_video(site: Site) -> None:
    site.emulator.script.task("running", "running", "success")
    chat, reply = await film(site)
    assert (await status(site, task_in(reply)))["task_status"] == "running"
    answer = (await site.tree(chat))["currentId"]
    await site.stop(chat, response_id=answer)
    assert (await status(site, task_in(reply)))["task_status"] == "failed"
    node = await node_of(site, chat)
    assert (answer_of(node), node["done"], node["is_stop"]) == ("", True, True)


async def test_a_stop_of_another_answer_lets_a_video_go_on(site: Site) -> None:
    site.emulator.script.task("running", "success")
    chat, reply = await film(site)
    await site.stop(chat, response_id="another")
    assert [(await status(site, task_in(reply)))["task_status"] for _ in range(2)] == ["running", "success"]


async def test_a_video_may_be_stopped_before_its_task_is_named(site: Site) -> None:
    hold = site.emulator.script.hold("")
    chat = await site.new_chat(chat_type="t2v")
    asked = asyncio.create_task(film(site, chat=chat))
    await hold.reached()
    await site.stop(chat)
    _, reply = await asked
    assert (await status(site, task_in(reply)))["task_status"] == "failed"


@pytest.mark.parametrize("fault", ["rate_limited", "anti_bot", "busy"])
async def test_a_video_may_be_refused(site: Site, fault: str) -> None:
    site.emulator.script.fault(fault)
    _, reply = await film(site)
    assert reply.body.get("success") is not True
    assert not site.emulator.shown
    assert task_in((await film(site))[1])


async def test_asking_for_a_task_may_meet_a_fault(site: Site) -> None:
    task_id = task_in((await film(site))[1])
    site.emulator.script.fault("bad_gateway", target="task")
    assert (await site.raw("GET", f"/api/v1/tasks/status/{task_id}")).status == 502
    site.emulator.script.fault("task_not_found", target="task")
    assert (await site.ask("GET", f"/api/v1/tasks/status/{task_id}")).code == "Not_Found"
    assert (await status(site, task_id))["task_status"] == "success"


async def test_a_task_that_does_not_exist_is_not_found(site: Site) -> None:
    assert (await site.ask("GET", "/api/v1/tasks/status/none")).code == "Not_Found"


@pytest.mark.parametrize("changes", [{"size": "5:4"}, {"meta": {"size": "1:1"}}])
async def test_the_size_is_the_same_in_its_three_places(site: Site, changes: dict[str, Any]) -> None:
    assert (await film(site, **changes))[1].code == "invalid_input"


async def test_tasks_outlast_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    async with emulated(data_file=path) as site:
        site.emulator.script.task("running")
        site.emulator.script.task("success")
        site.emulator.script.task("failed")
        replies = [await film(site) for _ in range(3)]
        first, *others = [task_in(reply) for _, reply in replies]
        before = [await status(site, task) for task in others]
    for _ in range(2):
        async with emulated(data_file=path) as site:
            assert [await status(site, task) for task in others] == before
            assert (await status(site, first))["task_status"] == "success"
            nodes = [len((await site.tree(chat))["chat"]["messages"]) for chat, _ in replies]
            assert nodes == [2, 2, 2]


async def test_a_task_is_planned_from_outside(site: Site) -> None:
    assert (await control(site, "POST", "task", {"states": ["failed"]}))["planned"] is True
    assert (await status(site, task_in((await film(site))[1])))["task_status"] == "failed"
