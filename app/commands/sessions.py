"""`python3 run.py sessions`: list, show, export and delete sessions (docs/history.md, From the command line)."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from app.clock import Clock, timestamp
from app.commands.terminal import is_terminal, tamed
from app.core.ports import Branch, Said, SessionArchive, SessionSummary
from app.errors import InvalidRequest

_LISTED = 50
_CELL_CHARS = 48
_COUNTED = 20
_NAMED = 5
_NOT_KEPT = "(not kept: STORE_TEXT=0)"
_ERASED = "(erased; its chat is still to be deleted)"


def at_least_one(text: str) -> int:
    """Read a number of things to look at."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more (it is {text!r})")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", help="without one: list")
    parser.set_defaults(action="list", owner=None, limit=_LISTED)
    listing = actions.add_parser("list", help="list sessions, the last used first")
    listing.add_argument("--owner", help="only those of one owner")
    listing.add_argument("--limit", type=at_least_one, default=_LISTED, help="how many at most (default %(default)s)")
    show = actions.add_parser("show", help="print what was said in a session, branch by branch")
    show.add_argument("session", help="its id or chat id, or the beginning of one")
    export = actions.add_parser("export", help="write sessions as Markdown or as JSON Lines")
    export.add_argument("session", nargs="*", help="their ids; none: all")
    export.add_argument("--format", choices=("markdown", "jsonl"), default="markdown")
    export.add_argument("--output", type=Path, help="a new file; without it the terminal")
    delete = actions.add_parser("delete", help="erase sessions here, and their chats on the site")
    delete.add_argument("session", nargs="+", help="their ids")
    delete.add_argument("--yes", action="store_true", help="do not ask")


def run(chosen: argparse.Namespace, archive: SessionArchive, clock: Clock, sweep: Callable[[], str]) -> int:
    """Do what was chosen; return the exit code. `sweep` has chats deleted on the site and says what came of it."""
    if chosen.action == "list":
        print(listed(archive.sessions(owner=chosen.owner, limit=chosen.limit)))
    elif chosen.action == "show":
        _write(map(tamed, markdown(one(archive, chosen.session), archive)), sys.stdout)
    elif chosen.action == "export":
        named = [one(archive, name) for name in chosen.session]
        sessions = named or archive.sessions(owner=None, limit=-1)
        lines = (line for session in sessions for line in _FORMATS[chosen.format](session, archive))
        if chosen.output is None:
            _write(map(tamed, lines) if is_terminal(sys.stdout) else lines, sys.stdout)
        else:
            _write_new(chosen.output, lines)
            print(f"Sessions written to {chosen.output}: {len(sessions)}")
    else:
        return _delete([one(archive, name) for name in chosen.session], chosen.yes, archive, clock, sweep)
    return 0


