"""The command line: `python3 run.py [COMMAND]`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from app import __version__, config, log

ROOT = Path(__file__).parent.parent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Your own Qwen Chat account as a local OpenAI API that never loses the thread.",
        epilog="run.py itself knows three more: test (ruff, mypy and the test suite), bench (speed and size) and "
        "emulator (the stand-in for chat.qwen.ai by itself). Settings are in config.toml, .env and the environment; "
        "docs/configuration.md lists them.",
    )
    parser.add_argument("--version", action="version", version=f"qwen-thread {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="run the server (this is also what happens without a command)")
    commands.add_parser("sweep", help="delete the chats that are due for deletion, once, while no server runs")
    return parser


def main(arguments: list[str]) -> int:
    """Run a command; return the exit code: 1 for a failure, 2 for a configuration that cannot be used."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = config.load(ROOT, os.environ)
    except config.ConfigError as problem:
        print("The configuration cannot be used:", *problem.problems, sep="\n  ", file=sys.stderr)
        return 2
    log.configure(settings.log_level, config.secrets(settings))
    from app import main as program  # a bad configuration is told before anything heavy is loaded
    from app.errors import GatewayError

    try:
        if chosen.command == "sweep":
            report = program.run(program.sweep(settings))
            print(
                f"{report.deleted} chats deleted ({report.aged} of them for their age), {report.failed} to try again."
            )
        else:
            program.run(program.serve(settings))
    except GatewayError as problem:
        logging.getLogger("app").error("%s", problem.message)
        return 1
    except OSError as problem:
        logging.getLogger("app").error("Cannot listen on %s port %s: %s", settings.host, settings.port, problem)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
