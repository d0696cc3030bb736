"""Ask the public database of vulnerabilities (osv.dev) about every locked package: `python -m tests.audit`.

Exit code 1 if it knows of one. Without a network it says so: then only what the lock itself shows was checked, by
tests/test_dependencies.py.
"""

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock")
_QUERY = "https://api.osv.dev/v1/querybatch"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def locked(lock: Path) -> dict[str, str]:
    """Return the version of every package in a lock file."""
    return dict(_PINNED.findall(lock.read_text("utf-8")))


def known_faults(packages: dict[str, str]) -> dict[str, list[str]]:
    """Return the ids of what is known about these versions, by package. Raises OSError without a network."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages.items()
    ]
    request = urllib.request.Request(
        _QUERY, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=15) as response:
        results = json.load(response)["results"]
    found = zip(packages, results, strict=True)
    return {name: [fault["id"] for fault in result["vulns"]] for name, result in found if result.get("vulns")}


def main() -> int:
    packages = {name: version for lock in LOCKS for name, version in locked(lock).items()}
    try:
        faults = known_faults(packages)
    except OSError as problem:
        print(f"Not audited: osv.dev cannot be reached ({problem}).")  # noqa: T201
        return 0
    for name, ids in faults.items():
        print(f"{name} {packages[name]}: {', '.join(ids)}")  # noqa: T201
    print(f"{len(packages)} locked packages asked about, {len(faults)} with known faults.")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
