"""The object store: both ways to sign, what it refuses, and signed addresses."""

import base64
import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.emulator.bucket import BUCKET
from app.emulator.faults import BUCKET_FAULTS
from app.emulator.oss import signature_v1
from tests.emulator.page import Site, emulated
from tests.emulator.upload import Answered, get, place, png, put, signed_v1, signed_v4

DATA = png(4, 3)
SIGNERS = [signed_v1, signed_v4]


def code(answered: Answered) -> str:
    found = re.search(rb"<Code>(\w+)</Code>", answered.body)
    assert found, answered
    assert answered.headers["Content-Type"].startswith("application/xml")
    return found[1].decode()


@pytest.mark.parametrize("signed", SIGNERS)
@pytest.mark.parametrize("name", ["a.png", "Grüße & 100% (1)+2 ü.png", "猫.png"])
async def test_both_ways_to_sign_put_a_file(site: Site, signed: Any, name: str) -> None:
    where = await place(site, name, len(DATA))
    answered = await put(site, where, DATA, signed(where, "image/png"))
    assert (answered.status, answered.body) == (200, b"")
    read = await get(site, where["file_url"])
    assert (read.status, read.body, read.headers["Content-Type"]) == (200, DATA, "image/png")
    assert site.emulator.files[where["file_id"]].digest == hashlib.sha256(DATA).hexdigest()


def test_version_1_signs_the_example_of_the_vendor() -> None:
    headers = {
        "content-md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
        "content-type": "text/html",
        "date": "Thu, 17 Nov 2005 18:49:58 GMT",
        "x-oss-magic": "abracadabra",
        "x-oss-meta-author": "foo@bar.com",
        "host": "oss-example.oss-cn-hangzhou.aliyuncs.com",
    }
    signature = signature_v1("OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV", "PUT", "/oss-example/nelson", headers)
    assert signature == "26NBxoKdsyly4EDv6inkoDft/yA="


async def test_version_4_may_sign_more_headers(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    more = {"host": urlsplit(where["file_url"]).netloc, "content-disposition": "inline"}
    assert (await put(site, where, DATA, signed_v4(where, "image/png", additional=more))).status == 200
    other = signed_v4(where, "image/png", additional=more, **{"content-disposition": "attachment"})
    assert code(await put(site, where, DATA, other)) == "SignatureDoesNotMatch"


async def test_the_host_of_bucket_and_endpoint_leads_there_too(site: Site) -> None:
    where = await place(site, "a b.png", len(DATA))
    host = f"{where['bucketname']}.{where['endpoint']}"
    assert re.fullmatch(rf"{BUCKET}\.localhost:\d+", host)
    url = f"{site.emulator.url}/{where['file_path']}"
    headers = {**signed_v4(where, "image/png"), "Host": host}
    async with site.session.put(url, data=DATA, headers=headers) as response:
        assert (response.status, await response.read()) == (200, b"")
    assert (await get(site, where["file_url"])).body == DATA


@pytest.mark.parametrize("signed", SIGNERS)
async def test_a_wrong_secret_is_refused_and_nothing_is_kept(site: Site, signed: Any) -> None:
    where = await place(site, "a.png", len(DATA))
    refused = await put(site, where, DATA, signed({**where, "access_key_secret": "guessed"}, "image/png"))
    assert (refused.status, code(refused)) == (403, "SignatureDoesNotMatch")
    assert b"<RequestId>" in refused.body
    assert (await get(site, where["file_url"])).status == 404


@pytest.mark.parametrize("signed", SIGNERS)
async def test_what_is_signed_cannot_be_changed(site: Site, signed: Any) -> None:
    where = await place(site, "a.png", len(DATA))
    headers = signed(where, "image/png")
    assert code(await put(site, where, DATA, {**headers, "Content-Type": "text/html"})) == "SignatureDoesNotMatch"
    assert code(await put(site, where, DATA, {**headers, "x-oss-meta-a": "b"})) == "SignatureDoesNotMatch"
    assert (await put(site, where, DATA, headers)).status == 200


@pytest.mark.parametrize("signed", SIGNERS)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"security_token": "made.up.token"}, "InvalidAccessKeyId"),
        ({"security_token": ""}, "InvalidAccessKeyId"),
        ({"access_key_id": "STS.stranger"}, "InvalidAccessKeyId"),
    ],
)
async def test_credentials_that_nobody_gave_are_unknown(
    site: Site, signed: Any, change: dict[str, str], expected: str
) -> None:
    where = await place(site, "a.png", len(DATA))
    refused = await put(site, where, DATA, signed({**where, **change}, "image/png"))
    assert (refused.status, code(refused)) == (403, expected)


@pytest.mark.parametrize("signed", SIGNERS)
async def test_credentials_expire(signed: Any) -> None:
    async with emulated(grant_seconds=100) as site:
        where = await place(site, "a.png", len(DATA))
        site.emulator.pass_time(101)
        refused = await put(site, where, DATA, signed(where, "image/png"))
        assert (refused.status, code(refused)) == (403, "SecurityTokenExpired")


