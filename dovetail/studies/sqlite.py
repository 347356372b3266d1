"""SQLite connections of study files, and what their errors mean to a user."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dovetail.errors import DovetailError, OutputError, StudyError

APPLICATION_ID = 0x4456544C
"""`DVTL`: marks a SQLite file as a study."""

SCHEMA = 1
"""Version of the tables."""

BUSY_SECONDS = 30.0

_TABLES = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, design BLOB NOT NULL,
    numbers BLOB NOT NULL, seconds REAL NOT NULL, crc INTEGER NOT NULL);
"""

_UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")


def write_new(path: Path, values: Mapping[str, str]) -> None:
    """Writes a new study file with no evaluations and the given rows of table `study`."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.executescript(_TABLES)
        connection.executemany("INSERT INTO study VALUES (?, ?)", list(values.items()))
    finally:
        connection.close()


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Opens a SQLite file: with a write-ahead log, or for reading only."""
    if not read_only:
        connection = _open(path, "mode=rw")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection
    # Not `mode=ro`: such a connection leaves the log and its index behind when it closes.
    connection = _open(path, "mode=rw")
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # A folder that cannot be written has no room for the log's index; without a log there is
        # nothing to miss by reading the file as it stands.
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        connection = _open(path, "immutable=1")
    return connection


def check(path: Path, connection: sqlite3.Connection) -> None:
    """Checks that a file is a study of this schema and that its pages are sound.

    Raises:
        StudyError: if not.
    """
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if kind != APPLICATION_ID:
        raise StudyError(f"'{path}' is a SQLite file but not a study: choose another file")
    if schema != SCHEMA:
        raise StudyError(
            f"study '{path}' has schema {schema}, this version reads {SCHEMA}: "
            "use the version that wrote it"
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StudyError(f"study '{path}' is corrupt: {' '.join(verdict.split())}")


FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What reading a study raises; Python cannot decode SQLite's complaint about some corrupt files."""


def translate(path: Path, error: Exception, *, writing: bool) -> DovetailError:
    """The user's error behind a SQLite error while reading or writing a study."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if writing and name.startswith((*_UNWRITABLE, "SQLITE_IOERR")):
        return OutputError(f"cannot write study '{path}': {error}; free space or permissions")
    if name.startswith(("SQLITE_CONSTRAINT", "SQLITE_BUSY")):
        return StudyError(
            f"another process writes to study '{path}': wait for it or choose another file"
        )
    return StudyError(f"study '{path}' is corrupt or not a study: {error}")


def close(connection: sqlite3.Connection | None) -> None:
    """Closes a connection if there is one, whatever state its file is in."""
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
    )
