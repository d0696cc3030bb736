"""Pictures: the stream that makes them, their addresses, editing them, and the picture tools of a plain answer."""

import asyncio
import json
import struct
import zlib
from typing import Any

import pytest

from app.emulator.painting import wished
from tests.emulator.page import Site, Stream, answer_of, emulated, events_in
from tests.emulator.upload import get, png, upload

FROM_THE_SITE = ("type", "name", "file_type", "showType", "file_class", "status", "url")


async def paint(site: Site, text: str, *, size: str | None = "1:1", **changes: Any) -> Stream:
    chat = changes.pop("chat", None) or await site.new_chat(chat_type="t2i")
    more = {"size": size} if size else {}
    return await site.say(chat, text, **{"chat_type": "t2i", **more, **changes})


def urls(turn: Stream) -> list[str]:
    return [str(delta["content"]) for delta in turn.phase("image_gen") if delta["status"] == "typing"]


def again(url: str) -> dict[str, str]:
    """Write a picture of the site's own as the page passes it back."""
    values = ("image", "1.png", "image/png", "image", "vision", "uploaded", url)
    return dict(zip(FROM_THE_SITE, values, strict=True))


async def stored(site: Site, turn: Stream) -> dict[str, Any]:
    nodes = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"]
    return dict(nodes[turn.node])


