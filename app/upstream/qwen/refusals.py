"""The token that the site refused, and when it is tried again."""

from app.clock import Clock
from app.config_values import Secret
from app.upstream.qwen.credentials import Credential

_RETRY_SECONDS = 10.0


class Refusals:
    """Remembers the last token that was refused, None once the site took it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.token: Secret | None = None
        self._reason = ""
        self._tried_at = float("-inf")

    def __contains__(self, credential: Credential) -> bool:
        return credential.token == self.token

    def reason(self, credential: Credential) -> str | None:
        """Return why this token was refused, None if it was not."""
        return self._reason if credential in self else None

    def add(self, credential: Credential, reason: str) -> None:
        """The site refused this token."""
        self.token, self._reason = credential.token, reason
        self._tried_at = self._clock.monotonic()

    def lift(self, credential: Credential) -> None:
        """The site took this token."""
        if credential in self:
            self.token = None

    def try_again(self) -> bool:
        """Say whether the refused token may be sent now: one request tries it every 10 seconds."""
        now = self._clock.monotonic()
        if now - self._tried_at < _RETRY_SECONDS:
            return False
        self._tried_at = now
        return True
