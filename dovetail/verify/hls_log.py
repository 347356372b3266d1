"""Finished runs of kernels in a folder, which a later `verify hls` goes on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dovetail.errors import OutputError, StudyError
from dovetail.ir.files import write_text
from dovetail.verify.hls_run import Outcome

_PACKAGE = Path(__file__).resolve().parents[1]
_SOURCES = ("hls/*", "verify/hls_*.py", "sim/special/*.py", "sim/values.py")


class Log:
    """A file per run, named after all that decides it.

    Args:
        folder: made if it is missing.

    Raises:
        OutputError: if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources = sources_digest()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write '{folder}': {error.strerror or error}") from None

    def path(self, kernel: str, form: Mapping[str, int], transactions: int, seed: int) -> Path:
        """The file of a run."""
        case = [kernel, dict(form), transactions, seed, self._sources]
        digest = hashlib.sha256(json.dumps(case).encode()).hexdigest()[:16]
        return self._folder / f"{kernel}-{digest}.json"

    def find(self, path: Path) -> Outcome | None:
        """The run of a file; None if it is not there.

        Raises:
            StudyError: if it is corrupt.
        """
        if not path.exists():
            return None
        try:
            return Outcome.from_dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StudyError(f"run '{path}' is corrupt ({error}): delete it") from error

    def add(self, path: Path, outcome: Outcome) -> None:
        """Writes a run."""
        write_text(path, json.dumps(outcome.to_dict()) + "\n")


def sources_digest() -> str:
    """SHA-256 of kernels, references and checks."""
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            if path.is_file():
                digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()
