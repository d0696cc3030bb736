"""What comes out, all the way: client, server, adapter and the site that the emulator is."""

import asyncio
import base64
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from app.emulator import Emulator
from tests.e2e.harness import MODEL, Reply, Server, emulating, eventually, serving
from tests.samples import PNG, data_url

PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with emulating(task_polls=2) as emulator:
        yield emulator


def pictures(reply: Reply) -> list[str]:
    return [image["image_url"]["url"] for image in reply.body["choices"][0]["message"].get("images", [])]


def with_picture(text: str) -> dict[str, object]:
    picture = {"type": "image_url", "image_url": {"url": data_url(PNG, "image/png")}}
    return {"role": "user", "content": [{"type": "text", "text": text}, picture]}


async def test_a_picture_is_drawn_and_talked_about_in_one_chat(server: Server) -> None:
    talk = server.conversation()
    drawn = await talk.say("A dog", model="qwen3.7-plus-image")
    assert drawn.status == 200, drawn.body
    assert re.fullmatch(r"!\[image\]\(http://127\.0\.0\.1:\d+/output/\S+/t2i/\S+\.png\?key=\S+\)", drawn.text)
    [shown] = pictures(drawn)
    head, _, data = shown.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(PNG_HEAD)
    talked = await talk.say("My dog is called Waldo.")
    again = await talk.say("As a cat", model="qwen3.7-plus-image")
    assert (talked.match, again.match, again.status) == ("exact", "exact", 200)
    assert len(server.emulator.chats) == 1
    [drawing] = server.emulator.shown[-1].files
    assert drawing.url in drawn.text, "the picture that is to be changed goes along"


async def test_a_picture_that_a_tool_drew_is_shown_once_and_changed_once(server: Server) -> None:
    talk = server.conversation()
    drawn = await talk.say("Draw a dog, please\n#emulator fault=image_gen_tool")
    assert len(pictures(drawn)) == 1
    assert drawn.text.count("![image](") == 1
    await talk.say("As a cat", model="qwen3.7-plus-image")
    [drawing] = server.emulator.shown[-1].files
    assert drawing.url in drawn.text


async def test_a_picture_of_one_s_own_is_what_is_changed(server: Server) -> None:
    talk = server.conversation()
    await talk.say("A dog", model="qwen3.7-plus-image")
    history = [*talk.messages, with_picture("This one as a cat")]
    changed = await server.client.chat(history, model="qwen3.7-plus-image")
    assert (changed.status, changed.match) == (200, "exact")
    assert [file.name for file in server.emulator.shown[-1].files] == ["image.png"]


async def test_a_replay_and_a_branch_name_the_newest_picture_too(server: Server) -> None:
    talk = server.conversation()
    await talk.say("Hello there, this is a talk about owls")
    drawn = await talk.say("An owl", model="qwen3.7-plus-image")
    edited = [*talk.messages[:2], {"role": "user", "content": "A barn owl"}, talk.messages[3]]
    for history, match in (
        (edited, "branch"),
        ([{"role": "user", "content": "Quite another start"}, *edited[1:]], "new"),
    ):
        asked = [*history, {"role": "user", "content": "Make it blue"}]
        reply = await server.client.chat(asked, model="qwen3.7-plus-image")
        assert reply.match == match
        [shown] = server.emulator.shown[-1].files
        assert shown.url in drawn.text


async def test_a_foreign_picture_in_a_later_answer_does_not_hide_the_one_that_was_made(server: Server) -> None:
    talk = server.conversation()
    drawn = await talk.say("A stork", model="qwen3.7-plus-image")
    server.emulator.script.answer("See ![logo](https://example.com/logo.png) there.")
    await talk.say("Show me a logo.")
    assert (await talk.say("Make the stork blue", model="qwen3.7-plus-image")).match == "exact"
    [shown] = server.emulator.shown[-1].files
    assert shown.url in drawn.text


async def test_a_picture_that_the_user_showed_since_is_not_passed_over(server: Server) -> None:
    talk = server.conversation()
    await talk.say("A heron", model="qwen3.7-plus-image")
    asked = [*talk.messages, with_picture("What is this?")]
    said = await server.client.chat(asked, model="qwen3.7-plus")
    asked += [{"role": "assistant", "content": said.text}, {"role": "user", "content": "Make it night"}]
    assert (await server.client.chat(asked, model="qwen3.7-plus-image")).match == "exact"
    assert server.emulator.shown[-1].files == []


@pytest.mark.parametrize("fault", ["cut", "reset"])
@pytest.mark.parametrize("count", [1, 2, 4])
async def test_pictures_that_a_broken_stream_did_not_bring_are_read_from_the_chat(
    server: Server, count: int, fault: str
) -> None:
    server.emulator.script.paint(count, fault=fault)
    asked = [{"role": "user", "content": f"Geese, {count} of them, {fault}"}]
    reply = await server.client.chat(asked, model="qwen3.7-plus-image")
    assert reply.status == 200, reply.body
    assert len(pictures(reply)) == count
    assert len(set(re.findall(r"\(http\S+\)", reply.text))) == count
    server.emulator.script.paint(count, fault=fault)
    body = {"prompt": "Ducks", "n": count}
    async with server.client.session.post(f"{server.url}/v1/images/generations", json=body) as response:
        assert len((await response.json())["data"]) == count


