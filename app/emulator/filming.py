"""Promising a video: the answer names the task that makes it (docs/upstream-protocol.md, Generation modes)."""

from typing import Any

from app.emulator.faults import Disturbance
from app.emulator.frames import STREAM_END, data
from app.emulator.generation import Generation


class Film(Generation):
    """Names the task of a video, which goes on when this answer is over."""

    @property
    def message(self) -> dict[str, Any]:
        """The answer, as its JSON or its stream has it."""
        answer, names_none = self.job.answer, self.job.disturbance is Disturbance.NO_TASK_ID
        extra = {} if names_none else {"wanx": {"task_id": answer.task_id}}
        return {"role": "assistant", "chat_type": answer.chat_type, "extra": extra}

    async def _generate(self) -> None:
        disturbance, hold = self.job.disturbance, self.job.planned.hold
        if not await self._open():
            return
        if hold is not None:
            await hold.wait()
        if disturbance is not None and await self._disturb(disturbance):
            return
        self._put(data({"choices": [{"delta": {**self.message, "content": "", "status": "finished"}}]}), STREAM_END)

    async def _promise(self) -> None:
        """What becomes of the answer is stored as the task's."""

    def _fill(self) -> None:
        """The task fills the answer."""

    async def _keep(self) -> None:
        """Store a stop; what else becomes of the answer is the task's."""
        if self._stopped.is_set():
            await super()._keep()
