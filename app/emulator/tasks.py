"""Videos in the making (docs/upstream-protocol.md, Generation modes).

They go on whenever somebody asks how far they are: by a call for the state, or by a look at the chat that holds them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from app.emulator.outputs import Outputs
from app.emulator.storage import ChatStorage
from app.emulator.tree import Chat, Node

_REMEMBERED = 500
DONE, FAILED = "success", "failed"


@dataclass(slots=True)
class Task:
    """One video: `states` are those still to be told, the last one stays."""

    chat: Chat
    answer: Node
    states: list[str]
    pixels: tuple[int, int] = (64, 64)
    status: str = "running"


@dataclass(slots=True)
class Tasks:
    """Owns the videos in the making; `polls` is how often one is running if nothing else is planned."""

    storage: ChatStorage
    polls: int
    _tasks: dict[str, Task] = field(default_factory=dict)

    def begin(self, chat: Chat, answer: Node, pixels: tuple[int, int], states: Sequence[str] | None) -> Task:
        """Begin a video that fills an answer of the tree."""
        answer.task_id = str(uuid4())
        task = Task(chat, answer, list(states or self._usual()), pixels)
        self._tasks[answer.task_id] = task
        for old in list(self._tasks)[:-_REMEMBERED]:
            del self._tasks[old]
        return task

    def _usual(self) -> list[str]:
        return ["running"] * self.polls + [DONE]

    def find(self, task_id: str) -> Task | None:
        """Return a task; one that began before a restart is found in the chats, and begins anew if it was not done."""
        known = self._tasks.get(task_id)
        return known if known is not None else self._kept(self.storage.chats, task_id)

    def _kept(self, chats: Mapping[str, Chat], task_id: str) -> Task | None:
        for chat in chats.values():
            for node in chat.nodes.values():
                if node.task_id == task_id:
                    ended = [DONE if node.text else FAILED]
                    self._tasks[task_id] = Task(chat, node, ended if node.done else self._usual())
                    return self._tasks[task_id]
        return None

    async def advance(self, task: Task, outputs: Outputs) -> str:
        """Move a task on by one state and return that; the last one is stored with what came of it."""
        if task.answer.is_stop:
            task.status = FAILED
        elif task.states:
            task.status = task.states.pop(0)
        if task.status in {DONE, FAILED} and not task.answer.done:
            task.answer.done, task.answer.ended_at = True, time.time()
            if task.status == DONE:
                task.answer.text = outputs.video(task.answer.id, task.pixels)
            await self.storage.keep_turn(task.chat, task.answer)
        return task.status

    async def stop(self, chat: Chat, response_id: str | None) -> None:
        """Stop the videos that a chat waits for, only that of one answer if its id is given."""
        for node in list(chat.nodes.values()):
            if node.task_id is not None and not node.done and response_id in (None, node.id):
                node.is_stop, node.done, node.ended_at = True, True, time.time()
                await self.storage.keep_turn(chat, node)

    async def look(self, chat: Chat, outputs: Outputs) -> None:
        """Move every unfinished video of a chat on, since somebody looks."""
        for node in list(chat.nodes.values()):
            task = self.find(node.task_id) if node.task_id is not None and not node.done else None
            if task is not None:
                await self.advance(task, outputs)
