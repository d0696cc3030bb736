"""What a chat holds beside the texts: calls, their results and pictures (docs/sessions.md, Equal texts).

Keys name texts alone, since clients drop calls and pictures and change results. Two conversations of equal texts may
still differ in what their tools answered or in what was drawn; this tells them apart where the client's history allows
it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.core.canonical import call_bodies, call_places, digest, picture_names, squeeze
from app.core.messages import Message
from app.core.tools.arguments import canonical_arguments
from app.core.tools.call_ids import is_own_call_id

_NAME = re.compile(r"\s*<name>")
_ARGUMENTS = re.compile(r"</name>\s*<arguments>")
_ARGUMENTS_END = "</arguments>"


class Told(Struct, frozen=True, gc=False):
    """The calls and results up to a place in a conversation.

    `key` is a digest of all of them, `calls` and `results` of those in the running turn, each "" for none. `call_ids`
    are the ids of ours in the last answer that holds calls, `answered_ids` those whose results were told last, sorted.
    `pictures` are digests of what all pictures in answers are known by.
    """

    key: str = ""
    calls: str = ""
    results: str = ""
    call_ids: tuple[str, ...] = ()
    pictures: frozenset[str] = frozenset()
    answered_ids: tuple[str, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether a result was told of the last calls."""
        return not {*self.answered_ids}.isdisjoint(self.call_ids)

    def after_answer(self, text: str, call_ids: Sequence[str]) -> "Told":
        """Return what was told after an answer, given its raw text with its calls in the form the model is taught."""
        return _after(self, _answer(text, (), tuple(call_ids)))


class ToldItem(Struct, frozen=True, gc=False):
    """What one message told; a `user` text begins a turn, an answer may hold no calls.

    `call_ids` are the ids of ours that an answer made, or that a result names.
    """

    kind: Literal["user", "answer", "result"]
    digest: str = ""
    call_ids: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()


_SAID = ToldItem("user")
_WORDS = ToldItem("answer")


class ToldByPlace(Struct, frozen=True, gc=False):
    """What a conversation told, up to any place in it: an item for each message.

    `after` holds what was told after so many items, but for the results that these end with. `loops_kept_from` is the
    number of items that first hold calls or results of turns before their last one; None if none do.
    """

    items: tuple[ToldItem, ...] = ()
    after: tuple[Told, ...] = (Told(),)
    loops_kept_from: int | None = None

    def and_then(self, items: Sequence[ToldItem]) -> "ToldByPlace":
        """Return what was told after further messages."""
        every, after, kept_from = (*self.items, *items), list(self.after), self.loops_kept_from
        for item in items:
            place, told = len(after) - 1, after[-1]
            if item.kind != "result":
                if place and every[place - 1].kind == "result":
                    told = _with_results_before(told, every, place)
                if kept_from is None and item.kind == "user" and told.key:
                    kept_from = place + 1
                told = _after(told, item)
            after.append(told)
        return ToldByPlace(every, tuple(after), kept_from)

    def up_to(self, end: int) -> Told:
        """Return what the first items told; results that follow each other may come in any order."""
        return _with_results_before(self.after[end], self.items, end)

    def since(self, start: int, before: Told | None) -> Told:
        """Return what all items from `start` told after what was told before."""
        items = self.items[start:]
        return ToldByPlace(after=(before or Told(),)).and_then(items).up_to(len(items))

    def keeps_loops(self, end: int) -> bool:
        """Say whether the first items hold calls or results of turns before their last one."""
        return self.loops_kept_from is not None and self.loops_kept_from <= end


def told_by(message: Message, *, is_result: bool) -> ToldItem:
    """Return what a message tells beside its text."""
    if message.role == "assistant":
        calls = [(call.name, call.arguments) for call in message.tool_calls]
        return _answer(message.text, calls, _own(call.id for call in message.tool_calls))
    if is_result:
        named = _own([message.tool_call_id]) if message.tool_call_id else ()
        content = (squeeze(message.text), *(file.digest for file in message.attachments))
        return ToldItem("result", digest("result", *content), named)
    return _SAID


