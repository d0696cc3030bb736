"""The port of an emulator that keeps its chats: addresses in them hold it, so that the next start takes it again."""

from pathlib import Path


def remembered(path: Path) -> int:
    """Return the port of the last start, 0 for none."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def remember(path: Path, number: int) -> None:
    """Keep the port for the next start."""
    path.write_text(str(number), "ascii")
