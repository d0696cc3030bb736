"""What the server costs, against a bare proxy of the same protocol (bench/floor.py) in the same run.

Everything runs on loopback in processes of its own and ends by itself. Floor and server take turns, so that whatever
else the machine does meets both; compare the ratios.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import conversation, lookup, tools
from bench.memory import kilobytes_a_stream
from bench.peers import PEERS, PeerMissing, check_peer, litellm
from bench.processes import Measured, canned_upstream, floor, processor_seconds, resident_megabytes, server
from bench.scenarios import Scenario, scenarios
from bench.table import BASE, OURS, Figures, Results, compare, print_heading, print_row

Servers = Mapping[str, Measured]
ROUNDS = 3
LONGEST = 120.0  # seconds of one run
FOR_A_LOOK = "below 1 the runs are short, and the ratios only good for a look: on a busy machine they mean little"


async def _runs(scenario: Scenario, servers: Servers) -> dict[str, Figures]:
    """Run a scenario on every server, in turns; return the run in the middle, by the figure that counts.

    A peer that cannot do it is left out.
    """
    runs: dict[str, list[Figures]] = {name: [] for name in servers}
    for number in range(ROUNDS):
        for name in list(runs) if number % 2 else reversed(list(runs)):
            try:
                runs[name].append(await _run(scenario, servers[name]))
            except (TimeoutError, OSError, RuntimeError, AssertionError) as problem:
                if name in (BASE, OURS):
                    raise
                print(f"{name} cannot do it: {str(problem)[:200] or 'it takes too long'}", file=sys.stderr)
                del runs[name]
    return {
        name: sorted(figures, key=lambda each: each[scenario.key])[len(figures) // 2] for name, figures in runs.items()
    }


async def _run(scenario: Scenario, measured: Measured) -> Figures:
    """Run a scenario once; `cpu_us` is the processor time of the server for each answer, in microseconds."""
    began = processor_seconds(measured.pid)
    async with asyncio.timeout(LONGEST):
        figures = await scenario.run(measured.url)
    return {**figures, "cpu_us": (processor_seconds(measured.pid) - began) * 1e6 / scenario.answers}


async def _process(measured: Measured) -> Figures:
    rest = resident_megabytes(measured.pid)
    async with asyncio.timeout(LONGEST):
        stream = await kilobytes_a_stream(measured)
    return {"ready_s": measured.ready, "rest_mb": rest, "stream_kb": stream}


async def measure(chosen: Sequence[Scenario], servers: Servers) -> Results:
    """Measure start and memory of every server, then every scenario; print a row for each."""
    print_heading(list(servers))
    results: Results = {"start and memory": {name: await _process(each) for name, each in servers.items()}}
    for scenario in chosen:
        results[scenario.name] = await _runs(scenario, servers)
        print_row(scenario.name, results[scenario.name], list(servers), scenario.key)
    for name, figures in results["start and memory"].items():
        figures["after_mb"] = resident_megabytes(servers[name].pid)
    print_row("start and memory", results["start and memory"], list(servers))
    return results


@contextmanager
def measured_servers(peer: str | None, python: str) -> Iterator[Servers]:
    """Run all servers in front of one canned upstream."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(canned_upstream())
        servers = {
            BASE: stack.enter_context(floor(upstream)),
            OURS: stack.enter_context(server(upstream, folder)),
        }
        if peer is not None:
            servers[peer] = stack.enter_context(litellm(upstream, folder, python))
        yield servers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name holds this; leaves the other tables out")
    parser.add_argument("--scale", type=float, default=1.0, help=f"how much is asked (default 1); {FOR_A_LOOK}")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--against", type=Path, help="figures of an older run, to compare with")
    parser.add_argument("--peer", choices=PEERS, help="measure another server too, which somebody installed")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that the peer is installed for")
    return parser


def main() -> None:
    """Measure, print, and keep the figures if asked."""
    parser = _parser()
    chosen = parser.parse_args()
    if chosen.peer:
        try:
            check_peer(chosen.peer_python)
        except PeerMissing as problem:
            parser.error(str(problem))
    if chosen.scale < 1:
        print(f"--scale {chosen.scale:g}: {FOR_A_LOOK}.", flush=True)
    with measured_servers(chosen.peer, chosen.peer_python) as servers:
        wanted = [scenario for scenario in scenarios(chosen.scale) if chosen.only in scenario.name]
        results = asyncio.run(measure(wanted, servers))
    for table in () if chosen.only else (conversation.table, tools.table, lookup.table):
        print(flush=True)
        results |= {name: {OURS: figures} for name, figures in table(chosen.scale).items()}
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    if chosen.against:
        compare(json.loads(chosen.against.read_text()), results)


if __name__ == "__main__":
    main()
