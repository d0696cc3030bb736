"""Sizes of images and videos: the site knows aspect ratios only."""

import math
import re

from app.errors import InvalidRequest

_SIZE = re.compile(r"\s*(\d{1,5})\s*[x:×*]\s*(\d{1,5})\s*", re.IGNORECASE)
_RATIOS = {"1:1": 1.0, "4:3": 4 / 3, "3:4": 3 / 4, "16:9": 16 / 9, "9:16": 9 / 16}


def nearest_ratio(size: str | None) -> str | None:
    """Return the site's aspect ratio for a size such as 1792x1024 or 3:2, None for none and for `auto`."""
    if size is None or size == "auto":
        return None
    sides = _SIZE.fullmatch(size)
    width, height = (int(sides[1]), int(sides[2])) if sides else (0, 0)
    if not width or not height:
        raise InvalidRequest(f"'size': {size!r} is no size; write one such as 1024x1024, 16:9 or auto.", param="size")
    wanted = math.log(width / height)
    return min(_RATIOS, key=lambda name: abs(math.log(_RATIOS[name]) - wanted))
