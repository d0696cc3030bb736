"""What a chat holds beside the texts: calls, their results and pictures (docs/sessions.md, Equal texts).

Keys name texts alone, since clients drop calls and pictures and change results. Two conversations of equal texts may
still differ in what their tools answered or in what was drawn; this tells them apart where the client's history allows
it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.core.canonical import digest, picture_addresses, squeeze
from app.core.messages import Message
from app.core.tools.call_ids import is_own_call_id

_CALL = re.compile(r"<tool_use>\s*<name>(.*?)</name>\s*<arguments>(.*?)</arguments>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Told:
    """The calls and results up to a place in a conversation.

    `key` is a digest of all of them, `calls` and `results` of those in the running turn, each "" for none. `call_ids`
    are the ids of the last answer that holds calls: all of them in a client's history, the last one in a stored place.
    `pictures` are digests of the addresses of all pictures in answers.
    """

    key: str = ""
    calls: str = ""
    results: str = ""
    call_ids: tuple[str, ...] = ()
    pictures: frozenset[str] = frozenset()

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
    pictures: tuple[str, ...] = ()


def told_by(index: int, message: Message, *, is_result: bool) -> ToldItem:
    """Return what a message tells beside its text."""
    if message.role == "assistant":
        calls = tuple((call.name, call.arguments) for call in message.tool_calls)
        return _answer(index, message.text, calls, tuple(call.id for call in message.tool_calls))
    if is_result:
        return ToldItem(
            index, "result", digest("result", squeeze(message.text), *(file.digest for file in message.attachments))
        )
    return ToldItem(index, "user")


def tell(before: Told, items: Iterable[ToldItem]) -> Told:
    """Return what was told after further items; results that follow each other may come in any order."""
    key, calls, results, call_ids = before.key, before.calls, before.results, before.call_ids
    pictures, run = set(before.pictures), list[str]()
    for item in items:
        pictures.update(item.pictures)
        if item.kind == "result":
            run.append(item.digest)
            results = _joined(results, item.digest)
            continue
        key, run = _with_results(key, run), []
        if item.kind == "user":
            calls = results = ""
        elif item.digest:
            key, calls = digest("calls", key, item.digest), digest("calls", calls, item.digest)
            call_ids = item.call_ids
    return Told(_with_results(key, run), calls, results, call_ids, frozenset(pictures))


def may_be(client: Told, stored: Told | None, *, keeps_loops: bool) -> bool:
    """Say whether a stored place can be the client's, given what its history shows up to there.

    Ids of ours decide. Without them every picture that it shows has to be the place's. A client that `keeps_loops` of
    earlier turns has to show the same in all; of another one the calls and the results of the running turn have to be
    the place's, as far as it shows them. None: stored before this was kept.
    """
    if stored is None:
        return True
    if any(map(is_own_call_id, client.call_ids)):
        return bool(stored.call_ids) and stored.call_ids[-1] in client.call_ids
    if not client.pictures <= stored.pictures:
        return False
    if keeps_loops:
        return client.key == stored.key
    return client.calls in {"", stored.calls} and client.results in {"", stored.results}


def _joined(results: str, result: str) -> str:
    """Add a result to those of its turn, in any order: some clients leave out the answers between them."""
    return f"{(int(results or '0', 16) + int(result, 16)) % (1 << 128):032x}"


def _with_results(key: str, run: Sequence[str]) -> str:
    return digest("results", key, *sorted(run)) if run else key


def _answer(index: int, text: str, calls: Sequence[tuple[str, str]], call_ids: tuple[str, ...]) -> ToldItem:
    pictures = tuple(digest("picture", address)[:16] for address in picture_addresses(text))
    written = [*_CALL.findall(text), *calls] if "<tool_use>" in text else calls
    if not written:
        return ToldItem(index, "answer", pictures=pictures)
    parts = [part for name, arguments in written for part in (squeeze(name), _plain(arguments))]
    return ToldItem(index, "answer", digest("call", *parts), call_ids, pictures)


def _plain(arguments: str) -> str:
    """Return arguments in one form, however they are written."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return squeeze(arguments)
