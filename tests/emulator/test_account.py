"""Tokens, profile, settings and models, over real HTTP."""

import base64
import json
import time
from typing import Any

import pytest

from app.emulator.faults import Target
from app.emulator.models import MODELS, title
from app.emulator.tokens import TokenOffice
from tests.emulator.page import Site, emulated

SETTINGS = "/api/v2/users/user/settings"


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def header(token: str) -> dict[str, Any]:
    part = token.split(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def test_an_answer_comes_in_the_envelope_with_the_id_of_the_request(site: Site) -> None:
    reply = await site.ask("GET", SETTINGS, **{"X-Request-Id": "mine"})
    assert list(reply.body) == ["success", "request_id", "data"]
    assert (reply.status, reply.actual, reply.body["request_id"]) == (200, "200", "mine")
    assert reply.headers["x-request-id"] == "mine"


async def test_a_request_without_an_id_gets_one(site: Site) -> None:
    first, second = [(await site.ask("GET", SETTINGS)).body["request_id"] for _ in range(2)]
    assert first != second


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_bearer_token_signs_in(site: Site, scheme: str) -> None:
    token = site.emulator.mint_token()
    assert (await site.ask("GET", SETTINGS, Authorization=f"{scheme} {token}")).data


async def test_the_token_cookie_alone_signs_in(site: Site) -> None:
    site.headers = {}
    assert (await site.ask("GET", SETTINGS, Cookie=f"token={site.emulator.mint_token()}")).data


async def test_an_empty_bearer_leaves_the_cookie_to_sign_in(site: Site) -> None:
    site.headers = {}
    reply = await site.ask("GET", SETTINGS, Authorization="Bearer ", Cookie=f"token={site.emulator.mint_token()}")
    assert reply.data


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "wörter", "e30.e30.\udcff"])
async def test_a_missing_or_made_up_token_is_refused(token: str) -> None:
    assert TokenOffice().problem(token) == "401 Unauthorized"


async def test_a_token_of_odd_letters_is_refused_like_any_other(site: Site) -> None:
    reply = await site.ask("GET", SETTINGS, Authorization="Bearer wörter")
    assert (reply.status, reply.actual, reply.code) == (200, "401", "unauthorized")


async def test_an_expired_token_is_refused_in_the_words_of_the_site(site: Site) -> None:
    reply = await site.ask("GET", SETTINGS, Authorization=f"Bearer {site.emulator.mint_token(lifetime=-1)}")
    assert (reply.status, reply.actual, reply.code) == (200, "401", "unauthorized")
    assert reply.body["data"]["details"] == "Token has expired, please log in again."


async def test_a_revoked_token_is_refused_from_then_on(site: Site) -> None:
    token = site.emulator.mint_token()
    assert (await site.ask("GET", SETTINGS, Authorization=f"Bearer {token}")).data
    site.emulator.revoke(token)
    assert (await site.ask("GET", SETTINGS, Authorization=f"Bearer {token}")).code == "unauthorized"


async def test_a_session_token_has_the_claims_of_the_site(site: Site) -> None:
    token = site.emulator.mint_token(lifetime=60)
    assert header(token) == {"alg": "HS256", "typ": "JWT"}
    assert {"id", "last_password_change", "exp"} <= set(claims(token))
    assert claims(token)["exp"] - time.time() == pytest.approx(60, abs=2)


async def test_in_2025_a_bad_token_meets_the_real_status_without_an_envelope() -> None:
    async with emulated(era="2025") as site:
        reply = await site.ask("GET", SETTINGS, Authorization="Bearer no")
        assert (reply.status, reply.actual, reply.body) == (401, None, {"detail": "401 Unauthorized"})


async def test_the_profile_is_bare_and_renews_the_session(site: Site) -> None:
    profile = (await site.ask("GET", "/api/v1/auths/")).body
    assert {"id", "email", "name", "role", "token", "token_type", "expires_at", "permissions"} <= set(profile)
    assert set(profile["permissions"]) == {"workspace", "chat"}
    assert claims(profile["token"])["exp"] == profile["expires_at"]
    assert (await site.ask("GET", SETTINGS, Authorization=f"Bearer {profile['token']}")).data


