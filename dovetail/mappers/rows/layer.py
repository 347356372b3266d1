"""What the row-stationary dataflow sees of an operator: 2-D maps, filters and their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator

KINDS = ("convolution", "channelwise", "pool")


@dataclass(frozen=True, slots=True)
class RowLayer:
    """One layer as sets of 2-D convolutions.

    Attributes:
        name: of the operator.
        kind: `convolution`: every output map of a group sums over the group's input maps;
            `channelwise`: one input map an output map, so that PEs may be given different
            channels; `pool`: likewise, without a filter.
        batch: images.
        groups: of channels.
        inputs: input maps of a group.
        outputs: output maps of a group.
        rows: of an output map.
        columns: of an output map.
        kernel: rows and columns of a filter.
        stride: rows and columns.
    """

    name: str
    kind: str
    batch: int
    groups: int
    inputs: int
    outputs: int
    rows: int
    columns: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)

    @property
    def sums(self) -> int:
        """Input maps that an output map sums over."""
        return self.inputs if self.kind == "convolution" else 1

    @property
    def maps(self) -> int:
        """Output maps of all groups."""
        return self.groups * self.outputs

    @property
    def operations(self) -> int:
        """Multiply-accumulates (of a pooling: comparisons or additions)."""
        per_pixel = self.kernel[0] * self.kernel[1] * self.sums
        return self.batch * self.maps * self.rows * self.columns * per_pixel

    def input_size(self, rows: float) -> float:
        """Elements of an input map under `rows` output rows, padding included."""
        height = self.kernel[0] + (rows - 1) * self.stride[0]
        return height * self.input_columns

    @property
    def input_columns(self) -> int:
        """Columns of an input map, padding included."""
        return self.kernel[1] + (self.columns - 1) * self.stride[1]


def row_layer(network: Network, operator: Operator, *, channelwise: bool = False) -> RowLayer:
    """The view of an operator.

    Args:
        network: that it belongs to.
        operator: a 2-D convolution, a pooling, or a matrix product with one weight matrix.
        channelwise: of a depthwise convolution: spread channels over PEs.

    Raises:
        MappingError: if the operator is none of these.
    """
    if operator.window and not operator.einsum:
        batch, channels, rows, columns = network.tensor[operator.outputs[0]].shape
        window = operator.window
        return RowLayer(
            operator.name, "pool", batch, channels, 1, 1, rows, columns, window.kernel,
            window.stride,
        )  # fmt: skip
    einsum = operator.einsum
    if einsum is None or not {name for name, _ in einsum.ranks} <= set("NGKCPQRS"):
        raise MappingError(
            f"operator '{operator.name}' ({operator.kind}): the row-stationary dataflow maps 2-D "
            "convolutions, poolings and matrix products alone"
        )
    n, g, k, c, p, q, r, s = (einsum.extent(rank) for rank in "NGKCPQRS")
    if operator.kind == "matmul":
        if g > 1:
            raise MappingError(
                f"operator '{operator.name}' multiplies {g} pairs of matrices: map one pair"
            )
        return RowLayer(operator.name, "convolution", n * p, 1, c, k, 1, 1)
    index = einsum.operands[0].indices
    stride = (index[2].coefficient("P"), index[3].coefficient("Q"))
    kind = "channelwise" if channelwise and c == 1 and g > 1 else "convolution"
    return RowLayer(operator.name, kind, n, g, c, k, p, q, (r, s), stride)


def row_layers(network: Network, *, channelwise: bool = False) -> tuple[RowLayer, ...]:
    """Views of all convolutions, poolings and matrix products of a network, in order."""
    return tuple(
        row_layer(network, op, channelwise=channelwise)
        for op in network.operators
        if op.einsum or op.window
    )
