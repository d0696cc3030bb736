"""Choose which files go along with a message, and get hold of their bytes (docs/files-and-media.md, Limits)."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from app.core.attachments import Attachment, FileContent, FileKind
from app.core.catalog import ModelCatalog
from app.core.file_types import bytes_digest
from app.core.messages import Message
from app.core.ports import Fetcher, FileLibrary, ModelInfo
from app.errors import FileKindNotUnderstood, FileLimit, InvalidRequest

_log = logging.getLogger(__name__)
_MEGABYTE = 1024 * 1024
_MOST_TRIES = 10  # earlier files that are looked for, of those whose bytes the client did not send
_MOST_NAMED = 5  # models in an error
_MOST_NEW = 32  # files of one message that are got hold of, though they may turn out to be the same


class Limit(Struct, frozen=True, gc=False):
    """How many files of a kind one message takes, and the bytes of each."""

    count: int
    size: int


LIMITS: Mapping[FileKind, Limit] = {  # docs/upstream-protocol.md, Files
    "image": Limit(5, 20 * _MEGABYTE),
    "document": Limit(5, 20 * _MEGABYTE),
    "video": Limit(1, 500 * _MEGABYTE),
    "audio": Limit(1, 100 * _MEGABYTE),
}


class Attached(Struct, frozen=True, gc=False):
    """The files that go along with a message, earlier ones first; `shown` are their names, by attachments' digests."""

    files: tuple[FileContent, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)


NOTHING = Attached()


class Attaching:
    """Chooses by what the site takes and the model understands. `file_bytes` bounds what is fetched."""

    def __init__(self, catalog: ModelCatalog, library: FileLibrary, fetcher: Fetcher, *, file_bytes: int) -> None:
        self._catalog = catalog
        self._library = library
        self._fetcher = fetcher
        self._file_bytes = file_bytes

    async def choose(
        self, owner: str, model: ModelInfo | None, earlier: Sequence[Message], said: Sequence[Message]
    ) -> Attached:
        """Return all files of what is newly said, and of what was said earlier as many as fit, the newest first.

        Raises InvalidRequest subclasses for what is newly said; what was said earlier is left out where it does not
        fit, the model cannot take it, or it cannot be had any more. One document's room is left for the transcript.
        """
        new, before = _attachments(said), _attachments(reversed(earlier))
        if not new and not before:
            return NOTHING
        if len(new) > _MOST_NEW:
            raise FileLimit(f"The message holds {len(new)} files; at most {_MOST_NEW} are looked at.", param="messages")
        choice = _Choice(model)
        for attachment in new:
            content = await self._content(owner, attachment)
            if not choice.understands(content.kind):
                raise await self._not_understood(content, model)
            choice.add(attachment, content)
        if earlier:
            choice.keep_free("document")
        tries = _MOST_TRIES
        for attachment in before:
            if not attachment.data:
                tries -= 1
            if tries >= 0 and choice.has_room(attachment.kind):
                await self._add_earlier(owner, choice, attachment)
        return choice.attached()

    async def _add_earlier(self, owner: str, choice: "_Choice", attachment: Attachment) -> None:
        try:
            content = await self._content(owner, attachment)
            if choice.understands(content.kind) and choice.has_room(content.kind):
                choice.add(attachment, content, earlier=True)
        except InvalidRequest as problem:
            _log.info("%s is not shown again: %s", attachment.name, problem)

    async def _content(self, owner: str, attachment: Attachment) -> FileContent:
        """Return the bytes, sent, stored or fetched. Raises FileLimit before a file that is too large is read."""
        if attachment.file_id:
            stored = await self._library.find(owner, attachment.file_id)
            _check_size(stored.name, stored.size, max(limit.size for limit in LIMITS.values()))
            content = await self._library.read(stored)
        elif attachment.url:
            most = min(LIMITS[attachment.kind].size, self._file_bytes)
            content = await self._fetcher.fetch(attachment.url, attachment.name, most=most)
        else:
            content = FileContent(attachment.kind, attachment.name, attachment.content_type, attachment.data)
        _check_size(content.name, len(content.data), LIMITS[content.kind].size)
        return content

    async def _not_understood(self, file: FileContent, model: ModelInfo | None) -> FileKindNotUnderstood:
        able = [info.id for info in await self._catalog.models() if file.kind in (info.understands or ())]
        named = ", ".join(able[:_MOST_NAMED]) or "no model of the list"
        return FileKindNotUnderstood(
            f"{model.id if model else 'The model'} does not take files of the kind {file.kind} ({file.name}); "
            f"{named} can.",
            param="model",
        )


class _Choice:
    """What was chosen so far for one message."""

    def __init__(self, model: ModelInfo | None) -> None:
        self._understands = model.understands if model is not None else None
        self._counts: Counter[FileKind] = Counter()
        self._new: list[FileContent] = []
        self._earlier: list[FileContent] = []
        self._shown: dict[str, str] = {}
        self._contents: set[str] = set()

    def understands(self, kind: FileKind) -> bool:
        return self._understands is None or kind in self._understands

    def has_room(self, kind: FileKind) -> bool:
        return self._counts[kind] < LIMITS[kind].count

    def keep_free(self, kind: FileKind) -> None:
        self._counts[kind] += 1

    def add(self, attachment: Attachment, content: FileContent, *, earlier: bool = False) -> None:
        """Take a file; the same bytes go once. Raises FileLimit."""
        self._shown[attachment.digest] = content.name
        name = attachment.digest if attachment.data else bytes_digest(content.data)
        if name in self._contents:
            return
        if not self.has_room(content.kind):
            most = LIMITS[content.kind].count
            raise FileLimit(
                f"The message holds more than {most} {'file' if most == 1 else 'files'} of the kind {content.kind}.",
                param="messages",
            )
        self._contents.add(name)
        self._counts[content.kind] += 1
        (self._earlier if earlier else self._new).append(content)

    def attached(self) -> Attached:
        return Attached((*reversed(self._earlier), *self._new), self._shown)


def _attachments(messages: Iterable[Message]) -> Sequence[Attachment]:
    """Return the attachments of messages, each once."""
    found: dict[str, Attachment] = {}
    for message in messages:
        if message.attachments:
            for attachment in message.attachments:
                found.setdefault(attachment.digest, attachment)
    return tuple(found.values())


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise FileLimit(f"{name} has {size:,} bytes; the site takes {most:,}.", param="messages")