async def test_the_sign_in_host_has_the_profile_in_the_envelope(site: Site) -> None:
    profile = (await site.ask_auth_host("/api/v2/auths/")).data
    assert {"id", "name", "email"} <= set(profile)
    assert "token" not in profile


async def refresh(site: Site, **headers: str) -> Any:
    site.headers = {}
    return await site.ask_auth_host("/api/v2/auths/refresh", **headers)


async def test_a_refresh_without_an_origin_is_refused(site: Site) -> None:
    reply = await refresh(site, Cookie=f"token={site.emulator.mint_token()}")
    assert (reply.code, reply.body["data"]["details"], reply.actual) == ("Bad_Request", "Missing origin", "400")


async def test_a_refresh_without_a_cookie_is_refused_with_the_real_status_in_the_header(site: Site) -> None:
    reply = await refresh(site, Origin="https://chat.qwen.ai")
    assert (reply.status, reply.actual, reply.code) == (200, "401", "Unauthorized")


async def test_a_refresh_gives_an_access_token_of_fifteen_minutes(site: Site) -> None:
    reply = await refresh(site, Origin="https://chat.qwen.ai", Cookie=f"token={site.emulator.mint_token()}")
    access = reply.data["access_token"]
    assert header(access) == {"alg": "HS256", "kid": "legacy", "typ": "JWT"}
    assert claims(access)["type"] == "access_token"
    assert claims(access)["exp"] - claims(access)["iat"] == 900
    assert (await site.ask("GET", SETTINGS, Authorization=f"Bearer {access}")).data


async def test_the_refresh_cookie_rotates_and_the_old_one_is_refused(site: Site) -> None:
    origin = {"Origin": "https://chat.qwen.ai"}
    first = await refresh(site, **origin, Cookie=f"token={site.emulator.mint_token()}")
    rotated = first.data["refresh_token"]
    assert f"refresh_token={rotated}" in first.headers["Set-Cookie"]
    site.session.cookie_jar.clear()
    second = await refresh(site, **origin, Cookie=f"refresh_token={rotated}")
    assert second.data["refresh_token"] != rotated
    site.session.cookie_jar.clear()
    assert (await refresh(site, **origin, Cookie=f"refresh_token={rotated}")).code == "Unauthorized"


@pytest.mark.parametrize("cookie", ["token={access}", "token={refresh}", "refresh_token={session}", "token={other}"])
async def test_a_refresh_takes_no_token_of_another_kind(site: Site, cookie: str) -> None:
    emulator = site.emulator
    access, refreshing, session = emulator.mint_access_token(), emulator.mint_refresh_token(), emulator.mint_token()
    given = cookie.format(access=access, refresh=refreshing, session=session, other="made up")
    assert (await refresh(site, Origin="https://chat.qwen.ai", Cookie=given)).code == "Unauthorized"


async def test_a_refresh_token_signs_no_call(site: Site) -> None:
    reply = await site.ask("GET", SETTINGS, Authorization=f"Bearer {site.emulator.mint_refresh_token()}")
    assert reply.code == "unauthorized"


async def test_tokens_end_by_a_clock_that_a_test_puts_forward(site: Site) -> None:
    signed = {"Authorization": f"Bearer {site.emulator.mint_access_token()}"}
    site.emulator.pass_time(890)
    assert (await site.ask("GET", SETTINGS, **signed)).data
    site.emulator.pass_time(10)
    assert (await site.ask("GET", SETTINGS, **signed)).body["data"]["details"].startswith("Token has expired")
    assert (await site.ask("GET", SETTINGS)).data, "the session token lasts longer"


async def test_a_site_may_take_access_tokens_alone() -> None:
    async with emulated(session_bearer=False) as site:
        assert (await site.ask("GET", SETTINGS)).code == "unauthorized"
        assert (await site.ask("GET", SETTINGS, Authorization=f"Bearer {site.emulator.mint_access_token()}")).data


