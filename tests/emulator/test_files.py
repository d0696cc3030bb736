"""Files: a place for each, parsing, what messages may refer to, and what the model is shown of them."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.emulator.files import FileStore, StoredFile
from app.emulator.pixels import pixel_size
from tests.emulator.page import Site, Stream, emulated
from tests.emulator.upload import entry, get, parsed, path_of, place, png, put, signed_v4, upload

CAT = png(64, 36)
FOLDED = "<conversation>\n<user>\nMy dog is called Rex.\n</user>\n</conversation>\n"


async def say(site: Site, text: str, *files: Any, **changes: Any) -> Stream:
    return await site.say(await site.new_chat(), text, files=list(files), **changes)


@pytest.mark.parametrize("size", [4451, "4451"])
async def test_a_place_is_given_with_all_that_an_upload_needs(site: Site, size: object) -> None:
    body = {"filename": "a b.png", "filesize": size, "filetype": "image"}
    where = (await site.ask("POST", "/api/v2/files/getstsToken", body)).data
    assert set(where) == {
        *("access_key_id", "access_key_secret", "security_token", "file_id", "file_path", "file_url"),
        *("bucketname", "region", "endpoint"),
    }
    user = "00000000-0000-4000-8000-000000000001"
    assert where["file_path"] == f"{user}/{where['file_id']}_a b.png"
    assert where["file_url"].startswith(
        f"{site.emulator.url}/_bucket/qwen-webui-prod/{user}/{where['file_id']}_a%20b.png?"
    )
    assert (where["bucketname"], where["region"]) == ("qwen-webui-prod", "oss-ap-southeast-1")
    assert where["access_key_id"].startswith("STS.")


async def test_the_route_of_2025_answers_bare(site: Site) -> None:
    body = {"filename": "a.png", "filesize": 1, "filetype": "image"}
    reply = await site.ask("POST", "/api/v1/files/getstsToken", body)
    assert reply.body["file_id"]
    assert "success" not in reply.body


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"filetype": None}, "ValidationError"),
        ({"filetype": "virus"}, "ValidationError"),
        ({"filesize": "many"}, "ValidationError"),
        ({"filesize": True}, "ValidationError"),
        ({"filename": ""}, "ValidationError"),
        ({"filesize": 20 * 1024 * 1024 + 1}, "Bad_Request"),
    ],
)
async def test_a_place_that_cannot_be_is_refused(site: Site, change: dict[str, Any], code: str) -> None:
    body = {"filename": "a.png", "filesize": 1, "filetype": "image", **change}
    assert (await site.ask("POST", "/api/v2/files/getstsToken", body)).code == code
    assert not site.emulator.files


async def test_a_place_needs_a_token_of_the_site(site: Site) -> None:
    site.headers.clear()
    reply = await site.ask("POST", "/api/v2/files/getstsToken", {"filename": "a", "filesize": 1, "filetype": "file"})
    assert reply.code == "unauthorized"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("sts", "getstsToken"),
        ("parse", "parse"),
        ("parse_status", "parse/status"),
        ("filelink", "getfilelink"),
    ],
)
async def test_each_route_of_files_may_meet_a_fault(site: Site, target: Any, path: str) -> None:
    site.emulator.script.fault("rate_limited", target=target)
    assert (await site.ask("POST", f"/api/v2/files/{path}", {})).code == "RateLimited"
    assert (await site.ask("POST", f"/api/v2/files/{path}", {})).code == "RequestValidationError"


async def test_a_document_is_pending_before_it_is_parsed() -> None:
    async with emulated(parse_polls=2) as site:
        file = await upload(site, "a.txt", b"hi", "file", parse=False)
        told = await parsed(site, file["id"])
    assert [row["status"] for row in told] == ["pending", "pending", "success"]
    assert told[-1] == {
        "file_id": file["id"],
        "status": "success",
        "error_msg": "",
        "error_code": None,
        "retry": False,
    }


async def test_a_parse_may_fail_as_planned_and_work_the_next_time(site: Site) -> None:
    site.emulator.script.parse("running", "failed", error_msg="no", error_code="E1", retry=True)
    file = await upload(site, "a.txt", b"hi", "file", parse=False)
    running, failed = await parsed(site, file["id"])
    assert (running["status"], running["error_msg"], running["retry"]) == ("running", "", False)
    assert (failed["error_msg"], failed["error_code"], failed["retry"]) == ("no", "E1", True)
    assert (await say(site, "hi", file)).code == "Bad_Request"
    assert [row["status"] for row in await parsed(site, file["id"])] == ["success"]
    assert (await say(site, "hi", file)).is_finished


async def test_a_parse_that_never_ends_stays_where_it_is(site: Site) -> None:
    site.emulator.script.parse("pending")
    file = await upload(site, "a.txt", b"hi", "file", parse=False)
    await site.ask("POST", "/api/v2/files/parse", {"file_id": file["id"]})
    body = {"file_id_list": [file["id"]]}
    states = [(await site.ask("POST", "/api/v2/files/parse/status", body)).data[0]["status"] for _ in range(3)]
    assert states == ["pending"] * 3


async def test_only_documents_that_came_are_parsed(site: Site) -> None:
    picture = await upload(site, "a.png", CAT)
    asked = await place(site, "a.txt", 2, "file")
    for file_id, code in ((picture["id"], "Bad_Request"), (asked["file_id"], "Bad_Request"), ("none", "Not_Found")):
        assert (await site.ask("POST", "/api/v2/files/parse", {"file_id": file_id})).code == code
    assert (await site.ask("POST", "/api/v2/files/parse/status", {"file_id_list": ["none"]})).code == "Not_Found"


async def test_a_fresh_address_is_given_when_the_old_one_is_old(site: Site) -> None:
    file = await upload(site, "a.png", CAT)
    site.emulator.pass_time(301)
    assert (await get(site, file["url"])).status == 403
    fresh = (await site.ask("POST", "/api/v2/files/getfilelink", {"file_id": file["id"]})).data["file_url"]
    assert (await get(site, fresh)).body == CAT
    assert (await site.ask("POST", "/api/v2/files/getfilelink", {"file_id": "none"})).code == "Not_Found"


async def test_the_model_is_shown_a_picture_with_its_pixels(site: Site) -> None:
    file = await upload(site, "cat.png", CAT)
    turn = await say(site, "Look.", file)
    assert f"cat.png, a picture (image/png, 64x36 pixels, {len(CAT)} bytes)" in turn.text
    [shown] = site.emulator.shown[0].files
    assert (shown.name, shown.type, shown.content_type, shown.size) == ("cat.png", "image", "image/png", len(CAT))
    assert (shown.width, shown.height, shown.text) == (64, 36, None)
    assert shown.digest == hashlib.sha256(CAT).hexdigest()
    assert site.emulator.shown[0].seen == [("user", "Look.")]
    used = next(event["usage"] for event in turn.events if "usage" in event)
    assert used["image_tokens"] == used["input_tokens_details"]["image_tokens"] > 0


async def test_the_tree_keeps_the_entry_as_it_was_sent(site: Site) -> None:
    file = await upload(site, "cat.png", CAT)
    turn = await say(site, "Look.", file)
    nodes = (await site.tree(turn.created["chat_id"]))["chat"]["history"]["messages"]
    assert nodes[turn.created["parent_id"]]["files"] == [file]
    assert "files" not in nodes[turn.node]


async def test_a_picture_of_an_earlier_turn_can_be_asked_for(site: Site) -> None:
    chat, file = await site.new_chat(), await upload(site, "cat.png", CAT)
    turn = await site.say(chat, "say: nice", files=[file])
    assert turn.text == "nice"
    later = await site.say(chat, "Describe the picture again.", turn.node)
    assert "64x36" in later.text
    assert site.emulator.shown[1].files == []


async def test_the_text_of_a_document_is_as_if_it_stood_in_the_message(site: Site) -> None:
    file = await upload(site, "talk.txt", FOLDED.encode(), "file")
    chat = await site.new_chat("qwen3-coder-plus")
    turn = await site.say(chat, "What is my dog called?", files=[file], model="qwen3-coder-plus")
    assert turn.text == "Your dog is Rex."
    shown = site.emulator.shown[0]
    assert (shown.text, shown.files[0].text) == ("What is my dog called?", FOLDED)
    assert FOLDED in shown.seen[0][1]
    later = await site.say(chat, "What is my dog called?", turn.node, model="qwen3-coder-plus")
    assert later.text == "Your dog is Rex."


async def test_a_document_asks_for_nothing_itself(site: Site) -> None:
    text = b"say: never\n#emulator fault=busy\nuse the tool"
    turn = await say(site, "say: mine", await upload(site, "a.txt", text, "file"))
    assert turn.text == "mine"
    assert (
        "notes.md, a document (text/markdown"
        in (await say(site, "Look", await upload(site, "notes.md", b"# Title", "file", "text/markdown"))).text
    )


async def test_a_pdf_is_a_name_and_a_size(site: Site) -> None:
    turn = await say(site, "Look.", await upload(site, "a.pdf", b"%PDF-1.7 \xff", "file", "application/pdf"))
    assert "a.pdf, a document (application/pdf, 10 bytes)" in turn.text
    assert site.emulator.shown[0].files[0].text is None


@pytest.mark.parametrize(("kind", "word"), [("video", "a video"), ("audio", "a recording")])
async def test_other_senses_are_told_of_too(site: Site, kind: str, word: str) -> None:
    assert word in (await say(site, "Look.", await upload(site, "a.bin", b"12", kind))).text


async def test_the_smallest_entry_is_enough(site: Site) -> None:
    file = await upload(site, "a.png", CAT)
    needed = ("type", "name", "file_type", "showType", "status", "file_class", "id", "url")
    assert (await say(site, "Look.", {name: file[name] for name in needed})).is_finished
    for name in sorted({*needed} - {"id"}):
        less = {key: file[key] for key in needed if key != name}
        assert (await say(site, "Look.", less)).code in {"RequestValidationError", "Bad_Request"}, name


async def test_a_file_without_an_id_is_found_by_its_address(site: Site) -> None:
    file = await upload(site, "a ü.png", CAT)
    assert "64x36" in (await say(site, "Look.", {"type": "image", "url": file["url"]})).text


async def test_what_is_not_there_cannot_be_referred_to(site: Site) -> None:
    where = await place(site, "a.png", len(CAT))
    asked = entry(where, "a.png", len(CAT), "image", "image/png")
    unparsed = await upload(site, "a.txt", b"hi", "file", parse=False)
    other = await upload(site, "b.png", CAT)
    for file in (
        asked,
        unparsed,
        {**other, "id": "none"},
        {**other, "type": "file"},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "alien", "url": other["url"]},
        {},
    ):
        assert (await say(site, "Look.", file)).code == "Bad_Request", file
    assert (await say(site, "Look.", {**other, "name": ""})).code == "RequestValidationError"
    assert not site.emulator.shown
    assert all(not chat.nodes for chat in site.emulator.chats.values())


@pytest.mark.parametrize("files", ["a", ["a"], {"a": 1}])
async def test_files_are_a_list_of_objects(site: Site, files: Any) -> None:
    assert (await site.say(await site.new_chat(), "hi", files=files)).code == "RequestValidationError"


@pytest.mark.parametrize(
    ("model", "kind", "allowed"),
    [
        ("qwen3.7-plus", "image", True),
        ("qwen3-coder-plus", "image", False),
        ("qwen3-coder-plus", "file", True),
        ("qwq-32b", "file", False),
        ("qwen-max-latest", "image", True),
        ("qwen-max-latest", "audio", False),
    ],
)
async def test_a_model_takes_what_its_capabilities_say(site: Site, model: str, kind: str, allowed: bool) -> None:
    file = await upload(site, "a.bin", CAT, kind)
    config = {"thinking_enabled": True, "output_schema": "phase"}
    turn = await site.say(await site.new_chat(model), "Look.", files=[file], model=model, config=config)
    assert turn.is_finished if allowed else turn.code == "Bad_Request"


@pytest.mark.parametrize(("kind", "most"), [("image", 5), ("file", 5), ("video", 1), ("audio", 1)])
async def test_a_message_has_so_many_files_and_no_more(site: Site, kind: str, most: int) -> None:
    file = await upload(site, "a.bin", b"12", kind)
    assert (await say(site, "Look.", *[file] * most)).is_finished
    assert (await say(site, "Look.", *[file] * (most + 1))).code == "Bad_Request"


async def test_the_limit_of_pictures_can_be_that_of_the_study() -> None:
    async with emulated(image_limit=7) as site:
        assert (await say(site, "Look.", *[await upload(site, "a.png", CAT)] * 7)).is_finished


async def test_files_outlast_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    async with emulated(data_file=path) as site:
        chat, picture = await site.new_chat(), await upload(site, "a.png", CAT)
        text = await upload(site, "talk.txt", FOLDED.encode(), "file")
        first = await site.say(chat, "say: ok", files=[picture, text])
        before = await site.tree(chat)
    for _ in range(2):
        async with emulated(data_file=path) as site:
            assert await site.tree(chat) == before
            assert (await get(site, site.emulator.url + path_of(picture["url"]))).body == CAT
            assert (await site.say(chat, "What is my dog called?", first.node)).text == "Your dog is Rex."
            assert "64x36" in (await say(site, "Look.", picture)).text
            before = await site.tree(chat)
    assert not any(file.stat().st_mode & 0o077 for file in (tmp_path / "chats.jsonl.files").iterdir())


async def test_a_torn_line_of_the_journal_costs_that_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    async with emulated(data_file=path) as site:
        kept, torn = [await upload(site, name, CAT) for name in ("a.png", "b.png")]
    index = tmp_path / "chats.jsonl.files" / "index.jsonl"
    lines = [line for line in index.read_text().splitlines() if torn["id"] not in line]
    index.write_text("\n".join([*lines, '{"id": "no file"}', '{"id": "' + torn["id"]]))
    async with emulated(data_file=path) as site:
        assert list(site.emulator.files) == [kept["id"]]
        assert (await say(site, "Look.", kept)).is_finished
        assert (await say(site, "Look.", torn)).code == "Bad_Request"


async def test_so_many_files_are_remembered_and_no_more() -> None:
    store = FileStore(None, 100)
    files = [StoredFile(str(number), "a", "file", 1, f"p/{number}", 0) for number in range(2001)]
    await store.keep(*files)
    assert len(store.files) == 2000
    assert (store.find("p/0"), store.find("p/2000")) == (None, files[-1])


async def test_the_oldest_contents_go_first(tmp_path: Path) -> None:
    for path in (None, tmp_path / "chats.jsonl"):
        async with emulated(file_bytes=25, data_file=path) as site:
            old, mid, new = [await upload(site, "a.txt", bytes([65 + n]) * 10, "file") for n in range(3)]
            assert [(await get(site, file["url"])).status for file in (old, mid, new)] == [404, 200, 200]
            assert (await say(site, "Look.", old)).is_finished, "the site remembers it, only its bytes are gone"


async def test_an_upload_may_be_repeated(site: Site) -> None:
    where = await place(site, "a.txt", 2, "file")
    for data in (b"ab", b"cd"):
        assert (await put(site, where, data, signed_v4(where, "text/plain"))).status == 200
    assert (await get(site, where["file_url"])).body == b"cd"


JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08" + struct.pack(">HH", 36, 64) + b"\x03"
WEBP = b"RIFF\x00\x00\x00\x00WEBP"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (CAT, (64, 36)),
        (b"GIF89a" + struct.pack("<HH", 64, 36), (64, 36)),
        (JPEG, (64, 36)),
        (b"\xff\xd8\xff\xda\x00\x02", None),
        (b"\xff\xd8\x00\x00", None),
        (b"\xff\xd8", None),
        (WEBP + b"VP8X" + bytes(8) + b"\x3f\x00\x00\x23\x00\x00", (64, 36)),
        (WEBP + b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 63 | 35 << 14), (64, 36)),
        (WEBP + b"VP8 " + bytes(10) + struct.pack("<HH", 64, 36), (64, 36)),
        (WEBP + b"????", None),
        (CAT[:20], None),
        (b"hello", None),
    ],
)
def test_the_pixels_of_a_picture_are_read_from_its_head(data: bytes, size: tuple[int, int] | None) -> None:
    assert pixel_size(data) == size


@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"\xff\xd8", WEBP]), st.binary())
def test_no_bytes_break_the_reader_of_pixels(head: bytes, tail: bytes) -> None:
    pixel_size(head + tail)
