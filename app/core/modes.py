"""What kind of answer is asked for."""

from collections.abc import Mapping
from typing import Literal

Mode = Literal["chat", "search", "image", "video", "research"]

ABILITIES: Mapping[Mode, str] = {
    "chat": "chat",
    "search": "search the web",
    "image": "make images",
    "video": "make videos",
    "research": "do deep research",
}
