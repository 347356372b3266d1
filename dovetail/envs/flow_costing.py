"""What accelerators of any family cost: each design is mapped by the flow, operators memoised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.engines import FpgaEngines
from dovetail.arch.fpga import FpgaDataflow
from dovetail.arch.knobs import DesignSpace
from dovetail.envs.costing import METRICS
from dovetail.errors import MappingError, UnknownNameError
from dovetail.flow import family_of, map_network
from dovetail.flows.engines import MappedEngines
from dovetail.flows.fpga import MappedFpga
from dovetail.ir.network import Network
from dovetail.ir.report import Report
from dovetail.ir.space import FloatArray, IntArray

DEVICE_SHARE = "device_share"
"""The largest share of any resource of an FPGA."""


@dataclass(frozen=True)
class FlowWork:
    """Networks mapped one design at a time.

    A design takes as long as its distinct operators take to map: tenths of a second to seconds,
    where a systolic array's closed form takes microseconds. An operator that was mapped onto the
    same array before, whatever the network, is not mapped again
    (`dovetail.mappers.spatial.mapper`).

    Attributes:
        hardware: the accelerators.
        network: network of an index vector of choices.
        mapping: what each mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's.
        fidelity: at which costs are read: `estimate`, or `cycle` where the family has it.
    """

    hardware: DesignSpace
    network: Callable[[IntArray], Network]
    mapping: str
    mapper: str
    fidelity: str = "estimate"

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics of its designs: FPGAs also take a share of their device."""
        fpga = isinstance(self.hardware.base, FpgaDataflow | FpgaEngines)
        return (*METRICS, DEVICE_SHARE) if fpga else METRICS

    def metrics(self, choices: IntArray, hardware: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) of lawful designs; NaN where an operator cannot be mapped."""
        rows = [
            self.of(self.network(choice), self.hardware.decode(design))
            for choice, design in zip(choices, hardware, strict=True)
        ]
        return {name: np.array([row[name] for row in rows]) for name in self.names}

    def base(self, choice: IntArray) -> dict[str, float]:
        """Metrics of the base design with a choice (knobs,) of the network.

        Raises:
            MappingError: if it cannot be mapped.
        """
        return self._cost(self.network(choice), self.hardware.base)

    @property
    def workload(self) -> FlowWork:
        """Where `mapping` and `mapper` stand, as in a batch."""
        return self

    def of(self, network: Network, accelerator: Accelerator) -> dict[str, float]:
        """Metrics of one network on one accelerator; NaN if it cannot be mapped."""
        try:
            return self._cost(network, accelerator)
        except MappingError:
            return dict.fromkeys(self.names, np.nan)

    def _cost(self, network: Network, accelerator: Accelerator) -> dict[str, float]:
        mapped = map_network(network, accelerator, objective=self.mapping, mapper=self.mapper)
        found = _metrics(mapped.report(self.fidelity))
        if isinstance(mapped, MappedFpga | MappedEngines):
            found[DEVICE_SHARE] = mapped.device_share
        return found


def _metrics(report: Report) -> dict[str, float]:
    energy_mj = report.energy_pj * 1e-9
    return {
        "latency_ms": report.latency_ms,
        "energy_mj": energy_mj,
        "edp_mj_ms": energy_mj * report.latency_ms,
        "area_mm2": report.area_mm2,
        "utilization": float(report.total["utilization"]),
    }


def mapper_of(accelerator: Accelerator, mapper: str | None) -> str:
    """The mapper itself, or the family's first.

    Raises:
        UnknownNameError: if the family has none of that name.
    """
    known = family_of(accelerator).mappers()
    if mapper is None:
        return known[0]
    if mapper not in known:
        raise UnknownNameError("mapper", mapper, known)
    return mapper
