"""Files to the site through its object store, and what the site made back from it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.config import Settings
from app.config_values import Secret
from app.core.attachments import FileContent, FileKind
from app.errors import (
    UpstreamBlocked,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.upstream.qwen import QwenUpstream, TokenSource
from app.upstream.qwen.files import ParsePatience
from app.upstream.qwen.grants import read_expiry, read_grant, safe_name
from app.upstream.qwen.oss import TemporaryKey, sign_put
from tests.upstream.conftest import NOW, StillClock, make_token
from tests.upstream.scripted import ANTI_BOT, Act, Site, good, refusal, reply

TOKEN, PARSE = "POST /api/v2/files/getstsToken", "POST /api/v2/files/parse"
STATUS = "POST /api/v2/files/parse/status"
PATH = "/_bucket/qwen-webui-prod/user-1/f1_a%20b.png"
PUT = f"PUT {PATH}"
FILE = "/output/user-1/1.mp4"
STORED = reply(b"")
SITE = "https://chat.qwen.ai"
PICTURE = FileContent("image", "a b.png", "image/png", b"\x89PNG bytes")
DOCUMENT = FileContent("document", "a b.png", "application/pdf", b"%PDF-")


def granted(url: str, **more: object) -> dict[str, Any]:
    return {
        "access_key_id": "STS.key",
        "access_key_secret": "secret",
        "security_token": "session+token/==",
        "file_id": "f1",
        "file_path": "user-1/f1_a b.png",
        "file_url": url,
        "bucketname": "qwen-webui-prod",
        "region": "oss-ap-southeast-1",
        "endpoint": "oss-accelerate.aliyuncs.com",
        **more,
    }


def signed(site: Site) -> str:
    return f"{site.url}{PATH}?x-oss-date=20261122T085900Z&x-oss-expires=300&x-oss-signature=abc"


def parsed(status: object, **more: object) -> Act:
    return good([{"file_id": "f1", "status": status, "error_msg": "", "error_code": None, "retry": False, **more}])


@pytest.fixture
async def impatient(site: Site, settings: Settings, clock: StillClock) -> AsyncIterator[QwenUpstream]:
    tokens = TokenSource.fixed(settings, clock, make_token())
    patience = ParsePatience(every=0.001, in_all=0.1)
    async with QwenUpstream(
        settings, clock, base_url=site.url, tokens=tokens, kind="qwen", patience=patience
    ) as opened:
        yield opened


async def test_a_picture_goes_to_the_store_without_anything_of_the_account(upstream: QwenUpstream, site: Site) -> None:
    site.on(TOKEN, reply({"success": True, "data": granted(signed(site))}, 200, "Set-Cookie: acw_tc=abc; Path=/"))
    site.on(PUT, STORED)
    uploaded = await upstream.upload(PICTURE)
    asked, put = site.requests
    assert asked.json == {"filename": "a b.png", "filesize": "10", "filetype": "image"}
    assert asked.headers["authorization"] == f"Bearer {make_token()}"
    assert (put.method, put.path, put.body) == ("PUT", PATH, PICTURE.data)
    assert not {"cookie", "source", "version", "origin", "referer", "timezone"} & put.headers.keys()
    assert put.headers["content-type"] == "image/png"
    assert put.headers["x-oss-security-token"] == "session+token/=="
    assert put.headers["x-oss-date"] == "20261122T090000Z"
    assert put.headers["x-oss-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert put.headers["authorization"] == SIGNED_PICTURE
    assert (uploaded.id, uploaded.kind, uploaded.name, uploaded.size) == ("f1", "image", "a b.png", 10)
    assert uploaded.expires_at == NOW + timedelta(minutes=4)


async def test_a_message_names_a_file_as_the_page_does(upstream: QwenUpstream, site: Site) -> None:
    site.on(TOKEN, good(granted(signed(site))))
    site.on(PUT, STORED)
    entry = json.loads((await upstream.upload(PICTURE)).reference)
    assert len(entry.pop("itemId")) == len(entry.pop("uploadTaskId")) == 36
    assert entry == {
        "type": "image",
        "file": {
            "created_at": 1795338000000,
            "data": {},
            "filename": "a b.png",
            "hash": None,
            "id": "f1",
            "user_id": "user-1",
            "meta": {"name": "a b.png", "size": 10, "content_type": "image/png"},
            "update_at": 1795338000000,
        },
        "id": "f1",
        "url": signed(site),
        "name": "a b.png",
        "collection_name": "",
        "progress": 0,
        "status": "uploaded",
        "greenNet": "success",
        "size": 10,
        "error": "",
        "file_type": "image/png",
        "showType": "image",
        "file_class": "vision",
    }


@pytest.mark.parametrize(
    ("kind", "asked", "shown"),
    [
        ("image", "image", ("image", "image", "vision")),
        ("video", "video", ("video", "video", "video")),
        ("audio", "audio", ("audio", "audio", "audio")),
        ("document", "file", ("file", "file", "document")),
    ],
)
async def test_each_kind_of_file_has_its_words(
    upstream: QwenUpstream, site: Site, kind: FileKind, asked: str, shown: tuple[str, str, str]
) -> None:
    site.on(TOKEN, good(granted(signed(site), file_path="anonymous/f1_a b.png")))
    site.on(PUT, STORED)
    site.on(PARSE, good({"file_id": "f1"}))
    site.on(STATUS, parsed("success"))
    uploaded = await upstream.upload(FileContent(kind, "a b.png", "x/y", b"1"))
    entry = json.loads(uploaded.reference)
    assert site.requests[0].json["filetype"] == asked
    assert (entry["type"], entry["showType"], entry["file_class"]) == shown
    assert "user_id" not in entry["file"]
    assert entry["file"]["meta"].get("parse_meta") == ({"parse_status": "success"} if kind == "document" else None)


async def test_a_document_can_be_sent_once_the_site_has_read_it(impatient: QwenUpstream, site: Site) -> None:
    site.on(TOKEN, good(granted(signed(site))))
    site.on(PUT, STORED)
    site.on(PARSE, good({"file_id": "f1"}))
    site.on(STATUS, parsed("pending"), good([]), parsed("running"), parsed("SUCCESS"))
    await impatient.upload(DOCUMENT)
    assert [request.json for request in site.requests[2:]] == [{"file_id": "f1"}] + [{"file_id_list": ["f1"]}] * 4


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (parsed("failed", error_msg="broken xref"), UpstreamRejected, "could not read the file 'a b.png'.*broken xref"),
        (parsed("failed", error_msg=None), UpstreamRejected, r"could not read the file 'a b.png'\.$"),
        (parsed("pending"), UpstreamTimeout, r"did not finish reading the file 'a b.png' within 0\.1 s"),
        (good("odd"), UpstreamTimeout, "did not finish"),
        (reply(refusal("RateLimited", num=2)), UpstreamRateLimited, "2 hours"),
    ],
)
async def test_a_document_that_the_site_cannot_read_is_an_error(
    impatient: QwenUpstream, site: Site, status: Act, kind: type[UpstreamError], says: str
) -> None:
    site.on(TOKEN, good(granted(signed(site))))
    site.on(PUT, STORED)
    site.on(PARSE, good({"file_id": "f1"}))
    site.on(STATUS, status)
    with pytest.raises(kind, match=says):
        await impatient.upload(DOCUMENT)


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (reply(b"<Error><Code>EntityTooLarge</Code></Error>", 400), UpstreamRejected, "EntityTooLarge"),
        (reply(b"", 503), UpstreamUnreachable, "503"),
        (reply(b"", 307, "Location: http://169.254.169.254/"), UpstreamProtocolError, "307"),
    ],
)
async def test_a_store_that_does_not_take_the_file_is_an_error(
    upstream: QwenUpstream, site: Site, answer: Act, kind: type[UpstreamError], cause: str
) -> None:
    site.on(TOKEN, good(granted(signed(site))))
    site.on(PUT, answer)
    with pytest.raises(kind) as problem:
        await upstream.upload(PICTURE)
    assert problem.value.cause == cause
    assert len(site.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_the_store_refuses_is_asked_for_anew_once(
    upstream: QwenUpstream, site: Site, status: int
) -> None:
    refused = reply(b"<Error><Code>SecurityTokenExpired</Code></Error>", status)
    site.on(TOKEN, good(granted(signed(site))))
    site.on(PUT, refused, STORED)
    assert (await upstream.upload(PICTURE)).id == "f1"
    site.on(PUT, refused)
    with pytest.raises(UpstreamProtocolError, match=r"refuses the key that the site gave \(SecurityTokenExpired\)"):
        await upstream.upload(PICTURE)
    assert [request.method for request in site.requests] == ["POST", "PUT"] * 4


async def test_a_block_met_while_uploading_holds_for_chats_too(upstream: QwenUpstream, site: Site) -> None:
    site.on(TOKEN, reply(ANTI_BOT))
    for _ in range(2):
        with pytest.raises(UpstreamBlocked):
            await upstream.upload(PICTURE)
    assert len(site.requests) == 1
    assert upstream.account().is_blocked


KEY = TemporaryKey("STS.key", Secret("secret"), Secret("session+token/=="))
_SCOPE = "OSS4-HMAC-SHA256 Credential=STS.key/20261122/ap-southeast-1/oss/aliyun_v4_request,Signature="
SIGNED_PICTURE = f"{_SCOPE}38e977215fbca1b3f3bc1208409a740399759a88f564ce7b1ea12f48809409da"


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        ("user-1/f1_a b.png", SIGNED_PICTURE),
        ("user-1/f1_é~(1)+.pdf", f"{_SCOPE}1f91dce3d15b3b39fa4f0667199360a02dad3a09ba866b3904e28ad296c70e56"),
    ],
)
def test_a_signature_is_the_one_that_the_vendor_s_library_makes(path: str, signature: str) -> None:
    """Both were computed with oss2 2.19.1."""
    headers = sign_put(
        KEY, bucket="qwen-webui-prod", path=path, region="ap-southeast-1", content_type="image/png", now=NOW
    )
    assert headers["authorization"] == signature
    assert "session+token" not in repr(KEY)


STORE = "https://qwen-webui-prod.oss-accelerate.aliyuncs.com/user-1/f1_a%20b.png?x-oss-expires=300"


def test_a_grant_names_its_place() -> None:
    grant = read_grant(granted(STORE), SITE)
    assert (grant.url, grant.bucket, grant.path) == (STORE, "qwen-webui-prod", "user-1/f1_a b.png")
    assert (grant.region, grant.file_id, grant.key) == ("ap-southeast-1", "f1", KEY)
    for region in (None, "ap\r\nX-Injected: 1"):
        assert read_grant(granted(STORE, region=region, endpoint=None), SITE).region == "ap-southeast-1"


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://evil.example/f1", {}),
        ("http://qwen-webui-prod.oss-accelerate.aliyuncs.com/f1", {}),
        ("https://qwen-webui-prod.oss-accelerate.aliyuncs.com:8443/f1", {}),
        ("https://other.oss-accelerate.aliyuncs.com/f1", {}),
        ("https://qwen-webui-prod.oss-accelerate.aliyuncs.com@evil.example/f1", {}),
        ("https://qwen-webui-prod.oss-accelerate.aliyuncs.com\\@evil.example/f1", {}),
        ("https://qwen-webui-prod.internal.example/f1", {"endpoint": "internal.example"}),
        ("https://qwen-webui-prod.evil.example/f1", {"endpoint": None}),
        ("http://169.254.169.254/f1", {"bucketname": "169.254", "endpoint": "169.254"}),
        ("http://127.0.0.1:6379/f1", {}),
        ("file:///etc/passwd", {}),
        (STORE, {"file_id": ""}),
        (STORE, {"access_key_id": 7}),
        (STORE, {"security_token": "a\r\nX-Evil: 1"}),
    ],
)
def test_a_grant_for_another_place_or_without_its_parts_is_refused(url: str, more: dict[str, object]) -> None:
    with pytest.raises(UpstreamProtocolError):
        read_grant(granted(url, **more), SITE)


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_what_is_no_grant_is_refused(data: object) -> None:
    with pytest.raises(UpstreamProtocolError, match="lacks access_key_id"):
        read_grant(data, SITE)


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("x-oss-date=20261122T085900Z&x-oss-expires=300", datetime(2026, 11, 22, 9, 4, tzinfo=UTC)),
        ("X-OSS-Date=20261122T085900Z&X-OSS-Expires=60", NOW),
        ("Expires=1795338060&Signature=s", NOW + timedelta(minutes=1)),
        ("x-oss-date=today&x-oss-expires=300", NOW + timedelta(minutes=5)),
        ("x-oss-date=20261122T085900Z&x-oss-expires=99999999999999999999", NOW + timedelta(minutes=5)),
        ("", NOW + timedelta(minutes=5)),
    ],
)
def test_a_signed_address_says_how_long_it_is_good(query: str, ends: datetime) -> None:
    assert read_expiry(f"https://a.example/f?{query}", NOW) == ends


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("报告 1.pdf", "报告 1.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\r\nb\x00.txt", "a__b_.txt"),
        ("", "file"),
        ("x" * 200 + ".tar.gz", "x" * 117 + ".gz"),
    ],
)
def test_a_file_s_name_is_one_harmless_part_of_a_path(name: str, safe: str) -> None:
    assert safe_name(name) == safe
