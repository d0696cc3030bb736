"""`run.py`, which a machine has before it has anything of ours."""

import errno
import hashlib
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

EMPTY = hashlib.sha256(b"").hexdigest()[:16]  # of a lock file that names nothing
RUN_PY = Path(__file__).parent.parent / "run.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which nothing is prepared."""
    shutil.copy(RUN_PY, tmp_path)
    (tmp_path / "requirements.lock").touch()
    return tmp_path


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("-h", 0), ("tests/test_config.py", 2)])
def test_the_command_test_explains_itself_and_prepares_nothing(project: Path, argument: str, code: int) -> None:
    done = subprocess.run([sys.executable, "run.py", "test", argument], cwd=project, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("usage: run.py test")
    assert not (project / ".venv").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes")
def test_ctrl_c_while_the_environment_is_made_ends_quietly_and_all_at_once(project: Path) -> None:
    said = project / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "run.py"], cwd=project, stdout=file, stderr=file, start_new_session=True
        )
        while not (project / ".venv" / "pyvenv.cfg").exists():  # pip is put in next, by a process of its own
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        assert process.wait() == 130
    assert said.read_text().splitlines() == [
        "Preparing the environment in .venv; this happens once and takes a moment."
    ]
    killed = time.monotonic()
    while any(_runs_in(path, project) for path in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() - killed < 1
        time.sleep(0.01)


@pytest.fixture
def prepared(project: Path) -> Path:
    """A folder with an environment that works; it has no pip, so that nothing can be installed."""
    environment = project / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (environment / f"made-by-{sys.version_info.major}.{sys.version_info.minor}-for-{EMPTY}").touch()
    (project / "app").mkdir()
    (project / "app" / "__main__.py").write_text("print('It runs')")
    return project


def _run(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "run.py", *arguments], cwd=project, capture_output=True, text=True)


@pytest.mark.parametrize("by", ["3.11.7", "2.99"], ids=["an earlier patch of the same Python", "another Python"])
def test_an_environment_that_works_is_kept_whoever_made_it(prepared: Path, by: str) -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    by = by.replace("3.11", minor)
    (stamp,) = (prepared / ".venv").glob("made-by-*")
    stamp.rename(stamp.with_name(f"made-by-{by}-for-{EMPTY}"))
    if by == "2.99":  # a copy stands for another Python's file
        python = prepared / ".venv" / "bin" / "python"
        python.unlink()
        python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo 2.99 || exec {sys.executable} "$@"\n')
        python.chmod(0o755)
    done = _run(prepared)
    assert (done.returncode, done.stdout, done.stderr) == (0, "It runs\n", "")


def test_what_cannot_be_fetched_leaves_the_environment_as_it_was(prepared: Path) -> None:
    lock = (prepared / "requirements.lock").read_bytes()
    (prepared / "requirements.lock").write_text("nobody==1 --hash=sha256:" + "0" * 64)
    done = _run(prepared)
    assert done.returncode == 1
    assert "Could not install the packages" in done.stderr
    (prepared / "requirements.lock").write_bytes(lock)
    assert _run(prepared).stdout == "It runs\n"


@pytest.fixture
def installed(prepared: Path) -> Callable[[], int]:
    """Says how often something was installed into the environment; what does it there stands for pip."""
    (site_packages,) = (prepared / ".venv").glob("lib/python*/site-packages")
    noted = prepared / "installed"
    noted.touch()
    (site_packages / "pip.py").write_text(f"with open({str(noted)!r}, 'a') as noted: noted.write('once\\n')")
    return lambda: len(noted.read_text().splitlines())


def test_who_goes_back_to_older_code_gets_its_packages_again(prepared: Path, installed: Callable[[], int]) -> None:
    for number, lock in enumerate(("# newer", "", "# newer"), 1):
        (prepared / "requirements.lock").write_text(lock)
        assert (_run(prepared).stdout, _run(prepared).stdout, installed()) == ("It runs\n", "It runs\n", number)


def test_the_server_and_the_checks_share_what_is_installed(prepared: Path, installed: Callable[[], int]) -> None:
    checks = prepared / "tests" / "requirements.lock"
    checks.parent.mkdir()
    for number, (lock, of_checks) in enumerate((("", "# old"), ("", "# newer"), ("# newer", "# newer")), 1):
        (prepared / "requirements.lock").write_text(lock)
        checks.write_text(of_checks)
        for arguments in (("test",), (), ("test",), ()):
            _run(prepared, *arguments)
        assert installed() == number


def test_an_environment_of_a_python_whose_minor_version_changed_is_made_anew(prepared: Path) -> None:
    (stamp,) = (prepared / ".venv").glob("made-by-*")
    stamp.rename(stamp.with_name(f"made-by-2.99-for-{EMPTY}"))
    assert _run(prepared).stdout == "It runs\n"
    assert [found.name for found in (prepared / ".venv").glob("made-by-*")] == [stamp.name]


def test_a_file_that_cannot_be_used_is_told_in_one_line(project: Path) -> None:
    (project / ".venv.lock").mkdir()
    done = _run(project)
    assert (done.returncode, done.stdout) == (1, "")
    (told,) = done.stderr.splitlines()
    assert told.startswith(f"{project / '.venv.lock'} cannot be used: Is a directory.")
    assert told.endswith("run the same command again.")


def test_on_windows_too_a_first_start_waits_for_another_for_as_long_as_that_takes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [OSError(errno.EDEADLK, "Resource deadlock avoided"), OSError(errno.EDEADLK, "and again"), None]

    def locking(*_: int) -> None:
        if answer := answers.pop(0):
            raise answer

    one_at_a_time = runpy.run_path(str(RUN_PY))["one_at_a_time"]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_LOCK=1, locking=locking))
    with one_at_a_time(project / ".venv.lock"):
        assert answers == []
    answers.append(OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(PermissionError), one_at_a_time(project / ".venv.lock"):
        pass


def test_what_is_another_user_s_is_told_with_the_way_out() -> None:
    said = runpy.run_path(str(RUN_PY))["unusable"](PermissionError(13, "Permission denied", "/theirs/.venv/bin/python"))
    assert said.startswith(
        "/theirs/.venv/bin/python cannot be used: Permission denied. The project folder has to be yours"
    )


def _runs_in(process: Path, project: Path) -> bool:
    try:
        return str(project).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False  # it ended meanwhile
