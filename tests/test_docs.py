"""The documentation says what the code does.

Tables between markers are made from the code: `python -m tests.test_docs` in the environment rewrites them.
"""

import re
import shutil
import sqlite3
import stat
import subprocess
import tomllib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from app import errors
from app.config import load, rows
from app.config_files import ALIASES
from app.upstream.qwen.causes import CAUSES
from app.web.routes import ROUTES
from tests.settings_zh import CHINESE

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BACKUP = ("history.md", "operating.md")
ONLY_ENVIRONMENT = {"qwen_auth_token", "qwen_cookie", "config_file"}
BRIEF = {
    "qwen": "qwen3-235b-a22b",
    "qwen3": "qwen3-235b-a22b",
    "gpt-4-turbo": "qwen3-235b-a22b",
    "qwen3-coder": "qwen3-coder-plus",
    "qwen-max": "qwen-max-latest",
    "qwen-plus": "qwen-plus-2025-01-25",
    "gpt-4": "qwen-plus-2025-01-25",
    "qwen-turbo": "qwen-turbo-2025-02-11",
    "gpt-3.5-turbo": "qwen-turbo-2025-02-11",
}


def settings_table(head: str = "| setting | default | |", told: Mapping[str, str] | None = None) -> str:
    lines = [head, "|---|---|---|"]
    for row in rows():
        default = f"`{row.metadata['default']}`" if row.metadata["default"] else "–"
        text = told[row.name] if told else row.metadata["help"]
        lines.append(f"| `{row.name.upper()}` | {default.replace(',', ', ')} | {text} |")
    return "\n".join(lines)


def chinese_settings_table() -> str:
    return settings_table("| 设置 | 默认值 | |", CHINESE)


