"""The house rules of docs/architecture.md, Rooms: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = """
[importlinter]
root_package = app
include_external_packages = True

[importlinter:contract:rooms]
name = Each room imports only what is below it
type = layers
exhaustive = True
containers = app
exhaustive_ignores =
    __main__
    emulator
layers =
    serving
    main
    web | tasks | commands
    openai | anthropic | upstream | store | telemetry | files
    wire
    core
    config
    errors | log | clock | config_files
    config_values | env_file | outlet

[importlinter:contract:ports]
name = The web and the tasks see upstream and store only through the ports
type = forbidden
source_modules =
    app.web
    app.tasks
    app.commands
forbidden_modules =
    app.upstream
    app.store
    app.files

[importlinter:contract:core]
name = The core knows neither HTTP nor SQL
type = forbidden
source_modules =
    app.core
forbidden_modules =
    aiohttp
    aiosqlite
    sqlite3
    prometheus_client

[importlinter:contract:telemetry]
name = Telemetry measures what others tell it and looks at nothing itself
type = forbidden
source_modules =
    app.telemetry
forbidden_modules =
    aiohttp
    aiosqlite

[importlinter:contract:prometheus]
name = Only telemetry speaks to the library of metrics
type = forbidden
allow_indirect_imports = True
source_modules =
    app.main
    app.serving
    app.web
    app.tasks
    app.openai
    app.anthropic
    app.wire
    app.upstream
    app.store
    app.files
forbidden_modules =
    prometheus_client

[importlinter:contract:emulator]
name = The emulator shares no code with the adapter that it checks, nor with anything else
type = forbidden
source_modules =
    app.emulator
forbidden_modules =
    {others}
"""
OTHERS = sorted(path.stem for path in (ROOT / "app").iterdir() if path.suffix in {"", ".py"})
OTHERS = [name for name in OTHERS if name not in {"emulator", "__init__", "__main__", "__pycache__"}]
# What would let a module remember something between two calls; ids.py counts, so that no two of its ids are alike.
MEMORIES = {"Counter", "Event", "Lock", "Queue", "Random", "count", "cycle", "defaultdict", "deque", "local"}
MAY_REMEMBER = {"app/core/ids.py"}


def test_every_import_keeps_the_rules_of_the_house(tmp_path: Path) -> None:
    rules = tmp_path / "rules.ini"
    rules.write_text(CONTRACTS.format(others="\n    ".join(f"app.{name}" for name in OTHERS)))
    # in a process of its own, because it takes over the logging of this one
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    done = subprocess.run([sys.executable, "-c", lint, str(rules)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.no_cover  # it runs nothing of ours
@pytest.mark.parametrize("path", sorted((ROOT / "app").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_no_state_of_its_own_and_stays_small(path: Path) -> None:
    source = path.read_text("utf-8")
    module = ast.parse(source)
    assert source.count("\n") <= 400, "split it at a seam"
    assert not [node for node in ast.walk(module) if isinstance(node, ast.Global)]
    made = {called_name(node.value) for node in module.body if isinstance(node, ast.Assign | ast.AnnAssign)}
    assert not made & MEMORIES or str(path.relative_to(ROOT)) in MAY_REMEMBER


def called_name(value: ast.expr | None) -> str:
    """Return the name of what a value is made by, "" where nothing is called."""
    if not isinstance(value, ast.Call):
        return ""
    return value.func.attr if isinstance(value.func, ast.Attribute) else ast.unparse(value.func)
