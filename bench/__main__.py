"""What the server costs, against a bare proxy of the same protocol (bench/floor.py) in the same run.

Everything runs on loopback in processes of its own and ends by itself. Floor and server take turns, so that whatever
else the machine does meets both; compare the ratios.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.processes import ROOT, canned_upstream, floor, resident_megabytes, server
from bench.scenarios import Figures, Scenario, scenarios

Results = dict[str, dict[str, Figures]]
OTHERS = ("bench.conversation", "bench.tools", "bench.lookup")
ROUNDS = 3


def _middle(runs: Sequence[Figures], scenario: Scenario) -> Figures:
    """Return the run in the middle, by the figure that counts."""
    return sorted(runs, key=lambda figures: figures[scenario.key])[len(runs) // 2]


async def measure(chosen: Sequence[Scenario], urls: dict[str, str]) -> Results:
    """Run every scenario on every server, in turns, and print a row for each."""
    results: Results = {}
    print(f"{'':34}{'':>14}{'floor':>12}{'qwen-thread':>13}{'ratio':>8}")
    for scenario in chosen:
        runs: dict[str, list[Figures]] = {name: [] for name in urls}
        for number in range(ROUNDS):
            for name in urls if number % 2 else reversed(urls):
                runs[name].append(await scenario.run(urls[name]))
        results[scenario.name] = {name: _middle(figures, scenario) for name, figures in runs.items()}
        _print_row(scenario, results[scenario.name])
    return results


def _print_row(scenario: Scenario, figures: dict[str, Figures]) -> None:
    base, ours = figures["floor"], figures["qwen-thread"]
    for key in [scenario.key, *(key for key in ours if key != scenario.key)]:
        name = scenario.name if key == scenario.key else ""
        mark = "*" if key == scenario.key else " "
        print(f"{name:34}{key:>13}{mark}{base[key]:12.2f}{ours[key]:13.2f}{ours[key] / base[key]:8.2f}", flush=True)


def compare(old: Results, new: Results) -> None:
    """Print how the ratios to the floor changed since an older run."""
    print(f"\n{'ratio to the floor':48}{'before':>8}{'now':>8}")
    for name, figures in new.items():
        for key, value in figures["qwen-thread"].items():
            before = old.get(name, {})
            if key in before.get("qwen-thread", {}):
                then = before["qwen-thread"][key] / before["floor"][key]
                print(f"{name:34}{key:>14}{then:8.2f}{value / figures['floor'][key]:8.2f}")


@contextmanager
def measured_servers() -> Iterator[tuple[dict[str, str], int, float]]:
    """Run both servers in front of one canned upstream; gives addresses, our process id, and the seconds to ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        canned_upstream() as upstream,
        floor(upstream) as bare,
        server(upstream, Path(folder)) as (ours, pid, ready),
    ):
        yield {"floor": bare, "qwen-thread": ours}, pid, ready


def main() -> None:
    """Measure, print, and keep the figures if asked."""
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name holds this; leaves the other tables out")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is asked: 0.1 for a quick look")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--against", type=Path, help="figures of an older run, to compare with")
    chosen = parser.parse_args()
    with measured_servers() as (urls, pid, ready):
        rest = resident_megabytes(pid)
        wanted = [scenario for scenario in scenarios(chosen.scale) if chosen.only in scenario.name]
        results = asyncio.run(measure(wanted, urls))
        loaded = resident_megabytes(pid)
    print(f"\n{'start to ready':34}{ready:12.2f} s\n{'memory at rest':34}{rest:12.1f} MB")
    print(f"{'memory after all of this':34}{loaded:12.1f} MB\n", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    if chosen.against:
        compare(json.loads(chosen.against.read_text()), results)
    for module in () if chosen.only else OTHERS:
        subprocess.run([sys.executable, "-m", module], cwd=ROOT, check=True)
        print(flush=True)


if __name__ == "__main__":
    main()