async def test_a_picture_whose_link_the_client_dropped_does_not_go_along(server: Server) -> None:
    drawn = await server.client.chat([{"role": "user", "content": "A fox in the snow"}], model="qwen3.7-plus-image")
    history = [
        {"role": "user", "content": "A fox in the snow"},
        {"role": "assistant", "content": drawn.text.partition("(")[0] + "(data:image/png;base64,AAAA)"},
        {"role": "user", "content": "At night"},
    ]
    again = await server.client.chat(history, model="qwen3.7-plus-image")
    assert (again.match, server.emulator.shown[-1].files) == ("exact", [])


async def test_images_are_made_by_their_route(server: Server) -> None:
    body = {"prompt": "A dog", "n": 2, "size": "1792x1024", "response_format": "b64_json"}
    async with server.client.session.post(f"{server.url}/v1/images/generations", json=body) as response:
        made = await response.json()
    assert response.status == 200, made
    images = [base64.b64decode(image["b64_json"]) for image in made["data"]]
    assert len(images) == 2
    sides = [(int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) for data in images]
    assert sides == [(64, 36), (64, 36)]
    await eventually(lambda: not server.emulator.chats)


async def test_an_image_is_changed(server: Server) -> None:
    form = FormData({"prompt": "As a cat"}, default_to_multipart=True)
    form.add_field("image", PNG, filename="dog.png", content_type="image/png")
    async with server.client.session.post(f"{server.url}/v1/images/edits", data=form) as response:
        made = await response.json()
    assert response.status == 200, made
    assert len(made["data"]) == 1
    [shown] = server.emulator.shown
    assert [(file.name, file.width, file.height) for file in shown.files] == [("dog.png", 8, 8)]


async def test_a_video_is_made_in_chat(server: Server) -> None:
    talk = server.conversation()
    made = await talk.say("A dog", model="qwen3.7-plus-video")
    assert made.status == 200, made.body
    assert re.fullmatch(r"\[video\]\(\S+\.mp4\S*\)", made.text)
    assert "The video is being made" in made.reasoning
    assert (await talk.say("My dog is called Waldo.")).match == "exact"


async def test_a_video_is_made_by_its_route(server: Server) -> None:
    async with server.client.session.post(f"{server.url}/v1/videos", json={"prompt": "A dog"}) as response:
        video = await response.json()
    assert (response.status, video.get("status")) == (200, "queued"), video
    while (video := (await server.client.get(f"/v1/videos/{video['id']}")).body)["status"] != "completed":
        assert video["status"] == "in_progress"
    async with server.client.session.get(f"{server.url}/v1/videos/{video['id']}/content") as response:
        assert response.content_type == "video/mp4"
        assert (await response.read())[4:8] == b"ftyp"


async def test_a_client_that_leaves_ends_the_video_that_it_waits_for(server: Server) -> None:
    server.emulator.script.task("running")
    film = [{"role": "user", "content": "A dog"}]
    asking = asyncio.create_task(server.client.chat(film, model="qwen3.7-plus-video"))
    await eventually(lambda: any("/tasks/status/" in request.path for request in server.emulator.requests))
    asking.cancel()
    await eventually(lambda: server.emulator.stops)
    [chat] = server.emulator.chats.values()
    answer = list(chat.nodes.values())[-1]
    await eventually(lambda: answer.done)
    assert (answer.is_stop, answer.text) == (True, "")


@pytest.mark.parametrize("fault", ["cut", "cut_at_once", "reset", "lost", "gave_up"])
async def test_a_video_whose_answer_broke_off_is_found_in_the_chat(server: Server, fault: str) -> None:
    server.emulator.script.fault(fault)
    talk = server.conversation()
    made = await talk.say("A dog", model="qwen3.7-plus-video")
    assert made.status == 200, made.body
    assert re.fullmatch(r"\[video\]\(\S+\.mp4\S*\)", made.text)
    assert (await talk.say("My dog is called Waldo.")).match == "exact"


async def test_a_video_that_is_asked_for_anew_is_never_the_old_one(server: Server) -> None:
    talk = server.conversation(model="qwen3.7-plus-video")
    await talk.say("Hello.", model=MODEL)
    old = await talk.say("A dog")
    talk.messages.pop()
    server.emulator.script.fault("bad_gateway")
    reply = await talk.again()
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    server.emulator.script.fault("gave_up")
    made = await talk.again()
    assert made.status == 200, made.body
    assert made.text != old.text


