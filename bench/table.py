"""What was measured, by row, server and name: how it is printed and compared."""

from collections.abc import Sequence

Figures = dict[str, float]
Results = dict[str, dict[str, Figures]]
BASE, OURS = "floor", "qwen-thread"


def print_heading(names: Sequence[str]) -> None:
    """Print the names of the servers over their columns."""
    others = "".join(f"{name:>13}" for name in names if name not in (BASE, OURS))
    print(f"{'':34}{'':>14}{BASE:>12}{OURS:>13}{'ratio':>8}{others}")


def print_row(name: str, figures: dict[str, Figures], names: Sequence[str], key: str = "") -> None:
    """Print a line for each figure of a row, the one that counts (`key`) first."""
    ours = figures[OURS]
    for each in sorted(ours, key=lambda figure: figure != key):
        base, here = figures.get(BASE, {}).get(each), ours[each]
        cells = f"{_number(base, 12)}{_number(here, 13)}{_number(here / base if base else None, 8)}"
        cells += "".join(_number(figures.get(peer, {}).get(each), 13) for peer in names if peer not in (BASE, OURS))
        print(f"{name:34}{each:>13}{'*' if each == key else ' '}{cells}", flush=True)
        name = ""


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"


def compare(old: Results, new: Results) -> None:
    """Print how our figures changed since an older run: their ratio to the floor, where that was measured too."""
    print(f"\n{'ratio to the floor':48}{'before':>8}{'now':>8}")
    for name, figures in new.items():
        for key in figures[OURS]:
            before, now = _relative(old.get(name, {}), key), _relative(figures, key)
            if before is not None:
                print(f"{name:34}{key:>14}{_number(before, 8)}{_number(now, 8)}")


def _relative(figures: dict[str, Figures], key: str) -> float | None:
    ours, base = figures.get(OURS, {}).get(key), figures.get(BASE, {}).get(key, 1.0)
    return None if ours is None else ours / base if base else ours
