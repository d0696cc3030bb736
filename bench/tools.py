"""What reading calls costs: `python -m bench.tools` prints throughput and the delay of the first piece, and ends."""

import statistics
import time

from app.core.answer import PlainAnswer
from app.core.tools.answers import ToolAnswer
from app.core.tools.definitions import Tool, ToolUse
from app.core.tools.reader import CallReader
from app.core.tools.scheme import SCHEME
from bench.table import Figures

PIECE = 24  # characters, as the site sends them
ROUNDS = 7
TEXTS = {
    "prose": "Some words of an answer, as models write them, with 3 < 4 and `code`.\n" * 6000,
    "one long line": "word " * 80_000,
    "code": "```python\nif a < b:\n    print('<tag>')\n```\n\n" * 9000,
    "Chinese": "这是一段普通的回答，没有任何工具调用。\n" * 20_000,
    "a call of 400 KB": SCHEME.write_call("write", '{"content": "' + "a line of a file\\n" * 22_000 + '"}'),
}


def megabytes_a_second(text: str) -> float:
    """Read a text in pieces; return the median of a few rounds."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    rates = []
    for _ in range(ROUNDS):
        reader = CallReader(["write"])
        began = time.perf_counter()
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
        rates.append(len(text.encode()) / (time.perf_counter() - began) / 1e6)
    return statistics.median(rates)


def microseconds_to_first_piece(answers: int = 5000) -> tuple[float, float]:
    """Return how long the first piece of an answer takes, without and with tools."""
    use = ToolUse((Tool("write"),))
    times = []
    for make in (PlainAnswer, lambda: ToolAnswer(use, SCHEME, str)):
        began = time.perf_counter()
        for _ in range(answers):
            assert make().feed("Some words of an answer,")
        times.append((time.perf_counter() - began) / answers * 1e6)
    return times[0], times[1]


def table(scale: float = 1.0) -> dict[str, Figures]:
    """Print one table, and return its figures."""
    print(f"{f'answers in pieces of {PIECE} characters':34}{'MB/s':>9}")
    rates = {}
    for name, text in TEXTS.items():
        rates[name] = megabytes_a_second(text[: round(len(text) * min(1.0, 10 * scale))])
        print(f"{name:34}{rates[name]:9.1f}")
    without, with_tools = microseconds_to_first_piece()
    print(f"{'first piece, with tools (without)':34}{with_tools:9.1f} us ({without:.1f})")
    return {
        "reading calls, MB a second": rates,
        "first piece, microseconds": {"with_tools": with_tools, "without": without},
    }


if __name__ == "__main__":
    table()
