"""The accelerator problem: which systolic array runs a given network best."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from dovetail.arch.space import SystolicSpace
from dovetail.envs.costing import METRICS, Workload, rows_by_operator
from dovetail.envs.registry import check_fields
from dovetail.envs.systolic import SystolicProblem, parse_hardware
from dovetail.errors import NetworkError, ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray, Space
from dovetail.networks.registry import load_network

OBJECTIVES = ("latency_ms", "energy_mj", "area_mm2")

DEFAULTS: dict[str, object] = {
    "network": "resnet18",
    "base": "edge",
    "knobs": None,
    "objectives": OBJECTIVES,
    "constraints": (),
    "mapping": "latency",
    "mapper": "greedy",
}
"""Fields of a specification; see `AcceleratorProblem`."""


class AcceleratorProblem(SystolicProblem):
    """Designs are the accelerator's parameters; the network is fixed.

    Args:
        network: the network, or what `load_network` takes.
        hardware: the accelerators.
        objectives: metrics to minimise; costs count in decades against the base design.
        constraints: bounds such as `area_mm2<=20`.
        mapping: what each operator's tiling minimises: `latency`, `energy` or `edp`.
        mapper: `greedy`, or `exhaustive`: slower, rarely better.

    Raises:
        ProblemError: if the base design is illegal, or objectives or constraints are ill-formed.
        NetworkError: if the network holds nothing that takes time.
    """

    def __init__(
        self,
        network: Network | str,
        hardware: SystolicSpace,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
        *,
        mapping: str = "latency",
        mapper: str = "greedy",
    ) -> None:
        self._network = load_network(network) if isinstance(network, str) else network
        self.source = network if isinstance(network, str) else None
        rows = rows_by_operator(self._network)
        if not rows:
            raise NetworkError(f"network '{self._network.name}' has no operator that takes time")
        distinct, index = np.unique(np.stack(list(rows.values())), axis=0, return_inverse=True)
        self._index = index.reshape(-1)
        workload = Workload(distinct, mapping, mapper)
        self.name = f"accelerator-{self._network.name}-{hardware.base.name}"
        super().__init__(hardware, workload, Space(()), METRICS, objectives, constraints)

    def network(self, design: IntArray) -> Network:
        """The network that every design runs."""
        return self._network

    def _networks(self, choices: IntArray) -> IntArray:
        return np.broadcast_to(self._index, (len(choices), len(self._index)))

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem.

        A network handed over as an object is described by its name and digest, which identify it
        but do not rebuild it.
        """
        source: object = self.source
        if source is None:
            digest = hashlib.sha256(repr(self._network).encode()).hexdigest()
            source = {"name": self._network.name, "sha256": digest}
        return {"problem": "accelerator", "network": source, **self._hardware_spec()}


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
    return AcceleratorProblem(
        network,
        parse_hardware(fields["base"], fields["knobs"]),
        fields["objectives"],  # type: ignore[arg-type]  # parse_objectives checks it
        fields["constraints"],  # type: ignore[arg-type]  # parse_constraints checks it
        mapping=str(fields["mapping"]),
        mapper=str(fields["mapper"]),
    )
