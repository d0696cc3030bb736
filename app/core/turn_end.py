"""How a turn ends: its node is committed, or what was written is kept, and upstream is stopped if need be."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from app.core.events import Ended, FinishReason
from app.core.generation import Generation
from app.core.record import State, TurnRecord, until_written
from app.core.relay import Relay
from app.core.surroundings import Surroundings
from app.core.watch import AnswerWatch
from app.errors import GatewayError, StoreError, is_left, reason_of

_T = TypeVar("_T")


class TurnEnd:
    """Records the end of a turn, once, whatever happens to its request meanwhile.

    `opening` is the recording of the node that is open, `recorded` is done when its end is, `closing` when upstream was
    told to stop besides, if need be; the chat is free again then.
    """

    def __init__(
        self, around: Surroundings, record: TurnRecord, relay: Relay, generation: Generation, watch: AnswerWatch
    ) -> None:
        self.opening: asyncio.Future[None] | None = None
        self.recorded: asyncio.Future[None] | None = None
        self.closing: asyncio.Future[None] | None = None
        self._around = around
        self._record = record
        self._relay = relay
        self._generation = generation
        self._watch = watch
        self._is_recorded = False

    async def complete(self, prepare: Callable[[Ended], _T]) -> _T:
        """Commit the node; a client that leaves now cannot cut that in half. Return what `prepare` makes of the end.

        Raises StoreError.
        """
        self._is_recorded = True
        reason = self._relay.reason
        committed = self.recorded = self.closing = self._close("complete", reason, None)
        self._generation.leave()  # the next request may have the connection
        try:
            prepared = prepare(Ended(reason, self._record.used, self._relay.stop_sequence))
            await self._around.background.outlast(committed, "commit a node")
        except StoreError:
            self._is_recorded = False  # being abandoned is its second chance
            raise
        except BaseException:
            self._wind_up(self._see_written(committed, "complete", reason, None), committed)
            raise
        if self._generation.is_running:
            self.closing = self._around.background.spawn(self._generation.stop(), "stop a generation")
        return prepared

    def abandon(self, problem: BaseException) -> None:
        """Record what was written when the request is over before its answer, and end the generation upstream."""
        problem = reason_of(problem)
        self._watch.failed(problem)
        if isinstance(problem, GatewayError) and self._record.response_id:
            problem.accepted = True
        if self._is_recorded or self.opening is None:
            return
        self._is_recorded = True
        self._wind_up(self._record_abandoned(self.opening, problem), self.opening)

    async def _record_abandoned(self, opening: asyncio.Future[None], problem: BaseException) -> None:
        await asyncio.wait([opening])
        if self._record.is_open:
            error = "the client left" if is_left(problem) else str(problem) or type(problem).__name__
            state: State = "aborted" if self._record.text else "failed"
            await self._see_written(self._close(state, None, error), state, None, error)

    def _close(self, state: State, reason: FinishReason | None, error: str | None) -> asyncio.Future[None]:
        return self._record.close(state, reason, error, self._relay.call_ids)

    def _wind_up(self, recording: Coroutine[Any, Any, None], before: asyncio.Future[None]) -> None:
        """Have the end recorded, and have upstream stop meanwhile, after what comes `before`."""
        spawn = self._around.background.spawn
        self.recorded = spawn(recording, "record the end of a turn")
        self.closing = spawn(self._end_upstream(self.recorded, before), "end a turn")

    async def _end_upstream(self, recorded: asyncio.Future[None], before: asyncio.Future[None]) -> None:
        await asyncio.wait([before])
        if self._generation.is_running:
            await self._generation.stop()
        await asyncio.wait([recorded])

    async def _see_written(
        self, written: asyncio.Future[None], state: State, reason: FinishReason | None, error: str | None
    ) -> None:
        """See that an end that is being written is recorded, however long the store fails."""
        await asyncio.wait([written])
        if written.exception() is not None:
            await until_written(lambda: self._close(state, reason, error))
