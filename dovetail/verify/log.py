"""The log of a campaign's finished cases, which a later run goes on from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import OutputError, StudyError
from dovetail.ir.files import write_text
from dovetail.verify.check import Outcome

if TYPE_CHECKING:
    from dovetail.verify.campaign import Plan

LOG = "cases.jsonl"
_PACKAGE = Path(__file__).resolve().parents[1]


class Log:
    """Finished cases as JSON lines; the first line says whose they are.

    Args:
        path: of the file; begun if it is missing.
        plan: whose cases it holds.

    Raises:
        StudyError: if it belongs to other sources or to another plan, or is corrupt.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self.outcomes: list[Outcome] = []
        identity = {
            "seed": plan.seed, "simulator": plan.simulator, "elaborations": plan.elaborations,
            "sources": sources_digest(),
        }  # fmt: skip
        if not path.exists():
            write_text(path, json.dumps(identity) + "\n")
            return
        first, *lines = path.read_bytes().split(b"\n")
        try:
            found = dict(json.loads(first))
            # A line without its end was cut off by an interruption: its case runs again.
            self.outcomes = [Outcome.from_dict(json.loads(line)) for line in lines[:-1]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StudyError(f"log '{path}' is corrupt ({error}): name another --work") from error
        differing = [key for key in identity if found.get(key) != identity[key]]
        if differing:
            raise StudyError(
                f"log '{path}' is of a campaign with other {', '.join(differing)}: "
                "name another --work"
            )
        if lines and lines[-1]:
            path.write_bytes(b"\n".join([first, *lines[:-1], b""]))

    def append(self, outcome: Outcome) -> None:
        """Adds a case.

        Raises:
            OutputError: if it cannot be written; a later run drops what was cut off.
        """
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(outcome.to_dict()) + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(
                f"cannot write '{self._path}': {reason}; the same command goes on from it"
            ) from error


def sources_digest() -> str:
    """SHA-256 of all that decides a case: the package's Python and SystemVerilog."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in {".py", ".sv", ".cpp"}:
            digest.update(str(path.relative_to(_PACKAGE)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
