"""Lowers a network to the block operations of an Ethos-U; what it cannot do stays with the host.

Activations, biases and normalizations behind an operator run in its output stage, other than
clipping ones as look-up tables. Softmax becomes 31 operations. Views cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dovetail.arch.npu import EthosU
from dovetail.arch.npu_cores import Shape
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.schedule import Placement, Schedule
from dovetail.ir.tensor import Tensor
from dovetail.ir.window import Window
from dovetail.mappers.npu.layouts import with_layouts
from dovetail.mappers.npu.matrix import LARGEST_STRIDE, matrix_work
from dovetail.mappers.npu.shapes import Refused, bits_of, shape_of
from dovetail.mappers.npu.softmax import softmax_works
from dovetail.mappers.npu.weights import encoded_bytes
from dovetail.mappers.schedule import schedule
from dovetail.sim.npu.work import BRICK, FeatureMap, Work

CLIPPING = frozenset({"relu", "clip"})
LINEAR = frozenset("batchnorm quantize dequantize cast add sub mul div neg".split())
"""Kinds that scales and biases hold where one operand is stored."""
PADDING = frozenset({"conv2d", "depthwise_conv2d", "maxpool", "avgpool"})
"""Kinds that add the padding before them."""
COPIES = frozenset({"concat", "pad", "slice", "split"})
PAIRS = frozenset({"add", "sub", "mul", "max", "min"})
UNARY = frozenset({"abs"})
LARGEST_POOL = 256
TABLE_BYTES = {8: 256, 16: 2048}
EXPONENTIALS = 1024
"""Bytes of the table of exponentials in softmax."""


@dataclass(frozen=True, slots=True)
class Step:
    """One block operation of a network.

    Attributes:
        operator: whose cost it is.
        work: what runs; its memories are the nearest.
        reads: activations that it reads, in the order of the inputs; "" for a constant.
        writes: activation that it writes.
        encoded: bytes of encoded weights and biases.
        table: bytes of a look-up table that it needs.
        part_of: shape of the activation of which it reads or writes whole bricks only; None where
            it takes all of one.
    """

    operator: str
    work: Work
    reads: tuple[str, ...]
    writes: str
    encoded: int = 0
    table: int = 0
    part_of: Shape | None = None


@dataclass(frozen=True)
class Lowered:
    """A network as block operations.

    Attributes:
        network: what is computed.
        plan: engines and fusion.
        steps: operations in order.
        host: what the host runs, by operator, with the reason.
        outside: activations that the host reads or writes, and before which step it does so
            first and last; the network's inputs before all, its outputs after all.
    """

    network: Network
    plan: Schedule
    steps: tuple[Step, ...]
    host: dict[str, str]
    outside: dict[str, tuple[int, int]]


def lower(network: Network, accelerator: EthosU) -> Lowered:
    """Lowers a network.

    Raises:
        MappingError: if it has more than one input at a time, or nothing for the NPU.
    """
    plan = schedule(network)
    steps: list[Step] = []
    host: dict[str, str] = {}
    source = _Sources(network)
    for placement in plan.placements:
        if placement.engine == "none" or _is_padding(network, placement):
            source.rename(placement.operator, padding=placement.engine != "none")
            continue
        try:
            steps += _steps(network, accelerator, placement, source, first=not steps and not host)
        except Refused as refusal:
            host[placement.operator.name] = str(refusal)
            source.touch(placement, len(steps))
    if not steps:
        raise MappingError(
            f"network '{network.name}' has nothing for '{accelerator.name}': "
            f"{next(iter(host.values()), 'only views')}"
        )
    outside = source.outside(len(steps))
    return Lowered(network, plan, tuple(with_layouts(steps, outside)), host, outside)


def _is_padding(network: Network, placement: Placement) -> bool:
    """Whether an operator only adds what the operations behind it can add themselves."""
    op = placement.operator
    name = op.outputs[0]
    readers = network.consumers[name]
    return (
        op.kind == "pad"
        and not placement.fused
        and len(network.tensor[name].shape) == 4
        and name not in network.outputs
        and bool(readers)
        and all(reader.kind in PADDING for reader in readers)
    )


class _Sources:
    """Where activations really are: views have the tensor that they look at, as has padding."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._seen: dict[str, str] = {}
        self._touched: dict[str, list[int]] = {}
        self._bare: dict[str, Tensor] = {}

    def rename(self, view: Operator, *, padding: bool) -> None:
        for name in view.outputs:
            self._seen[name] = self.of(view.inputs[0])
            if padding:
                self._bare[name] = self.given(view.inputs[0])

    def given(self, name: str) -> Tensor:
        """The tensor before padding that its readers add."""
        return self._bare.get(name, self.network.tensor[name])

    def of(self, name: str) -> str:
        return self._seen.get(name, name)

    def touch(self, placement: Placement, before: int) -> None:
        """Notes that the host runs something before a step."""
        for op in (placement.operator, *placement.fused):
            for name in (*op.inputs, *op.outputs):
                self._touched.setdefault(self.of(name), []).append(before)

    def outside(self, steps: int) -> dict[str, tuple[int, int]]:
        """What the host touches, first and last, once all steps are known."""
        touched = {name: list(before) for name, before in self._touched.items()}
        for name in self.network.inputs:
            touched.setdefault(self.of(name), []).append(-1)
        for name in self.network.outputs:
            touched.setdefault(self.of(name), []).append(steps)
        return {name: (min(before), max(before)) for name, before in touched.items()}


