"""How long the adapter waits for a site that says nothing."""

import asyncio
import re
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import UpstreamTimeout
from tests.upstream.conftest import make_settings
from tests.upstream.hearing import joined
from tests.upstream.scripted import PLAIN, Act, Site, chunk, delta, event, events, head, stream
from tests.upstream.test_answers import KEEP_ALIVE, PIECES, PROMPT, SEND, WHOLE, OpenUpstream, fails, hear
from tests.upstream.test_calls import silent


async def test_no_first_event_in_time_names_the_setting(
    open_upstream: OpenUpstream, site: Site, tmp_path: Path
) -> None:
    for act, environ, name in (
        (silent(), {"FIRST_EVENT_TIMEOUT": "0.1"}, r"0\.1 s \(FIRST_EVENT_TIMEOUT\)"),
        (stream(KEEP_ALIVE * 3, end=False), {"FIRST_EVENT_TIMEOUT": "0.1"}, r"0\.1 s \(FIRST_EVENT_TIMEOUT\)"),
        (stream(b'{"torn', end=False), {"TOTAL_TIMEOUT": "0.1"}, r"0\.1 s \(TOTAL_TIMEOUT\)"),
    ):
        site.on(SEND, act)
        settings = make_settings(tmp_path, QWEN_AUTH_TOKEN="an.opaque.token", **environ)
        async with open_upstream(settings) as upstream:
            with pytest.raises(UpstreamTimeout, match=name) as caught:
                await hear(upstream)
        assert caught.value.accepted


def ticking(part: bytes) -> Act:
    """Begin an answer and then say the same again and again."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream") + chunk(events(PLAIN[:2])))
        while True:
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(chunk(part))

    return act


@pytest.mark.parametrize(
    ("act", "environ", "words"),
    [
        (
            stream(events(PLAIN[:2]), end=False),
            {"BETWEEN_EVENTS_TIMEOUT": "0.1"},
            r"nothing for 0\.1 s \(BETWEEN_EVENTS",
        ),
        (ticking(KEEP_ALIVE), {"BETWEEN_EVENTS_TIMEOUT": "0.1"}, r"signs of life for 5 times 0\.1 s \(BETWEEN_EVENTS"),
        (
            ticking(b": ping\n\n"),
            {"BETWEEN_EVENTS_TIMEOUT": "0.1"},
            r"signs of life for 5 times 0\.1 s \(BETWEEN_EVENTS",
        ),
        (ticking(event(delta("x"))), {"TOTAL_TIMEOUT": "0.4"}, r"longer than 0\.4 s \(TOTAL_TIMEOUT\)"),
    ],
)
async def test_silence_in_mid_answer_names_the_setting(
    open_upstream: OpenUpstream, site: Site, tmp_path: Path, act: Act, environ: dict[str, str], words: str
) -> None:
    site.on(SEND, act)
    async with open_upstream(make_settings(tmp_path, QWEN_AUTH_TOKEN="an.opaque.token", **environ)) as upstream:
        before, problem = await fails(upstream, UpstreamTimeout)
    assert before[:2] == PIECES[:2]
    assert problem.accepted
    assert re.search(words, str(problem))


async def test_keep_alives_carry_an_answer_over_a_long_silence(
    open_upstream: OpenUpstream, site: Site, tmp_path: Path
) -> None:
    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, "text/event-stream") + chunk(events(PLAIN[:2])))
        for _ in range(8):
            writer.write(chunk(KEEP_ALIVE))
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(chunk(events(PLAIN[2:])) + b"0\r\n\r\n")

    site.on(SEND, act)
    settings = make_settings(tmp_path, QWEN_AUTH_TOKEN="an.opaque.token", BETWEEN_EVENTS_TIMEOUT="0.2")
    async with open_upstream(settings) as upstream:
        assert await hear(upstream) == WHOLE


async def test_a_slow_caller_is_no_silence_of_the_site(open_upstream: OpenUpstream, site: Site, tmp_path: Path) -> None:
    site.on(SEND, stream(events(PLAIN[:2]), events(PLAIN[2:])))
    settings = make_settings(tmp_path, QWEN_AUTH_TOKEN="an.opaque.token", BETWEEN_EVENTS_TIMEOUT="0.05")
    async with open_upstream(settings) as upstream:
        with closing(await upstream.send(PROMPT)) as batches:
            heard = list(await anext(batches))
            await asyncio.sleep(0.15)
            async for batch in batches:
                heard += batch
    assert joined(heard) == WHOLE
