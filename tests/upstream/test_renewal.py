"""What is sent to the host that renews, and what is made of its answers, down to the headers."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.config_values import Secret
from app.errors import (
    UpstreamBlocked,
    UpstreamError,
    UpstreamLoginRequired,
    UpstreamProtocolError,
    UpstreamUnreachable,
)
from app.upstream.qwen.credentials import Credential, read_token
from app.upstream.qwen.renewal import Renewal
from tests.upstream.conftest import NOW, StillClock, make_settings, make_token
from tests.upstream.scripted import ANTI_BOT, MALFORMED, Act, Site, good, refusal, reply

REFRESH, PROFILE = "GET /api/v2/auths/refresh", "GET /api/v1/auths/"
SESSION, ROTATING = make_token(), make_token(life=timedelta(days=29), type="refresh_token")
REFUSED = reply(refusal("Unauthorized"), 200, "x-actual-status-code: 401")


def access(account: str | None = "user-1", minutes: int = 15) -> str:
    return make_token(account, timedelta(minutes=minutes), type="access_token", iat=int(NOW.timestamp()))


def login(token: str = "", cookie: str = f"cna=1; token={SESSION}; refresh_token={ROTATING}") -> Credential:
    credential = read_token(token or access(minutes=0), Secret(cookie))
    assert credential is not None
    return credential


@pytest.fixture
def renewal(site: Site, tmp_path: Path, clock: StillClock) -> Renewal:
    return Renewal(make_settings(tmp_path), clock, base_url="https://chat.qwen.ai", auth_url=site.url)


async def test_it_asks_as_the_page_does_with_both_cookies(site: Site, renewal: Renewal) -> None:
    site.on(REFRESH, good({"access_token": access(), "refresh_token": "second"}))
    await renewal.by_cookies(login())
    headers = site.requests[0].headers
    assert headers["cookie"] == f"cna=1; token={SESSION}; refresh_token={ROTATING}"
    assert {name: headers[name] for name in ("origin", "referer", "x-request-origin")} == {
        "origin": "https://chat.qwen.ai",
        "referer": "https://chat.qwen.ai/",
        "x-request-origin": "https://chat.qwen.ai",
    }
    assert "authorization" not in headers


async def test_cookies_that_are_over_or_of_another_account_are_not_sent(site: Site, renewal: Renewal) -> None:
    site.on(REFRESH, good({"access_token": access()}))
    over, foreign = make_token(life=timedelta(0)), make_token("user-2")
    await renewal.by_cookies(login(cookie=f"token={over}; refresh_token={ROTATING}"))
    await renewal.by_cookies(login(cookie=f"token={SESSION}; refresh_token={foreign}"))
    assert [request.headers["cookie"] for request in site.requests] == [
        f"refresh_token={ROTATING}",
        f"token={SESSION}",
    ]


@pytest.mark.parametrize(
    ("body", "set_cookie", "kept"),
    [
        ("body", [], "cna=1; token=S; refresh_token=body"),
        ("body", ["refresh_token=header; Path=/; HttpOnly"], "cna=1; token=S; refresh_token=header"),
        ("", ["refresh_token=header; Max-Age=2592000"], "cna=1; token=S; refresh_token=header"),
        ("body", ["token=new; Domain=.qwen.ai"], "cna=1; token=new; refresh_token=body"),
        ("body", ["other=1", "cna=; Max-Age=0"], "token=S; refresh_token=body; other=1"),
        ("body", ["nick=café", "pref=a\tb", "x=1"], "cna=1; token=S; refresh_token=body; x=1"),
        ("body", ["cna=é"], "cna=1; token=S; refresh_token=body"),
        ("bödy", [], "cna=1; token=S; refresh_token=R"),
        ("", [], "cna=1; token=S; refresh_token=R"),
    ],
)
async def test_whatever_the_answer_sets_is_kept(
    site: Site, renewal: Renewal, body: str, set_cookie: list[str], kept: str
) -> None:
    answer = {"success": True, "data": {"access_token": access(), "refresh_token": body}}
    site.on(REFRESH, reply(answer, 200, *(f"Set-Cookie: {line}" for line in set_cookie)))
    new = await renewal.by_cookies(login())
    assert new.cookie.reveal().replace(SESSION, "S").replace(ROTATING, "R") == kept
    assert (new.token, new.is_access, new.account) == (Secret(access()), True, "user-1")
    assert new.expires_at == NOW + timedelta(minutes=15)


async def test_a_token_without_a_name_keeps_the_account(site: Site, renewal: Renewal) -> None:
    site.on(REFRESH, good({"access_token": "opaque-access-token"}))
    assert (await renewal.by_cookies(login())).account == "user-1"


async def test_another_account_s_token_is_not_taken(site: Site, renewal: Renewal) -> None:
    site.on(REFRESH, good({"access_token": access("user-2")}))
    with pytest.raises(UpstreamLoginRequired, match="another account"):
        await renewal.by_cookies(login(cookie="refresh_token=opaque"))


async def test_a_refusal_of_both_cookies_is_tried_once_more_with_the_long_one(site: Site, renewal: Renewal) -> None:
    site.on(REFRESH, REFUSED)
    with pytest.raises(UpstreamLoginRequired, match="refuses to renew"):
        await renewal.by_cookies(login())
    assert [request.headers["cookie"] for request in site.requests] == [
        f"cna=1; token={SESSION}; refresh_token={ROTATING}",
        f"cna=1; token={SESSION}",
    ]


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (good({}), UpstreamProtocolError),
        (good([1]), UpstreamProtocolError),
        (good({"access_token": 7}), UpstreamProtocolError),
        (good({"access_token": "wörter"}), UpstreamProtocolError),
        (reply(b"nothing"), UpstreamProtocolError),
        *((reply(body), UpstreamProtocolError) for body in MALFORMED),
        (reply(refusal("Bad_Request", "Missing origin")), UpstreamError),
        (reply(ANTI_BOT), UpstreamBlocked),
        (reply(b"<html><h1>502 Bad Gateway</h1></html>", 502, kind="text/html"), UpstreamUnreachable),
    ],
)
async def test_any_other_answer_is_an_error_of_ours(
    site: Site, renewal: Renewal, act: Act, kind: type[UpstreamError]
) -> None:
    site.on(REFRESH, act)
    with pytest.raises(kind):
        await renewal.by_cookies(login())


async def test_a_host_out_of_reach_is_named(tmp_path: Path, clock: StillClock) -> None:
    renewal = Renewal(
        make_settings(tmp_path), clock, base_url="https://chat.qwen.ai", auth_url="http://no-such-host.invalid"
    )
    with pytest.raises(UpstreamUnreachable, match=r"no-such-host\.invalid could not be resolved"):
        await renewal.by_cookies(login())


@pytest.mark.parametrize(
    ("brings", "is_taken"),
    [
        ({"token": make_token(life=timedelta(days=31))}, True),
        ({"token": make_token()}, False),
        ({"token": make_token("user-2", timedelta(days=31))}, False),
        ({"token": access(minutes=10**6)}, False),
        ({"token": "opaque"}, False),
        ({"token": 7}, False),
        ({}, False),
    ],
)
async def test_a_profile_renews_only_with_a_later_token_of_the_same_account(
    site: Site, tmp_path: Path, clock: StillClock, brings: dict[str, object], is_taken: bool
) -> None:
    renewal = Renewal(make_settings(tmp_path), clock, base_url=site.url, auth_url="http://127.0.0.1:9")
    site.on(PROFILE, reply({"id": "user-1", "role": "user", **brings}))
    new = await renewal.by_profile(login(SESSION, "cna=1"))
    assert (new is not None) is is_taken
    headers = site.requests[0].headers
    assert (headers["authorization"], headers["cookie"]) == (f"Bearer {SESSION}", f"cna=1; token={SESSION}")


async def test_both_ways_tell_the_owner_s_user_agent(site: Site, tmp_path: Path, clock: StillClock) -> None:
    settings = make_settings(tmp_path, QWEN_USER_AGENT="Owner/1.0")
    renewal = Renewal(settings, clock, base_url=site.url, auth_url=site.url)
    site.on(REFRESH, good({"access_token": access()}))
    site.on(PROFILE, reply({"id": "user-1", "role": "user"}))
    await renewal.by_cookies(login())
    await renewal.by_profile(login(SESSION, "cna=1"))
    assert [request.headers["user-agent"] for request in site.requests] == ["Owner/1.0", "Owner/1.0"]


def test_the_end_of_a_login_is_that_of_its_longest_cookie() -> None:
    assert login().ends_at == NOW + timedelta(days=30)
    assert login(cookie=f"refresh_token={ROTATING}").ends_at == NOW + timedelta(days=29)
    assert login(cookie="refresh_token=opaque").ends_at is None
    assert login(access(), "cna=1").ends_at == NOW + timedelta(minutes=15)


def test_a_short_life_has_a_short_last_part() -> None:
    assert login(access()).margin == timedelta(minutes=3)
    assert login(access(minutes=5)).margin == timedelta(minutes=1)
    assert login(SESSION).margin == timedelta(minutes=3)


def test_an_access_token_in_the_cookie_token_is_no_long_one() -> None:
    credential = login(access(), f"token={access()}")
    assert not credential.session
    assert not credential.can_renew(NOW)
