"""`GET /v1/models` and `GET /v1/models/{id}`."""

import msgspec
from aiohttp import web

from app.openai.responses import model_fields
from app.web.keys import SERVICES


async def list_models(request: web.Request) -> web.Response:
    """List the live models, in upstream's order."""
    models = await request.app[SERVICES].catalog.models()
    listed = {"object": "list", "data": [model_fields(model) for model in models]}
    return web.Response(body=msgspec.json.encode(listed), content_type="application/json")


async def show_model(request: web.Request) -> web.Response:
    """Show one model; an alias answers for its target."""
    model = await request.app[SERVICES].catalog.find(request.match_info["model"])
    return web.Response(body=msgspec.json.encode(model_fields(model)), content_type="application/json")
