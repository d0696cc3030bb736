"""Making pictures: a stream with an address for each, and no text (docs/upstream-protocol.md, Generation modes)."""

import asyncio
import re

from app.emulator.faults import Disturbance
from app.emulator.generation import Generation
from app.emulator.usage import picture_usage

_MOST = 4
_NUMBERS = {"two": 2, "three": 3, "four": 4, "两": 2, "二": 2, "三": 3, "四": 4}
_COUNT = re.compile(
    r"\b(two|three|four|[2-4])\b(?:\s+\w+)?\s+(?:pictures|images|photos|drawings|paintings|versions|variants)\b"
    r"|([两二三四2-4])\s*[张幅]",
    re.IGNORECASE,
)


def wished(text: str) -> int:
    """Return how many pictures a text asks for."""
    found = _COUNT.search(text)
    if found is None:
        return 1
    word = (found[1] or found[2]).lower()
    return min(_MOST, _NUMBERS[word] if word in _NUMBERS else int(word))


class Painting(Generation):
    """Makes as many pictures as the script says, else the text; the phase is `image_gen` for edited ones too.

    That an edited one has the phase `image_edit` is known by name only; a disturbance makes it so.
    """

    async def _generate(self) -> None:
        disturbance, planned = self.job.disturbance, self.job.planned
        if not await self._open():
            return
        count = self._count()
        for number in range(count + 1):
            if planned.hold is not None and number == min(planned.before, count):
                await planned.hold.wait()
            if number == count // 2 and disturbance is not None and await self._disturb(disturbance):
                return
            if number < count:
                self._put(*self._rival_speaks(), self._frames.keep_alive())
                await asyncio.sleep(self._delay)
                self._put(self._frames.picture(self._paint(number), self.job.pixels, self._phase))
        await self._close()

    def _count(self) -> int:
        if self.job.disturbance is Disturbance.EMPTY:
            return 0
        return wished(self.job.asked) if self.job.planned.images is None else self.job.planned.images

    @property
    def _phase(self) -> str:
        return "image_edit" if self.job.disturbance is Disturbance.IMAGE_EDIT_PHASE else "image_gen"

    def _paint(self, number: int) -> str:
        """Put a picture into the stored answer; return its address."""
        url = self.job.outputs.picture(self.job.answer.id, number + 1, self.job.pixels, self.job.answer.chat_type)
        width, height = self.job.pixels
        self.job.answer.items.append(
            {
                "phase": self._phase,
                "content": url,
                "status": "finished",
                "role": "assistant",
                "extra": {"output_image_hw": [[height, width]]},
                "usage": picture_usage(self.job.pixels),
            }
        )
        return url

    def _fill(self) -> None:
        for number in range(len(self.job.answer.items), self._count()):
            self._paint(number)