def _steps(
    network: Network, accelerator: EthosU, placement: Placement, source: _Sources, *, first: bool
) -> list[Step]:
    """Operations of an operator and those fused into it.

    Raises:
        Refused: with the reason, if the NPU cannot run it.
    """
    op, tensor = placement.operator, network.tensor
    result = tensor[(placement.fused[-1] if placement.fused else op).outputs[0]]
    moving = [name for name in op.inputs if not tensor[name].is_parameter]
    reads = tuple(source.of(name) for name in moving)
    if not moving:
        raise Refused(f"{op.kind} of constants")
    if op.kind == "softmax":
        return _softmax(op, tensor[moving[0]], source.of(result.name), reads[0], accelerator)
    if op.einsum is not None:
        works = [matrix_work(network, op, source.given(moving[0]), result, first=first)]
    elif op.kind in COPIES:
        return _copies(op, placement, [tensor[name] for name in moving], result, reads)
    else:
        given = [source.given(name) for name in moving]
        works = [_vector(network, op, given, result, accelerator.constants.name)]
    activation = _activation(placement)
    table = TABLE_BYTES[min(works[0].ifm.bits, 16)] if activation == "lut" else 0
    work = replace(works[0], activation=activation)
    encoded = encoded_bytes(network, op, work, accelerator) if work.weights else 0
    if work.kind == "elementwise" and len(reads) == 1:
        reads = (*reads, "")
    return [Step(op.name, work, reads, source.of(result.name), encoded, table)]


def _activation(placement: Placement) -> str:
    """What the output stage does with results."""
    kinds = [op.kind for op in placement.fused]
    if placement.operator.einsum is None and placement.operator.window is None:
        kinds.append(placement.operator.kind)
    if any(kind not in CLIPPING | LINEAR | PAIRS | COPIES | UNARY for kind in kinds):
        return "lut"
    return "relu" if any(kind in CLIPPING for kind in kinds) else "none"