@pytest.mark.parametrize("signed", SIGNERS)
async def test_credentials_are_for_one_place(site: Site, signed: Any) -> None:
    mine, other = await place(site, "a.png", len(DATA)), await place(site, "b.png", len(DATA))
    both = {**mine, "file_path": other["file_path"], "file_url": other["file_url"]}
    assert code(await put(site, both, DATA, signed(both, "image/png"))) == "AccessDenied"


@pytest.mark.parametrize(("data", "expected"), [(DATA[:-1], "EntityTooSmall"), (DATA + b"x", "EntityTooLarge")])
async def test_the_size_is_what_was_asked_for(site: Site, data: bytes, expected: str) -> None:
    where = await place(site, "a.png", len(DATA))
    refused = await put(site, where, data, signed_v1(where, "image/png"))
    assert (refused.status, code(refused)) == (400, expected)
    assert (await get(site, where["file_url"])).status == 404


async def test_without_a_signature_nothing_is_put(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    refused = await put(site, where, DATA, {"Content-Type": "image/png"})
    assert (refused.status, code(refused)) == (403, "AccessDenied")


async def test_an_upload_with_a_wrong_digest_is_refused(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    right = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    for digest, status in (("bm8=", 400), ("?", 400), (right, 200)):
        answered = await put(site, where, DATA, signed_v4(where, "image/png", md5=digest))
        assert answered.status == status, answered.body
        assert status == 200 or code(answered) == "InvalidDigest"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"x-oss-content-sha256": "0" * 64}, "InvalidArgument"),
        ({"x-oss-date": "yesterday"}, "AccessDenied"),
        ({"x-oss-date": "20200101T000000Z"}, "RequestTimeTooSkewed"),
    ],
)
async def test_version_4_says_what_is_wrong(site: Site, change: dict[str, str], expected: str) -> None:
    where = await place(site, "a.png", len(DATA))
    assert code(await put(site, where, DATA, {**signed_v4(where, "image/png"), **change})) == expected


async def test_the_scope_is_that_of_the_region_without_its_prefix(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    assert (
        code(await put(site, where, DATA, signed_v4(where, "image/png", region=where["region"]))) == "InvalidArgument"
    )


@pytest.mark.parametrize(
    ("date", "expected"), [("Tue, 01 Jan 2019 00:00:00 GMT", "RequestTimeTooSkewed"), ("no", "AccessDenied")]
)
async def test_version_1_needs_a_date_of_now(site: Site, date: str, expected: str) -> None:
    where = await place(site, "a.png", len(DATA))
    assert code(await put(site, where, DATA, signed_v1(where, "image/png", date=date))) == expected


async def test_a_signed_address_lasts_five_minutes(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    assert "x-oss-expires=300" in where["file_url"]
    await put(site, where, DATA, signed_v4(where, "image/png"))
    site.emulator.pass_time(299)
    assert (await get(site, where["file_url"])).status == 200
    site.emulator.pass_time(2)
    expired = await get(site, where["file_url"])
    assert (expired.status, code(expired)) == (403, "AccessDenied")
    assert b"expired" in expired.body


async def test_a_signed_address_cannot_be_changed_or_done_without(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    await put(site, where, DATA, signed_v4(where, "image/png"))
    url = where["file_url"]
    assert code(await get(site, url.replace("x-oss-expires=300", "x-oss-expires=3000"))) == "SignatureDoesNotMatch"
    assert code(await get(site, url.partition("?")[0])) == "AccessDenied"
    assert code(await get(site, url.replace("x-oss-date=", "x-oss-date=x"))) == "InvalidArgument"


async def test_other_methods_are_not_allowed(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    async with site.session.delete(where["file_url"]) as response:
        assert response.status == 405


@pytest.mark.parametrize("fault", [*BUCKET_FAULTS, "unavailable", "bad_gateway"])
async def test_an_upload_may_meet_a_planned_fault(site: Site, fault: str) -> None:
    where = await place(site, "a.png", len(DATA))
    site.emulator.script.fault(fault, target="bucket")
    refused = await put(site, where, DATA, signed_v1(where, "image/png"))
    expected = BUCKET_FAULTS[fault][2] if fault in BUCKET_FAULTS else {"unavailable": 503, "bad_gateway": 502}[fault]
    assert refused.status == expected
    assert (await put(site, where, DATA, signed_v1(where, "image/png"))).status == 200


async def test_the_store_asks_for_no_token_of_the_site(site: Site) -> None:
    where = await place(site, "a.png", len(DATA))
    await put(site, where, DATA, signed_v4(where, "image/png"))
    assert "Authorization" not in site.session.headers
    assert (await get(site, where["file_url"])).status == 200


async def test_a_file_may_be_larger_than_any_message(site: Site) -> None:
    data = bytes(17 * 1024 * 1024)
    where = await place(site, "a.png", len(data))
    assert (await put(site, where, data, signed_v4(where, "image/png"))).status == 200
