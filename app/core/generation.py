"""What upstream generates in a turn: asked for, listened to, left or stopped (docs/sessions.md, Life of a turn)."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from functools import partial

from app.core.delivery import Delivery, deliver
from app.core.events import Event
from app.core.ports import Prompt, SessionStore
from app.core.record import TurnRecord
from app.core.relay import Relay
from app.core.surroundings import Surroundings
from app.errors import ChatInProgress, UpstreamError

_log = logging.getLogger(__name__)


class Generation:
    """One answer after the other, in the chat of a turn. `is_running`: upstream may still be writing the latest."""

    def __init__(self, around: Surroundings, record: TurnRecord, relay: Relay) -> None:
        self.is_running = False
        self._around = around
        self._record = record
        self._relay = relay
        self._delivery: Delivery | None = None
        self._first: Sequence[Event] = ()

    async def begin(self, prompt: Prompt) -> None:
        """Send a message and wait for upstream to accept it; a lock that outlasts the answer before is waited out.

        Raises UpstreamError.
        """
        patience, waited = self._around.patience, 0.0
        while True:
            try:
                await self._send(prompt)
                return
            except ChatInProgress as problem:
                if problem.accepted:
                    raise
                if waited >= patience.total:
                    break
            await asyncio.sleep(patience.every)
            waited += patience.every
        _log.info("Chat %s is still in progress after %.0f s; asking upstream to stop it", prompt.chat_id, waited)
        await self.stop()
        await self._send(prompt)

    async def _send(self, prompt: Prompt) -> None:
        self.is_running = True
        self._relay.expect()
        try:
            around = self._around
            known = partial(_known_answers, around.store, prompt.chat_id)  # not the turn's own: it holds the delivery
            self._delivery = await deliver(around.upstream, prompt, around.patience, known)
            self._first = await anext(self._delivery)
        except UpstreamError as problem:
            self.is_running = problem.accepted
            self.leave()
            raise

    def heard(self) -> tuple[Sequence[Event], Delivery]:
        """Return what came with the acceptance of the latest message, and where the rest of its answer comes from."""
        assert self._delivery is not None, "it was begun"
        return self._first, self._delivery

    def leave(self) -> None:
        """Close the connection."""
        if self._delivery is not None:
            self._delivery.close()

    async def stop(self) -> None:
        """Have upstream stop writing, as far as it can be reached."""
        chat_id = self._record.chat_id
        try:
            await self._around.upstream.stop(chat_id, self._relay.running_id)
        except UpstreamError as problem:
            _log.warning("The generation in chat %s could not be stopped: %s", chat_id, problem)


async def _known_answers(store: SessionStore, chat_id: str) -> Collection[str]:
    """Return the response ids of a chat's answers that are stored. Raises StoreError."""
    known = await store.known_chat(chat_id)
    return known.nodes.keys() if known is not None else ()
