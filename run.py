#!/usr/bin/env python3
"""Start qwen-thread, or run its tests, on a machine that has nothing but Python.

    python3 run.py             the server
    python3 run.py test        ruff, mypy and the whole test suite
    python3 run.py --help      everything else

The first run makes `.venv` from `requirements.lock`. The program itself is in `app/`.
"""

import errno
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
MADE_BY = f"made-by-{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = [ROOT / "requirements.lock"]
WORKERS = str(min(4, (os.cpu_count() or 1) + 1))  # one more than cores: tests often wait for processes
PROGRAMS = {"bench": "bench", "emulator": "app.emulator"}
CHECKS = [
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
    ["pytest", "--cov", "--cov-report=term", "-n", WORKERS, "--dist", "worksteal"],
]
TEST_HELP = """\
usage: run.py test

Run every check, and stop at the first that fails: ruff, mypy, the whole test suite with its coverage.
What they need is installed into .venv first. It takes no arguments; for a single test, when it is there:

    .venv/bin/python -m pytest tests/test_config.py"""


@contextmanager
def one_at_a_time(path: Path) -> "Iterator[None]":
    """Hold a lock file that the system releases with the process: two first starts at once are normal."""
    with path.open("a") as lock:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK, 1)
                    break
                except OSError as problem:
                    if problem.errno != errno.EDEADLK:  # held for ten seconds, which an installation may take
                        raise
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(locks: "list[Path]") -> None:
    """Bring the environment to what these lock files name; one that works is kept, whichever Python made it."""
    wanted = purpose_of(locks)
    if works(wanted):
        return
    with one_at_a_time(ROOT / ".venv.lock"):
        if works(wanted):
            return
        if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
            sys.exit("Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv")
        print("Preparing the environment in .venv; this happens once and takes a moment.", file=sys.stderr)
        made_by = next((stamp.name.partition("-for-")[0] for stamp in VENV.glob("made-by-*")), MADE_BY)
        if not works():
            made_by = MADE_BY
            step([sys.executable, "-m", "venv", "--clear", str(VENV)], "make the virtual environment")
        # The lock names every package: resolving what they need, older pips trip over an extra of a pinned one.
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--require-hashes"]
        step([*pip, *(f"-r{lock}" for lock in locks)], "install the packages of the lock file")
        for stamp in VENV.glob("made-by-*"):
            stamp.unlink()  # what it stands for may have other versions now
        for count in range(1, len(locks) + 1):
            (VENV / f"{made_by}{purpose_of(locks[:count])}").touch()


def purpose_of(locks: "list[Path]") -> str:
    """Return the end of the name of the stamp that says that these lock files were installed."""
    return "-for-" + hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]


def works(what: str = "") -> bool:
    """Say whether there is an environment with a Python that finds its packages, and all of `what` in it.

    It does not where a Python of another minor version has taken the place of the one that made it.
    """
    stamps = [stamp.name for stamp in VENV.glob("made-by-*") if stamp.name.endswith(what)]
    if not stamps or not PYTHON.exists():
        return False
    minor = MADE_BY.rpartition("-")[2]
    if os.path.realpath(PYTHON) != os.path.realpath(sys.executable):
        asked = [str(PYTHON), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        minor = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return any(stamp.startswith((f"made-by-{minor}.", f"made-by-{minor}-")) for stamp in stamps)


def step(command: "list[str]", purpose: str) -> None:
    """Run a command of the set-up; end with its purpose if it fails."""
    # In a session of its own, because each of its processes would say in many lines that Ctrl-C ended it.
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as running:
        try:
            code = running.wait()
        except KeyboardInterrupt:
            end_all(running)
            raise
    if code:
        sys.exit(f"Could not {purpose}; the lines above say why. Mend it and run the same command again.")


def end_all(running: "subprocess.Popen[bytes]") -> None:
    """End a process and, where there are sessions of processes, all that it started."""
    if sys.platform == "win32":
        running.kill()
    else:
        os.killpg(running.pid, signal.SIGKILL)


def test(arguments: "list[str]") -> None:
    """Run every check; stop at the first that fails."""
    if arguments:
        print(TEST_HELP)
        sys.exit(0 if arguments[0] in {"-h", "--help"} else 2)
    prepare([*RUNTIME, ROOT / "tests" / "requirements.lock"])
    # What was compiled is kept, whatever the shell says: the tests start hundreds of processes, and each would compile
    # all of the program anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for command in CHECKS:
        print("$", *command, flush=True)
        if code := subprocess.run([str(PYTHON), "-m", *command], cwd=ROOT, env=environment).returncode:
            sys.exit(code)
    # Only told: what is found out about a package tomorrow must not fail what is unchanged since today.
    subprocess.run([str(PYTHON), "-m", "tests.audit"], cwd=ROOT)


def main() -> None:
    """Do what the command line says; what is not named here is a command of the server."""
    if sys.version_info < (3, 11):
        sys.exit(f"qwen-thread needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    if sys.argv[1:2] == ["test"]:
        test(sys.argv[2:])
        return
    prepare(RUNTIME)
    arguments = sys.argv[1:]
    module = PROGRAMS.get(arguments[0]) if arguments else None
    command = [str(PYTHON), "-m", *([module, *arguments[1:]] if module else ["app", *arguments])]
    os.environ["PYTHONPATH"] = str(ROOT)
    if sys.platform == "win32":
        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)


def unusable(problem: OSError) -> str:
    """Say which file the system keeps from us, and what to do."""
    if problem.filename is None:
        return f"The system refused what was to be done: {problem}."
    advice = "Mend that and run the same command again."
    if isinstance(problem, PermissionError) or problem.errno == errno.EROFS:
        advice = (
            "The project folder has to be yours, and .venv in it made by you. Run the command as the user whom they "
            "belong to; or remove .venv, or copy the folder without it to where you may write."
        )
    return f"{os.fsdecode(problem.filename)} cannot be used: {problem.strerror}. {advice}"


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(unusable(problem))
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it of a command that Ctrl-C ended
