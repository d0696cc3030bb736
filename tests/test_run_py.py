"""`run.py`, which a machine has before it has anything of ours."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def _runs_in(process: Path, project: Path) -> bool:
    try:
        return str(project).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False  # it ended meanwhile