@pytest.mark.parametrize("fault", ["cut", "cut_at_once", "reset", "lost", "gave_up"])
@pytest.mark.parametrize("states", [("success",), ("running", "running", "success")])
async def test_a_video_whose_answer_broke_off_is_a_job_like_any_other(
    server: Server, fault: str, states: tuple[str, ...]
) -> None:
    server.emulator.script.fault(fault)
    server.emulator.script.task(*states)
    video = await begun(server)
    assert (await settled(server, video["id"]))["status"] == "completed"
    async with server.client.session.get(f"{server.url}/v1/videos/{video['id']}/content") as response:
        assert (await response.read())[4:8] == b"ftyp"
    assert len(server.emulator.chats) == 1


async def jobs_are_usable(server: Server) -> list[str]:
    """Check that every video that is listed can be had, and that no other chat is left; return their ids."""
    await eventually(lambda: not stored(server, "SELECT 1 FROM nodes WHERE state = 'open'"))
    while (await server.client.get("/ready")).body["stored"]["pending_deletions"]:
        await asyncio.sleep(0.01)
    listed = [video["id"] for video in (await server.client.get("/v1/videos")).body["data"]]
    await eventually(lambda: len(server.emulator.chats) == len(listed))
    for video_id in listed:
        assert (await settled(server, video_id))["status"] == "completed"
    return listed


async def test_a_client_that_leaves_before_its_video_is_begun_leaves_no_job(server: Server) -> None:
    hold = server.emulator.script.hold("")
    asking = asyncio.create_task(begun(server))
    await hold.reached()
    asking.cancel()
    await eventually(lambda: server.emulator.stops)
    hold.release()
    assert await jobs_are_usable(server) == []


async def test_a_client_that_leaves_while_its_video_is_recorded_finds_it_in_the_list(server: Server) -> None:
    hold = server.emulator.script.hold("")
    asking = asyncio.create_task(begun(server))
    await hold.reached()
    with contextlib.closing(sqlite3.connect(server.database, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")  # what is to be recorded waits
        hold.release()
        is_read = re.compile("/api/v2/chats/[0-9a-f-]{36}").fullmatch
        await eventually(lambda: any(map(is_read, [request.path for request in server.emulator.requests])))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.sleep(0.1)
        shell.execute("ROLLBACK")
    await eventually(lambda: stored(server, "SELECT 1 FROM videos"))  # recorded after its answer has ended
    assert len(await jobs_are_usable(server)) == 1


UNKNOWN = "The site no longer knows this video: it was deleted there, or it belongs to another account."


def stored(server: Server, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(server.database)) as database:
        return database.execute(query).fetchall()


async def begun(server: Server) -> dict[str, Any]:
    """Ask for a video by its route."""
    async with server.client.session.post(f"{server.url}/v1/videos", json={"prompt": "A dog"}) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def settled(server: Server, video_id: str) -> dict[str, Any]:
    """Look at a video until it is no longer being made."""
    while True:
        video = (await server.client.get(f"/v1/videos/{video_id}")).body
        if video["status"] not in {"queued", "in_progress"}:
            return dict(video)


async def test_a_video_that_the_site_no_longer_knows_has_failed_and_says_so(server: Server) -> None:
    video = await begun(server)
    server.emulator.script.fault("task_not_found", target="task")
    failed = await settled(server, video["id"])
    assert (failed["status"], failed["error"]["message"]) == ("failed", UNKNOWN)
    content = await server.client.get(f"/v1/videos/{video['id']}/content")
    assert (content.status, content.error["code"]) == (502, "video_failed")
    assert UNKNOWN in content.error["message"]


async def test_a_video_that_the_site_forgets_while_a_chat_waits_for_it_is_an_error(server: Server) -> None:
    server.emulator.script.fault("task_not_found", target="task")
    reply = await server.client.chat([{"role": "user", "content": "A dog"}], model="qwen3.7-plus-video")
    assert (reply.status, reply.error["code"]) == (502, "video_failed")
    assert UNKNOWN in reply.error["message"]


async def test_a_video_whose_address_ended_and_whose_task_is_forgotten_is_gone(tmp_path: Path) -> None:
    async with emulating(link_seconds=0.0) as emulator, serving(tmp_path, emulator) as server:
        video = await begun(server)
        assert (await settled(server, video["id"]))["status"] == "completed"
        emulator.script.fault("task_not_found", target="task")
        content = await server.client.get(f"/v1/videos/{video['id']}/content")
        assert (content.status, content.error["code"]) == (410, "video_expired")


async def test_a_model_without_eyes_paints_nothing(server: Server, emulator: Emulator) -> None:
    reply = await server.client.chat([{"role": "user", "content": "A dog"}], model="qwen3-coder-plus-image")
    assert (reply.status, reply.error["param"]) == (400, "model")
    assert "qwen3.7-plus" in reply.error["message"]
    assert not emulator.shown
