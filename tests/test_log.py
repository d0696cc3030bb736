"""No secret reaches the log, by value or by shape; every line names its request, and no message makes a line."""

import logging
import os
import sys
from threading import Thread

import pytest

from app import log
from app.config_values import Secret

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def restored_root_logger():  # type: ignore[no-untyped-def]  # a generator fixture without a value
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        ("authorization: bearer opaque-token-text", "authorization: bearer ***"),
        (f"token={TOKEN}; other=1", "token=***; other=1"),
        ("Cookie: cna=abc; token=def", "Cookie: ***"),
        ("Set-Cookie: acw_tc=1; Path=/", "Set-Cookie: ***"),
        ("QWEN_COOKIE: cna=abc; other=def", "QWEN_COOKIE: ***"),
        ("HTTP_COOKIE: abc", "HTTP_COOKIE: ***"),
        ("QWEN_COOKIE: must be one line of plain ASCII", "QWEN_COOKIE: must be one line of plain ASCII"),
        ("QWEN_COOKIE: write = and a value behind it", "QWEN_COOKIE: write = and a value behind it"),
        (f"claims of {TOKEN} are odd", "claims of *** are odd"),
        ("https://x/punish?x5secdata=abc&y=1", "https://x/punish?x5secdata=***&y=1"),
        ("X-Api-Key: sk-12345", "X-Api-Key: ***"),
        ("12 tokens, session node_1", "12 tokens, session node_1"),
        ("my-own-key is wrong", "*** is wrong"),
    ],
)
def test_a_secret_is_left_out(text: str, kept: str) -> None:
    assert log.Redaction([Secret("my-own-key"), Secret("")])(text) == kept


def test_lines_carry_the_request_id_and_tracebacks_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", [Secret("hush-hush")])
    reset = log.REQUEST_ID.set("req_1")
    try:
        raise ValueError("it was hush-hush")
    except ValueError:
        logging.getLogger("app.test").exception("failed")
    finally:
        log.REQUEST_ID.reset(reset)
    logging.getLogger("app.test").debug("not shown")
    written = capsys.readouterr().err
    assert "ERROR   [req_1] app.test: failed" in written
    assert "it was ***" in written
    assert "hush-hush" not in written
    assert "not shown" not in written


def test_control_characters_are_escaped_and_tracebacks_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    try:
        raise ValueError("red \x1b[31m")
    except ValueError:
        logging.getLogger("app.test").exception("Grüße, %s", "a\n2026-01-01 ERROR \x1b[31m\x85\u202e\udc9b")
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert first.endswith(r"Grüße, a\n2026-01-01 ERROR \x1b[31m\x85\u202e\udc9b")
    assert (second, last) == ("Traceback (most recent call last):", r"ValueError: red \x1b[31m")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes cannot be asked there")
def test_a_log_that_nobody_reads_holds_nobody_up_and_counts_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream, os.fdopen(ours, "rb") as reader:
        os.set_blocking(ours, False)
        monkeypatch.setattr(sys, "stderr", stream)
        log.configure("info")
        logger = logging.getLogger("app.test")
        writing = Thread(target=write_lines, args=(logger, 3000), daemon=True)
        writing.start()
        writing.join(10)
        assert not writing.is_alive(), "the pipe is full"
        kept = reader.read().count(b"of many")
        logger.info("and on")
        told, last = reader.read().decode().splitlines()
        left_out = int(told.partition(" lines were left out here, since nobody read the log")[0].replace(",", ""))
        assert 3000 - kept <= left_out <= 3000 - kept + 1  # one may be there in part
        assert last.endswith("app.test: and on")


def test_without_standard_error_nothing_is_logged_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log.configure("info")
    logging.getLogger("app.test").info("nobody hears it")


def write_lines(logger: logging.Logger, count: int) -> None:
    for number in range(count):
        logger.info("line %d of many%s", number, "x" * (9000 if number % 10 == 0 else number % 50))
