"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, all four always present."""

import math

import msgspec

from app.errors import GatewayError, MethodNotAllowed, RangeUnusable


def error_body(error: GatewayError) -> bytes:
    """Write an error as JSON."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": fields})


def error_headers(error: GatewayError) -> dict[str, str]:
    """Return the headers that tell a client whether and when to try again, and what would be taken."""
    headers = {} if error.should_retry else {"x-should-retry": "false"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allowed
    if isinstance(error, RangeUnusable):
        headers["Content-Range"] = error.content_range
    return headers
