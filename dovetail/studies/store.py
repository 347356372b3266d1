"""A study on disk: one SQLite file with the specification and every evaluation.

Table `study` holds JSON values by key: `spec`, `version`, `created`, and `metrics` (their names,
known from the first batch on). Table `evaluations` holds a row per evaluation, laid out as in
`dovetail.studies.records`. A batch is one transaction of a write-ahead log, so a killed process
loses at most the batch in flight.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dovetail
from dovetail.envs.problem import Evaluation
from dovetail.errors import OutputError, StudyError
from dovetail.ir.space import IntArray
from dovetail.studies import sqlite
from dovetail.studies.files import replaced_file
from dovetail.studies.records import Records, from_rows, to_rows
from dovetail.studies.spec import StudySpec


class StudyStore:
    """An open study file: made by `create` or `open`, closed as a context manager.

    Attributes:
        path: the file.
        spec: the study's specification.
        created: when the study began, ISO 8601 in UTC.
        version: of the package that began it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        sqlite.check(path, connection)
        self.spec = StudySpec.from_dict(self._read("spec"))
        self.created = str(self._read("created"))
        self.version = str(self._read("version"))
        self._metrics = self._read_metrics()
        self._count = self._count_rows()

    @classmethod
    def create(cls, path: Path | str, spec: StudySpec) -> StudyStore:
        """Makes a new study file; it appears complete or not at all.

        Raises:
            StudyError: if the file exists.
            OutputError: if it cannot be written.
        """
        path = Path(path)
        if os.path.exists(path):
            raise StudyError(
                f"study '{path}' exists: continue it with --resume or choose another file"
            )
        created = datetime.now(UTC).isoformat(timespec="seconds")
        values = {"spec": spec.to_dict(), "created": created, "version": dovetail.__version__}
        with replaced_file(path) as temporary:
            try:
                sqlite.write_new(temporary, {k: json.dumps(v) for k, v in values.items()})
            except sqlite3.Error as error:
                raise OutputError(f"cannot write study '{path}': {error}") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False) -> StudyStore:
        """Opens a study file.

        Raises:
            StudyError: if there is none, or it is corrupt or not a study.
            OutputError: if it is to be written and cannot be.
        """
        path = Path(path)
        if not os.path.isfile(path):
            raise StudyError(f"there is no study file '{path}': name one that a search wrote")
        connection = None
        try:
            connection = sqlite.connect(path, read_only=read_only)
            return cls(path, connection)
        except sqlite.FAILURES as error:
            sqlite.close(connection)
            raise sqlite.translate(path, error, writing=not read_only) from error
        except BaseException:
            sqlite.close(connection)
            raise

    def __len__(self) -> int:
        return self._count

    def append(self, batch: int, designs: IntArray, evaluation: Evaluation, seconds: float) -> None:
        """Stores evaluated designs in one transaction.

        Args:
            batch: number of the batch, from 0.
            designs: (n, knobs).
            evaluation: of these n designs.
            seconds: since the study began.

        Raises:
            StudyError: if another process has written to the study, or the metrics changed.
            OutputError: if the file cannot be written.
        """
        names = list(evaluation.metrics)
        if self._metrics and names != self._metrics:
            raise StudyError(f"study '{self.path}' holds the metrics {self._metrics}, not {names}")
        rows = to_rows(self._count, batch, designs, evaluation, seconds)
        with self._writing():
            if not self._metrics:
                self._write("metrics", names)
            self._connection.executemany("INSERT INTO evaluations VALUES (?,?,?,?,?,?)", rows)
        self._metrics = names
        self._count += len(rows)

    def records(self) -> Records:
        """Reads all evaluations.

        Raises:
            StudyError: if a row is corrupt.
        """
        query = "SELECT id, batch, design, numbers, seconds, crc FROM evaluations ORDER BY id"
        try:
            rows = self._connection.execute(query).fetchall()
            names = self._read_metrics()
        except sqlite.FAILURES as error:
            raise sqlite.translate(self.path, error, writing=False) from error
        return from_rows(f"study '{self.path}'", self.spec, names, rows)

    def set_budget(self, budget: int) -> None:
        """Records a new budget of evaluations.

        Raises:
            OutputError: if the file cannot be written.
        """
        spec = self.spec.with_budget(budget)
        with self._writing():
            self._write("spec", spec.to_dict())
        self.spec = spec

    def close(self) -> None:
        """Closes the file; harmless when closed already."""
        sqlite.close(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise sqlite.translate(self.path, error, writing=True) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _count_rows(self) -> int:
        query = "SELECT COUNT(*), COALESCE(MAX(id), -1) + 1 FROM evaluations"
        count, end = self._connection.execute(query).fetchone()
        if count != end:
            raise StudyError(f"study '{self.path}' is corrupt: {end - count} evaluations missing")
        return int(count)

    def _read_metrics(self) -> list[str]:
        names = self._read("metrics", default=[])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise StudyError(f"study '{self.path}' is corrupt: no readable 'metrics'")
        return names

    def _read(self, key: str, default: object = None) -> Any:
        query = "SELECT value FROM study WHERE key = ?"
        row = self._connection.execute(query, (key,)).fetchone()
        if row is None and default is not None:
            return default
        try:
            return json.loads(row[0])
        except (TypeError, ValueError) as error:
            raise StudyError(f"study '{self.path}' is corrupt: no readable '{key}'") from error

    def _write(self, key: str, value: object) -> None:
        text = json.dumps(value)
        self._connection.execute("INSERT OR REPLACE INTO study VALUES (?, ?)", (key, text))
