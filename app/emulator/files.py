"""Files that were uploaded to the site (docs/upstream-protocol.md, Files), and the folder that keeps them."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from app.emulator import journal

Kind = Literal["image", "video", "audio", "file"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PARSED = "success"
_MEGABYTE = 1024 * 1024
LARGEST: dict[Kind, int] = {
    "image": 20 * _MEGABYTE,
    "file": 20 * _MEGABYTE,
    "video": 500 * _MEGABYTE,
    "audio": 100 * _MEGABYTE,
}
_MOST_FILES = 2000
_TEXTS = (".txt", ".md", ".csv", ".json", ".jsonl", ".xml", ".html", ".log", ".py", ".js", ".ts", ".yaml", ".yml")


@dataclass(slots=True)
class StoredFile:
    """A file that a place was asked for; `size` is what was asked, `created_at` in milliseconds.

    `digest` is empty until the bytes came. `parse` is the state that was told last, `states` are those still to come;
    `problem` is what the last of them says besides (`error_msg`, `error_code`, `retry`).
    """

    id: str
    name: str
    kind: Kind
    size: int
    path: str
    created_at: int
    content_type: str = ""
    digest: str = ""
    parse: str = ""
    states: list[str] = field(default_factory=list)
    problem: dict[str, Any] = field(default_factory=dict)

    def next_state(self) -> str:
        """Tell how far the parsing is; each call goes one state on, and the last one stays."""
        if self.states:
            self.parse = self.states.pop(0)
        return self.parse

    @property
    def is_ready(self) -> bool:
        """Whether a message may refer to it."""
        return bool(self.digest) and (self.kind != "file" or self.parse == PARSED)

    @property
    def is_text(self) -> bool:
        """Whether its bytes are text, as far as its name and type tell."""
        kind = self.content_type.partition(";")[0]
        return kind.startswith("text/") or kind == "application/json" or self.name.lower().endswith(_TEXTS)


class FileStore:
    """Owns all files. With a folder they outlast a restart; the oldest contents go when there are too many bytes."""

    def __init__(self, folder: Path | None, most_bytes: int) -> None:
        self.files: dict[str, StoredFile] = {}
        self._by_path: dict[str, StoredFile] = {}
        self._folder = folder
        self._most = most_bytes
        self._contents: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Read the journal and rewrite it compactly."""
        if self._folder is not None:
            await asyncio.to_thread(self._load, self._folder)

    def find(self, path: str) -> StoredFile | None:
        """Return the file that has its place at this path of the bucket."""
        return self._by_path.get(path)

    async def keep(self, *files: StoredFile) -> None:
        """Keep files, new ones and changed ones."""
        for file in files:
            self.files[file.id] = self._by_path[file.path] = file
        dropped = list(self.files.values())[:-_MOST_FILES]
        for file in dropped:
            del self.files[file.id], self._by_path[file.path]
        if self._folder is not None:
            async with self._writing:
                await asyncio.to_thread(self._append, self._folder, [asdict(file) for file in files])
        await self._forget([file.id for file in dropped])

    async def store(self, file: StoredFile, data: bytes, content_type: str) -> None:
        """Keep the bytes of a file; they replace those of an earlier upload."""
        file.digest, file.content_type = hashlib.sha256(data).hexdigest(), content_type
        self._sizes[file.id] = len(data)
        if self._folder is None:
            self._contents[file.id] = data
        else:
            await asyncio.to_thread(self._write, self._folder, file.id, data)
        await self.keep(file)
        await self._forget(self._too_many())

    async def read(self, file: StoredFile) -> bytes | None:
        """Return the bytes of a file, None where they have not come or are gone already."""
        if file.id not in self._sizes:
            return None
        if self._folder is None:
            return self._contents[file.id]
        return await asyncio.to_thread((self._folder / file.id).read_bytes)

    def _too_many(self) -> list[str]:
        """Return the oldest files above the limit, never the newest."""
        total, old = sum(self._sizes.values()), []
        for file_id, size in list(self._sizes.items())[:-1]:
            if total <= self._most:
                break
            total -= size
            old.append(file_id)
        return old

    async def _forget(self, ids: Sequence[str]) -> None:
        for file_id in ids:
            self._contents.pop(file_id, None)
            if self._sizes.pop(file_id, None) is not None and self._folder is not None:
                await asyncio.to_thread((self._folder / file_id).unlink, missing_ok=True)

    def _write(self, folder: Path, file_id: str, data: bytes) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / file_id, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def _append(self, folder: Path, records: list[dict[str, Any]]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal.append(_index(folder), records)

    def _load(self, folder: Path) -> None:
        for record in journal.read(_index(folder)):
            try:
                file = StoredFile(**record)
            except TypeError:
                continue  # a line that is no record
            self.files[file.id] = self._by_path[file.path] = file
        for file in self.files.values():
            if file.digest and (folder / file.id).exists():
                self._sizes[file.id] = (folder / file.id).stat().st_size
        if self.files:
            journal.rewrite(_index(folder), (asdict(file) for file in self.files.values()))


def _index(folder: Path) -> Path:
    return folder / "index.jsonl"
