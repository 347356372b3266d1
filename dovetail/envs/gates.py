"""What a network costs on the gates: latency as the simulated RTL counts it, the rest modelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.envs.flow_costing import FlowWork
from dovetail.errors import MappingError, MissingToolError, ToolError
from dovetail.flow import map_network
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.simulators import require_tools
from dovetail.verify.networks import random_subject, verify_network


@dataclass(frozen=True)
class GatesWork:
    """Networks run on RTL machines, one design at a time, with random weights and one image.

    Latency, and what depends on it, is the gates'; energy and area are those of the cycle
    simulator. A design is built and run once per process: for networks of some kMACs.

    Attributes:
        simulated: the same designs at fidelity `cycle`.
    """

    simulated: FlowWork

    @property
    def workload(self) -> FlowWork:
        """How operators are mapped."""
        return self.simulated

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics of its designs."""
        return self.simulated.names

    def base(self, choice: IntArray) -> dict[str, float]:
        """Metrics of the base design, at fidelity `cycle`: references are not worth the gates."""
        return self.simulated.base(choice)

    def metrics(self, choices: IntArray, hardware: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) of lawful designs; NaN where an operator cannot be mapped.

        Raises:
            AcceleratorError: if a design is no RTL machine.
            MissingToolError: if neither Icarus nor Verilator is installed.
            ToolError: if simulator and gates disagree.
        """
        costs = self.simulated.metrics(choices, hardware)
        for row in np.flatnonzero(np.isfinite(costs["latency_ms"])):
            design = cast(SystolicArray, self.simulated.hardware.decode(hardware[row]))
            cycles = self._cycles(self.simulated.network(choices[row]), design)
            ratio = cycles / design.clock_mhz / 1e3 / costs["latency_ms"][row]
            for name, power in (("latency_ms", 1), ("edp_mj_ms", 1), ("utilization", -1)):
                costs[name][row] *= ratio**power
        return costs

    def _cycles(self, network: Network, design: SystolicArray) -> float:
        """Cycles of the gates; NaN if the network does not fit them."""
        work = self.simulated
        try:
            mapped = map_network(network, design, objective=work.mapping, mapper=work.mapper)
            subject = random_subject(network, design, images=1, seed=0)
            verdict = verify_network(replace(subject, tilings=mapped.tilings), design, simulator())
        except MappingError:
            return np.nan
        if verdict.failures:
            raise ToolError(
                f"gates of '{design.name}' running '{network.name}' differ from the simulator: "
                f"{verdict.failures[0].detail}"
            )
        return float(verdict.results[0].cycles)


def simulator() -> str:
    """The simulator of gates that is installed: Icarus, which builds in a second, or Verilator.

    Raises:
        MissingToolError: if neither is.
    """
    try:
        require_tools("icarus")
    except MissingToolError:
        require_tools("verilator")
        return "verilator"
    return "icarus"
