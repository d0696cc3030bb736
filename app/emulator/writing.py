"""Writing an answer: thoughts, the results of hosted tools, and text in pieces."""

import asyncio
import re
from functools import partial
from typing import Any

from app.emulator.faults import Disturbance
from app.emulator.generation import Generation
from app.emulator.hosted import Tool, result_of_2025
from app.emulator.job import Job
from app.emulator.usage import tokens

_PIECE = re.compile(r"\s*\S{1,12}")


class Writing(Generation):
    """Thinks, uses the tools that are planned, and says the text."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._used = 0  # hosted tools
        self._found = 0  # pages

    async def _generate(self) -> None:
        if await self._open():
            await self._think()
            for tool in self.job.tools:
                self._use(tool)
                await self._think()
            await self._say()

    def _finish_unseen(self) -> None:
        super()._finish_unseen()
        answer = self.job.answer
        answer.thoughts = list(self.job.thoughts)
        self._thought, self._said = sum(map(tokens, answer.thoughts)), tokens(answer.text)

    def _fill(self) -> None:
        for tool in self.job.tools[self._used :]:
            self._carry_out(tool)
        self.job.answer.text = self._text

    @property
    def _text(self) -> str:
        return self.job.text

    @property
    def _is_cumulative(self) -> bool:
        return self.job.disturbance is Disturbance.CUMULATIVE

    def _use(self, tool: Tool) -> None:
        """Write the call of a hosted tool and its result, which the stored answer has too."""
        result = self._carry_out(tool)
        if function_id := result.get("function_id"):
            arguments = tool.asked(self.job.asked)
            self._put(*self._frames.call(tool.name, function_id, arguments, tool.position, self._usage()))
        self._put(self._frames.result(result))

    def _carry_out(self, tool: Tool) -> dict[str, Any]:
        """Put a hosted tool's result into the stored answer; return it."""
        number, text = self._used, self.job.asked
        if self.job.index is None and tool.name == "web_search":
            result = result_of_2025(tool.found(text))
        else:
            paint = partial(self.job.outputs.picture, self.job.answer.id, number + 1, self.job.pixels)
            result = tool.result(f"round_{number}_1", text, self._found, paint(), paint("image_gen"))
        self._used += 1
        self._found += len(result["extra"].get("web_search_info", ()))
        self.job.answer.items.append(result)
        return result

    async def _think(self) -> None:
        """Write the thinking, as growing snapshots or as raw pieces; a second segment starts again."""
        if not self.job.thoughts:
            return
        done: list[str] = []
        for thought in self.job.thoughts:
            middle = len(thought) // 2
            halves = thought[:middle], thought[middle:]
            for number, half in enumerate(halves):
                self._thought += tokens(half)
                self.job.answer.thoughts = [*done, thought[:middle] if number == 0 else thought]
                if self.job.summary:
                    self._put(self._frames.summary(self.job.answer.thoughts, self._usage()))
                else:
                    between = "\n\n" if done and number == 0 else ""
                    shown = "\n\n".join(self.job.answer.thoughts) if self._is_cumulative else between + half
                    self._put(self._frames.text(shown, self._usage(), phase="think"))
                await asyncio.sleep(self._delay)
            done.append(thought)
        self._put(self._frames.thought("thinking_summary" if self.job.summary else "think"))

    async def _say(self) -> None:
        """Write the answer, with what disturbs it in its middle."""
        planned, disturbance = self.job.planned, self.job.disturbance
        pieces = list(planned.pieces or split(self._text))
        if disturbance is Disturbance.EMPTY:
            pieces = []
        middle = len(pieces) // 2
        for number in range(len(pieces) + 1):
            if planned.hold is not None and number == min(planned.before, len(pieces)):
                await planned.hold.wait()
            if number == middle and disturbance is not None and await self._disturb(disturbance):
                return
            if number < len(pieces):
                self._put(*self._rival_speaks())
                self._piece(pieces[number])
                await asyncio.sleep(self._delay)
        await self._close(*(self._frames.text("", self._usage(), phase=self._phase) for _ in range(2)))

    def _piece(self, piece: str) -> None:
        self._said += tokens(piece)
        self.job.answer.text += piece
        shown = self.job.answer.text if self._is_cumulative else piece
        self._put(self._frames.text(shown, self._usage(), phase=self._phase))


def split(text: str) -> list[str]:
    """Cut a text into pieces of a word or a dozen characters."""
    pieces = _PIECE.findall(text)
    rest = text[sum(map(len, pieces)) :]
    return [*pieces, rest] if rest else pieces
