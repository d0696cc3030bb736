"""Every route of the server, on one screen."""

from aiohttp import web

from app.web import chat, info, models
from app.web.cors import allow_origins
from app.web.keys import SERVICES, Services
from app.web.middleware import authenticate, errors_to_json, guard_host, identify, mark_answer


def make_app(services: Services) -> web.Application:
    """Build the application around services that the caller opened and closes."""
    app = web.Application(
        middlewares=[identify, errors_to_json, guard_host, authenticate],
        client_max_size=services.settings.max_body_bytes,
    )
    app[SERVICES] = services
    app.on_response_prepare.append(mark_answer)
    app.add_routes(
        [
            web.get("/", info.server_info),
            web.get("/health", info.health),
            web.get("/ready", info.ready),
            web.get("/v1/models", models.list_models),
            web.get("/v1/models/{model:.+}", models.show_model),
            web.post("/v1/chat/completions", chat.chat_completions),
        ]
    )
    allow_origins(app, services.settings.cors_origins)
    return app
