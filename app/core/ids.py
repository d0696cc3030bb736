"""Ids that are unlike any other. From the system, not from Python's generator, which whoever seeds it makes repeat."""

from uuid import uuid4


def new_hex() -> str:
    """Return 32 hexadecimal digits."""
    return uuid4().hex


def new_uuid() -> str:
    """Return a UUID of version 4 as text."""
    return str(uuid4())
