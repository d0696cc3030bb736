"""Ids that are unlike any other; none of them is a secret, and none can be guessed but from others of its process."""

import time
from itertools import count
from random import Random

_A_SECOND = 1 << 16  # ids for each second since 1970: a process that begins later goes on above all earlier ones
_random = Random()  # noqa: S311 - seeded by the system, which is not asked again: that is a system call for each id
_NUMBERS = count(int(time.time() * _A_SECOND))
_OWN = f"{_random.getrandbits(80):020x}"  # what tells the ids of this process from those of another
_UUID_NUMBERS = count(_random.getrandbits(48))
_UUID_START = f"{_OWN[:8]}-{_OWN[8:12]}-4{_OWN[13:16]}-{'89ab'[_random.getrandbits(2)]}{_OWN[17:]}-"


def new_hex() -> str:
    """Return 32 hexadecimal digits, of which the first 12 differ in each.

    They grow, so that what a database indexes by them is added at one end of the index, in few of its pages.
    """
    return f"{next(_NUMBERS):012x}{_OWN}"


def new_uuid() -> str:
    """Return a UUID of version 4 as text."""
    return f"{_UUID_START}{next(_UUID_NUMBERS) & 0xFFFFFFFFFFFF:012x}"
