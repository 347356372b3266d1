"""Replays a plan step by step and counts its bytes; shares no code with what made the plan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dovetail.errors import MappingError
from dovetail.mappers.graph.plan import Plan
from dovetail.mappers.graph.problem import Problem


@dataclass(frozen=True)
class Traffic:
    """What a plan costs.

    Attributes:
        spilled_bytes: written off chip before the last use; at most once per tensor, and never of
            what has a copy there from the start.
        retrieved_bytes: read back.
        peak_bytes: most bytes on chip at any step.
        extent_bytes: highest address in use, plus one.
    """

    spilled_bytes: int
    retrieved_bytes: int
    peak_bytes: int
    extent_bytes: int

    @property
    def bytes(self) -> int:
        """Non-compulsory off-chip bytes: the objective."""
        return self.spilled_bytes + self.retrieved_bytes


def replay(problem: Problem, plan: Plan) -> Traffic:
    """Runs the plan on a scratchpad.

    Raises:
        MappingError: with the first fault.
    """
    found = faults(problem, plan)
    if found:
        raise MappingError(f"illegal schedule of '{problem.name}': {found[0]}")
    spilled = retrieved = 0
    stays: dict[int, int] = {}
    for stay in plan.stays:
        stays[stay.item] = stays.get(stay.item, 0) + 1
    for a, times in stays.items():
        if times > 1 and not problem.items[a].backed:
            spilled += problem.items[a].size
        retrieved += problem.items[a].size * (times - 1)
    peak = max(sum(size for _, _, size in step) for step in _steps(problem, plan))
    extent = max(
        address + problem.items[stay.item].size
        for stay, address in zip(plan.stays, plan.addresses, strict=True)
    )
    return Traffic(spilled, retrieved, peak, extent)


def faults(problem: Problem, plan: Plan) -> list[str]:
    """Why a plan is illegal; empty if it is legal."""
    if sorted(plan.order) != list(range(len(problem.operators))):
        return ["the order does not run every operator once"]
    if len(plan.addresses) != len(plan.stays):
        return [f"{len(plan.stays)} stays have {len(plan.addresses)} addresses"]
    for stay in plan.stays:
        inside = 0 <= stay.start <= stay.end < len(plan.order)
        if not inside or not 0 <= stay.item < len(problem.items):
            return [f"{stay} lies outside the problem"]
    return [*_stay_faults(problem, plan), *_step_faults(problem, plan)]


def _stay_faults(problem: Problem, plan: Plan) -> list[str]:
    """Faults of single tensors over time: creation, one state per step."""
    found = []
    created = {op: t for t, op in enumerate(plan.order)}
    by_item: dict[int, list[tuple[int, int]]] = {}
    for stay in plan.stays:
        by_item.setdefault(stay.item, []).append((stay.start, stay.end))
    for a, item in enumerate(problem.items):
        times = sorted(by_item.get(a, []))
        if not times:
            found.append(f"tensor '{item.name}' is never on chip")
        elif item.producer is not None and times[0][0] != created[item.producer]:
            found.append(
                f"tensor '{item.name}' appears at step {times[0][0]}, but its operator runs at "
                f"step {created[item.producer]}"
            )
        for (_, end), (start, _) in pairwise(times):
            if start <= end + 1:
                found.append(
                    f"tensor '{item.name}' is retrieved at step {start} with no step off chip "
                    f"after step {end}"
                )
    return found


def _step_faults(problem: Problem, plan: Plan) -> list[str]:
    """Faults of single steps: operands on chip, capacity, overlap."""
    found = []
    for t, resident in enumerate(_steps(problem, plan)):
        op = plan.order[t]
        present = {a for a, _, _ in resident}
        for a, item in enumerate(problem.items):
            if (item.producer == op or op in item.consumers) and a not in present:
                found.append(
                    f"step {t} runs '{problem.operators[op]}' while tensor '{item.name}' is off "
                    f"chip"
                )
        top, below = 0, ""
        for a, address, size in sorted(resident, key=lambda row: (row[1], row[0])):
            name = problem.items[a].name
            if address < top or address < 0:
                found.append(f"step {t}: tensor '{name}' at {address} overlaps '{below}'")
            top, below = max(top, address + size), name
        if top > plan.budget_bytes:
            found.append(
                f"step {t}: tensor '{below}' ends at {top}, but the scratchpad holds "
                f"{plan.budget_bytes} B"
            )
    return found


def _steps(problem: Problem, plan: Plan) -> list[list[tuple[int, int, int]]]:
    """(item, address, size) of what is on chip at each step."""
    steps: list[list[tuple[int, int, int]]] = [[] for _ in plan.order]
    for stay, address in zip(plan.stays, plan.addresses, strict=True):
        for t in range(stay.start, stay.end + 1):
            steps[t].append((stay.item, address, problem.items[stay.item].size))
    return steps
