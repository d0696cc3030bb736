"""What a model was told beside the texts: its calls and their results (docs/sessions.md, Equal texts).

Keys name texts alone, since clients drop calls and change results. Two conversations of equal texts may still differ in
what their tools answered; this tells them apart where the client's history allows it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.core.canonical import digest, squeeze
from app.core.messages import Message
from app.core.tools.call_ids import is_own_call_id

_CALL = re.compile(r"<tool_use>\s*<name>(.*?)</name>\s*<arguments>(.*?)</arguments>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Told:
    """The calls and results up to a place in a conversation.

    `key` is a digest of all of them, `loop` of those in the running turn, both "" for none. `call_ids` are the ids of
    the last answer that holds calls: all of them in a client's history, the last one in a stored place.
    """

    key: str = ""
    loop: str = ""
    call_ids: tuple[str, ...] = ()

    def after_answer(self, text: str, call_ids: Sequence[str]) -> "Told":
        """Return what was told after an answer, given its raw text with its calls in the form the model is taught."""
        return tell(self, [_answer(0, text, (), tuple(call_ids))])


@dataclass(frozen=True, slots=True)
class ToldItem:
    """One thing that was told, in the message at `index`; a `user` text begins a turn, an answer may hold no calls."""

    index: int
    kind: Literal["user", "answer", "result"]
    digest: str = ""
    call_ids: tuple[str, ...] = ()


def told_by(index: int, message: Message, *, is_result: bool) -> ToldItem:
    """Return what a message tells beside its text."""
    if message.role == "assistant":
        calls = tuple((call.name, call.arguments) for call in message.tool_calls)
        return _answer(index, message.text, calls, tuple(call.id for call in message.tool_calls))
    if is_result:
        return ToldItem(index, "result", digest("result", squeeze(message.text)))
    return ToldItem(index, "user")


def tell(before: Told, items: Iterable[ToldItem]) -> Told:
    """Return what was told after further items; results that follow each other may come in any order."""
    key, loop, call_ids = before.key, before.loop, before.call_ids
    run: list[str] = []
    for item in items:
        if item.kind == "result":
            run.append(item.digest)
            continue
        key, loop, run = _with_results(key, run), _with_results(loop, run), []
        if item.kind == "user":
            loop = ""
        elif item.digest:
            key, loop = digest("calls", key, item.digest), digest("calls", loop, item.digest)
            call_ids = item.call_ids
    return Told(_with_results(key, run), _with_results(loop, run), call_ids)


def may_be(client: Told, stored: Told | None, *, shows_calls: bool) -> bool:
    """Say whether a stored place can be the client's, given what its history shows up to there.

    Ids of ours decide. Without them calls that the client shows, with their results, must be those of the place's turn;
    a client that shows none cannot be contradicted. None: stored before this was kept.
    """
    if stored is None:
        return True
    if any(map(is_own_call_id, client.call_ids)):
        return bool(stored.call_ids) and stored.call_ids[-1] in client.call_ids
    return not shows_calls or client.loop == stored.loop


def _with_results(key: str, run: Sequence[str]) -> str:
    return digest("results", key, *sorted(run)) if run else key


def _answer(index: int, text: str, calls: Sequence[tuple[str, str]], call_ids: tuple[str, ...]) -> ToldItem:
    written = [*_CALL.findall(text), *calls] if "<tool_use>" in text else calls
    if not written:
        return ToldItem(index, "answer")
    parts = [part for name, arguments in written for part in (squeeze(name), _plain(arguments))]
    return ToldItem(index, "answer", digest("call", *parts), call_ids)


def _plain(arguments: str) -> str:
    """Return arguments in one form, however they are written."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return squeeze(arguments)
