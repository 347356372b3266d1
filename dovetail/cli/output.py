"""Where commands write: the terminal, tables on it, and files."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from dovetail.errors import OutputError
from dovetail.ir.files import write_text

PIPE_WIDTH = 120
"""Columns of tables that no terminal bounds."""

PRINTED = ("--json", "--csv")
"""Options that take `-` for the standard output."""

_PREFIXES = (
    (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"),
    (1e-9, "n"), (1e-12, "p"),
)  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """The terminal; names from files are shown as they are, never read as markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def show(table: Table, title: str = "") -> None:
    """Prints a table below its title."""
    out = console()
    if title:
        out.print(printable(title), style="bold", soft_wrap=True)
    out.print(table)


def make_table(columns: Iterable[str], words: Collection[str] = ()) -> Table:
    """An empty table whose numbers are never cut.

    Args:
        columns: headings in order.
        words: which of them hold text; it folds where the terminal is narrow.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in columns:
        if name in words:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def printable(text: str) -> str:
    """Text without control characters, which could move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def engineering(value: float, unit: str) -> str:
    """A number with an SI prefix, three significant digits."""
    if value == 0:
        return f"0 {unit}"
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    factor, prefix = _PREFIXES[-1]
    return f"{value / factor:.3g} {prefix}{unit}"


def save(path: str, text: str) -> None:
    """Writes a file at once, or prints for `-`.

    Raises:
        OutputError: if it cannot be written.
    """
    if path == "-":
        sys.stdout.write(text)
    else:
        write_text(path, text)


def save_json(path: str, data: object) -> None:
    """Writes JSON; see `save`."""
    save(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def save_rows(path: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes CSV with the keys of the first row as header; see `save`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save(path, buffer.getvalue())


def check_outputs(outputs: Mapping[str, str | None], inputs: Collection[str] = ()) -> None:
    """Fails early, before long work, if a result could not be written.

    Args:
        outputs: paths by option; None where none is wanted, `-` to print.
        inputs: files that are read and must not be overwritten.

    Raises:
        OutputError: if two options name one file, or it cannot be written.
    """
    taken = {os.path.realpath(path): "the input" for path in inputs if os.path.exists(path)}
    for option, path in outputs.items():
        if path is None:
            continue
        if path == "-" and option not in PRINTED:
            raise OutputError(f"{option} -: cannot be printed; name a file")
        place = "-" if path == "-" else os.path.realpath(path)
        if place in taken and not _is_device(place):
            raise OutputError(f"{option} {path}: is {taken[place]}, too; name another file")
        taken[place] = f"the output of {option}"
        if path != "-":
            _probe(path)


def _is_device(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def _probe(path: str) -> None:
    """Asks the file system itself, because permission bits do not tell all."""
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if _is_device(str(target)):
            return
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}; "
            "choose a folder that exists and can be written"
        ) from None
