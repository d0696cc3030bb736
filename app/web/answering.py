"""Bring the answer of a turn to the client, whole or as it comes, whichever wire format it is written in."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aiohttp import web

from app.core.events import AnswerEvent, Ended
from app.core.messages import ChatRequest
from app.core.turn import Send, Turn
from app.errors import GatewayError, InvalidRequest, reason_of
from app.web.event_stream import EventStream
from app.web.failures import told
from app.web.headers import turn_headers
from app.web.keys import SERVICES, Services
from app.web.pictures import with_data


class StreamWriter(Protocol):
    """Writes one answer as server-sent events."""

    def write(self, events: Sequence[AnswerEvent]) -> bytes:
        """Write a batch of events as one piece of the stream."""
        ...

    def end(self, end: Ended) -> bytes:
        """Write the last piece of the stream."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """Write an error as the last piece of the stream."""
        ...


async def begin(services: Services, request: ChatRequest, fields: Mapping[str, str]) -> Turn:
    """Begin a turn; what is wrong is told by the names that the route has for `fields` of chat completions."""
    try:
        return await services.gateway.answer(request)
    except InvalidRequest as problem:
        problem.param = fields.get(problem.param or "", problem.param)
        raise


async def answer_whole(
    services: Services, turn: Turn, write: Callable[[Sequence[AnswerEvent], Ended], bytes], ignored: Sequence[str]
) -> web.Response:
    """Collect the answer; what can be written at its end only is written while the disk works."""
    events: list[AnswerEvent] = []

    async def keep(batch: Sequence[AnswerEvent]) -> None:
        events.extend(batch)

    def written(end: Ended) -> web.Response:
        headers = turn_headers(turn, ignored)
        return web.Response(body=write(events, end), content_type="application/json", headers=headers)

    return await turn.answer(_shown(services, keep), written)


async def answer_as_stream(
    request: web.Request, turn: Turn, writer: StreamWriter, ignored: Sequence[str]
) -> web.StreamResponse:
    """Relay the answer as it comes. An error after the first byte becomes a frame of its own."""
    services = request.app[SERVICES]
    stream = EventStream(request, turn_headers(turn, ignored), keep_alive=services.settings.keep_alive_seconds)

    async def send(batch: Sequence[AnswerEvent]) -> None:
        await stream.send(writer.write(batch))

    async with stream:
        try:
            await stream.end(await turn.answer(_shown(services, send), writer.end))
        except ConnectionError:
            raise
        except (Exception, asyncio.CancelledError) as problem:
            reason = reason_of(problem)
            if not stream.opened or isinstance(reason, asyncio.CancelledError):
                raise
            turn.abandon(reason)
            await stream.end(writer.fail(told(reason)))
    return stream.response


def _shown(services: Services, send: Send) -> Send:
    """Return what sends pictures in the form that IMAGES_AS says."""
    return send if services.settings.images_as == "url" else with_data(services.upstream, send)
