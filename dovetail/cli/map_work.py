"""Finds or replays the mappings of `dovetail map`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dovetail.arch.spatial import SpatialArray
from dovetail.cli.map_operators import Work, grouped
from dovetail.errors import MappingError, UnknownNameError
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.mappers.formats import read_mappings
from dovetail.mappers.formats.timeloop import Levels
from dovetail.mappers.found import Found
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.mappers.spatial.random_search import random_mapping
from dovetail.mappers.stopping import ending_on_interrupt, stop_requested
from dovetail.sim.nest import NestCost, analyse, analyse_tree, faults, tree_faults

HURRY_SAMPLES = 100
"""Random mappings for each operator that is left when the user interrupts."""


@dataclass(frozen=True, slots=True)
class Line:
    """One answer, for all operators that share it.

    Attributes:
        operators: names of identical operators.
        einsum: of the first.
        mapping: of the first.
        cost: of each.
        found: what the mapper knows of better ones; None of a replayed mapping.
        seconds: that it took.
    """

    operators: tuple[str, ...]
    einsum: Einsum
    mapping: Mapping
    cost: NestCost
    found: Found | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """How mappings are found: see `find_mapping`."""

    objective: str
    mapper: str
    seed: int
    time_limit_s: float | None


def find_all(work: Work, accelerator: SpatialArray, question: Question) -> tuple[list[Line], bool]:
    """Maps every operator, identical ones once.

    On Ctrl-C the operator at hand gets the best mapping so far and all others a random one.

    Returns:
        One line per group of operators, and whether the user interrupted.

    Raises:
        MappingError: if an operator cannot be mapped; it names the operator.
    """
    groups = grouped(work.einsums)
    lines: list[Line] = []
    interrupted = False
    with ending_on_interrupt(), _progress(question.mapper, len(groups)) as advance:
        for names in groups:
            einsum = work.einsums[names[0]]
            start = time.perf_counter()
            try:
                found, stopped = _find(einsum, accelerator, question, hurry=interrupted)
            except MappingError as error:
                raise MappingError(f"operator '{names[0]}': {error}") from None
            seconds = time.perf_counter() - start
            interrupted |= stopped
            named = found.named(names[0])
            lines.append(Line(names, einsum, named.mapping, named.cost, named, seconds))
            advance()
    return lines, interrupted


def _find(
    einsum: Einsum, accelerator: SpatialArray, question: Question, *, hurry: bool
) -> tuple[Found, bool]:
    """An answer, and whether the user did not wait for a better one."""
    limit, start = question.time_limit_s, time.perf_counter()
    if not hurry:
        try:
            found = find_mapping(
                einsum, accelerator, question.objective, question.mapper, seed=question.seed,
                time_limit_s=limit,
            )  # fmt: skip
        except KeyboardInterrupt:
            pass  # nothing was found yet
        except SystemError as error:  # what a compiled kernel makes of Ctrl-C
            if not isinstance(_root(error), KeyboardInterrupt):
                raise
        else:
            early = limit is None or time.perf_counter() - start < limit
            return found, stop_requested() or (found.interrupted and early)
    quick = random_mapping(
        einsum, accelerator, question.objective, seed=question.seed, samples=HURRY_SAMPLES
    )
    return replace(quick, interrupted=True), True


def _root(error: BaseException) -> BaseException:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's error stream; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from dovetail.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console(stderr=True)) as bar:
        task = bar.add_task(f"mapper {title}", total=total)
        yield lambda: bar.advance(task)


def replay(
    path: str, work: Work, accelerator: SpatialArray, levels: Levels
) -> tuple[list[Line], list[str]]:
    """Costs of the mappings in a file.

    Args:
        path: of the file.
        work: operators that it may map.
        accelerator: what they are laid onto.
        levels: our memories by target of a Timeloop file, where names differ.

    Returns:
        One line per operator that the file maps, and everything that is wrong.

    Raises:
        MappingError: if the file cannot be read, or maps none of the operators.
    """
    mappings = read_mappings(path, work.einsums, accelerator, levels)
    known = work.einsums
    lines: list[Line] = []
    wrong: list[str] = []
    for name in mappings:
        if name not in known:
            wrong.append(f"{path}: {UnknownNameError('operator', name, known)}")
    for tree in dict.fromkeys(mappings[name] for name in known if name in mappings):
        found, costs = _costs(tree, work, accelerator)
        wrong += [f"{path}: {fault}" for fault in found]
        lines += [Line((name,), known[name], tree, cost) for name, cost in costs.items()]
    if not lines and not wrong:
        raise MappingError(f"{path}: maps nothing: add entries to its 'mappings'")
    return lines, wrong


def _costs(
    tree: Mapping, work: Work, accelerator: SpatialArray
) -> tuple[list[str], dict[str, NestCost]]:
    """What is wrong with a mapping; if nothing is, the cost of each of its operators."""
    if tree.children:
        found = tree_faults(work.einsums, accelerator, tree)
        return found, {} if found else analyse_tree(work.einsums, accelerator, tree)
    name, einsum = tree.operator, work.einsums[tree.operator]
    found = [f"operator '{name}': {fault}" for fault in faults(einsum, accelerator, tree)]
    return found, {} if found else {name: analyse(einsum, accelerator, tree)}
