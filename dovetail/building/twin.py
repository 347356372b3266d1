"""A network on a design as the gates run it, with what they must answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.building.adapt import adapted, larger, obstacles
from dovetail.errors import AcceleratorError, MappingError, ToolError
from dovetail.flow import map_network
from dovetail.ir.executable import Bytes, Executable
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.lower import lower
from dovetail.networks.quantized import QuantizedNetwork
from dovetail.sim import rtl
from dovetail.sim.cycle import run_executable
from dovetail.sim.interpreter import execute
from dovetail.sim.values_network import reference

DOUBLINGS = 8
DONE = 1
"""Cycles from the end of the last segment to `done_o`, a register."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One image.

    Attributes:
        image: (C, H, W) codes.
        memory: before the run.
        answer: the output's (C, H, W) values.
        after: memory after the run.
    """

    image: NDArray[Any]
    memory: Bytes
    answer: IntArray
    after: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A network lowered to a design that can be built.

    Attributes:
        design: an RTL machine.
        changes: what was adapted.
        network: of integers.
        executable: its program.
        cycles: of one run, by the simulator; `done_o` rises in this cycle, the start's being 0.
        cases: what the gates must answer.
    """

    design: SystolicArray
    changes: tuple[str, ...]
    network: QuantizedNetwork
    executable: Executable
    cycles: int
    cases: tuple[Case, ...]

    @property
    def parameters(self) -> dict[str, int]:
        """Of `dovetail_accelerator`."""
        return rtl.parameters(
            self.design,
            param_depth=self.executable.param_depth,
            program_depth=self.executable.program_depth,
        )


def make_twin(
    design: SystolicArray,
    network: QuantizedNetwork,
    images: Sequence[NDArray[Any]],
    *,
    graph: Network | None = None,
    adapt: bool = False,
) -> Twin:
    """Lowers a network to a design and works out what the gates must answer.

    Args:
        design: what is to be built.
        network: of integers.
        images: (C, H, W) codes.
        graph: the same network before it was quantized, whose tilings the mapper chooses; simple
            tilings without it.
        adapt: build the nearest design that can be built, where this one cannot.

    Raises:
        AcceleratorError: if the design cannot be built.
        MappingError: if the network does not fit it.
    """
    if adapt:
        near, executable = _adapted(design, network, graph)
    elif reasons := obstacles(design):
        raise AcceleratorError(
            f"design '{design.name}' cannot be built: {'; '.join(reasons)}; or take the nearest "
            "that can by --adapt"
        )
    else:
        near, executable = design, _lowered(design, network, graph)
    cases = tuple(_case(network, executable, image) for image in images)
    cycles = run_executable(executable, near).total + DONE
    return Twin(near, changes(design, near), network, executable, cycles, cases)


def changes(design: SystolicArray, near: SystolicArray) -> tuple[str, ...]:
    """Parameters that differ, as `rows 3 -> 4`."""
    old, new = design.to_dict(), near.to_dict()
    return tuple(f"{key} {old[key]} -> {new[key]}" for key in new if new[key] != old[key])


def _lowered(design: SystolicArray, network: QuantizedNetwork, graph: Network | None) -> Executable:
    tilings = map_network(graph, design).tilings if graph is not None else None
    return lower(network, design, tilings)


def _adapted(
    design: SystolicArray, network: QuantizedNetwork, graph: Network | None
) -> tuple[SystolicArray, Executable]:
    """The nearest design whose scratchpads hold a tile of every layer."""
    near = adapted(design, network)
    for _ in range(DOUBLINGS):
        try:
            return near, _lowered(near, network, graph)
        except MappingError:
            near = larger(near)
    return near, _lowered(near, network, graph)


def _case(network: QuantizedNetwork, executable: Executable, image: NDArray[Any]) -> Case:
    memory = executable.memory(image)
    after = memory.copy()
    execute(executable, after)
    answer = executable.region(executable.output).unpack(after)
    if not np.array_equal(answer, reference(network, image)[network.output]):
        raise MappingError(
            f"program of '{network.name}' computes other values than the network: a bug in its "
            "lowering"
        )
    return Case(image, memory, answer, after)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates did.

    Attributes:
        images: that were run.
        equal: of those, with exactly the answer expected.
        cycles: of the first run, counted by the gates.
        expected: cycles that the simulator counts.
    """

    images: int
    equal: int
    cycles: int
    expected: int

    @property
    def passed(self) -> bool:
        """Whether values and cycles are exactly those expected."""
        return self.equal == self.images and self.cycles == self.expected


def verify(twin: Twin, simulator: str) -> Verdict:
    """Runs all cases in the gates.

    Args:
        twin: what to run.
        simulator: "verilator" or "icarus".

    Raises:
        MissingToolError: if the simulator is not installed.
        ToolError: if it fails, or the gates break a rule of their bus.
    """
    equal, cycles = 0, []
    region = twin.executable.region(twin.executable.output)
    for case in twin.cases:
        done = rtl.run_executable(
            twin.executable, twin.design, case.memory, simulator, limit=4 * twin.cycles + 10_000
        )
        if done.failure:
            raise ToolError(f"the gates of '{twin.design.name}' fail: {done.failure}")
        cycles.append(done.cycles)
        equal += np.array_equal(region.unpack(done.memory), case.answer)
    wrong = [count for count in cycles if count != cycles[0]]
    return Verdict(len(twin.cases), int(equal), wrong[0] if wrong else cycles[0], twin.cycles)
