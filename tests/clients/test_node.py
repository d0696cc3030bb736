"""The npm packages of the client tests are installed whole or not at all."""

import json
from pathlib import Path

import pytest

from tests.clients.node import HERE, NodeMissing, is_required, prepare


def test_a_registry_out_of_reach_is_said_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    shelf = tmp_path / "clients"
    with pytest.raises(NodeMissing, match="cannot be reached"):
        prepare(shelf)
    assert [path.name for path in shelf.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("settings", "required"),
    [({}, False), ({"CI": "true"}, True), ({"REQUIRE_CLIENTS": "1"}, True), ({"CI": "false"}, False)],
)
def test_clients_may_be_missing_only_where_nobody_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], required: bool
) -> None:
    for name in ("CI", "REQUIRE_CLIENTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert is_required() is required


def test_the_lock_pins_every_package_and_names_no_registry() -> None:
    text = (HERE / "package-lock.json").read_text("utf-8")
    packages = json.loads(text)["packages"]
    assert len(packages) > 100
    assert all(name == "" or "integrity" in package for name, package in packages.items())
    assert "resolved" not in text
    assert "://" not in text, "a lock names packages and their hashes, no addresses"
    assert "registry" not in text
