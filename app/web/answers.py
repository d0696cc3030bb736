"""What routes answer with that is described as a struct (app/openai/shapes.py)."""

from collections.abc import Mapping

import msgspec
from aiohttp import web


def json_answer(answer: msgspec.Struct, headers: Mapping[str, str] | None = None) -> web.Response:
    """Write an answer as JSON."""
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=headers)
