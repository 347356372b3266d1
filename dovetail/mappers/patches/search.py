"""Patch execution: the first layers of a network run patch by patch, so that little is alive.

A *stage* is a prefix of the network that ends in one tensor, the *cut*. Its image is divided by a
grid; every patch is computed from the image alone, through all layers of the stage, before the
next one starts. Neighbouring patches need overlapping parts of every layer (the halo), which are
computed again. The rest of the network runs layer by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.patches.arena import Arena, MemoryRule, peak_bytes
from dovetail.mappers.patches.receptive import COLUMNS, ROWS
from dovetail.mappers.patches.stage import Patch, Stage, Step, cuts

MCUNET_RULE = MemoryRule()


@dataclass(frozen=True, slots=True)
class PatchSchedule:
    """A network whose first operators run patch by patch.

    Attributes:
        network: name.
        cut: tensor that the stage computes.
        grid: patches along rows and columns.
        patches: row by row.
        steps: all operators in the order of execution.
        layerwise_bytes: peak of the network executed layer by layer.
        stage_bytes: peak of the stage, the buffer of its result included.
        rest_bytes: peak of the layers after it.
        macs: of the network executed layer by layer.
        extra_macs: computed again because of halos.
    """

    network: str
    cut: str
    grid: tuple[int, int]
    patches: tuple[Patch, ...]
    steps: tuple[Step, ...]
    layerwise_bytes: int
    stage_bytes: int
    rest_bytes: int
    macs: int
    extra_macs: int

    @property
    def peak_bytes(self) -> int:
        """Most bytes of activations at any time."""
        return max(self.stage_bytes, self.rest_bytes)

    @property
    def overhead(self) -> float:
        """Multiply-accumulates computed again, relative to the whole network's."""
        return self.extra_macs / max(1, self.macs)


def patch_schedule(
    network: Network, cut: str, grid: tuple[int, int], rule: MemoryRule = MCUNET_RULE
) -> PatchSchedule:
    """The schedule of one cut and grid.

    The network's input is counted where the rule counts an operator's operands: as the part that
    the patch reads, as if a camera or decoder delivered it so.

    Args:
        network: with images N C H W.
        cut: one of `cuts`.
        grid: patches along rows and columns.
        rule: what counts as memory.

    Raises:
        MappingError: if the cut or the grid is illegal.

    References:
        Lin et al., MCUNetV2: Memory-Efficient Patch-based Inference, NeurIPS 2021, section 3.
    """
    if cut not in (legal := cuts(network)):
        raise MappingError(
            f"patches cannot end at '{cut}' of network '{network.name}': choose one of "
            f"{', '.join(legal) or 'no tensor: it has no legal cut'}"
        )
    stage = Stage(network, cut, rule)
    rows, columns = (stage.parts(axis, count) for axis, count in zip((2, 3), grid, strict=True))
    patches = tuple(Patch(row, column) for row in rows for column in columns)
    steps = [step for i, patch in enumerate(patches) for step in stage.run(i, patch)]
    stage_bytes = max(step.bytes for step in steps)
    rest = layer_steps(network, stage.rest, rule)
    extra = sum(step.macs for step in steps) - sum(op.macs for op in stage.operators)
    return PatchSchedule(
        network.name, cut, (len(rows), len(columns)), patches, (*steps, *rest),
        peak_bytes(network, network.operators, rule), stage_bytes,
        max((step.bytes for step in rest), default=0), network.macs, extra,
    )  # fmt: skip


def layer_steps(
    network: Network, operators: Sequence[Operator], rule: MemoryRule = MCUNET_RULE
) -> tuple[Step, ...]:
    """Steps of operators that run one after the other on whole images."""
    arena = Arena(network, tuple(operators), rule)

    def image(name: str) -> int:
        shape = network.tensor[name].shape
        return shape[ROWS] * shape[COLUMNS] if len(shape) == 4 else 1

    steps = (Step(op.name, -1, int(arena.bytes(i, image)), op.macs) for i, op in arena.steps())
    return tuple(steps)


def find_patches(
    network: Network,
    limit_bytes: int | None = None,
    *,
    max_side: int = 8,
    rule: MemoryRule = MCUNET_RULE,
) -> PatchSchedule:
    """The best cut and grid: the fewest recomputed MACs within a memory, or the least memory.

    Every legal cut and every grid up to `max_side` x `max_side` is tried.

    Args:
        network: with images N C H W.
        limit_bytes: memory for activations; None minimises the peak, then the recomputed MACs.
        max_side: patches along one axis.
        rule: what counts as memory.

    Raises:
        MappingError: if no cut exists, or nothing fits.
    """
    names = cuts(network)
    if not names:
        raise MappingError(
            f"network '{network.name}' has no cut that patches could end at: its first operator "
            "is not local in rows and columns, or an image is needed throughout"
        )
    found = [point for cut in names for point in Stage(network, cut, rule).grids(max_side)]
    if limit_bytes is None:
        peak, _, cut, grid = min(found)
    else:
        fitting = [(extra, peak, cut, grid) for peak, extra, cut, grid in found
                   if peak <= limit_bytes]  # fmt: skip
        if not fitting:
            peak, _, cut, grid = min(found)
            raise MappingError(
                f"memory of {limit_bytes} B: no patch schedule of '{network.name}' with up to "
                f"{max_side} x {max_side} patches fits; the smallest ('{cut}', {grid[0]} x "
                f"{grid[1]}) needs {peak} B: raise the limit or the number of patches"
            )
        _, _, cut, grid = min(fitting)
    return patch_schedule(network, cut, grid, rule)
