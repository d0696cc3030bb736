"""The ids of tool calls that we make: each names one answer, whatever else a client changes in its history."""

import re

from app.core.ids import new_hex

_OWN = re.compile(r"call_[0-9a-f]{32}")


def new_call_id() -> str:
    """Return an id for a tool call, unlike any other."""
    return f"call_{new_hex()}"


def is_own_call_id(call_id: str) -> bool:
    """Say whether an id has the form of ours; some clients give calls ids of their own."""
    return _OWN.fullmatch(call_id) is not None
