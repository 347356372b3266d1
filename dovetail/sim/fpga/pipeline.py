"""A network as a pipeline of FINN's nodes, and what foldings of it cost, thousands at a time.

A folding gives `pe` and `simd` of every compute node (matrix-vector or vector-vector unit). The
other nodes follow: each takes the least parallelism with which it is no slower than the slowest
compute node; where none is, its most. The window generator in front of a vector-vector unit has as
many channels at once as the unit, and hands over whole windows once the unit takes several taps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dovetail.ir.space import BoolArray, FloatArray, IntArray
from dovetail.sim.fpga import cycles, resources
from dovetail.sim.fpga.cycles import Slide
from dovetail.sim.fpga.resources import Numbers

COMPUTE = ("matrix", "vector")
FOLLOWERS = ("window", "pool", "stream")
RESOURCES = ("lut", "dsp", "bram18", "uram")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the pipeline.

    Attributes:
        name: unique within the pipeline.
        operator: of the network, to which it belongs.
        kind: `matrix` or `vector` (compute), `window`, `pool` or `stream` (followers).
        outputs: what `pe` divides: output channels of a matrix, channels of the others.
        fan_in: what `simd` divides: matrix width, or kernel taps.
        vectors: input vectors, or output pixels.
        slide: of a window generator.
        reader: of a depthwise window generator: the vector-vector unit or pooling that it feeds.
        compares: of a stream: whether it holds thresholds.
    """

    name: str
    operator: str
    kind: str
    outputs: int
    fan_in: int = 1
    vectors: int = 1
    slide: Slide | None = None
    reader: str = ""
    compares: bool = False

    def cycles(self, pe: cycles.Counts, simd: cycles.Counts) -> IntArray:
        """Cycles per inference of foldings."""
        match self.kind:
            case "matrix":
                return cycles.mvau_cycles(self.fan_in, self.outputs, self.vectors, pe, simd)
            case "vector":
                return cycles.vvau_cycles(self.outputs, self.fan_in, self.vectors, pe, simd)
            case "pool":
                return cycles.pool_cycles(self.outputs, self.fan_in, self.vectors, pe)
            case "window":
                assert self.slide is not None
                return cycles.window_cycles(self.slide, pe)
        return cycles.stream_cycles(self.outputs, self.vectors, pe)


@dataclass(frozen=True, slots=True)
class Costs:
    """What n foldings of a pipeline of m nodes cost.

    Attributes:
        pe: of every node, (n, m).
        simd: of every node, (n, m); 1 for followers.
        cycles: of every node, (n, m).
        used: resources by name of `RESOURCES`, of every node, (n, m).
    """

    pe: IntArray
    simd: IntArray
    cycles: IntArray
    used: dict[str, IntArray]

    @property
    def interval(self) -> IntArray:
        """Cycles between two inferences, (n,): the slowest node's."""
        return cycles.interval(self.cycles)

    @property
    def totals(self) -> dict[str, IntArray]:
        """Resources of all nodes together, each (n,)."""
        return {name: each.sum(axis=1) for name, each in self.used.items()}

    def excess(self, budget: dict[str, float]) -> FloatArray:
        """Relative excess over a budget (n,), summed over resources; 0 within it."""
        over = np.zeros(len(self.cycles))
        for name, total in self.totals.items():
            over += np.maximum(total - budget[name], 0) / max(budget[name], 1)
        return over