def _vector(
    network: Network, op: Operator, given: list[Tensor], result: Tensor, constants: str
) -> Work:
    """The operation of an operator without a contraction."""
    ofm, ifm = FeatureMap(shape_of(result), bits_of(result)), _map_of(given[0])
    if op.window is not None and op.kind in ("avgpool", "maxpool"):
        return _pooling(op, op.window, ifm, ofm)
    if op.kind in PAIRS:
        return _pair(network, op, given, ofm, constants)
    if op.kind in CLIPPING or _is_table(op):
        return Work("pooling", "average", ifm, ofm)
    if op.kind == "batchnorm":
        return Work("depthwise", "", ifm, ofm)
    if op.kind in UNARY:
        return Work("elementwise", op.kind, ifm, ofm)
    raise Refused(f"{op.kind} has no block operation")


def _pooling(op: Operator, window: Window, ifm: FeatureMap, ofm: FeatureMap) -> Work:
    stride = window.stride if ofm.shape[:2] != (1, 1) else (1, 1)
    if max(window.kernel) > LARGEST_POOL or max(stride) > LARGEST_STRIDE:
        raise Refused(f"{op.kind} of {window.kernel} taps with a stride of {stride}")
    function = {"avgpool": "average", "maxpool": "max"}[op.kind]
    return Work("pooling", function, ifm, ofm, kernel=window.kernel, stride=stride)


def _pair(
    network: Network, op: Operator, given: list[Tensor], ofm: FeatureMap, constants: str
) -> Work:
    """An elementwise operation of two inputs; the wider one comes first."""
    if len(given) > 2:
        raise Refused(f"{op.kind} of {len(given)} inputs")
    maps = [_map_of(tensor) for tensor in given]
    if len(maps) == 1:
        stored = [network.tensor[name] for name in op.inputs if network.tensor[name].is_parameter]
        shape: Shape = (1, 1, min(stored[0].elements, ofm.shape[2])) if stored else (1, 1, 1)
        maps.append(FeatureMap(shape, maps[0].bits, bricks=False, memory=constants))
    return Work("elementwise", op.kind, maps[0], ofm, maps[1])


def _is_table(op: Operator) -> bool:
    """Whether a table of all codes computes the operator."""
    tables = "sigmoid tanh hard_sigmoid hard_swish silu gelu elu leaky_relu prelu softplus mish"
    return op.kind in f"{tables} exp log sqrt rsqrt reciprocal erf pow".split()


def _copies(
    op: Operator, placement: Placement, given: list[Tensor], result: Tensor, reads: tuple[str, ...]
) -> list[Step]:
    """Moves every part by an average over one pixel."""
    joined = op.kind in ("concat", "pad")
    pairs = zip(given, reads, strict=True) if joined else [(given[0], reads[0])] * len(op.outputs)
    names = [result.name] * len(reads) if joined else list(op.outputs)
    begins = given[:-1] if joined else [result]  # of parts but the first
    bricks = len(result.shape) == 4 and all(shape_of(t)[2] % BRICK == 0 for t in begins)
    whole = shape_of(result if joined else given[0]) if bricks else None
    steps = []
    for (part, read), name in zip(pairs, names, strict=True):
        moved = _map_of(part) if joined else FeatureMap(shape_of(result), bits_of(part))
        work = Work("pooling", "average", moved, moved, activation=_activation(placement))
        steps.append(Step(op.name, work, (read,), name, part_of=whole))
    return steps


def _softmax(
    op: Operator, given: Tensor, writes: str, reads: str, accelerator: EthosU
) -> list[Step]:
    count = given.shape[-1]
    if len(given.shape) == 4:
        raise Refused("softmax of a tensor of four dimensions")
    works = softmax_works(
        given.elements // count, count, bits_of(given), accelerator.constants.name
    )
    steps = []
    held = reads
    for index, work in enumerate(works):
        last = work.function == "shr" and work.ofm.bits < 32
        name = writes if last else f"{op.name}.{index}"
        table = EXPONENTIALS if work.activation == "lut" else 0
        steps.append(Step(op.name, work, (held if index else reads, ""), name, 0, table))
        held = reads if index == 0 else name
    return steps


def _map_of(tensor: Tensor) -> FeatureMap:
    return FeatureMap(shape_of(tensor), bits_of(tensor))
