"""What the emulator is told to do next: answers, faults, and answers that wait until a test lets them go."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.emulator.faults import BUCKET_FAULTS, NAMES, REFUSALS, TARGETS, Target
from app.emulator.hosted import Tool, ToolName


@dataclass(slots=True)
class Hold:
    """A gate in an answer: it opens its stream, then waits."""

    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def reached(self) -> None:
        """Wait until the answer has begun."""
        await self._reached.wait()

    def release(self) -> None:
        """Let the answer go on."""
        self._released.set()

    async def wait(self) -> None:
        """Say that the answer has begun, and wait for its release."""
        self._reached.set()
        await self._released.wait()


@dataclass(frozen=True, slots=True)
class Planned:
    """What the next completion does. `text` None leaves the answer to the model; `pieces` split it as given.

    `before` pieces (or pictures) are said before the hold, if there is one. `delay` is the seconds between two pieces.
    `tools` are hosted ones that are used before the answer. `images` is how many pictures are made, where pictures are.
    `asks` says whether a deep research asks back.
    """

    text: str | None = None
    thinking: Sequence[str] | None = None
    pieces: Sequence[str] | None = None
    fault: str | None = None
    hold: Hold | None = None
    before: int = 0
    delay: float | None = None
    without_usage: bool = False
    tools: Sequence[Tool] = ()
    images: int | None = None
    asks: bool | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How something goes that is asked about again and again: one state for each time, and the last one stays.

    `problem` is what the last state says besides.
    """

    states: Sequence[str]
    problem: dict[str, Any] = field(default_factory=dict)


class Script:
    """Queues for the routes that can be planned; what is planned is used once, in order."""

    def __init__(self) -> None:
        self._answers: deque[Planned] = deque()
        self._faults: dict[Target, deque[str]] = {target: deque() for target in TARGETS}
        self._parses: deque[Course] = deque()
        self._tasks: deque[Course] = deque()
        self.holds: dict[str, Hold] = {}
        self._renewal: Hold | None = None

    def answer(
        self,
        text: str,
        *,
        thinking: Sequence[str] | None = None,
        pieces: Sequence[str] | None = None,
        fault: str | None = None,
        delay: float | None = None,
        without_usage: bool = False,
        tools: Sequence[Tool | ToolName] = (),
        asks: bool | None = None,
    ) -> None:
        """Plan the next answer; with `pieces` their concatenation is the text. Raises ValueError for no such fault.

        `tools` are used before it; `asks` says whether a deep research asks back with it or reports it.
        """
        if fault is not None:
            _check(fault, NAMES)
        said = "".join(pieces) if pieces else text
        used = [Tool(tool) if isinstance(tool, str) else tool for tool in tools]
        self._answers.append(
            Planned(said, thinking, pieces, fault, None, 0, delay, without_usage, tools=used, asks=asks)
        )

    def paint(
        self,
        count: int,
        *,
        fault: str | None = None,
        delay: float | None = None,
        hold: str | None = None,
        before: int = 0,
    ) -> Hold:
        """Plan how many pictures come next; with a name to hold it, it waits after `before` pictures."""
        if fault is not None:
            _check(fault, NAMES)
        gate = Hold()
        if hold is not None:
            self.holds[hold] = gate
        self._answers.append(
            Planned(fault=fault, hold=gate if hold is not None else None, before=before, delay=delay, images=count)
        )
        return gate

    def hold(
        self,
        text: str,
        *,
        pieces: Sequence[str] | None = None,
        before: int = 0,
        name: str = "",
        tools: Sequence[Tool] = (),
    ) -> Hold:
        """Plan an answer that waits, after `before` pieces, until the returned gate is released."""
        hold = Hold()
        if name:
            self.holds[name] = hold
        said = "".join(pieces) if pieces else text
        self._answers.append(Planned(said, None, pieces, None, hold, before, tools=tools))
        return hold

    def fault(self, name: str, *, times: int = 1, target: Target = "completions") -> None:
        """Plan a fault for the next requests to a route.

        Raises ValueError for a name that does not exist, and for one that only disturbs answers at another route.
        """
        if target == "completions":
            _check(name, NAMES)
            self._answers.extend(Planned(fault=name) for _ in range(times))
        else:
            _check(name, sorted({*REFUSALS, *BUCKET_FAULTS} if target == "bucket" else REFUSALS))
            self._faults[target].extend([name] * times)

    def parse(self, *states: str, error_msg: str = "", error_code: str | None = None, retry: bool = False) -> None:
        """Plan the states of the next document that is parsed, as `pending`, `failed`; the last may have an error."""
        problem = {"error_msg": error_msg, "error_code": error_code, "retry": retry}
        self._parses.append(Course(_some(states), problem))

    def next_parse(self) -> Course | None:
        """Take what is planned for the next parsing."""
        return self._parses.popleft() if self._parses else None

    def task(self, *states: str) -> None:
        """Plan the states of the next video's task: `running`, `success`, `failed`."""
        self._tasks.append(Course(_some(states)))

    def next_task(self) -> Course | None:
        """Take what is planned for the next task."""
        return self._tasks.popleft() if self._tasks else None

    def coming(self) -> Planned:
        """Look at what is planned for the next completion."""
        return self._answers[0] if self._answers else Planned()

    def use(self, planned: Planned) -> None:
        """Take a plan that was looked at off the queue."""
        if self._answers and self._answers[0] is planned:
            self._answers.popleft()

    def hold_renewal(self) -> Hold:
        """Let the next renewal of a login wait, before it is carried out."""
        self._renewal = Hold()
        return self._renewal

    async def at_renewal(self) -> None:
        """Wait where a renewal is held."""
        hold, self._renewal = self._renewal, None
        if hold is not None:
            await hold.wait()

    def next_fault(self, target: Target) -> str | None:
        """Take the fault that is planned for the next request to a route."""
        queue = self._faults[target]
        return queue.popleft() if queue else None

    def clear(self) -> None:
        """Drop all plans and let every held answer go on."""
        for plans in (self._answers, self._parses, self._tasks):
            plans.clear()
        for queue in self._faults.values():
            queue.clear()
        for hold in self.holds.values():
            hold.release()
        self.holds.clear()


def _some(states: Sequence[str]) -> Sequence[str]:
    if not states:
        raise ValueError("Plan at least one state.")
    return states


def _check(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ValueError(f"There is no fault {name!r} here; there are {', '.join(names)}.")
