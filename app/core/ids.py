"""Ids that are unlike any other; none of them is a secret, and none can be guessed but from others of its process."""

from itertools import count
from random import Random

_random = Random()  # noqa: S311 - seeded by the system, which is not asked again: that is a system call for each id
_NUMBERS = count(
    _random.getrandbits(64), _random.getrandbits(64) | 1
)  # an odd step meets all numbers before it repeats
_OWN = f"{_random.getrandbits(64):016x}"  # what tells the ids of this process from those of another
_UUID_START = f"{_OWN[:8]}-{_OWN[8:12]}-4{_OWN[13:]}-{'89ab'[_random.getrandbits(2)]}{_random.getrandbits(12):03x}-"


def new_hex() -> str:
    """Return 32 hexadecimal digits, of which the first 16 differ in each."""
    return (next(_NUMBERS) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big").hex() + _OWN


def new_uuid() -> str:
    """Return a UUID of version 4 as text."""
    return _UUID_START + (next(_NUMBERS) & 0xFFFFFFFFFFFF).to_bytes(6, "big").hex()
