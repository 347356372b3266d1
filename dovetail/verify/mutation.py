"""Plants single faults in the RTL and looks whether random cases catch them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dovetail import rtl
from dovetail.errors import ProblemError, ToolError
from dovetail.sim.simulators import require_tools
from dovetail.verify.campaign import run_case
from dovetail.verify.check import Gates
from dovetail.verify.mutants import MUTANTS, Mutant
from dovetail.workers import process_pool

SIMULATOR = "icarus"
"""Builds in a second, and every mutant is built several times."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: the fault.
        case: name of the first case that failed; empty if none did.
        detail: how it failed.
        cases: run until then.
    """

    mutant: Mutant
    case: str
    detail: str
    cases: int

    @property
    def caught(self) -> bool:
        """Whether a case failed."""
        return bool(self.case)


def run_mutations(
    mutants: Sequence[Mutant] = MUTANTS,
    *,
    cases: int = 200,
    seed: int = 0,
    elaborations: int = 8,
    workers: int = 1,
    progress: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Runs random cases on every mutant until one fails.

    Args:
        mutants: faults to plant.
        cases: most that are tried on one mutant.
        seed: of the cases.
        elaborations: designs that the cases share out.
        workers: processes.
        progress: called with each verdict, in order.

    Raises:
        MissingToolError: if the simulator is not installed.
        ProblemError: if a mutant does not fit the sources.
    """
    require_tools(SIMULATOR)
    for mutant in mutants:
        check_mutant(mutant)
    names = [f"{seed}-{i % elaborations}-{i // elaborations}" for i in range(cases)]
    verdicts = []
    with process_pool(workers) as pool:
        for verdict in pool.map(partial(judge, names=names), mutants):
            verdicts.append(verdict)
            if progress is not None:
                progress(verdict)
    return verdicts


def check_mutant(mutant: Mutant) -> None:
    """Raises a ProblemError if the mutant's text does not occur exactly once."""
    found = _source(mutant).read_text().count(mutant.old)
    if found != 1 or mutant.old == mutant.new:
        raise ProblemError(
            f"mutant '{mutant.name}': its text occurs {found} times in {_source(mutant).name}: "
            "must occur once, and change"
        )


def judge(mutant: Mutant, names: Sequence[str]) -> Verdict:
    """Runs cases on a mutant until one fails.

    Args:
        mutant: the fault.
        names: of the cases.
    """
    with tempfile.TemporaryDirectory(prefix="dovetail-mutant-") as folder:
        gates = Gates(SIMULATOR, sources=plant(mutant, Path(folder)))
        for count, name in enumerate(names, start=1):
            outcome = run_case(name, gates)
            if not outcome.passed:
                return Verdict(mutant, name, f"{outcome.kind}: {outcome.detail}", count)
    return Verdict(mutant, "", "", len(names))


def plant(mutant: Mutant, folder: Path) -> tuple[Path, ...]:
    """Copies the RTL with one fault; its sources in order.

    Args:
        mutant: the fault.
        folder: where to.
    """
    copies = []
    for source in rtl.sources():
        copies.append(folder / source.name)
        shutil.copyfile(source, copies[-1])
        if source == _source(mutant):
            copies[-1].write_text(source.read_text().replace(mutant.old, mutant.new))
    return tuple(copies)


def _source(mutant: Mutant) -> Path:
    for source in rtl.sources():
        if source.name == f"dovetail_{mutant.module}.sv":
            return source
    raise ToolError(f"mutant '{mutant.name}': there is no module dovetail_{mutant.module}")
