"""What is to be generated."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.emulator.faults import Disturbance
from app.emulator.hosted import Tool
from app.emulator.outputs import Outputs
from app.emulator.script import Planned
from app.emulator.tree import Chat, Node


@dataclass(frozen=True, slots=True)
class Job:
    """What is generated, and where: the answer node is in the tree already and fills up.

    `asked` is what the message asks now, without the history that it may hold. `index` is None in the era of 2025.
    `keep` stores the answer as it is, `promise` as it will be, which it is given a way to find out.
    """

    chat: Chat
    user: Node
    answer: Node
    asked: str
    text: str
    thoughts: tuple[str, ...]
    tools: tuple[Tool, ...]
    shown_tokens: int
    image_tokens: int
    pixels: tuple[int, int]
    outputs: Outputs
    planned: Planned
    disturbance: Disturbance | None
    index: str | None
    phases: bool
    summary: bool
    chunk_delay: float
    keep: Callable[[], Awaitable[None]]
    promise: Callable[[Callable[[], Node]], Awaitable[None]]