def may_be(client: Told, stored: Told | None, *, keeps_loops: bool) -> bool:
    """Say whether a stored place can be the client's, given what its history shows up to there.

    Every picture that it shows has to be the place's. Ids of ours decide then: the results that were told last are
    those of the same calls, or the last calls are the same and wait for theirs. A client may leave out calls without
    results: it declined them, or was gone before it saw them. Without ids, a client that `keeps_loops` of earlier turns
    has to show the same in all; of another one the calls and the results of the running turn have to be the place's, as
    far as it shows them. None: stored before this was kept.
    """
    if stored is None:
        return True
    if not client.pictures <= stored.pictures:
        return False
    if client.call_ids and not client.is_answered:
        return not stored.is_answered and not {*stored.call_ids}.isdisjoint(client.call_ids)
    if client.answered_ids:
        return client.answered_ids == stored.answered_ids
    if keeps_loops:
        return client.key == stored.key
    return client.calls in {"", stored.calls} and client.results in {"", stored.results}


def _after(told: Told, item: ToldItem) -> Told:
    """Return what was told after a user's text or an answer."""
    if item.kind == "user":
        return replace(told, calls="", results="") if told.calls or told.results else told
    if item.pictures:
        told = replace(told, pictures=told.pictures.union(item.pictures))
    if not item.digest:
        return told
    key, calls = digest("calls", told.key, item.digest), digest("calls", told.calls, item.digest)
    return replace(told, key=key, calls=calls, call_ids=item.call_ids)


def _with_results_before(told: Told, items: Sequence[ToldItem], end: int) -> Told:
    """Return what was told after the results that so many items end with, if there are any."""
    start = end
    while start and items[start - 1].kind == "result":
        start -= 1
    return _with_results(told, items[start:end]) if start < end else told


def _with_results(told: Told, run: Sequence[ToldItem]) -> Told:
    """Return what was told after results that follow each other.

    Those of a turn come in any order: some clients leave out the answers between them.
    """
    digests = [item.digest for item in run]
    results = (int(told.results or "0", 16) + sum(int(result, 16) for result in digests)) % (1 << 128)
    key = digest("results", told.key, *sorted(digests))
    # those of one answer may come in parts; a call without an id of ours leaves nothing to know the last ones by
    answered = {*told.answered_ids, *[call_id for item in run for call_id in item.call_ids]}.intersection(told.call_ids)
    return replace(told, key=key, results=f"{results:032x}", answered_ids=tuple(sorted(answered)))


def _own(call_ids: Iterable[str]) -> tuple[str, ...]:
    return tuple([call_id for call_id in call_ids if is_own_call_id(call_id)])


def _answer(text: str, calls: Sequence[tuple[str, str]], call_ids: tuple[str, ...]) -> ToldItem:
    pictures = tuple([digest("picture", name)[:16] for name in picture_names(text)]) if "![" in text else ()
    written = [*written_calls(text), *calls] if "<tool_" in text else calls
    if not written:
        return ToldItem("answer", pictures=pictures) if pictures else _WORDS
    parts = [part for name, arguments in written for part in (squeeze(name), _plain(arguments))]
    return ToldItem("answer", digest("call", *parts), call_ids, pictures)


def written_calls(text: str) -> list[tuple[str, str]]:
    """Return the names and the arguments of the calls that stand in an answer."""
    return [_written_call(body) for body in call_bodies(text)]


def words_and_calls(text: str, made: int) -> tuple[str, list[tuple[str, str]]]:
    """Return an answer without the calls that it makes, the last so many in its text, and their names and arguments."""
    places, calls = call_places(text), written_calls(text)
    first = max(len(places) - made, 0) if made else len(places)
    words, position = [], 0
    for start, after in places[first:]:
        words.append(text[position:start].removesuffix("\n\n"))
        position = after
    return "".join(words) + text[position:], calls[first:]


def _written_call(body: str) -> tuple[str, str]:
    """Return the name and the arguments of a call in the taught form; of another one all that stands in it."""
    if (name := _NAME.match(body)) and (begin := _ARGUMENTS.search(body, name.end())):
        end = body.find(_ARGUMENTS_END, begin.end())
        if end >= 0:
            return body[name.end() : begin.start()], body[begin.end() : end]
    return "", body


def _plain(arguments: str) -> str:
    """Return arguments in one form, however they are written."""
    try:
        return canonical_arguments(arguments)
    except ValueError:
        return squeeze(arguments)
