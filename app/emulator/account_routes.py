"""The account: its profile, settings, models and tokens (docs/upstream-protocol.md, Tokens and Models)."""

from typing import Any

from aiohttp import web

from app.emulator.envelope import accept, body_of, fault_at, plain, refuse
from app.emulator.faults import Refusal, unauthorized
from app.emulator.keys import STATE
from app.emulator.models import MODELS
from app.emulator.state import EmulatorState
from app.emulator.tokens import REFRESH_SECONDS, Kind

LASTING: dict[str, frozenset[Kind]] = {"refresh_token": frozenset({"refresh"}), "token": frozenset({"session"})}


async def list_models(request: web.Request) -> web.StreamResponse:
    """Answer the list: in the envelope on the newer route, bare on the older one and in the era of 2025."""
    fault = fault_at(request, "models")
    if fault is not None:
        return fault
    listed = {"data": list(MODELS)}
    if request.path == "/api/models" or request.app[STATE].options.era == "2025":
        return plain(request, listed)
    return accept(request, listed)


def _profile(state: EmulatorState) -> dict[str, Any]:
    return {
        "id": state.tokens.user_id,
        "email": "emulator@example.org",
        "name": "Emulator",
        "role": "user",
        "profile_image_url": "/static/favicon.png",
    }


async def profile(request: web.Request) -> web.StreamResponse:
    """Answer the profile of the first generation, which renews the session token."""
    fault = fault_at(request, "profile")
    if fault is not None:
        return fault
    state = request.app[STATE]
    lifetime = state.options.token_seconds
    renewed = {
        "token": state.tokens.mint(lifetime),
        "token_type": "Bearer",
        "expires_at": int(state.tokens.now()) + lifetime,
        "permissions": {
            "workspace": dict.fromkeys(("models", "knowledge", "prompts", "tools"), False),
            "chat": dict.fromkeys(("file_upload", "delete", "edit", "temporary"), True),
        },
    }
    return plain(request, _profile(state) | renewed)


async def profile_at_auth_host(request: web.Request) -> web.StreamResponse:
    """Answer the profile in the envelope."""
    return accept(request, _profile(request.app[STATE]))


async def refresh(request: web.Request) -> web.StreamResponse:
    """Give a new access token for the cookie `refresh_token`, which rotates, or, without one, for `token`."""
    await request.app[STATE].script.at_renewal()
    fault = fault_at(request, "refresh")
    if fault is not None:
        return fault
    state = request.app[STATE]
    if not request.headers.get("Origin"):
        return refuse(request, Refusal("Bad_Request", "Missing origin", 400))
    name = "refresh_token" if "refresh_token" in request.cookies else "token"
    given = request.cookies.get(name, "")
    problem = state.tokens.problem(given, LASTING[name])
    if problem:
        return refuse(request, unauthorized(problem, "Unauthorized"))
    rotated = state.tokens.mint(REFRESH_SECONDS, "refresh")
    if name == "refresh_token":
        state.tokens.revoked.add(given)
    access = state.tokens.mint(state.options.access_seconds, "access")
    response = accept(request, {"access_token": access, "refresh_token": rotated})
    response.set_cookie("refresh_token", rotated, max_age=REFRESH_SECONDS, httponly=True, samesite="Lax")
    return response


async def read_settings(request: web.Request) -> web.StreamResponse:
    """Answer the account's settings."""
    return accept(request, request.app[STATE].settings)


async def update_settings(request: web.Request) -> web.StreamResponse:
    """Change some of the settings."""
    settings = request.app[STATE].settings
    for name, value in (await body_of(request)).items():
        if isinstance(value, dict) and isinstance(settings.get(name), dict):
            settings[name] |= value
        else:
            settings[name] = value
    return accept(request, settings)


async def heartbeat(request: web.Request) -> web.StreamResponse:
    """Take the page's heartbeat."""
    return accept(request, True)
