"""How a stream ends: at its last byte nothing is left to be done that a client who leaves then could cut."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from app.web.access_log import Visit
from app.web.event_stream import EventStream
from app.web.keys import VISIT


@pytest.mark.parametrize("silence", [0.0, 0.06])
async def test_nothing_is_waited_for_behind_the_last_byte_whether_or_not_the_stream_was_kept_alive(
    silence: float,
) -> None:
    other: list[str] = []
    meanwhile: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        request[VISIT] = Visit(0.0, "req_1", "GET")
        async with EventStream(request, {}, keep_alive=0.04) as stream:
            await asyncio.sleep(silence)
            asyncio.get_running_loop().call_soon(other.append, "another had its turn")
            await stream.end(b"data: [DONE]\n\n")
        meanwhile.extend(other)
        return stream.response

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server, ClientSession() as session, session.get(server.make_url("/")) as response:
        said = await response.text()
    assert meanwhile == []
    assert said.endswith("data: [DONE]\n\n")
    assert (": keep-alive" in said) is (silence > 0)
