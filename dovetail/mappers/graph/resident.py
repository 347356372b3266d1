"""What a graph schedule saves of a report: tensors that stay on chip cause no DRAM traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.mappers.graph.plan import Plan
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.reading import read_problem
from dovetail.mappers.graph.solve import Scheduled, schedule


@dataclass(frozen=True)
class Residency:
    """Which activations pass the off-chip memory.

    Attributes:
        bits: of an element.
        fetched: tensors that come from off chip right before an operator, by its name: inputs of
            the network at their first use, and spilled tensors when they are retrieved.
        stored: tensors written off chip: the network's outputs and what is spilled.
        scheduled: the schedule and its non-compulsory bytes.
    """

    bits: int
    fetched: Mapping[str, frozenset[str]]
    stored: frozenset[str]
    scheduled: Scheduled


def residency(
    network: Network, scratchpad_bytes: int, *, bits: int = 8, time_limit_s: float = 60.0
) -> Residency:
    """Schedules the activations of a network into a scratchpad.

    Args:
        network: what runs; its weights stream past the scratchpad.
        scratchpad_bytes: size of the memory that holds activations between operators.
        bits: of an element.
        time_limit_s: wall-clock seconds of the scheduler.

    Raises:
        MappingError: if an operator's activations do not fit.
    """
    problem = read_problem(network, bits=bits)
    scheduled = schedule(problem, scratchpad_bytes, time_limit_s=time_limit_s)
    fetched, stored = _passages(problem, scheduled.plan)
    names = _names(problem)
    stored |= {a for a, some in enumerate(names) if not set(some).isdisjoint(network.outputs)}
    return Residency(
        bits,
        {op: frozenset(n for a in items for n in names[a]) for op, items in fetched.items()},
        frozenset(n for a in stored for n in names[a]),
        scheduled,
    )


def _passages(problem: Problem, plan: Plan) -> tuple[dict[str, set[int]], set[int]]:
    """Items fetched by operator, and items spilled."""
    fetched: dict[str, set[int]] = {}
    seen: set[int] = set()
    stored: set[int] = set()
    for stay in sorted(plan.stays):
        item = problem.items[stay.item]
        again = stay.item in seen
        seen.add(stay.item)
        if again and not item.backed:
            stored.add(stay.item)
        if again or item.producer is None:
            fetched.setdefault(problem.operators[plan.order[stay.start]], set()).add(stay.item)
    return fetched, stored


def _names(problem: Problem) -> list[list[str]]:
    """Names of the network's tensors that live in each item's bytes."""
    table: list[list[str]] = [[] for _ in problem.items]
    for tensor, a in problem.stands_for:
        table[a].append(tensor)
    return table


def keep_on_chip(
    report: Report, network: Network, kept: Residency, *, pj_per_byte: float, dram: str = "dram"
) -> Report:
    """The report of a network whose activations stay in a scratchpad between operators.

    The scratchpad stands beside the accelerator's own memories. What stays in it is read from and
    written to it instead of DRAM: those bytes move to `scratchpad_read` and `scratchpad_write`,
    their energy to `scratchpad`. Cycles stay those of the mappings for DRAM: an upper bound.

    Args:
        report: of the same network, its mappings made for DRAM.
        network: what runs.
        kept: see `residency`.
        pj_per_byte: energy of the scratchpad per byte read or written.
        dram: name of the off-chip memory among the components of energy.

    Raises:
        MappingError: if the report is of another network.
    """
    groups: dict[str, list[OperatorReport]] = {}
    for row in report.operators:
        groups.setdefault(row.fused_into or row.name, []).append(row)
    known = {op.name for op in network.operators}
    missing = [name for name in groups if name not in known]
    if missing:
        raise MappingError(
            f"a report with operator '{missing[0]}' is not one of network '{network.name}'"
        )
    first = {name: _kept(network, kept, rows, pj_per_byte, dram) for name, rows in groups.items()}
    return replace(
        report, operators=tuple(first[r.name] if not r.fused_into else r for r in report.operators)
    )


def _kept(
    network: Network, kept: Residency, rows: Sequence[OperatorReport], pj_per_byte: float, dram: str
) -> OperatorReport:
    """The first row of a group of fused operators, with the traffic that is left."""
    main = next(row for row in rows if not row.fused_into)
    old = sum(main.dram_bytes.values())
    if not old:
        return main
    operators = {op.name: op for op in network.operators}
    group = [operators[row.name] for row in rows]
    inside = {t for op in group for t in op.outputs}
    head = operators[main.name]
    second = head.inputs[1] if head.einsum is not None and len(head.inputs) > 1 else None
    moving = {t for op in group for t in op.inputs if t not in inside}
    if head.einsum is not None:  # biases and scales ride along: no report counts them
        moving = {t for t in moving if t == second or not network.tensor[t].is_parameter}
    ways = {
        "input": [t for t in moving if t != second],
        "weight": [t for t in moving if t == second],
    }
    left = dict(main.dram_bytes)
    for way, tensors in ways.items():
        if any(not network.tensor[t].is_parameter for t in tensors):
            left[way] = min(left.get(way, 0), _fetched(network, kept, group, tensors))
    last = group[-1].outputs[0]
    left["output"] = (
        min(left.get("output", 0), _bytes(network, kept, last)) if last in kept.stored else 0
    )
    return _moved(main, left, pj_per_byte, dram)


def _fetched(
    network: Network, kept: Residency, group: Sequence[Operator], tensors: Sequence[str]
) -> int:
    """Bytes of tensors that come from off chip for a group: parameters always do."""
    come = {t for op in group for t in kept.fetched.get(op.name, ())}
    return sum(
        _bytes(network, kept, t) for t in tensors if t in come or network.tensor[t].is_parameter
    )


def _bytes(network: Network, kept: Residency, tensor: str) -> int:
    return -(-network.tensor[tensor].elements * kept.bits // 8)


def _moved(
    main: OperatorReport, left: dict[str, int], pj_per_byte: float, dram: str
) -> OperatorReport:
    """The row with less DRAM traffic, and the rest of it in the scratchpad."""
    old = main.dram_bytes
    read = sum(old[way] - left[way] for way in old if way != "output")
    written = old.get("output", 0) - left["output"]
    share = sum(left.values()) / sum(old.values())
    energy = dict(main.energy_pj)
    energy[dram] = energy.get(dram, 0.0) * share
    energy["scratchpad"] = (read + written) * pj_per_byte
    sram = {**main.sram_bytes, "scratchpad_read": read, "scratchpad_write": written}
    return replace(main, dram_bytes=left, sram_bytes=sram, energy_pj=energy)
