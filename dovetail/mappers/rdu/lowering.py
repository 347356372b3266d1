"""Networks as stages of an RDU: views gone, products shared by the sockets, tiles' axes known."""

from __future__ import annotations

import math

from dovetail.arch.rdu import BYTES, Rdu
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.tensor import Tensor
from dovetail.mappers.rdu.axes import passed
from dovetail.mappers.rdu.sharding import Sharding, is_view, shard
from dovetail.sim.rdu.pipeline import STREAMS, Pipeline, Read, Stage

PICKS = frozenset({"gather", "slice"})
"""Operators that read only what they write of their first input."""


def lower(network: Network, rdu: Rdu) -> Pipeline:
    """The stages of a network on an RDU.

    Args:
        network: what is computed.
        rdu: what computes it; floating tensors are deployed as BF16.

    Raises:
        MappingError: if the network's data exceed its memories.
    """
    return _Lowering(network, rdu).pipeline()


class _Lowering:
    """Stages in the making; each is known by its index, a tensor by those that make it."""

    def __init__(self, network: Network, rdu: Rdu) -> None:
        self.network, self.rdu = network, rdu
        self.sharding: Sharding = shard(network, rdu.sockets)
        self.axes = [_stream_axes(network, kind) for kind in STREAMS]
        self.far = self._placed_in_ddr()
        self.makers: dict[str, tuple[tuple[int, str], ...]] = {}
        self.stages: list[tuple[Stage, list[tuple[int, Read]]]] = []
        self.names: list[str] = []
        self.returned: set[int] = set()

    def pipeline(self) -> Pipeline:
        """All stages."""
        for op in self.network.operators:
            if is_view(op):
                self._view(op)
            else:
                self._operator(op)
        for name in self.network.outputs:
            self.returned |= {maker for maker, _ in self.makers.get(name, ())}
        consumers: list[set[int]] = [set() for _ in self.stages]
        for index, (_, reads) in enumerate(self.stages):
            for producer, _ in reads:
                if producer >= 0:
                    consumers[producer].add(index)
        stages = tuple(
            stage._replace(
                reads=tuple(
                    read._replace(producer=index - producer if producer >= 0 else 0)
                    for producer, read in reads
                ),
                consumers=tuple(sorted(c - index for c in consumers[index])),
                returned=index in self.returned or not consumers[index],
            )
            for index, (stage, reads) in enumerate(self.stages)
        )
        return Pipeline(stages, tuple(self.names), self.rdu)

    def _view(self, op: Operator) -> None:
        """What it shows is what its inputs hold, on chip or off it."""
        for name in self.sharding.gathered.get(op.name, ()):
            self._collective(op, name, "all_gather")
        parts = [part for name in op.inputs for part in self._parts(name)]
        self.makers[op.outputs[0]] = tuple(parts)

    def _parts(self, name: str) -> tuple[tuple[int, str], ...]:
        """(stage, its tensor) of all that make a tensor; stage -1 off chip."""
        return self.makers.get(name, ((-1, name),))

    def _operator(self, op: Operator) -> None:
        for name in self.sharding.gathered.get(op.name, ()):
            self._collective(op, name, "all_gather")
        reads = [read for i, name in enumerate(op.inputs) for read in self._reads(op, i, name)]
        kind, work = self._work(op)
        self._append(op, kind, work, reads, op.outputs)
        if op.name in self.sharding.summed:
            self._collective(op, op.outputs[0], "all_reduce")

    def _append(
        self, op: Operator, kind: str, work: tuple[int, ...], reads: list[tuple[int, Read]],
        outputs: tuple[str, ...],
    ) -> None:  # fmt: skip
        index, first = len(self.stages), outputs[0]
        shape = self.network.tensor[first].shape
        axes = [self.axes[k].get(first) for k in range(len(STREAMS))]
        extents = tuple(shape[axis] if axis is not None else 1 for axis in axes)
        grouped = tuple(
            op.kind == "matmul" and len(work) == 4 and work[0] > 1
            and axis is not None and axis < len(shape) - 2
            for axis in axes
        )  # fmt: skip
        size = sum(self._bytes(name) for name in outputs)
        assert len(extents) == len(grouped) == 2
        stage = Stage(kind, work, grouped, extents, (), size, (), False)
        self.stages.append((stage, reads))
        self.names.append(op.name)
        for name in outputs:
            self.makers[name] = ((index, name),)

    def _collective(self, op: Operator, name: str, kind: str) -> None:
        """An exchange of a tensor, which is whole on every socket from then on."""
        self.sharding.axis.pop(name, None)
        size = self._bytes(name)
        reads = [
            (maker, Read(0, size, (False, False), False, False)) for maker, _ in self._parts(name)
        ]
        self._append(op, kind, (size,), reads, (name,))

    def _reads(self, op: Operator, position: int, name: str) -> list[tuple[int, Read]]:
        tensor = self.network.tensor[name]
        share = self._share(op, name)
        if tensor.is_parameter:
            size = self._bytes(op.outputs[0]) if op.kind in PICKS else self._size(tensor, share)
            whole = op.kind not in PICKS
            return [(-1, Read(0, size, (whole, whole), True, name in self.far))]
        fixed = (not self._streams(op, name, 0), not self._streams(op, name, 1))
        found = []
        for maker, part in self._parts(name):
            size = self._size(self.network.tensor[part], self._share(op, part))
            if op.kind in PICKS and position == 0:
                size = min(size, self._bytes(op.outputs[0]))
            found.append((maker, Read(0, size, fixed, False, part in self.far)))
        return found

    def _streams(self, op: Operator, name: str, kind: int) -> bool:
        """Whether tiles of an input become tiles of the output, one by one."""
        axis = self.axes[kind].get(name)
        if axis is None:
            return False
        return passed(op, name, axis, self.network) == self.axes[kind].get(op.outputs[0])

    def _share(self, op: Operator, name: str) -> int:
        """Sockets among which an operator's input is split."""
        if name in self.sharding.axis:
            return self.rdu.sockets
        weight = self.network.tensor[name].is_parameter and op.einsum is not None
        return self.sharding.parts[op.name] if weight else 1

    def _bytes(self, name: str) -> int:
        share = self.rdu.sockets if name in self.sharding.axis else 1
        return self._size(self.network.tensor[name], share)

    @staticmethod
    def _size(tensor: Tensor, share: int) -> int:
        return math.ceil(tensor_bytes(tensor) / share)

    def _work(self, op: Operator) -> tuple[str, tuple[int, ...]]:
        share = self.sharding.parts[op.name]
        if op.einsum is not None:
            groups, rows, columns, depth = product(op.einsum)
            if share > 1 and op.name in self.sharding.summed:
                depth = -(-depth // share)
            elif share > 1:
                groups, rows, columns = _shared(op, (groups, rows, columns), share, self)
            return "matrix", (groups, rows, columns, depth)
        tensors = [self.network.tensor[n] for n in (*op.outputs, *op.inputs)]
        elements = max(t.elements for t in tensors if not t.is_parameter)
        if op.kind in PICKS:
            elements = self.network.tensor[op.outputs[0]].elements
        return "vector", (-(-elements // share), -(-op.vector_ops // share))

    def _placed_in_ddr(self) -> frozenset[str]:
        """Parameters that HBM does not hold beside what comes before them."""
        room = self.rdu.sockets * self.rdu.hbm_gib * 2**30
        rest = self.rdu.sockets * self.rdu.ddr_gib * 2**30
        tensors = self.network.tensor
        room -= sum(tensor_bytes(tensors[name]) for name in self.network.inputs)
        far = set()
        for tensor in self.network.tensors:
            if not tensor.is_parameter:
                continue
            size = tensor_bytes(tensor)
            if size <= room:
                room -= size
            else:
                rest -= size
                far.add(tensor.name)
        if room < 0 or rest < 0:
            total = sum(tensor_bytes(t) for t in self.network.tensors if t.is_parameter)
            raise MappingError(
                f"network '{self.network.name}' holds {total / 2**30:.1f} GiB of weights and its "
                f"inputs: HBM and DDR of {self.rdu.sockets} sockets do not; add sockets"
            )
        return frozenset(far)


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor as it is deployed: floating ones as BF16."""
    bits = tensor.format.bits if tensor.format.kind == "int" else 8 * BYTES
    return -(-tensor.elements * bits // 8)


def product(einsum: Einsum) -> tuple[int, int, int, int]:
    """(groups, rows, columns, depth) of an Einsum of two operands.

    Ranks of both operands and the output are groups, of the first and the output rows, of the
    second and the output columns; all others are summed.
    """
    first, second = einsum.operands[0].ranks, einsum.operands[1].ranks
    result = einsum.output.ranks
    sizes = [1, 1, 1, 1]
    for rank, extent in einsum.ranks:
        if rank not in result:
            sizes[3] *= extent
        elif rank in first and rank in second:
            sizes[0] *= extent
        else:
            sizes[1 if rank in first else 2] *= extent
    return sizes[0], sizes[1], sizes[2], sizes[3]


def _shared(
    op: Operator, sizes: tuple[int, int, int], share: int, lowering: _Lowering
) -> tuple[int, int, int]:
    """Groups, rows and columns of one socket: of the axis along which the output is split."""
    groups, rows, columns = sizes
    axis = lowering.sharding.axis.get(op.outputs[0])
    shape = lowering.network.tensor[op.outputs[0]].shape
    features = len(shape) - 1 if op.kind == "matmul" else 1
    if axis == features and columns > 1:
        return groups, rows, -(-columns // share)
    if groups % share == 0:
        return groups // share, rows, columns
    return groups, -(-rows // share), columns


def _stream_axes(network: Network, kind: str) -> dict[str, int]:
    """By activation, the axis along which tiles of a kind are cut."""
    axes: dict[str, int] = {}
    for name in network.inputs:
        tensor = network.tensor[name]
        tokens = kind == "row" and len(tensor.shape) == 2 and tensor.format.kind == "int"
        axes[name] = 1 if tokens else _natural_axis(tensor.shape, kind)
    for op in network.operators:
        axis = None
        for name in op.inputs:
            if axis is None and name in axes:
                axis = passed(op, name, axes[name], network)
        for output in op.outputs:
            shape = network.tensor[output].shape
            known = axis is not None and axis < len(shape)
            axes[output] = axis if known and axis is not None else _natural_axis(shape, kind)
    return axes


def _natural_axis(shape: tuple[int, ...], kind: str) -> int:
    """Batches by the first axis; tokens by the second of three, rows of images by the third."""
    if kind == "batch" or len(shape) < 3:
        return 0
    return 1 if len(shape) == 3 else 2
