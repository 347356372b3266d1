"""The accelerator problem: which accelerator runs a given network best."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dovetail.arch.knobs import DesignSpace
from dovetail.arch.space import SystolicSpace
from dovetail.envs.costing import BatchWork, Networks, Workload, rows_by_operator
from dovetail.envs.flow_costing import FlowWork, mapper_of
from dovetail.envs.hardware import HardwareProblem, Work, parse_hardware
from dovetail.envs.registry import check_fields
from dovetail.errors import NetworkError, ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray, Space
from dovetail.networks.registry import SUFFIXES, load_network

OBJECTIVES = ("latency_ms", "energy_mj", "area_mm2")

DEFAULTS: dict[str, object] = {
    "network": "resnet18",
    "network_sha256": None,
    "base": "edge",
    "knobs": None,
    "objectives": OBJECTIVES,
    "constraints": (),
    "mapping": "latency",
    "mapper": None,
}
"""Fields of a specification: the digest that the network's file must have, if it is one, and the
arguments of `AcceleratorProblem`."""


class AcceleratorProblem(HardwareProblem):
    """Designs are the accelerator's parameters; the network is fixed.

    Args:
        network: the network, or what `load_network` takes.
        hardware: the accelerators.
        objectives: metrics to minimise; costs count in decades against the base design.
        constraints: bounds such as `area_mm2<=20`.
        mapping: what each operator's mapping minimises: `latency`, `energy` or `edp`.
        mapper: one of the family's; None for `greedy` on systolic arrays (`exhaustive` is slower,
            rarely better), else for the family's first.

    Raises:
        ProblemError: if the base design is illegal, or objectives or constraints are ill-formed.
        NetworkError: if the network holds nothing that takes time.
    """

    def __init__(
        self,
        network: Network | str,
        hardware: DesignSpace,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
        *,
        mapping: str = "latency",
        mapper: str | None = None,
    ) -> None:
        self._network = load_network(network) if isinstance(network, str) else network
        self.source = network if isinstance(network, str) else None
        self.network_sha256 = file_digest(self.source)
        work: Work
        if isinstance(hardware, SystolicSpace):
            work = self._batch(hardware, mapping, mapper or "greedy")
        else:
            chosen = mapper_of(hardware.base, mapper)
            work = FlowWork(hardware, self.network, mapping, chosen)
        self.name = f"accelerator-{self._network.name}-{hardware.base.name}"
        super().__init__(hardware, work, Space(()), work.names, objectives, constraints)

    def _batch(self, hardware: SystolicSpace, mapping: str, mapper: str) -> BatchWork:
        rows = rows_by_operator(self._network, hardware.base.machine)
        if not rows:
            raise NetworkError(f"network '{self._network.name}' has no operator that takes time")
        distinct, index = np.unique(np.stack(list(rows.values())), axis=0, return_inverse=True)
        self._index = index.reshape(-1)
        return BatchWork(hardware, Workload(distinct, mapping, mapper), self._networks)

    def network(self, design: IntArray) -> Network:
        """The network that every design runs."""
        return self._network

    def _networks(self, choices: IntArray) -> Networks:
        return self._index[None], np.zeros(len(choices), dtype=np.int64)

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem.

        A network from a file is described by path and digest. One handed over as an object is
        described by its name and digest, which identify it but do not rebuild it.
        """
        source: dict[str, object] = {"network": self.source}
        if self.source is None:
            digest = hashlib.sha256(repr(self._network).encode()).hexdigest()
            source["network"] = {"name": self._network.name, "sha256": digest}
        elif self.network_sha256 is not None:
            source["network_sha256"] = self.network_sha256
        return {"problem": "accelerator", **source, **self._hardware_spec()}


def from_spec(spec: Mapping[str, object]) -> AcceleratorProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed.
    """
    fields = check_fields(spec, DEFAULTS)
    network = fields["network"]
    if not isinstance(network, str | Network):
        raise ProblemError(
            f"network = {network!r}: must be a name or a file; a network that was handed over as "
            "an object has to be handed over again"
        )
    problem = AcceleratorProblem(
        network,
        parse_hardware(fields["base"], fields["knobs"]),
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        mapping=str(fields["mapping"]),
        mapper=None if fields["mapper"] is None else str(fields["mapper"]),
    )
    expected, found = fields["network_sha256"], problem.network_sha256
    if expected is not None and found != expected:
        raise ProblemError(
            f"network '{network}' has SHA-256 {str(found)[:12]}…, but the specification was made "
            f"with {str(expected)[:12]}…: give the same file"
        )
    return problem


def file_digest(network: str | None) -> str | None:
    """SHA-256 of the file that a network is read from; None if it is not from a file."""
    if network is None or Path(network).suffix.lower() not in SUFFIXES:
        return None
    return hashlib.sha256(Path(network).read_bytes()).hexdigest()
