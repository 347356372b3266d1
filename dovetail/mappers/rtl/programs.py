"""Programs of single layers for the RTL machine, without an image: enough to time them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import Design, design_row
from dovetail.ir.executable import Region
from dovetail.ir.program import Program
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.layout import Weights, place
from dovetail.mappers.rtl.nest import Tiles
from dovetail.mappers.rtl.shape import LayerShape, layer_shape, require_fit
from dovetail.mappers.rtl.steps import layer_program
from dovetail.networks.quantized import Layer, QuantizedNetwork
from dovetail.sim.code import Code
from dovetail.sim.columns import Op
from dovetail.sim.cycle import cost_on
from dovetail.sim.rtl_closed_form import rtl_extents
from dovetail.sim.rtl_timing import ENTRY_BYTES, channel_share, segment_overhead
from dovetail.sim.tiles import ceil_div


@dataclass(frozen=True)
class LayerPrograms:
    """Lowers layers one by one; addresses are those of a memory that holds tensors only.

    Attributes:
        network: whose layers.
        design: an RTL machine.
    """

    network: QuantizedNetwork
    design: SystolicArray

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.network.layers}

    @cached_property
    def shapes(self) -> dict[str, LayerShape]:
        """Their shapes, groups joined."""
        return {n: layer_shape(self.network, la, self.design) for n, la in self.layers.items()}

    @cached_property
    def _regions(self) -> dict[str, Region]:
        return {r.name: r for r in place(self.network, self.shapes, self.design, 0)}

    def program(self, name: str, tile: IntArray) -> Program:
        """The Program of a layer.

        Args:
            name: of the layer.
            tile: row of `Tile` columns in the ranks of its shape.

        Raises:
            MappingError: if the tile does not fit.
        """
        layer, shape = self.layers[name], self.shapes[name]
        require_fit(shape, self.design, tile)
        tiles, weights = Tiles(shape, tile), Weights(shape, self.design, tile)
        return layer_program(layer, tiles, self.design, self._regions, weights)

    def overhead(self, program: Program) -> int:
        """Cycles before the queues of a layer's segment start: it is fetched."""
        shape, row = self.shapes[program.operator], design_row(self.design)
        code = Code(cost_on(row))
        code.add(program.body)
        words = shape.groups * ceil_div(shape.outputs, shape.word(self.design, "K"))
        return int(
            segment_overhead(
                code.entries * ENTRY_BYTES + words * self.design.cols * 8,
                channel_share(row[Design.BANDWIDTH]),
                int(row[Design.LATENCY]),
            )
        )


def joined_row(op: IntArray, design: SystolicArray) -> IntArray:
    """A row of `Op` columns whose groups are joined, as tilings count them."""
    row = op.copy()
    row[[Op.G, Op.K, Op.C]] = rtl_extents(design_row(design), op)
    return row