def one(archive: SessionArchive, name: str) -> SessionSummary:
    """Return the session that a name means. Raises InvalidRequest unless it is exactly one."""
    found = archive.named(name, limit=_COUNTED + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidRequest(f"There is no session {name}; `python3 run.py sessions list` shows them.")
    number = f"{len(found)} sessions" if len(found) <= _COUNTED else f"more than {_COUNTED} sessions"
    named = f"{':' if len(found) <= _NAMED else ', such as'} {', '.join(map(_short_id, found[:_NAMED]))}"
    raise InvalidRequest(f"{name} is the beginning of {number}{named}. Write more of the one that you mean.")


def listed(sessions: Sequence[SessionSummary]) -> str:
    """Return one line a session, in columns."""
    if not sessions:
        return "There are no sessions."
    rows = [("LAST USED", "SESSION", "STATE", "TURNS", "BRANCHES", "MODEL", "TITLE")]
    for session in sessions:
        state = session.state if session.origin == "made" else f"{session.state}, {session.origin}"
        used = session.last_used_at[:16].replace("T", " ")
        branches, model = str(session.branches), _short(session.model)
        rows.append((used, _short_id(session), state, str(session.turns), branches, model, _title(session)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(session: SessionSummary, archive: SessionArchive) -> Iterator[str]:
    """Write a session for people: every branch from its beginning, each text under who said it."""
    yield f"# {session.title or session.id}"
    yield ""
    yield f"Session `{session.id}`, chat `{session.chat_id}`, {session.model}, {session.state}."
    branches = archive.branches(session.id)
    for number, branch in enumerate(branches, 1):
        if len(branches) > 1:
            yield ""
            yield f"## Branch {number} of {len(branches)}"
        for said in branch.said:
            state = "" if said.state == "complete" or said.role == "user" else f", {said.state}"
            who = "User" if said.role == "user" else f"Assistant ({said.model}{state})"
            yield ""
            yield f"**{who}**, {said.at[:19].replace('T', ' ')} UTC"
            yield ""
            yield _text_of(said)
            if said.files:
                yield ""
                yield f"Attached: {', '.join(said.files)}"
    yield ""


def _text_of(said: Said) -> str:
    """Return what was said, or why there is nothing to show."""
    if said.text or said.files:
        return said.text or ""
    if said.role == "assistant" and said.state == "open":
        return "(being answered)"
    if said.role == "assistant" and said.state == "failed":
        return f"(failed: {said.error})"
    return _NOT_KEPT if said.text is None else "(no text)"


def json_lines(session: SessionSummary, archive: SessionArchive) -> Iterator[str]:
    """Write one line for each branch, its messages in OpenAI's form."""
    for branch in archive.branches(session.id):
        yield json.dumps(
            {
                "session": session.id,
                "branch": branch.number,
                "title": session.title or "",
                "owner": session.owner,
                "model": session.model,
                "chat_id": session.chat_id,
                "created_at": session.created_at,
                "last_used_at": session.last_used_at,
                "messages": _messages(branch),
            },
            ensure_ascii=False,
        )


_FORMATS: dict[str, Callable[[SessionSummary, SessionArchive], Iterator[str]]] = {
    "markdown": markdown,
    "jsonl": json_lines,
}


def _messages(branch: Branch) -> list[dict[str, Any]]:
    return [
        {
            "role": said.role,
            "content": said.text or "",
            **({"files": list(said.files)} if said.files else {}),
            "at": said.at,
            "state": said.state,
            **({"error": said.error} if said.error else {}),
        }
        for said in branch.said
    ]


def _write(lines: Iterable[str], file: TextIO | None) -> None:
    for line in lines:
        print(line, file=file)


def _write_new(path: Path, lines: Iterator[str]) -> None:
    """Write a file that its owner alone can read, like the database; what fails leaves none behind."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidRequest(f"{path} exists already and was left as it is; name a new file.") from None
    except FileNotFoundError:
        raise InvalidRequest(f"There is no folder {path.parent}; make it, or name another.") from None
    except OSError as problem:
        raise InvalidRequest(f"{path} could not be made: {problem.strerror}. Name another file.") from problem
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _write(lines, file)
    except BaseException as problem:
        path.unlink(missing_ok=True)
        if not isinstance(problem, OSError):
            raise
        raise InvalidRequest(f"{path} could not be written: {problem.strerror}; nothing is left of it.") from problem


def _delete(
    sessions: Sequence[SessionSummary],
    sure: bool,
    archive: SessionArchive,
    clock: Clock,
    sweep: Callable[[], str],
) -> int:
    print(listed(sessions))
    ours = sum(session.origin == "made" and session.state == "live" for session in sessions)
    if not sure:
        question = (
            f"To erase here: {len(sessions)}; chats to delete on the site: {ours}. It cannot be undone. Do it? [y/N] "
        )
        if not is_terminal(sys.stdin):
            raise InvalidRequest("Nothing was erased: there is no terminal to ask at. Say --yes if you are sure.")
        if _asked(question) not in {"y", "yes"}:
            print("Nothing was erased.")
            return 1
    erased = archive.erase([session.id for session in sessions], timestamp(clock.now()))
    print(f"Sessions erased: {erased.sessions}")
    for path in erased.still_in:
        kept_until = "the server is restarted" if path.endswith("-wal") else "you remove it"
        print(f"What was said is also in {path}, until {kept_until}.")
    if erased.queued:
        print(sweep())
    return 0


def _asked(question: str) -> str:
    """Return the answer of the person at the terminal; the end of the input is none."""
    try:
        return input(question).strip().lower()
    except EOFError:
        print()
        return ""


def _title(session: SessionSummary) -> str:
    if session.title is None:
        return _NOT_KEPT if session.turns else _ERASED
    return _short(session.title or "(no text)")


def _short_id(session: SessionSummary) -> str:
    """Return as much of an id as tells it from all others."""
    return session.id.removeprefix("session_")[:12]


def _short(text: str) -> str:
    """Return a text as a column shows it."""
    line = tamed(" ".join(text.split()))
    return line if len(line) <= _CELL_CHARS else line[: _CELL_CHARS - 1] + "…"