@pytest.mark.parametrize("target", ["refresh", "profile"])
async def test_a_renewal_can_fail_once(site: Site, target: Target) -> None:
    site.emulator.script.fault("busy", target=target)
    origin = {"Origin": "https://chat.qwen.ai", "Cookie": f"token={site.emulator.mint_token()}"}
    for status in ("503", "200"):
        if target == "refresh":
            reply = await site.ask_auth_host("/api/v2/auths/refresh", **origin)
        else:
            reply = await site.ask("GET", "/api/v1/auths/")
        assert reply.actual in {status, None}
        assert ("success" in reply.body and reply.body["success"] is False) is (status == "503")


async def test_settings_change_in_part(site: Site) -> None:
    changes = {"memory": {"enable_memory": True}, "unheard_of": 1}
    assert (await site.ask("POST", f"{SETTINGS}/update", changes)).data
    settings = (await site.ask("GET", SETTINGS)).data
    assert settings["memory"] == {"enable_memory": True, "enable_history_memory": False}
    assert settings["unheard_of"] == 1
    assert settings["personalization"]["style"] == "Default"


async def test_settings_that_are_no_object_are_refused(site: Site) -> None:
    assert (await site.ask("POST", f"{SETTINGS}/update", [1])).code == "RequestValidationError"


async def test_the_heartbeat_is_taken(site: Site) -> None:
    assert (await site.ask("POST", "/api/v2/users/status", {"x": 1})).data is True


async def test_models_are_listed_at_both_depths_and_for_guests(site: Site) -> None:
    site.headers = {}
    bare = (await site.ask("GET", "/api/models")).body
    assert set(bare) == {"data"}
    for path in ("/api/v2/models/", "/api/v2/models"):
        assert (await site.ask("GET", path)).data == bare


async def test_in_2025_both_lists_of_models_are_bare() -> None:
    async with emulated(era="2025") as site:
        for path in ("/api/models", "/api/v2/models/"):
            reply = await site.ask("GET", path)
            assert (set(reply.body), reply.actual) == ({"data"}, None)


def test_the_models_are_those_that_the_aliases_need_and_none_of_those_that_went() -> None:
    ids = {model["id"] for model in MODELS}
    assert {"qwen3.7-plus", "qwen3.8-max", "qwen3-coder-plus", "qwen3-235b-a22b", "qwen-max-latest"} <= ids
    assert not ids & {"qwen-plus-2025-01-25", "qwen-turbo-2025-02-11"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model["id"]))
def test_a_model_says_all_that_the_site_says(model: dict[str, Any]) -> None:
    assert {"id", "name", "object", "owned_by", "preset", "action_ids", "info"} == set(model)
    meta = model["info"]["meta"]
    assert model["info"]["id"] == model["id"]
    assert meta["abilities"]["thinking"] in {1, 2, 3}
    assert meta["think_skip"]["enable"] is (meta["abilities"]["thinking"] != 1)
    assert "t2t" in meta["chat_type"]
    assert isinstance(meta["max_context_length"], int)


def test_a_model_that_is_no_longer_listed_goes_by_its_id() -> None:
    assert (title("qwq-32b"), title("qwen-gone")) == ("QwQ-32B", "qwen-gone")


@pytest.mark.parametrize("fault", ["anti_bot", "rate_limited"])
async def test_the_list_of_models_can_fail_once(site: Site, fault: str) -> None:
    site.emulator.script.fault(fault, target="models")
    assert (await site.ask("GET", "/api/v2/models/")).body.get("success") is not True
    assert (await site.ask("GET", "/api/v2/models/")).data


@pytest.mark.parametrize("path", ["/api/v2/tts/completions", "/nothing"])
async def test_an_unknown_route_is_not_found(site: Site, path: str) -> None:
    reply = await site.ask("GET", path)
    assert (reply.status, reply.actual, reply.code) == (200, "404", "Not_Found")


async def test_a_wrong_method_is_refused_and_recorded(site: Site) -> None:
    assert (await site.raw("POST", "/api/v2/chats")).status == 405
    assert [(asked.method, asked.path, asked.status) for asked in site.emulator.requests] == [
        ("POST", "/api/v2/chats", 405)
    ]


async def test_requests_are_recorded_with_their_real_status(site: Site) -> None:
    await site.ask("GET", SETTINGS)
    await site.ask("GET", "/nothing")
    assert [(asked.path, asked.status) for asked in site.emulator.requests] == [(SETTINGS, 200), ("/nothing", 404)]
