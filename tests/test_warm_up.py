"""What the server asks the site for at its start."""

from typing import Any

from app.errors import UpstreamUnreachable
from app.serving import warm_up


class Late:
    """Stands for the catalog and the site of services, which cannot be reached at first."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[str] = []
        self.catalog = self.upstream = self

    async def models(self) -> None:
        self._ask("models")

    async def load_settings(self) -> None:
        self._ask("settings")

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if len(self.asked) <= self.failures:
            raise UpstreamUnreachable("The site cannot be reached.", cause="connect")


async def test_settings_of_the_account_are_asked_for_until_they_are_there() -> None:
    site: Any = Late(failures=3)
    await warm_up(site, first_pause=0.001)
    assert site.asked == ["models", "settings", "settings", "settings"]
