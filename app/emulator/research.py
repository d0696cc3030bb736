"""Deep research, of which nobody recorded a stream: names of phases are all that is known of it.

The first turn may ask back, which is an answer like any other; it does so when the script says so, and by itself when
the question is short. Else it thinks (`DeepThinking`), uses the tools that are planned, says what it does
(`ReportGeneration`), and reports what it found in the phase `deep_research_answer`, or in `answer` with the disturbance
that says so.
"""

import asyncio
from dataclasses import replace

from app.emulator.faults import Disturbance
from app.emulator.writing import Writing

_SHORT_CHARS = 40
_QUESTION = "What should the research look at most: the history, the state of today, or the prospects? (Emulator)"
_STEPS = {
    "DeepThinking": "I plan what to look for, and where.",
    "ReportGeneration": "I put together what was found.",
}


class Research(Writing):
    """Asks back or reports."""

    async def _generate(self) -> None:
        if not await self._open():
            return
        if self._asks():
            await self._think()
            await self._say()
            return
        for phase, text in _STEPS.items():
            self._put(self._frames.keep_alive(), self._frames.text(text, self._usage(), phase=phase))
            await asyncio.sleep(self._delay)
            self._put(self._frames.thought(phase))
            self._note_step(phase)
            if phase == "DeepThinking":
                for tool in self.job.tools:
                    self._use(tool)
        self._report()
        await self._say()

    def _note_step(self, phase: str) -> None:
        """Put a step into the stored answer."""
        item = {"phase": phase, "content": _STEPS[phase], "status": "finished", "role": "assistant", "extra": None}
        self.job.answer.items.append(item)

    def _report(self) -> None:
        as_answer = self.job.disturbance is Disturbance.REPORT_AS_ANSWER
        self.job.answer.phase = "answer" if as_answer else "deep_research_answer"

    def _finish_unseen(self) -> None:
        if not self._asks():
            for phase in _STEPS:
                self._note_step(phase)
            self._report()
            self.job = replace(self.job, thoughts=())
        super()._finish_unseen()

    def _asks(self) -> bool:
        planned = self.job.planned.asks
        if planned is not None:
            return planned
        is_first = self.job.user.parent_id is None
        return is_first and self.job.planned.text is None and len(self.job.asked) < _SHORT_CHARS

    @property
    def _text(self) -> str:
        if self.job.planned.text is not None:
            return self.job.planned.text
        return _QUESTION if self._asks() else f"# A report on {self.job.asked}\n\nThe emulator found nothing out."
