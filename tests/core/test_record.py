"""What cannot be stored is tried again for as long as that may help."""

from typing import Any

import pytest

from app.core import record
from app.core.record import until_written
from app.errors import StoreBusy, StoreError


class Failing:
    """Fails with these errors first."""

    def __init__(self, *problems: StoreError) -> None:
        self.problems = list(problems)
        self.tries = 0

    async def write(self) -> None:
        self.tries += 1
        if self.problems:
            raise self.problems.pop(0)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_AGAIN_SECONDS", 0.0)


async def test_a_fault_that_may_pass_is_waited_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing(*(StoreBusy("A shell holds the write lock.", retry_after=5) for _ in range(3)))
    await until_written(failing.write)
    assert failing.tries == 4
    assert caplog.text.count("A shell holds the write lock.") == 1


@pytest.mark.parametrize("first", [(), (StoreBusy("Busy.", retry_after=5),)])
async def test_a_fault_that_stays_is_raised(first: Any) -> None:
    failing = Failing(*first, StoreError("The turn cannot be recorded: its session was erased."))
    with pytest.raises(StoreError, match="was erased"):
        await until_written(failing.write)
    assert not failing.problems
