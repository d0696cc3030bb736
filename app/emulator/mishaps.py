"""The errors that may stand in the middle of a stream, in all their forms."""

from app.emulator.faults import Disturbance
from app.emulator.frames import Frames, data

_QUOTA = (
    "Allocated quota exceeded, please increase your quota limit. "
    "For details, see: https://example.org/errors#token-limit"
)


def mishap(disturbance: Disturbance, frames: Frames) -> bytes | None:
    """Return the event that ends a stream with an error, None for a disturbance that is no error."""
    match disturbance:
        case Disturbance.ERROR_IN_STREAM:
            return frames.error("internal_error", _QUOTA)
        case Disturbance.ERROR_IN_STREAM_FLAT:
            return data({"code": "RateLimited", "detail": "You've reached the upper limit for today's usage."})
        case Disturbance.ERROR_IN_STREAM_TEXT:
            return data({"error": "The model is temporarily unavailable"})
        case Disturbance.ERROR_IN_STREAM_NESTED:
            nested = {"code": "Server_Busy", "message": "The service is overloaded, try again later."}
            return data({"data": {"error": nested}})
        case Disturbance.ERROR_IN_STREAM_ENVELOPE:
            envelope = {"code": "Internal_Server_Error", "details": "Something went wrong."}
            return data({"success": False, "request_id": "r", "data": envelope})
        case Disturbance.EXPIRED_IN_STREAM:
            return data({"error": {"code": "unauthorized", "details": "Token has expired"}})
        case _:
            return None
