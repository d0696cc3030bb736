"""Files as the emulator's model is shown them, and what it says of them."""

from collections.abc import Sequence
from dataclasses import dataclass

_NAMES = {"image": "a picture", "file": "a document", "video": "a video", "audio": "a recording"}
_FIRST_CHARS = 60


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file as the model was shown it: pictures have pixels, documents of text have a text; `digest` is SHA-256."""

    id: str
    name: str
    type: str
    content_type: str
    size: int
    digest: str
    width: int | None
    height: int | None
    text: str | None
    url: str

    @property
    def tokens(self) -> int:
        """What the sight of a picture costs: one token for 28 by 28 pixels, and two."""
        return 2 + (self.width or 0) * (self.height or 0) // 784 if self.type == "image" else 0


def describe(files: Sequence[ShownFile]) -> str:
    """Say what files there are, as far as somebody sees who reads names, sizes and the beginnings of texts."""
    noun = "file" if len(files) == 1 else "files"
    told = "".join(f"\n- {_line(file)}" for file in files)
    return f"I am the emulator built into qwen-thread, not a real model. I was shown {len(files)} {noun}:{told}"


def _line(file: ShownFile) -> str:
    facts = [file.content_type, *([f"{file.width}x{file.height} pixels"] if file.width else []), f"{file.size} bytes"]
    line = f"{file.name}, {_NAMES.get(file.type, 'a file')} ({', '.join(facts)})"
    return f'{line} that begins "{" ".join(file.text.split())[:_FIRST_CHARS]}"' if file.text else line
