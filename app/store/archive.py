"""The history in the SQLite file, for its owner's commands; a server may be running on the file meanwhile."""

import glob
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from app.core.file_types import upload_digest
from app.core.ports import Branch, Erased, Said, SessionSummary
from app.errors import StoreError, StoreUnusable
from app.store import archive_statements as statements
from app.store.connection import refuse_old_sqlite, store_errors
from app.store.journal import is_named
from app.store.lock import is_held
from app.store.migrate import read_migrations, refuse_foreign

BUSY_SECONDS = 5.0


@contextmanager
def open_archive(path: Path, migrations: Path, *, busy_seconds: float = BUSY_SECONDS) -> Iterator["SqliteArchive"]:
    """Open the file that a server made. Raises StoreError if there is none, or if its schema is not the newest."""
    newest = len(read_migrations(migrations))
    path = path.resolve()
    refuse_old_sqlite()
    with store_errors(path):
        if not path.exists():
            raise StoreError(f"There is no database {path} yet; the first start of the server makes it.")
        with closing(_connect(path, busy_seconds)) as connection:
            connection.row_factory = sqlite3.Row
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            refuse_foreign(path, connection.execute("PRAGMA application_id").fetchone()[0], version, newest)
            if version < newest:
                raise StoreUnusable(
                    f"The database {path} is of an older version; start the server once to bring it up to date."
                )
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten
            yield SqliteArchive(connection, path)


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the file; where nothing can be made beside it, as one that does not change. Raises StoreError.

    To read it SQLite makes an index of the log beside it. Whoever has it open keeps the log there.
    """
    log, index = (path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))
    if os.access(path.parent, os.W_OK) or index.exists():
        return sqlite3.connect(path, isolation_level=None, timeout=busy_seconds)
    if log.exists() and log.stat().st_size:
        raise StoreError(
            f"The database {path} cannot be read: the last of it is in {log}, for which a file has to be made beside "
            f"it, and {path.parent} is read-only. Make it writable; or copy the database and all that is beside it to "
            "a folder of yours, and name the copy in DATABASE_URL."
        )
    return sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True, isolation_level=None)


class SqliteArchive:
    """Implements `core.ports.SessionArchive`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def sessions(self, *, owner: str | None, limit: int) -> Sequence[SessionSummary]:
        """Return sessions, the last used first."""
        values = {"owner": owner, "limit": limit}
        return [_summary(row) for row in self._connection.execute(statements.LIST_SESSIONS, values)]

    def named(self, name: str, *, limit: int) -> Sequence[SessionSummary]:
        """Return the sessions whose id, or chat id, begins with a name; an id may lack its `session_`."""
        values = {"name": name, "long_name": f"session_{name}", "limit": limit}
        return [_summary(row) for row in self._connection.execute(statements.NAMED_SESSIONS, values)]

    def branches(self, session_id: str) -> Sequence[Branch]:
        """Return what was said, branch by branch, the oldest branch first."""
        said: dict[int, list[Said]] = {}
        for row in self._connection.execute(statements.HISTORY, (session_id,)):
            files = tuple(json.loads(row["files"]))
            error = row["error"] or ""
            told = Said(row["role"], row["text"], row["at"], row["model"], row["state"], error, files)
            said.setdefault(row["branch"], []).append(told)
        return [Branch(number, tuple(texts)) for number, texts in said.items()]

    def erase(self, session_ids: Sequence[str], at: str) -> Erased:
        """Remove sessions with all that was said, and queue the chats that this program made for deletion.

        Raises StoreError, with nothing changed, while an answer of one of them is not at its end.
        """
        connection = self._connection
        connection.execute(statements.READ_TURNS).fetchall()  # from the disk, while a server may write yet
        connection.execute("BEGIN IMMEDIATE")
        try:
            for session_id in session_ids:
                is_open = connection.execute(statements.IS_OPEN, (session_id,)).fetchone()
                if is_open or is_named(self._path, session_id):
                    raise self._unfinished(session_id)
            self._erase_texts(session_ids)
            self._forget_uploads()
            queued = sum(self._erase_session(session_id, at) for session_id in session_ids)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite ends it by itself when the disk is full
                connection.execute("ROLLBACK")
            raise
        return Erased(len(session_ids), queued, self._still_in())

    def _unfinished(self, session_id: str) -> StoreError:
        if is_held(self._path):
            return StoreError(f"The session {session_id} is being answered just now; erase it after that.")
        return StoreError(
            f"A stop cut an answer of the session {session_id}. Start the server, which reads the answer back from the "
            "site, and erase the session then."
        )

    def _still_in(self) -> tuple[str, ...]:
        """Empty the log, which holds the texts too; return the files that have them nevertheless."""
        try:
            is_busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:  # what is erased is erased
            is_busy = True
        log = [self._path.with_name(f"{self._path.name}-wal")] if is_busy else []
        backups = sorted(self._path.parent.glob(f"{glob.escape(self._path.name)}.schema-*.backup"))
        return tuple(str(path) for path in [*log, *backups])

    def _erase_texts(self, session_ids: Sequence[str]) -> None:
        """Remove the nodes of sessions and the turns that only they had."""
        connection = self._connection
        last_turns = [
            row["turn_key"]
            for session_id in session_ids
            for row in connection.execute(statements.LAST_TURNS, {"id": session_id})
        ]
        connection.execute(statements.FORGET_STARTS, (json.dumps(session_ids),))
        connection.executemany(statements.ERASE_NODES, [(session_id,) for session_id in session_ids])
        turns = connection.execute(statements.FOLLOWED_TURNS, {"keys": json.dumps(last_turns)}).fetchall()
        followers = {row["key"]: row["followers"] for row in turns}
        before = {row["key"]: row["before_key"] for row in turns if not row["is_answered"]}
        for last in last_turns:
            key: str | None = last
            while key in before and not followers[key]:
                connection.execute(statements.ERASE_TURN, (key,))
                key = before.pop(key)
                if key in followers:
                    followers[key] -= 1

    def _forget_uploads(self) -> None:
        """Forget what the site was given of files that no message has any more.

        That of a file behind an address or an id, and of a long text, is not told from it: it is made again at need.
        """
        files = self._connection.execute(statements.FILES_OF_NODES).fetchall()
        had = [upload_digest(row["digest"], row["name"]) for row in files]
        self._connection.execute(statements.FORGET_UPLOADS, (json.dumps(had),))

    def _erase_session(self, session_id: str, at: str) -> int:
        """Remove what else is known of a session; return how many chats are to be deleted for it."""
        connection = self._connection
        queued = connection.execute(statements.ERASE_UPSTREAM, {"id": session_id, "at": at}).rowcount
        connection.execute(statements.ERASE_TITLE, {"id": session_id, "at": at})
        connection.execute(statements.ERASE_SESSION, (session_id,))
        return queued


def _summary(row: sqlite3.Row) -> SessionSummary:
    return SessionSummary(
        id=row["session"],
        title=row["title"],
        owner=row["owner"],
        model=row["model"],
        state=row["state"],
        origin=row["origin"],
        turns=row["turns"] or 0,
        branches=row["branches"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        chat_id=row["chat_id"],
    )
