"""Every route of the server, on one screen."""

from aiohttp import web

from app.web import chat, files, images, info, messages, metrics, models, openapi, responses, videos
from app.web.cors import allow_origins
from app.web.keys import SERVICES, Services
from app.web.middleware import Handler, Passage
from app.web.stopping import Stopping

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", info.server_info),
    ("GET", "/health", info.health),
    ("GET", "/ready", info.ready),
    ("GET", "/metrics", metrics.metrics),
    ("GET", "/openapi.json", openapi.openapi),
    ("GET", "/v1/models", models.list_models),
    ("GET", "/v1/models/{model}", models.show_model),
    ("POST", "/v1/chat/completions", chat.chat_completions),
    ("POST", "/v1/responses", responses.make_response),
    ("GET", "/v1/responses/{id}", responses.show_response),
    ("POST", "/v1/messages", messages.make_message),
    ("POST", "/v1/images/generations", images.generate_images),
    ("POST", "/v1/images/edits", images.edit_images),
    ("POST", "/v1/videos", videos.make_video),
    ("GET", "/v1/videos", videos.list_videos),
    ("GET", "/v1/videos/{id}", videos.show_video),
    ("GET", "/v1/videos/{id}/content", videos.video_content),
    ("DELETE", "/v1/videos/{id}", videos.delete_video),
    ("GET", "/v1/files", files.list_files),
    ("POST", "/v1/files", files.store_file),
    ("GET", "/v1/files/{file_id}", files.show_file),
    ("DELETE", "/v1/files/{file_id}", files.delete_file),
    ("GET", "/v1/files/{file_id}/content", files.file_content),
)


def make_app(services: Services) -> web.Application:
    """Build the application around services that the caller opened and closes."""
    stopping = Stopping(services.settings.shutdown_timeout)
    passage = Passage(services, stopping)
    app = web.Application(middlewares=[passage.serve], client_max_size=services.settings.max_body_bytes)
    app[SERVICES] = services
    app.on_response_prepare.append(passage.mark)
    app.on_shutdown.append(stopping.run)
    add = {"GET": app.router.add_get, "POST": app.router.add_post, "DELETE": app.router.add_delete}
    for method, path, handler in ROUTES:
        add[method](path.replace("{model}", "{model:.+}"), handler)
    allow_origins(app, services.settings.cors_origins)
    return app
