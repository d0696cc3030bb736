"""The model list: live from upstream, cached, served stale when upstream fails; and what a model name means.

docs/models.md. A name is an id of the live list, or an alias of the configuration, with any of the suffixes
`-thinking`, `-fast` and `-search`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.clock import Clock
from app.core.ports import Background, ModelInfo, Upstream
from app.errors import ModelNotFound, UpstreamError

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 10.0
_LONGEST_NAME = 200  # characters, suffixes included


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model name asks for; `info` is None while the list could never be fetched."""

    id: str
    info: ModelInfo | None = None
    thinking: bool | None = None
    search: bool = False


_SUFFIXES: Mapping[str, Callable[[Choice], Choice]] = {
    "-thinking": lambda choice: replace(choice, thinking=True),
    "-fast": lambda choice: replace(choice, thinking=False),
    "-search": lambda choice: replace(choice, search=True),
}


class ModelCatalog:
    """Owns the cached list; one fetch runs at a time. `ttl` is in seconds."""

    def __init__(
        self,
        upstream: Upstream,
        background: Background,
        clock: Clock,
        *,
        aliases: Mapping[str, str],
        default: str,
        ttl: float,
    ) -> None:
        self._upstream = upstream
        self._background = background
        self._clock = clock
        self._aliases = aliases
        self._default = default
        self._ttl = ttl
        self._models: dict[str, ModelInfo] = {}
        self._fresh_until = float("-inf")
        self._failure: UpstreamError | None = None
        self._fetching = asyncio.Lock()
        self._told: set[str] = set()

    @property
    def _is_old(self) -> bool:
        return self._clock.monotonic() >= self._fresh_until

    async def models(self) -> Sequence[ModelInfo]:
        """Return the list, fetched again when it is old. Raises UpstreamError only if there never was one."""
        await self._renew()
        if not self._models and self._failure:
            raise self._failure
        return tuple(self._models.values())

    async def _renew(self) -> None:
        """Fetch the list if it is old; a failure is remembered for some seconds and leaves the last list in use."""
        async with self._fetching:
            if not self._is_old:
                return
            try:
                listed = await self._upstream.models()
            except UpstreamError as problem:
                _log.warning("The model list could not be fetched: %s", problem)
                self._failure = problem
                self._fresh_until = self._clock.monotonic() + _RETRY_SECONDS
            else:
                self._models = {model.id: model for model in listed}
                self._failure = None
                self._fresh_until = self._clock.monotonic() + self._ttl

    async def find(self, name: str) -> ModelInfo:
        """Return the model of the list that a name stands for. Raises ModelNotFound, or UpstreamError as `models`."""
        _check_length(name)
        await self.models()
        choice = self._choose(name)
        if choice is None or choice.info is None:
            raise _unknown(name)
        return choice.info

    async def choose(self, name: str) -> Choice:
        """Return what a request's model name asks for. Raises ModelNotFound.

        A list that is old is renewed beside the request, except for a name that it does not know: that may be new.
        Without any list (chatting may work while listing does not) aliases and plain ids pass as they are.
        """
        _check_length(name)
        if not self._models:
            await self._renew()
        choice = self._choose(name)
        if choice is None:
            await self._renew()
            choice = self._choose(name)
        elif self._is_old and not self._fetching.locked():
            _ = self._background.spawn(self._renew(), "renew the model list")
        if choice is None:
            raise _unknown(name)
        return choice

    def _choose(self, name: str) -> Choice | None:
        if name in self._models:
            return Choice(name, self._models[name])
        if name in self._aliases:
            return self._target(name, self._aliases[name])
        for suffix, marked in _SUFFIXES.items():
            if name.endswith(suffix) and (base := self._choose(name.removesuffix(suffix))):
                return marked(base)
        return None if self._models or not name else Choice(name)

    def _target(self, alias: str, target: str) -> Choice:
        """Return what an alias stands for; ids age, so a target that left the list falls to the default."""
        if not self._models or target in self._models:
            return Choice(target, self._models.get(target))
        general = [model.id for model in self._models.values() if model.is_general] or list(self._models)
        fallback = self._default if self._default in self._models else general[0]
        if alias not in self._told:
            self._told.add(alias)
            _log.warning(
                "%s, the model behind the alias %r, left the list; %s is used instead", target, alias, fallback
            )
        return Choice(fallback, self._models[fallback])


def _check_length(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise _unknown(f"{name[:_LONGEST_NAME]}…")


def _unknown(name: str) -> ModelNotFound:
    return ModelNotFound(f"The model {name!r} does not exist.", param="model")
