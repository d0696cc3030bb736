"""`.env` is rewritten in one step, and what is not ours in it stays as it was."""

import stat
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from app.env_file import put_values, read_lines, read_values, with_values


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "A='new'\n"),
        ("A=old\n", "A='new'\n"),
        ("# mine\n\nB=2 # and this\nA=old\nC=3\n", "# mine\n\nB=2 # and this\nA='new'\nC=3\n"),
        ("B=2", "B=2\nA='new'\n"),
        ("  export A = old\n", "  export A='new'\n"),
        ("A=one\nB=2\nA=two\n", "A='new'\nB=2\n"),
        ("B=2\r\nA=old\r\n", "B=2\r\nA='new'\r\n"),
        ("AA=1\n#A=old\n", "AA=1\n#A=old\nA='new'\n"),
    ],
)
def test_a_value_is_set_where_it_stood(before: str, after: str) -> None:
    assert with_values(before, {"A": "new"}) == after


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_value_is_read_back_as_it_was(value: str) -> None:
    text = with_values("B=1\n", {"A": value})
    assert dotenv_values(stream=StringIO(text), interpolate=False) == {"B": "1", "A": value}


def test_the_file_is_its_owner_s_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("B=2\n")
    path.chmod(0o644)
    put_values(path, {"A": "new"})
    assert path.read_text() == "B=2\nA='new'\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / ".env"
    link.symlink_to(tmp_path / "real" / "env")
    put_values(link, {"A": "new"})
    assert link.is_symlink()
    assert (tmp_path / "real" / "env").read_text() == "A='new'\n"


def test_a_file_that_cannot_be_replaced_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(OSError, match="directory"):
        put_values(tmp_path / ".env", {"A": "new"})
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=old\nB=2\n", "utf-8-sig")
    assert read_values(path) == {"A": "old", "B": "2"}
    put_values(path, {"A": "new"})
    assert path.read_text() == "A='new'\nB=2\n"


def test_a_line_shows_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("secret\nA=secret\nA secret\n")
    assert "secret" not in repr(read_lines(tmp_path / ".env"))
