"""Errors in Anthropic's shape: `{"type": "error", "error": {"type", "message", ...}, "request_id"}`."""

import msgspec

from app.anthropic.shapes import AnthropicError, AnthropicFault, ErrorType
from app.errors import GatewayError

_TYPES: dict[int, ErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_TOO_LONG = "prompt is too long"  # by which Anthropic's clients know that they have to shorten the conversation


def error_body(error: GatewayError, request_id: str | None) -> bytes:
    """Write an error as JSON."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    message = error.message
    if error.code == "context_length_exceeded":
        message = f"{_TOO_LONG}: {message}"
    fault = AnthropicFault(kind, message, error.code, error.param)
    return msgspec.json.encode(AnthropicError("error", fault, request_id))
