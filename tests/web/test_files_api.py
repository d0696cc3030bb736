"""`/v1/files` as OpenAI's client uses it: stored, listed, given back, named in messages, deleted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio

from tests.e2e.harness import Server, emulating, serving
from tests.samples import PDF, PNG, TEXT
from tests.web.test_openapi import problems

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = {"Authorization": "Bearer secret-one"}
SETTINGS = {"FILES_BUDGET": "200000", "FILE_BYTES": "150000", "API_KEYS": "anna:secret-one,ben:secret-two"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with emulating() as emulator, serving(tmp_path_factory.mktemp("api"), emulator, **SETTINGS) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="secret-one", max_retries=0) as client:
        yield client
        async for file in client.files.list():
            await client.files.delete(file.id)


def stored(server: Server) -> list[Path]:
    folder = server.database.with_name(f"{server.database.name}-files")
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.exists() else []


async def raw(server: Server, path: str, method: str = "GET", **fields: Any) -> tuple[int, Any, Any]:
    fields.setdefault("headers", {"Authorization": "Bearer secret-one"})
    async with server.client.session.request(method, f"{server.url}{path}", **fields) as response:
        is_json = response.content_type == "application/json"
        return response.status, response.headers, await (response.json() if is_json else response.read())


async def test_a_file_is_stored_described_given_back_and_deleted(server: Server, client: openai.AsyncOpenAI) -> None:
    file = await client.files.create(file=("a b.pdf", PDF), purpose="user_data")
    assert (file.bytes, file.filename, file.purpose, file.status) == (len(PDF), "a b.pdf", "user_data", "processed")
    assert await client.files.retrieve(file.id) == file
    assert (await client.files.content(file.id)).content == PDF
    status, headers, content = await raw(server, f"/v1/files/{file.id}/content")
    assert (status, content, headers["Content-Type"]) == (200, PDF, "application/octet-stream")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.pdf"
    (place,) = await asyncio.to_thread(stored, server)
    assert (await asyncio.to_thread(place.stat)).st_mode & 0o777 == 0o600
    assert (await client.files.delete(file.id)).deleted
    assert await asyncio.to_thread(stored, server) == []
    with pytest.raises(openai.NotFoundError, match="There is no file"):
        await client.files.retrieve(file.id)


async def test_fields_without_effect_are_named(client: openai.AsyncOpenAI) -> None:
    store = client.files.with_raw_response.create
    plain = await store(file=("a.txt", TEXT), purpose="user_data")
    assert "X-Ignored-Params" not in plain.headers
    odd = {"größe": "1", **{f"field{n}": "" for n in range(500)}}
    kept = await store(
        file=("a.txt", TEXT),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
        extra_body=odd,
    )
    named = kept.headers["X-Ignored-Params"]
    assert named.startswith("expires_after_anchor_,expires_after_seconds_,gr__e,field0,")
    assert len(named) <= 1024


async def test_files_are_listed_by_pages(client: openai.AsyncOpenAI) -> None:
    made = [await client.files.create(file=(f"{n}.txt", b"%d" % n), purpose="assistants") for n in range(5)]
    other = await client.files.create(file=("x.txt", b"x"), purpose="user_data")
    names = [file.filename async for file in client.files.list(limit=2, purpose="assistants")]
    assert names == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]
    oldest = await client.files.list(order="asc", after=made[3].id)
    assert [file.id for file in oldest.data] == [made[4].id, other.id]
    assert not oldest.has_more


async def test_equal_contents_are_kept_once_until_the_last_file_is_gone(
    server: Server, client: openai.AsyncOpenAI
) -> None:
    one, two = [await client.files.create(file=(name, TEXT), purpose="user_data") for name in ("1.txt", "2.txt")]
    assert len(await asyncio.to_thread(stored, server)) == 1
    await client.files.delete(one.id)
    assert (await client.files.content(two.id)).content == TEXT


async def test_owners_do_not_see_each_other_s_files(server: Server, client: openai.AsyncOpenAI) -> None:
    file = await client.files.create(file=("a.txt", TEXT), purpose="user_data")
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="secret-two", max_retries=0) as ben:
        assert (await ben.files.list()).data == []
        for call in (ben.files.retrieve, ben.files.content, ben.files.delete):
            with pytest.raises(openai.NotFoundError):
                await call(file.id)
        with pytest.raises(openai.NotFoundError):
            await ask_about(ben, file.id)


async def ask_about(client: openai.AsyncOpenAI, file_id: str) -> None:
    content: Any = [{"type": "text", "text": "Read it."}, {"type": "file", "file": {"file_id": file_id}}]
    await client.chat.completions.create(model="qwen3.7-plus", messages=[{"role": "user", "content": content}])


async def test_a_stored_file_is_shown_to_the_model_as_what_it_is(server: Server, client: openai.AsyncOpenAI) -> None:
    for name, data, kind in (("photo.png", PNG, "image"), ("notes.md", TEXT, "file")):
        file = await client.files.create(file=(name, data), purpose="vision")
        await ask_about(client, file.id)
        (shown,) = server.emulator.shown[-1].files
        assert (shown.type, shown.name, shown.size) == (kind, name, len(data))


async def test_a_file_that_is_too_large_and_a_full_store_are_told_apart(
    server: Server, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.APIStatusError, match=r"larger than 150,000 bytes \(FILE_BYTES\)") as large:
        await client.files.create(file=("a.bin", bytes(150_001)), purpose="user_data")
    await client.files.create(file=("b.bin", bytes(140_000)), purpose="user_data")
    with pytest.raises(openai.APIStatusError, match=r"200,000 bytes together .* 140,000 are used.*DELETE") as full:
        await client.files.create(file=("c.bin", b"c" * 70_000), purpose="user_data")
    assert [(each.value.status_code, each.value.code) for each in (large, full)] == [
        (413, "file_too_large"),
        (413, "file_storage_full"),
    ]
    assert len(await asyncio.to_thread(stored, server)) == 1


async def test_files_may_be_larger_than_the_body_of_a_request(tmp_path: Path) -> None:
    async with emulating() as emulator, serving(tmp_path, emulator, MAX_BODY_BYTES="2048") as server:
        form = aiohttp.FormData({"purpose": "user_data"})
        form.add_field("file", b"x" * 100_000, filename="large.txt")
        assert (await raw(server, "/v1/files", "POST", data=form))[0] == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "user_data"}, "file"),
        ({"purpose": "user_data", "file": ""}, "file"),
        ({"file": "x"}, "purpose"),
        ({"file": "x", "purpose": "treasure"}, "purpose"),
        ({"file": "x", "purpose": "y" * 5000}, "purpose"),
    ],
)
async def test_a_form_that_is_not_whole_is_refused_and_leaves_nothing(
    server: Server, fields: dict[str, str], param: str
) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, text in fields.items():
        form.add_field(name, text.encode(), filename="a.txt") if name == "file" else form.add_field(name, text)
    form.add_field("expires_after[seconds]", "3600")
    status, _, body = await raw(server, "/v1/files", "POST", data=form)
    assert (status, body["error"]["param"]) == (400, param)
    assert await asyncio.to_thread(stored, server) == []


@pytest.mark.no_cover  # for its volume
@pytest.mark.usefixtures("client")  # which deletes what was stored
async def test_a_form_is_read_wherever_its_pieces_end(server: Server) -> None:
    fields = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
    body = fields + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n--b--\r\n'
    head = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-one\r\n"
    head += b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % len(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    for cut in range(1, len(body)):
        writer.write(head + body[:cut])
        await asyncio.sleep(0.002)  # until the server has read it
        writer.write(body[cut:])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), body[:cut]
        await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()


async def test_what_is_no_form_is_refused(server: Server) -> None:
    for route in ("/v1/files", "/v1/images/edits"):
        status, _, body = await raw(server, route, "POST", data=b"words", headers={**KEY, "Content-Type": "text/plain"})
        assert (status, "multipart" in body["error"]["message"]) == (415, True)
    headers = {"Authorization": "Bearer secret-one", "Content-Type": "multipart/form-data; boundary=x"}
    status, _, body = await raw(server, "/v1/files", "POST", data=b"no boundary here", headers=headers)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    for query in ("limit=0", "limit=x", "limit=" + "9" * 5000, "order=up"):
        assert (await raw(server, f"/v1/files?{query}"))[0] == 400
    status, _, body = await raw(server, "/v1/files?after=file-none")
    assert (status, body["error"]["param"]) == (404, "after")


async def test_what_is_answered_has_the_described_shape(server: Server, client: openai.AsyncOpenAI) -> None:
    file = await client.files.create(file=("a.txt", TEXT), purpose="user_data")
    _, _, shown = await raw(server, f"/v1/files/{file.id}")
    _, _, listed = await raw(server, "/v1/files")
    _, _, deleted = await raw(server, f"/v1/files/{file.id}", "DELETE")
    assert not [*problems("FileObject", shown), *problems("FileList", listed), *problems("FileDeleted", deleted)]


async def test_a_browser_may_ask_to_delete(server: Server) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "DELETE"}
    status, answer, _ = await raw(server, "/v1/files/file-1", "OPTIONS", headers=headers)
    assert (status, answer["Access-Control-Allow-Methods"]) == (200, "DELETE")


async def test_contents_without_a_file_are_set_aside_at_the_start(tmp_path: Path) -> None:
    def litter() -> None:
        folder = tmp_path / "data" / "qwen-thread.db-files"
        folder.mkdir(parents=True)
        (folder / ".incoming-1").write_bytes(b"half a file")
        (folder / ("0" * 64)).write_bytes(b"a file that was never recorded")
        (folder / "thesis.txt").write_bytes(b"a file of the person whose folder it is")

    await asyncio.to_thread(litter)
    async with emulating() as emulator:
        async with serving(tmp_path, emulator) as server:
            form = aiohttp.FormData({"purpose": "user_data"})
            form.add_field("file", TEXT, filename="kept.txt")
            _, _, file = await raw(server, "/v1/files", "POST", data=form)
        async with serving(tmp_path, emulator) as server:
            assert (await raw(server, f"/v1/files/{file['id']}/content"))[2] == TEXT
            place, foreign = await asyncio.to_thread(stored, server)
            assert foreign.name == "thesis.txt"
            await asyncio.to_thread(place.unlink)
            status, _, body = await raw(server, f"/v1/files/{file['id']}/content")
            assert (status, "gone from the disk" in body["error"]["message"]) == (404, True)


@pytest.mark.parametrize("route", ["/v1/files", "/v1/images/edits", "/v1/videos"])
async def test_a_form_of_a_page_that_is_not_listed_is_refused(server: Server, route: str) -> None:
    for origin, status in (("https://evil.example", 403), ("null", 400), ("http://localhost:3000", 400)):
        form = aiohttp.FormData({"nothing": "of use"}, default_to_multipart=True)
        async with server.client.session.post(
            server.url + route, data=form, headers={**KEY, "Origin": origin}
        ) as response:
            assert response.status == status, await response.text()


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 400), ("none", 400)]
)
async def test_a_page_that_hides_its_origin_is_known_by_its_site(server: Server, site: str, status: int) -> None:
    form = aiohttp.FormData({"nothing": "of use"}, default_to_multipart=True)
    headers = {**KEY, "Origin": "null", "Sec-Fetch-Site": site}
    assert (await raw(server, "/v1/files", "POST", data=form, headers=headers))[0] == status


async def test_two_files_in_one_form_are_refused(server: Server) -> None:
    form = aiohttp.FormData({"purpose": "user_data"})
    for name in ("one.txt", "two.txt"):
        form.add_field("file", TEXT, filename=name)
    before = await asyncio.to_thread(stored, server)
    status, _, body = await raw(server, "/v1/files", "POST", data=form)
    assert (status, body["error"]["param"]) == (400, "file")
    assert await asyncio.to_thread(stored, server) == before


async def test_a_form_that_is_none_is_told(server: Server) -> None:
    headers = {**KEY, "Content-Type": "multipart/form-data; boundary=abc"}
    spoilt = b"--abc\r\nnonsense\r\n\r\nno end\r\n--abc--\r\n"
    async with server.client.session.post(server.url + "/v1/files", data=spoilt, headers=headers) as response:
        assert response.status == 400
