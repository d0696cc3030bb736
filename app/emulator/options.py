"""How the emulator behaves; the defaults are the newest shapes of the site, as fast as they come."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Era = Literal["2025", "2026"]
THIRTY_DAYS = 30 * 86400


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """`era` picks the wire shapes of a year (docs/upstream-protocol.md, Time line).

    `data_file` None keeps chats and files in memory. `lock_seconds` is how long a chat stays locked after its answer,
    `chunk_delay` the seconds between two pieces of one, `page_size` the rows of one page of the chat list. Port 0
    takes a free port, with a `data_file` that of the last start if it can be had. `token_seconds` and `access_seconds`
    are the lives of the two kinds of token; without `session_bearer` the site takes access tokens alone for its calls.

    `parse_polls` is how often a document's state is pending before it is parsed, `task_polls` how often a video is
    running before it is done. `grant_seconds` is the life of a permission to upload, `link_seconds` that of the address
    of a picture or a video that the site made (the real one is not known). `image_limit` is the page's; a study got 7
    pictures through. `file_bytes` bounds what is kept of all files: the oldest contents go first.
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
    parse_polls: int = 0
    task_polls: int = 0
    grant_seconds: int = 3600
    link_seconds: int = 86400
    image_limit: int = 5
    file_bytes: int = 256 * 1024 * 1024