def errors_table() -> str:
    lines = ["| status | code | try again? | what it means | what to do | 该怎么办 |", "|---|---|---|---|---|---|"]
    kinds: list[type[errors.GatewayError]] = [errors.GatewayError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    for kind in sorted(kinds, key=lambda kind: (kind.status, kind.code or "")):
        meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        retry = "yes" if kind.retry else "no"
        advice = f"{kind.advice or '–'} | {kind.advice_zh or '–'}"
        lines.append(f"| {kind.status} | `{kind.code or 'null'}` | {retry} | {meaning} | {advice} |")
    return "\n".join(lines)


def causes_table() -> str:
    """What the site says and what it is answered with, each once."""
    lines = ["| what the site says | status, code | Retry-After |", "|---|---|---|"]
    for cause in CAUSES:
        names = "named hours, if any" if issubclass(cause.error, errors.UpstreamRateLimited) else "–"
        wait = f"{cause.retry_after:g} s" if cause.retry_after else names
        lines.append(f"| {cause.says} | {cause.error.status} `{cause.error.code}` | {wait} |")
    return "\n".join(lines)


TABLES = {
    ("README.md", "settings"): settings_table,
    ("README.zh-CN.md", "settings"): chinese_settings_table,
    ("docs/configuration.md", "settings"): settings_table,
    ("docs/errors.md", "errors"): errors_table,
    ("docs/errors.md", "causes"): causes_table,
}


def between(text: str, name: str) -> tuple[int, int]:
    start = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
    return start, text.index(f"\n<!-- /{name} -->", start)


@pytest.mark.parametrize(("page", "name"), TABLES)
def test_a_table_is_what_the_code_says(page: str, name: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    start, end = between(text, name)
    assert text[start:end] == TABLES[page, name](), "run: python -m tests.test_docs"


def test_config_toml_names_every_setting_with_its_default() -> None:
    text = (ROOT / "config.toml").read_text("utf-8")
    named = dict(re.findall(r"^# ([a-z_]+) = (\"[^\"]*\"|[\d.]+)", text, re.MULTILINE))
    expected = {row.name: row.metadata["default"] for row in rows() if row.name not in ONLY_ENVIRONMENT}
    assert {name: value.strip('"') for name, value in named.items()} == expected


def test_config_toml_behaves_like_no_file_but_for_the_aliases(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes((ROOT / "config.toml").read_bytes())
    shipped = load(tmp_path, {})
    assert dict(shipped.model_aliases) == BRIEF
    (tmp_path / "config.toml").unlink()
    bare = load(tmp_path, {})
    assert all(getattr(shipped, row.name) == getattr(bare, row.name) for row in rows())
    assert tomllib.loads((ROOT / "config.toml").read_text("utf-8")).keys() == {ALIASES}


def test_the_example_of_an_env_file_loads(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    (tmp_path / ".env").write_text(text.replace("#QWEN", "QWEN").replace("#PORT", "PORT"), "utf-8")
    assert load(tmp_path, {}).uses_emulator


@pytest.mark.parametrize("readme", READMES)
def test_every_route_is_in_the_readme(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    for method, path, _ in ROUTES:
        assert f"`{method} {path}`" in text


def test_a_login_is_kept_out_of_git_and_of_images_in_whatever_folder() -> None:
    folders = set(re.findall(r"\.\./(\w+):/run", (ROOT / "deploy" / "compose.yaml").read_text("utf-8")))
    assert folders == {"account"}, "the one that compose.yaml says to make for .env"
    assert {"**/.env*", *folders} <= set((ROOT / ".dockerignore").read_text("utf-8").splitlines())
    assert {".env", *(f"{name}/" for name in folders)} <= set((ROOT / ".gitignore").read_text("utf-8").splitlines())


def test_the_two_readmes_are_equal_in_structure() -> None:
    english, chinese = ((ROOT / name).read_text("utf-8") for name in READMES)
    for mark in (r"^## ", r"^### ", r"^```", r"^\| ", r"^\d+\. "):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE)), mark
    assert (
        re.findall(r"```\w+\n(.*?)```", english, re.DOTALL)[:3]
        == re.findall(r"```\w+\n(.*?)```", chinese, re.DOTALL)[:3]
    )


@pytest.mark.parametrize("readme", READMES)
def test_the_queries_of_the_readme_run_on_a_new_database(readme: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        for migration in sorted((ROOT / "migrations" / "sqlite").glob("*.sql")):
            database.executescript(migration.read_text("utf-8"))
        queries = re.findall(r"^SELECT .+;$", (ROOT / readme).read_text("utf-8"), re.MULTILINE)
        assert len(queries) >= 3
        for query in queries:
            assert database.execute(query).fetchall() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_of_ours_are_run_by_the_python_that_has_what_they_need(page: Path) -> None:
    printed = re.findall(r"(\S*python3?) -m (?:app|bench|tests|pytest)\b", page.read_text("utf-8"))
    assert all(python.endswith(".venv/bin/python") for python in printed), printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_page_that_the_code_cites_has_the_cited_heading() -> None:
    for path in sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "migrations").rglob("*.sql")]):
        text = re.sub(r"\s+", " ", path.read_text("utf-8"))
        for page, section in re.findall(r"docs/([a-z-]+\.md)(?:, ([A-Z][A-Za-z -]*))?", text):
            headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
            known = any(re.match(rf"{re.escape(heading)}\b", section) for heading in headings)
            assert not section or known, f"{path.name} cites {page}, {section}"


@pytest.mark.parametrize("page", ["deploy/compose.yaml", "docs/operating.md"])
def test_what_compose_takes_from_the_environment_stands_before_its_command(page: str) -> None:
    taken = re.findall(r"\$\{(\w+):-", (ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
    assert taken
    for name in taken:
        assert re.search(rf"{name}=\$\(id -[ug]\)[^\n]* docker compose -f ", (ROOT / page).read_text("utf-8")), name


def test_what_the_pages_have_written_of_the_history_is_kept_out_of_git_and_of_images() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    written = re.findall(r"(?:VACUUM INTO '|--output )([\w./-]+)", text)
    assert len(written) >= 4
    assert all(path.startswith("data/") for path in written)
    for name in (".gitignore", ".dockerignore"):
        ignored = {line.strip("/").removeprefix("**/") for line in (ROOT / name).read_text("utf-8").splitlines()}
        assert ignored >= {"data", "*.db", "history.md", "history.jsonl"}


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="the command that is printed is not here")
def test_the_command_of_a_backup_works_every_day(tmp_path: Path) -> None:
    printed = [re.search(r"^.*VACUUM INTO.*$", (ROOT / "docs" / page).read_text("utf-8"), re.M) for page in BACKUP]
    (command,) = {found[0] for found in printed if found}
    assert all(printed)
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "qwen-thread.db")) as database:
        for day in ("1", "2"):
            database.executescript(f"CREATE TABLE day{day} (x)")
            subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)
    backup = tmp_path / "data" / "backup.db"
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("SELECT name FROM sqlite_schema").fetchall() == [("day1",), ("day2",)]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600, "texts are in it"


def test_nothing_in_the_repository_names_an_index_of_packages() -> None:
    for lock in (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"):
        text = lock.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "index" not in text


def rewrite() -> None:
    for (page, name), table in TABLES.items():
        path = ROOT / page
        text = path.read_text("utf-8")
        start, end = between(text, name)
        path.write_text(text[:start] + table() + text[end:], "utf-8")


if __name__ == "__main__":
    rewrite()