@dataclass(frozen=True)
class Pipeline:
    """Nodes in the order of the network, and how they calculate.

    Attributes:
        network: its name.
        nodes: all nodes.
        numbers: widths and memories of compute nodes.
    """

    network: str
    nodes: tuple[Node, ...]
    numbers: Numbers

    @cached_property
    def compute(self) -> tuple[int, ...]:
        """Places of the compute nodes."""
        return tuple(i for i, node in enumerate(self.nodes) if node.kind in COMPUTE)

    @cached_property
    def pe_choices(self) -> tuple[IntArray, ...]:
        """Legal `pe` of each compute node, ascending."""
        return tuple(divisors(self.nodes[i].outputs) for i in self.compute)

    @cached_property
    def simd_choices(self) -> tuple[IntArray, ...]:
        """Legal `simd` of each compute node, ascending.

        Of a vector-vector unit they count only with all channels at once (see `whole_channels`).
        """
        return tuple(divisors(self.nodes[i].fan_in) for i in self.compute)

    def whole_channels(self, pe: IntArray, simd: IntArray) -> FloatArray:
        """How many vector-vector units (n,) take several taps without all channels at once.

        The window generator cannot feed them.
        """
        channels = np.array([self.nodes[i].outputs for i in self.compute])
        vector = np.array([self.nodes[i].kind == "vector" for i in self.compute])
        return np.asarray((vector & (simd > 1) & (pe < channels)).sum(axis=1), dtype=np.float64)

    def costs(self, pe: IntArray, simd: IntArray) -> Costs:
        """What foldings cost.

        Args:
            pe: of the compute nodes, (n, compute nodes).
            simd: alike.
        """
        shape = (len(pe), len(self.nodes))
        full_pe, full_simd = np.ones(shape, np.int64), np.ones(shape, np.int64)
        full_pe[:, self.compute], full_simd[:, self.compute] = pe, simd
        taken = np.zeros(shape, np.int64)
        for i in self.compute:
            taken[:, i] = self.nodes[i].cycles(full_pe[:, i], full_simd[:, i])
        target = taken.max(axis=1) if self.compute else np.zeros(len(pe), np.int64)
        place = {node.name: i for i, node in enumerate(self.nodes)}
        whole: dict[int, BoolArray] = {}
        for i, node in enumerate(self.nodes):
            if node.kind in FOLLOWERS and not node.reader:
                full_pe[:, i], taken[:, i] = _least(node.outputs, node.cycles, target)
                if node.slide is not None:
                    whole[i] = (taken[:, i] > target) & (full_pe[:, i] == node.outputs)
        for i, node in enumerate(self.nodes):
            if node.reader:
                full_pe[:, i] = full_pe[:, place[node.reader]]
                taken[:, i] = node.cycles(full_pe[:, i], 1)
                whole[i] = full_simd[:, place[node.reader]] > 1
        for i, parallel in whole.items():
            slide = self.nodes[i].slide
            assert slide is not None
            once = cycles.window_cycles(slide, full_pe[:, i], parallel=True)
            taken[:, i] = np.where(parallel, once, taken[:, i])
        return Costs(full_pe, full_simd, taken, self._used(full_pe, full_simd, whole))

    def _used(
        self, pe: IntArray, simd: IntArray, whole: dict[int, BoolArray]
    ) -> dict[str, IntArray]:
        used = {name: np.zeros(pe.shape, dtype=np.int64) for name in RESOURCES}
        for i, node in enumerate(self.nodes):
            use = self._use(node, pe[:, i], simd[:, i])
            if i in whole:
                use = _chosen(whole[i], self._use(node, pe[:, i], simd[:, i], parallel=True), use)
            for name, values in use.items():
                used[name][:, i] = values
        return used

    def _use(
        self, node: Node, pe: IntArray, simd: IntArray, *, parallel: bool = False
    ) -> dict[str, IntArray]:
        """Resources of foldings of one node; what is not named is not used."""
        own = self.numbers
        if node.kind in COMPUTE:
            vector, weights = node.kind == "vector", node.fan_in * node.outputs
            return {
                "lut": resources.compute_luts(
                    node.fan_in, node.outputs, pe, simd, own, vector=vector
                ),
                "dsp": resources.compute_dsps(pe, simd, own),
                "bram18": resources.weight_bram18(weights, pe, simd, own),
                "uram": resources.weight_urams(weights, pe, simd, own),
            }
        if node.slide is not None:
            return self._window_use(node.slide, pe, parallel=parallel)
        return {"lut": resources.stream_luts(pe, own.input_bits)} if node.compares else {}

    def _window_use(self, slide: Slide, pe: IntArray, *, parallel: bool) -> dict[str, IntArray]:
        bits, control = self.numbers.input_bits, np.full_like(pe, resources.BASE_LUTS)
        match self.numbers.window_memory:
            case "distributed":
                return {"lut": resources.window_luts(slide, pe, bits, parallel=parallel)}
            case "ultra":
                blocks = resources.window_urams(slide, pe, bits, parallel=parallel)
                return {"lut": control, "uram": blocks}
        blocks = resources.window_bram18(slide, pe, bits, parallel=parallel)
        return {"lut": control, "bram18": blocks}

    def use_grid(self, position: int) -> dict[str, IntArray]:
        """Resources (pe choices, simd choices) of the compute node at a position."""
        node = self.nodes[self.compute[position]]
        pe, simd = self.pe_choices[position][:, None], self.simd_choices[position][None, :]
        zeros = np.zeros((pe.shape[0], simd.shape[1]), dtype=np.int64)
        return {name: use + zeros for name, use in self._use(node, pe, simd).items()}

    def least_use(self) -> dict[str, int]:
        """A bound of every resource that no folding goes below: the sum of nodes' least."""
        least = dict.fromkeys(RESOURCES, 0)
        for position in range(len(self.compute)):
            for name, use in self.use_grid(position).items():
                least[name] += int(use.min())
        for node in self.nodes:
            if node.kind in FOLLOWERS:
                pe = divisors(node.outputs)
                kinds = [self._use(node, pe, pe), self._use(node, pe, pe, parallel=True)]
                for name in kinds[0]:
                    least[name] += int(min(kind[name].min() for kind in kinds))
        return least


def _chosen(
    flags: BoolArray, one: dict[str, IntArray], other: dict[str, IntArray]
) -> dict[str, IntArray]:
    return {name: np.where(flags, one[name], other[name]) for name in one}


def divisors(number: int) -> IntArray:
    """All divisors, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return np.unique(np.array([*small, *(number // d for d in small)], dtype=np.int64))


def _least(
    outputs: int, taken: Callable[[IntArray, int], IntArray], target: IntArray
) -> tuple[IntArray, IntArray]:
    """Parallelism (n,) of a follower under targets (n,), and its cycles (n,)."""
    choices = divisors(outputs)
    times = taken(choices, 1)  # falls with parallelism
    first = (times[None, :] > target[:, None]).sum(axis=1)
    first = np.minimum(first, len(choices) - 1)
    return choices[first], times[first]
