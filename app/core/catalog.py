"""The model list: live from upstream, cached, served stale when upstream fails; and what a model name means.

docs/models.md. A name is an id of the live list, or an alias of the configuration, with suffixes: one of `-thinking`
and `-fast`, and one of the modes `-search`, `-image`, `-video` and `-research`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.clock import Clock
from app.core.modes import ABILITIES, Mode
from app.core.ports import Background, ModelInfo, Upstream
from app.errors import InvalidRequest, ModelNotFound, UpstreamError

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 10.0
_LONGEST_NAME = 200  # characters, suffixes included
_MOST_NAMED = 10  # models that an error suggests


class Choice(Struct, frozen=True, gc=False):
    """What a model name asks for; `info` is None while the list could never be fetched."""

    id: str
    info: ModelInfo | None = None
    thinking: bool | None = None
    mode: Mode = "chat"

    def in_mode(self, mode: Mode) -> "Choice":
        """Return the choice in a mode. Raises InvalidRequest where another one was asked for already."""
        if self.mode not in {"chat", mode}:
            both = " and ".join(sorted((ABILITIES[self.mode], ABILITIES[mode])))
            raise InvalidRequest(f"One answer cannot {both}.", param="model")
        return replace(self, mode=mode)

    def that_thinks(self, thinking: bool) -> "Choice":
        """Return the choice with or without thinking. Raises InvalidRequest where both were asked for."""
        if self.thinking not in {None, thinking}:
            raise InvalidRequest("-thinking and -fast contradict each other.", param="model")
        return replace(self, thinking=thinking)


_SUFFIXES: Mapping[str, Callable[[Choice], Choice]] = {
    "-thinking": lambda choice: choice.that_thinks(True),
    "-fast": lambda choice: choice.that_thinks(False),
    "-search": lambda choice: choice.in_mode("search"),
    "-image": lambda choice: choice.in_mode("image"),
    "-video": lambda choice: choice.in_mode("video"),
    "-research": lambda choice: choice.in_mode("research"),
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
            raise self._failure.anew()
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
                self._failure = problem.anew()
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

    async def default(self, mode: Mode) -> str:
        """Return the model that answers in a mode where the request names none: DEFAULT_MODEL, or the first that can.

        Raises ModelNotFound where none can, or the list could never be fetched and there is no DEFAULT_MODEL.
        """
        await self._renew()
        able = self._able(mode)
        if self._default and (self._default in able or not self._models):
            return self._default
        if not able:
            raise ModelNotFound(f"No model is known that can {ABILITIES[mode]}.", param="model")
        return able[0]

    async def choose(self, name: str, mode: Mode = "chat") -> Choice:
        """Return what a request's model name and its mode ask for.

        Raises ModelNotFound, and InvalidRequest for a mode that the model lacks or that contradicts the name. A list
        that is old is renewed beside the request, except for a name that it does not know: that may be new. Without any
        list (chatting may work while listing does not) aliases and plain ids pass as they are.
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
        choice = choice if mode == "chat" else choice.in_mode(mode)
        self._refuse_unable(choice)
        return choice

    def _refuse_unable(self, choice: Choice) -> None:
        """Raise InvalidRequest for a mode that the model lacks, and for a thinking switch in a mode without one."""
        if choice.mode not in {"chat", "search"} and choice.thinking is not None:
            raise InvalidRequest(
                f"-thinking and -fast are for answers in text, not for what is to {ABILITIES[choice.mode]}.",
                param="model",
            )
        modes = choice.info.modes if choice.info is not None else None
        if choice.mode == "chat" or modes is None or choice.mode in modes:
            return
        able = self._able(choice.mode)[:_MOST_NAMED]
        advice = f"These models can: {', '.join(able)}." if able else "No model of the list can."
        raise InvalidRequest(f"{choice.id} cannot {ABILITIES[choice.mode]}. {advice}", param="model")

    def _able(self, mode: Mode) -> list[str]:
        """Return the models that the list says can answer in a mode; those that are general, where it says nothing."""
        told = [model for model in self._models.values() if model.modes is not None]
        if told:
            return [model.id for model in told if model.modes and mode in model.modes]
        return [model.id for model in self._models.values() if model.is_general]

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
