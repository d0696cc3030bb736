"""Ids that are unlike any other; none of them is a secret."""

from random import Random

_BITS = Random().getrandbits  # noqa: S311 - seeded by the system, and by nobody else: asking it anew is a system call


def new_hex() -> str:
    """Return 32 hexadecimal digits."""
    return f"{_BITS(128):032x}"


def new_uuid() -> str:
    """Return a UUID of version 4 as text."""
    digits = new_hex()
    variant = "89ab"[_BITS(2)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
