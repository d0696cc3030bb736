"""The command line: `python3 run.py [COMMAND]`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from app import __version__, config, log
from app.commands import sessions, terminal
from app.config_values import DEFAULT_OWNER

OF_RUN_PY = {
    "test": "run ruff, mypy and the whole test suite",
    "bench": "measure speed and size against a canned upstream",
    "emulator": "run the stand-in for chat.qwen.ai by itself, see emulator --help",
}
ROOT = Path(__file__).parent.parent
WHILE_IN_USE = {
    "sweep": "If that is a server, it deletes what is due by itself, and nothing has to be done.",
    "pull": "Stop that one, pull, and start it again.",
}
INTERRUPTED = 130  # as shells say it of a command that Ctrl-C ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Your own Qwen Chat account as a local OpenAI and Anthropic API that never loses the thread.",
        epilog="Settings are in config.toml, .env and the environment; docs/configuration.md lists them.",
    )
    parser.add_argument("--version", action="version", version=f"qwen-thread {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="run the server (this is also what happens without a command)")
    commands.add_parser("sweep", help="delete the chats that are due for deletion, once, while no server runs")
    commands.add_parser("login", help="put your account's token into .env: paste it, or a request copied as cURL")
    pulling = commands.add_parser("pull", help="bring chats made in the browser into the history, while no server runs")
    pulling.add_argument("--owner", default=DEFAULT_OWNER, help="whose they will be (default: the owner of plain keys)")
    pulling.add_argument("--most", type=sessions.at_least_one, help="look at so many chats only, the newest")
    sessions.add_arguments(commands.add_parser("sessions", help="list, show, export and delete sessions"))
    for name, text in OF_RUN_PY.items():
        commands.add_parser(name, help=text)
    return parser


def main(arguments: list[str]) -> int:
    """Run a command; return the exit code.

    That is 1 for a failure, 2 for a configuration that cannot be used, 130 for a Ctrl-C before the server runs.
    """
    _forbid_core_dumps()
    terminal.take_every_character()
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.command in OF_RUN_PY:
        parser.error(f"{chosen.command} is a command of run.py: python3 run.py {chosen.command}")
    try:
        settings = config.load(ROOT, os.environ)
    except config.ConfigError as problem:
        told = map(log.Redaction(), problem.problems)  # a value that is no setting's may be a token
        print("The configuration cannot be used:", *told, sep="\n  ", file=sys.stderr)
        return 2
    log.configure(settings.log_level, config.secrets(settings))
    # What SQLite notes on the disk in passing holds texts, and a container may have no /tmp. It asks as it is loaded.
    os.environ.setdefault("SQLITE_TMPDIR", str(settings.database_path.parent))
    try:
        return _run(chosen, settings)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # what the shell says next begins a line of its own
        return INTERRUPTED


def _forbid_core_dumps() -> None:
    """Keep the token out of files that a crash would leave behind."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(chosen: argparse.Namespace, settings: config.Settings) -> int:
    from app import main as program  # a bad configuration is told before anything heavy is loaded
    from app.errors import CannotListen, GatewayError, StoreInUse

    try:
        if chosen.command == "sweep":
            print(program.run(program.sweep(settings)))
        elif chosen.command == "pull":
            print(program.run(program.pull(settings, owner=chosen.owner, most=chosen.most)))
        elif chosen.command == "login":
            return program.log_in(settings)
        elif chosen.command == "sessions":
            return program.look_into_sessions(settings, chosen)
        else:
            from app.serving import serve

            program.run(serve(settings))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output, such as head, has seen enough
    except StoreInUse as problem:
        own = "DATABASE_URL and EMULATOR_FILE" if settings.uses_emulator else "DATABASE_URL"
        advice = WHILE_IN_USE.get(chosen.command, f"Stop that one first, or give this one another {own}.")
        logging.getLogger("app").error("%s %s", problem.message, advice)
        return 1
    except GatewayError as problem:
        logging.getLogger("app").error("%s", problem.message)
        return 1
    except CannotListen as problem:
        logging.getLogger("app").error("%s", problem)
        return 1
    except OSError as problem:
        logging.getLogger("app").error("%s", _refused(problem, settings))
        return 1
    return 0


def _refused(problem: OSError, settings: config.Settings) -> str:
    """Say what the system refused, and what may help."""
    if not isinstance(problem.filename, str):
        return f"The system refused what was to be done: {problem}."
    path, emulated = Path(problem.filename), settings.path(settings.emulator_file)
    is_emulators = str(path).startswith(str(emulated)) or emulated.is_relative_to(path)  # what is beside it too
    can_move = settings.uses_emulator and is_emulators
    remedy = "Set EMULATOR_FILE to a file that can be written" if can_move else "Make it usable"
    return f"{path} cannot be used: {problem.strerror}. {remedy}, and try again."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
