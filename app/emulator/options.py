"""How the emulator behaves; the defaults are the newest shapes of the site, as fast as they come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Era = Literal["2025", "2026"]
THIRTY_DAYS = 30 * 86400


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """`era` picks the wire shapes of a year (docs/upstream-protocol.md, Time line).

    `data_file` None keeps the chats in memory. `lock_seconds` is how long a chat stays locked after its answer,
    `chunk_delay` the seconds between two pieces of one, `page_size` the rows of one page of the chat list. Port 0
    takes a free port. `token_seconds` and `access_seconds` are the lives of the two kinds of token; without
    `session_bearer` the site takes access tokens alone for its calls.
    """

    host: str = "127.0.0.1"
    port: int = 0
    auth_port: int = 0
    data_file: Path | None = None
    era: Era = "2026"
    lock_seconds: float = 0.0
    chunk_delay: float = 0.0
    page_size: int = 60
    token_seconds: int = THIRTY_DAYS
    access_seconds: int = 900
    session_bearer: bool = True
