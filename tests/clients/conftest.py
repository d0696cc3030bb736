"""The same server as the end-to-end tests have, and real clients to talk to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.clients.cherry import Cherry, Settings, cherry_studio
from tests.clients.node import Node, NodeMissing, is_required, prepare
from tests.e2e.conftest import emulator, server
from tests.e2e.harness import Server

__all__ = ["emulator", "server"]

Start = Callable[[Settings], Awaitable[Cherry]]


@pytest.fixture(scope="session")
def node() -> Node:
    try:
        return prepare()
    except NodeMissing as reason:
        if is_required():
            pytest.fail(str(reason))
        pytest.skip(f"{reason} Set REQUIRE_CLIENTS=1 to make this an error.")


@pytest.fixture
async def start(server: Server, node: Node) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def open_client(settings: Settings) -> Cherry:
            return await stack.enter_async_context(cherry_studio(node, server.url, settings))

        yield open_client
