"""Ids that are unlike any other and no secret: asking the system for each would cost more than making a chunk."""

from random import getrandbits
from uuid import UUID


def new_hex() -> str:
    """Return 32 hexadecimal digits."""
    return f"{getrandbits(128):032x}"


def new_uuid() -> str:
    """Return a UUID of version 4 as text."""
    return str(UUID(int=getrandbits(128), version=4))
