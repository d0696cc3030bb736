"""What is installed is exactly what the lock files say, and everything in them has a reason in pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.audit import LOCKS, ROOT, locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def plain(requirement: str) -> str:
    return re.split(r"[\[;<>=!~ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("lock", LOCKS, ids=["runtime", "test"])
def test_every_package_is_pinned_with_hashes_and_comes_from_no_named_place(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;\\]+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_what_the_project_names_is_in_its_lock() -> None:
    runtime, test = map(locked, LOCKS)
    assert {plain(name) for name in PROJECT["project"]["dependencies"]} <= set(runtime)
    assert {plain(name) for name in PROJECT["dependency-groups"]["test"]} <= set(test)


def test_what_the_locked_packages_need_is_locked_too() -> None:
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


def test_packages_in_both_locks_have_one_version() -> None:
    runtime, test = map(locked, LOCKS)
    assert {name: test[name] for name in runtime if name in test} == {
        name: version for name, version in runtime.items() if name in test
    }


def test_every_direct_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for name in PROJECT["project"]["dependencies"]:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{name}"'))
        assert "#" in line, line
