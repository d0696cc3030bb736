"""Other servers of the same kind, measured beside ours if somebody installed them."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Measured, running

PEERS = ("litellm",)
_START_SECONDS = 120.0
_ADVICE = (
    "LiteLLM's proxy is not installed for {python}: put it into an environment of its own (python3 -m venv DIR, "
    "DIR/bin/pip install 'litellm[proxy]') and name that with --peer-python DIR/bin/python."
)
_ALONE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it is fetched at every start
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # on loopback, in front of canned answers
}
_RUN = "import sys; sys.argv[0] = 'litellm'; import litellm; litellm.run_server()"


class PeerMissing(Exception):
    """The peer cannot be run; says what to do."""


def check_peer(python: str) -> None:
    """Raise PeerMissing if this Python has no LiteLLM."""
    look = "import importlib.util as u, sys; sys.exit(not (u.find_spec('litellm') and u.find_spec('uvicorn')))"
    try:
        found = subprocess.run([python, "-c", look], check=False, timeout=_START_SECONDS).returncode == 0
    except OSError:
        found = False
    if not found:
        raise PeerMissing(_ADVICE.format(python=python))


@contextmanager
def litellm(upstream: str, folder: Path, python: str) -> Iterator[Measured]:
    """Run LiteLLM's proxy, without a database, in front of the OpenAI side of the canned upstream."""
    model = {"model": "openai/canned", "api_base": f"{upstream}/v1", "api_key": "none"}
    config = folder / "litellm.yaml"  # JSON is YAML
    config.write_text(json.dumps({"model_list": [{"model_name": "canned", "litellm_params": model}]}))
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    began = time.perf_counter()
    command = [python, "-c", _RUN, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    said = folder / "litellm.log"
    with said.open("w") as log, running(command, {**environ, **_ALONE}, output=log) as process:
        if not _answers(url, process):
            raise RuntimeError(f"LiteLLM did not start:\n{said.read_text()[-2000:]}")
        yield Measured(url, process.pid, time.perf_counter() - began)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _answers(url: str, process: "subprocess.Popen[str]") -> bool:
    """Wait until a server answers; return False if it ends or takes too long."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=5):
                return True
        except OSError:
            time.sleep(0.05)
    return False
