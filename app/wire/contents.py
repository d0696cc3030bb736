"""The contents of a request's messages: how much there may be, and how their texts are joined."""

from collections.abc import Sequence

from app.errors import InvalidRequest

_MOST_PARTS, _MOST_FILES = 50_000, 5_000  # that a request holds; they take up to a second, in which nobody is served


class Extent:
    """How much of one request's messages was read so far."""

    def __init__(self) -> None:
        self._parts = 0
        self._files = 0

    def count(self, parts: int, path: str) -> None:
        """Take note of parts or calls that are about to be read. Raises InvalidRequest above the limit."""
        self._parts += parts
        if self._parts > _MOST_PARTS:
            raise InvalidRequest(
                f"'{path}': the messages up to here hold more than {_MOST_PARTS:,} parts and calls.", param=path
            )

    def count_file(self, path: str) -> None:
        """Take note of a file that is about to be read. Raises InvalidRequest above the limit."""
        self._files += 1
        if self._files > _MOST_FILES:
            raise InvalidRequest(f"'{path}': the messages up to here hold more than {_MOST_FILES:,} files.", param=path)


def apart(texts: Sequence[str]) -> str:
    """Join texts that may be of several things, such as a question and a file: one does not run into the next."""
    joined = "".join(texts[:1])
    for text in texts[1:]:
        runs_on = joined and text and not joined[-1].isspace() and not text[0].isspace()
        joined += f"\n{text}" if runs_on else text
    return joined
