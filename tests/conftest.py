"""What every test gets: no settings of this machine, and an alarm when code blocks the event loop."""

import inspect
import os
from collections.abc import Iterator

import jsonschema.validators  # noqa: F401 - the program loads these two where they are first needed, and stands still then
import prometheus_client  # noqa: F401
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from coverage import Coverage
from hypothesis import settings

from app.config import rows

# The suite tries the same examples everywhere, so that a commit is green or red for itself. `pytest
# --hypothesis-profile search` looks for new ones.
settings.register_profile("suite", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("suite")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart() -> None:
    """Let one measurement of coverage go on in a worker, where pytest-cov begins another: `no_cover` stops only one."""
    running = []
    while current := Coverage.current():
        current.stop()
        running.append(current)
    if running:
        running[0].start()


@pytest.fixture(autouse=True)
def event_loop_alarm(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    if not inspect.iscoroutinefunction(request.function):
        yield None  # there is no loop to block
        return
    with blockbuster_ctx("app") as alarm:
        yield alarm


@pytest.fixture(autouse=True)
def processes_are_not_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the processes that a test starts their coverage, which doubles the time of a start, unless it is needed."""
    if request.node.get_closest_marker("measured") is None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in rows():
        monkeypatch.delenv(row.name.upper(), raising=False)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
