"""The same server as the end-to-end tests have."""

from tests.e2e.conftest import emulator, server

__all__ = ["emulator", "server"]
