"""The mixed-precision problem: how many bits each layer's weights and inputs have.

References:
    Yao et al., "HAWQ-V3", ICML 2021 (perturbation against size, bit operations, latency).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.envs.objectives import (
    Constraint,
    assess,
    broken,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.envs.problem import Evaluation, Objective
from dovetail.errors import ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space
from dovetail.mappers.bits.assign import assign_bits
from dovetail.mappers.bits.costs import bit_costs
from dovetail.networks.bits.layers import Option, layer_graph

BITS = (2, 4, 8)
FLOAT_BITS = 32
"""Width of what compression is measured against."""

COSTS = ("size_mb", "gbops")
ARRAY_COSTS = ("latency_ms", "energy_mj")
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps whose multiples modulo 1 fill the square evenly (Roberts 2018)."""


class ErrorOracle(Protocol):
    """Knows how well a trained network does under bits of every layer."""

    def errors(self, weight_bits: IntArray, input_bits: IntArray) -> FloatArray:
        """Share of held-out samples classified wrong (n,), of bits (n, layers)."""


class MixedPrecisionProblem:
    """Designs (n, 2 x layers): bits of a layer's weights, then of what it reads, layer by layer.

    Metrics: `error` (of a trained network only), `perturbation` of the loss, `size_mb` of weights,
    `gbops` (10^9 MACs x bits x bits), and on an array `latency_ms` and `energy_mj`. Size and bit
    operations count in decades against 32 bits, where their hypervolume has its corner; so does
    perturbation, against the fewest bits; latency and energy against the most bits.

    Attributes:
        graph: the layers.
        sensitivity: perturbation (layers,) of the fewest bits.
        perturbation: (layers, bits, bits) by weights and inputs.

    Args:
        network: what is quantized.
        perturbation: (layers, bits x bits), weights' bits outermost; see
            `dovetail.networks.bits.sensitivity`.
        bits: widths to choose from, ascending.
        objectives: metrics to minimise; None for error or perturbation, size and bit operations.
        constraints: bounds such as `size_mb<=4`.
        oracle: measures errors; None where nothing is trained.
        accelerator: an ideal systolic array that runs the network; None for none.
        source: fields of a specification that rebuild all this.

    Raises:
        ProblemError: if bits, objectives or constraints are ill-formed.
        MappingError: if the accelerator cannot run the network with bits per layer.
    """

    def __init__(
        self, network: Network, perturbation: FloatArray, bits: Sequence[int] = BITS,
        objectives: Iterable[str] | None = None, constraints: Iterable[str] = (), *,
        oracle: ErrorOracle | None = None, accelerator: SystolicArray | None = None,
        source: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.network, self.graph = network, layer_graph(network)
        self.bits, self.options = check_bits(bits)
        self._values = np.array(self.bits)
        self._oracle, self._accelerator = oracle, accelerator
        self._source = dict(source or {"network": network.name})
        side = (len(self.graph), len(self.bits), len(self.bits))
        self.perturbation = perturbation.reshape(side)
        self.sensitivity: FloatArray = self.perturbation[:, 0, 0]
        self.space = Space(
            tuple(
                Knob(f"{layer.name}.{what}_bits", self.bits)
                for layer in self.graph.layers
                for what in ("weight", "input")
            )
        )
        self._tables = {name: table.reshape(side) for name, table in self._costs().items()} | {
            "perturbation": self.perturbation
        }
        on_array = f"-{accelerator.name}" if accelerator else ""
        self.name = f"mixed-precision-{network.name}{on_array}"
        first = "error" if oracle else "perturbation"
        self.metrics = (*(["error"] if oracle else []), *self._tables)
        self.constraints: tuple[Constraint, ...] = parse_constraints(
            constraints, available=self.metrics
        )
        self.objectives: tuple[Objective, ...] = parse_objectives(
            objectives if objectives is not None else (first, *COSTS),
            available=self.metrics,
            references=self._references(),
        )

    @cached_property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume."""
        return reference_point(self.objectives)

    def _costs(self) -> dict[str, FloatArray]:
        """Costs (layers, options) by name."""
        found = {
            "size_mb": self.graph.size_mb(self.options),
            "gbops": self.graph.gbops(self.options),
        }
        self._rest = dict.fromkeys(ARRAY_COSTS, 0.0)
        if self._accelerator is not None:
            costs = bit_costs(self.network, self.graph, self._accelerator, self.options)
            found |= {"latency_ms": costs.latency_ms, "energy_mj": costs.energy_mj}
            self._rest = {"latency_ms": costs.rest_ms, "energy_mj": costs.rest_mj}
        return found

    def _references(self) -> dict[str, float]:
        full = [(FLOAT_BITS, FLOAT_BITS)]
        references = {
            "size_mb": float(self.graph.size_mb(full).sum()),
            "gbops": float(self.graph.gbops(full).sum()),
            "perturbation": max(float(self.sensitivity.sum()), 1e-300),
        }
        for name in ARRAY_COSTS:
            if name in self._tables:
                most = self._tables[name][:, -1, -1].sum() + self._rest[name]
                references[name] = float(f"{most:.6g}")
        return references

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs).

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        weights, inputs = designs[:, 0::2], designs[:, 1::2]
        layer = np.arange(len(self.graph))
        metrics = {}
        for name, table in self._tables.items():
            total = table[layer, weights, inputs].sum(axis=1) + self._rest.get(name, 0.0)
            metrics[name] = np.maximum(total, 1e-300)  # logarithms are taken
        if self._oracle is not None:
            metrics["error"] = self._oracle.errors(self._values[weights], self._values[inputs])
        return assess(metrics, np.zeros(len(designs)), self.objectives, self.constraints)

    def reasons(self, design: IntArray) -> list[str]:
        """Constraints that one design (knobs,) breaks; empty if none."""
        evaluation = self.evaluate(np.asarray(design, dtype=np.int64)[None])
        return broken(evaluation.metrics, self.constraints)

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): all are lawful."""
        return tuple(np.ones(len(self.bits), dtype=np.bool_) for _ in self.space.knobs)

    def uniform(self) -> IntArray:
        """The designs (bits, knobs) of one width everywhere."""
        return np.tile(np.arange(len(self.bits))[:, None], len(self.space.knobs))

    def solved(self, count: int) -> IntArray:
        """Designs (k <= count, knobs) of least perturbation under limits spread over the range.

        Each bounds size and bit operations between the fewest and the most bits, its ends first.
        """
        tables = {name: self._tables[name].reshape(len(self.graph), -1) for name in COSTS}
        perturbation = self.perturbation.reshape(len(self.graph), -1)
        found = []
        for place in range(count):
            # Behind the ends, exponents fill the square evenly.
            where = [1.0, 0.0][place] if place < 2 else None
            limits = {}
            for step, (name, table) in zip(GOLDEN, tables.items(), strict=True):
                low, high = table.min(axis=1).sum(), table.max(axis=1).sum()
                share = (place - 1) * step % 1 if where is None else where
                limits[name] = float(low * (high / low) ** share)
            chosen = assign_bits(perturbation, tables, limits)
            found.append(np.stack(np.divmod(chosen, len(self.bits)), axis=1).reshape(-1))
        designs = np.array(found, dtype=np.int64).reshape(count, len(self.space.knobs))
        _, first = np.unique(designs, axis=0, return_index=True)
        return designs[np.sort(first)]

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        base = None
        if self._accelerator is not None:
            base = self._accelerator.to_dict()
        return {
            "problem": "mixed_precision", **self._source, "bits": list(self.bits), "base": base,
            "objectives": [objective.name for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
        }  # fmt: skip


def check_bits(bits: object) -> tuple[tuple[int, ...], tuple[Option, ...]]:
    """Widths, and all pairs of a weights' and an inputs' width.

    Raises:
        ProblemError: if they are no ascending list of whole numbers within 2 to 16.
    """
    listed = tuple(bits) if isinstance(bits, list | tuple) else ()
    good = all(type(b) is int and 2 <= b <= 16 for b in listed)
    if not listed or not good or list(listed) != sorted(set(listed)):
        raise ProblemError(f"bits = {bits!r}: must be ascending whole numbers within 2 to 16")
    return listed, tuple(itertools.product(listed, listed))