def pixels_of(data: bytes) -> tuple[int, int]:
    """Check a PNG whole and return its size."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, body, size = 8, b"", (0, 0)
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        chunk = data[position + 8 : position + 8 + length]
        assert zlib.crc32(kind + chunk) == int.from_bytes(data[position + 8 + length : position + 12 + length])
        size = struct.unpack(">II", chunk[:8]) if kind == b"IHDR" else size
        body += chunk if kind == b"IDAT" else b""
        position += 12 + length
    assert len(zlib.decompress(body)) == size[1] * (1 + 3 * size[0])
    return size


async def test_a_picture_comes_as_it_was_recorded(site: Site) -> None:
    turn = await paint(site, "A dog", size="16:9")
    assert [next(iter(event)) for event in turn.events] == ["response.created", "response.info", "choices", "choices"]
    made, finished = turn.phase("image_gen")
    [url] = urls(turn)
    user = "00000000-0000-4000-8000-000000000001"
    assert url.startswith(f"{site.emulator.url}/output/{user}/t2i/{turn.node}/1.png?key=")
    assert made["extra"] == {"output_image_hw": [[36, 64]]}
    assert turn.events[2]["usage"] == {
        "input_tokens": 0,
        "output_tokens": 0,
        "characters": 0,
        "width": 64,
        "image_count": 1,
        "height": 36,
    }
    assert finished == {"content": "", "role": "assistant", "status": "finished", "phase": "image_gen"}
    assert "usage" not in turn.events[3]
    assert not turn.phase("answer")
    assert turn.raw.endswith(b"}\n\n\n")


@pytest.mark.parametrize(
    ("size", "pixels"),
    [("1:1", (64, 64)), ("4:3", (64, 48)), ("3:4", (48, 64)), ("16:9", (64, 36)), ("9:16", (36, 64)), (None, (64, 64))],
)
async def test_its_address_has_a_real_picture_of_the_size_that_was_told(
    site: Site, size: str | None, pixels: tuple[int, int]
) -> None:
    turn = await paint(site, "A dog", size=size)
    read = await get(site, urls(turn)[0])
    assert (read.status, read.headers["Content-Type"]) == (200, "image/png")
    assert pixels_of(read.body) == pixels
    height, width = turn.phase("image_gen")[0]["extra"]["output_image_hw"][0]
    assert (width, height) == pixels
    assert site.emulator.shown[0].sizes == (size, None, None)
    assert site.emulator.shown[0].chat_type == "t2i"


@pytest.mark.parametrize("changes", [{"size": "2:1"}, {"size": "1:1", "message": {"size": "4:3"}}])
async def test_a_size_must_exist_and_be_one(site: Site, changes: dict[str, Any]) -> None:
    assert (await paint(site, "A dog", **changes)).code == "invalid_input"


async def test_two_pictures_are_two_deltas_that_look_different(site: Site) -> None:
    turn = await paint(site, "Paint two pictures of a dog")
    one, two = [(await get(site, url)).body for url in urls(turn)]
    assert one != two
    assert [delta["status"] for delta in turn.phase("image_gen")] == ["typing", "typing", "finished"]
    site.emulator.script.paint(3)
    assert len(urls(await paint(site, "Paint two pictures of a dog"))) == 3


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a dog", 1),
        ("two dogs", 1),
        ("Two pictures", 2),
        ("3 different images of it", 3),
        ("画四张图", 4),
        ("2张", 2),
        ("9 pictures", 1),
    ],
)
def test_the_number_of_pictures_is_read_from_the_text(text: str, count: int) -> None:
    assert wished(text) == count


async def test_the_stored_answer_holds_the_pictures_and_no_text(site: Site) -> None:
    turn = await paint(site, "two pictures", size="4:3")
    node = await stored(site, turn)
    assert (node["content"], node["done"], node["chat_type"]) == ("", True, "t2i")
    assert [(item["phase"], item["content"], item["status"]) for item in node["content_list"]] == [
        ("image_gen", url, "finished") for url in urls(turn)
    ]
    assert node["content_list"][0]["extra"] == {"output_image_hw": [[48, 64]]}
    tree = await site.tree(turn.created["chat_id"])
    assert (tree["chat_type"], tree["title"]) == ("t2i", "two pictures")


async def test_an_address_ends_when_its_time_is_over() -> None:
    async with emulated(link_seconds=60) as site:
        [url] = urls(await paint(site, "A dog"))
        assert (await get(site, url)).status == 200
        site.emulator.pass_time(61)
        assert (await get(site, url)).status == 403


async def test_an_address_needs_its_key(site: Site) -> None:
    [url] = urls(await paint(site, "A dog"))
    assert (await get(site, url.partition("?")[0])).status == 403
    assert (await get(site, url.replace("/1.png", "/2.png"))).status == 403
    site.emulator.script.fault("unavailable", target="output")
    assert (await get(site, url)).status == 503
    assert (await get(site, url)).status == 200


async def test_a_key_is_no_token_of_the_site(site: Site) -> None:
    [url] = urls(await paint(site, "A dog"))
    site.headers["Authorization"] = f"Bearer {url.partition('key=')[2]}"
    assert (await site.ask("GET", "/api/v2/chats/?page=1")).code == "unauthorized"


async def test_a_picture_is_changed_in_a_second_turn(site: Site) -> None:
    chat = await site.new_chat(chat_type="t2i")
    first = await paint(site, "A dog", chat=chat, size="16:9")
    [url] = urls(first)
    second = await paint(site, "Make it blue", chat=chat, parent=first.node, files=[again(url)], size="9:16")
    [shown] = site.emulator.shown[1].files
    assert (shown.type, shown.width, shown.height, shown.url) == ("image", 64, 36, url)
    assert site.emulator.shown[1].parent_id == first.node
    assert pixels_of((await get(site, urls(second)[0])).body) == (36, 64)


async def test_the_site_knows_its_own_pictures_when_their_keys_have_ended(site: Site) -> None:
    [url] = urls(await paint(site, "A dog"))
    site.emulator.pass_time(10**6)
    assert urls(await paint(site, "Make it blue", files=[again(url)]))
    assert (await paint(site, "Make it blue", files=[again(url + "x")])).code == "Bad_Request"


async def test_editing_needs_a_picture(site: Site) -> None:
    source = await upload(site, "cat.png", png(5, 4))
    assert (await paint(site, "Make it blue", chat_type="image_edit")).code == "Bad_Request"
    turn = await paint(site, "Make it blue", chat_type="image_edit", files=[source])
    assert urls(turn)
    assert (site.emulator.shown[0].files[0].width, site.emulator.shown[0].files[0].height) == (5, 4)
    short = {"type": "image", "url": source["url"]}
    assert urls(await paint(site, "Make it blue", chat_type="image_edit", files=[short]))


async def test_an_edited_picture_may_come_in_a_phase_known_by_name(site: Site) -> None:
    source = await upload(site, "cat.png", png(5, 4))
    site.emulator.script.fault("image_edit_phase")
    turn = await paint(site, "Make it blue", chat_type="image_edit", files=[source])
    assert [delta["status"] for delta in turn.phase("image_edit")] == ["typing", "finished"]
    assert (await stored(site, turn))["content_list"][0]["phase"] == "image_edit"


@pytest.mark.parametrize("chat_type", ["t2i", "image_edit", "t2v"])
async def test_a_model_without_the_mode_refuses(site: Site, chat_type: str) -> None:
    chat = await site.new_chat("qwen3-coder-plus")
    assert (await paint(site, "A dog", chat=chat, chat_type=chat_type, model="qwen3-coder-plus")).code == "Bad_Request"


async def test_a_stream_may_break_off_between_two_pictures_and_the_chat_has_both(site: Site) -> None:
    site.emulator.script.paint(2, fault="cut")
    turn = await paint(site, "A dog")
    assert len(urls(turn)) == 1
    assert turn.deltas[-1]["status"] == "typing"
    items = (await stored(site, turn))["content_list"]
    assert [item["content"] for item in items][:1] == urls(turn)
    assert len(items) == 2


async def test_a_stream_may_end_before_its_first_event_and_the_chat_has_the_picture(site: Site) -> None:
    site.emulator.script.fault("cut_at_once")
    assert (await paint(site, "A dog")).raw == b""
    [chat] = site.emulator.chats.values()
    [item] = chat.nodes[str(chat.current_id)].items
    assert (await get(site, item["content"])).status == 200


@pytest.mark.parametrize("fault", ["error_in_stream", "error_in_stream_flat"])
async def test_an_error_may_come_in_place_of_a_picture(site: Site, fault: str) -> None:
    site.emulator.script.paint(1, fault=fault)
    turn = await paint(site, "A dog")
    assert not urls(turn)
    assert turn.events[-1].keys() & {"error", "code"}


async def test_there_may_be_no_picture_at_all(site: Site) -> None:
    site.emulator.script.fault("empty")
    turn = await paint(site, "A dog")
    assert [delta["status"] for delta in turn.phase("image_gen")] == ["finished"]


async def test_a_picture_is_held_and_stopped(site: Site) -> None:
    hold = site.emulator.script.paint(2, hold="gate", before=1)
    chat = await site.new_chat(chat_type="t2i")
    reading = asyncio.create_task(paint(site, "A dog", chat=chat))
    await hold.reached()
    assert (await site.say(chat, "hi")).code == "Bad_Request", "the chat is in progress"
    await site.stop(chat)
    turn = await reading
    assert len(urls(turn)) == 1
    assert "response.stopped" in turn.events[-1]
    assert (await stored(site, turn))["is_stop"] is True


@pytest.mark.parametrize("tool", ["image_gen_tool", "image_edit_tool"])
async def test_a_plain_answer_may_make_a_picture_by_a_tool(site: Site, tool: Any) -> None:
    site.emulator.script.answer("Here it is.", tools=[tool])
    turn = await site.say(await site.new_chat(), "A dog, please")
    *calls, result = turn.phase(tool)
    assert calls[0]["function_call"] == {"name": tool, "arguments": ""}
    assert json.loads(calls[-1]["function_call"]["arguments"]) == {"prompt": "A dog, please"}
    assert {call["extra"]["display_position"] for call in calls} == {"answer"}
    [original], [shown] = result["extra"]["tool_result"], result["extra"]["image_list"]
    assert original["image"] != shown["image"], "one picture has two addresses"
    assert next(event["usage"] for event in turn.events if event.get("choices", [{}])[0].get("delta") == result) == {}
    picture = (await get(site, shown["image"])).body
    assert pixels_of(picture) == (64, 64)
    assert (await get(site, original["image"])).body == picture
    assert turn.text == "Here it is."
    node = await stored(site, turn)
    assert [item["phase"] for item in node["content_list"]] == [tool, "answer"]
    assert answer_of(node) == "Here it is."


async def test_the_tool_can_be_asked_for_by_a_fault_s_name(site: Site) -> None:
    turn = await site.say(await site.new_chat(), "say: x\n#emulator fault=image_gen_tool")
    assert turn.phase("image_gen_tool")
    assert events_in(turn.raw)[-1]["choices"][0]["delta"]["phase"] == "answer"
