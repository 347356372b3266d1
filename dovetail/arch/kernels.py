"""What kernels cost once they are built: a table, a line per build, with the command behind it.

The model takes latency, initiation interval and resources of special functions from here; it has
none of its own. A table is a CSV file with the columns of `COLUMNS`; `parameters` are `name=value`
pairs, split by spaces.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from dovetail.errors import AcceleratorError, UnknownNameError

COUNTS = ("lanes", "latency_cycles", "initiation_interval", "lut", "ff", "dsp", "bram18")
COLUMNS = ("kernel", "parameters", *COUNTS, "command")
TABLE = "kernels.csv"
"""The table beside this module."""

AT_LEAST_ONE = ("lanes", "initiation_interval")


@dataclass(frozen=True, slots=True)
class KernelCost:
    """One build of a kernel.

    Attributes:
        kernel: its name.
        parameters: sorted (name, value) pairs, all of them.
        lanes: scalars that one input holds.
        latency_cycles: from an input to its result.
        initiation_interval: cycles between two inputs.
        lut: look-up tables.
        ff: flip-flops.
        dsp: DSP slices.
        bram18: 18 Kib blocks.
        command: what built and measured it.
    """

    kernel: str
    parameters: tuple[tuple[str, int], ...]
    lanes: int
    latency_cycles: int
    initiation_interval: int
    lut: int
    ff: int
    dsp: int
    bram18: int
    command: str

    def cycles(self, scalars: int) -> int:
        """Cycles from the first input to the last result of so many scalars; 0 for none."""
        inputs = -(-scalars // self.lanes)
        return self.latency_cycles + (inputs - 1) * self.initiation_interval if inputs else 0


def write_table(costs: Iterable[KernelCost]) -> str:
    """The table as text."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for cost in costs:
        pairs = " ".join(f"{name}={value}" for name, value in cost.parameters)
        counts = [getattr(cost, name) for name in COUNTS]
        rows.writerow([cost.kernel, pairs, *counts, cost.command])
    return out.getvalue()


def read_table(text: str, source: str = "table") -> tuple[KernelCost, ...]:
    """Reads a table.

    Raises:
        AcceleratorError: naming source, line and what is wrong.
    """
    rows = csv.DictReader(io.StringIO(text))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise AcceleratorError(f"{source}: columns must be {', '.join(COLUMNS)}")
    return tuple(_cost(row, f"{source}: line {rows.line_num}") for row in rows)


def _cost(row: Mapping[str | None, str | None], where: str) -> KernelCost:
    values = [row[name] for name in COLUMNS]
    if None in row or None in values:
        raise AcceleratorError(f"{where}: must have {len(COLUMNS)} fields")
    kernel, pairs, *counts, command = (value or "" for value in values)
    if not kernel or not command:
        raise AcceleratorError(f"{where}: must name the kernel and the command that built it")
    found = {name: _count(where, name, text) for name, text in zip(COUNTS, counts, strict=True)}
    parameters = []
    for pair in pairs.split():
        name, _, value = pair.partition("=")
        parameters.append((name, _count(where, name, value)))
    return KernelCost(kernel, tuple(sorted(parameters)), **found, command=command)


def _count(where: str, name: str, text: str) -> int:
    least = 1 if name in AT_LEAST_ONE else 0
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= least):
        raise AcceleratorError(
            f"{where}: {name} = '{text[:40]}': must be a whole number >= {least}"
        )
    return int(text)


@cache
def builds() -> tuple[KernelCost, ...]:
    """The builds that come with Dovetail: `dovetail hls table` makes them."""
    text = (resources.files("dovetail.arch") / TABLE).read_text(encoding="utf-8")
    return read_table(text, TABLE)


@cache
def _forms(kernel: str) -> tuple[tuple[dict[str, int], KernelCost], ...]:
    """Builds of a kernel with their parameters by name, `lanes` among them."""
    own = [cost for cost in builds() if cost.kernel == kernel]
    return tuple(({**dict(cost.parameters), "lanes": cost.lanes}, cost) for cost in own)


def widest(kernel: str, along: str, count: int, /, **parameters: int) -> tuple[KernelCost, int]:
    """The build to put side by side for `count` of something, and how many copies of it.

    Args:
        kernel: its name.
        along: parameter that counts it, or `lanes`.
        count: how many there shall be; a multiple of what the build has.
        parameters: of the build; of several that fit, the first in the table is taken.

    Raises:
        AcceleratorError: if no build fits.
    """
    best: KernelCost | None = None
    most = 0
    for form, cost in _forms(kernel):
        wide = form.get(along, 0)
        fits = all(form.get(name) == value for name, value in parameters.items())
        if fits and wide > most and count % wide == 0:
            best, most = cost, wide
    if best is None:
        what = " ".join(f"{name}={value}" for name, value in parameters.items())
        raise AcceleratorError(
            f"no build of kernel '{kernel}' with {what} makes {along}={count}: "
            f"{TABLE} has {_listed(kernel, (*parameters, along))}"
        )
    return best, count // most


def built(kernel: str, name: str) -> tuple[int, ...]:
    """Values of one parameter that the builds of a kernel have, ascending."""
    return tuple(sorted({form[name] for form, _ in _forms(kernel) if name in form}))


def _listed(kernel: str, names: Iterable[str]) -> str:
    """Values that the builds of a kernel have of some parameters."""
    parts = (f"{name} {', '.join(map(str, built(kernel, name)))}" for name in names)
    return "; ".join(parts) if _forms(kernel) else "none"


def find(costs: Iterable[KernelCost], kernel: str, lanes: int = 1, **parameters: int) -> KernelCost:
    """The build of a kernel with some lanes and these parameters among its own.

    Raises:
        UnknownNameError: if the kernel was never built.
        AcceleratorError: if no build, or more than one, fits.
    """
    listed = list(costs)
    own = [cost for cost in listed if cost.kernel == kernel]
    if not own:
        raise UnknownNameError("kernel of the table", kernel, {cost.kernel for cost in listed})
    wanted = set(parameters.items())
    fits = [cost for cost in own if cost.lanes == lanes and wanted <= set(cost.parameters)]
    if len(fits) != 1:
        what = " ".join([f"lanes={lanes}", *(f"{k}={v}" for k, v in parameters.items())])
        raise AcceleratorError(
            f"kernel '{kernel}' has {len(fits)} builds with {what}: name parameters of one build"
        )
    return fits[0]
