"""What a client offers, and what a model makes of it."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct


class Tool(Struct, frozen=True):
    """A function that the client runs; `parameters` is a JSON Schema, None where it takes anything."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None


class ToolUse(Struct, frozen=True):
    """The tools of a request and how they may be used. `only` names the one that must be called."""

    tools: tuple[Tool, ...]
    mode: Literal["auto", "none", "required"] = "auto"
    only: str | None = None
    parallel: bool = True


class ReadCall(Struct, frozen=True):
    """A call as a model wrote it. `arguments` is None where no JSON object could be made of `raw`.

    `is_guess`: they were made of broken JSON in a way that may have put something in the wrong place.
    """

    name: str
    arguments: dict[str, Any] | None
    raw: str
    is_guess: bool = False
