"""Mappings: a tree of loops and kept tiles whose leaves are operators.

A mapping is read from the outside in. `Keep` says that from here inwards a tile of some tensors
stays in a memory; `Temporal` and `Spatial` are loops over ranks of the Einsum. What stands inside
a `Keep` decides the tile, what stands outside decides how often it is fetched. Different tensors
may be kept at different places, so that mappings of Timeloop (all tensors cut at the same places)
and of ZigZag (each operand at its own) are both special cases. The notation is that of LoopTree
(M. Gilbert et al., 2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.errors import MappingError

OPERANDS = ("input", "weight", "output")
"""Roles of a single operator's tensors: the moving factor, the other factor, the result."""


@dataclass(frozen=True, slots=True)
class Keep:
    """From here inwards a tile of these tensors stays in a memory.

    Attributes:
        memory: name of the memory.
        tensors: roles (`input`, `weight`, `output`) in a mapping of one operator; names of
            tensors in a mapping of several.
    """

    memory: str
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Temporal:
    """A loop in time.

    Attributes:
        rank: of the Einsum. Over several operators, one that all of them have.
        count: iterations. The counts of a rank multiply to its extent or more; what is more is
            padding that costs time and energy as real work does.
    """

    rank: str
    count: int


@dataclass(frozen=True, slots=True)
class Spatial:
    """A loop over a dimension of the PE array.

    Attributes:
        rank: of the Einsum.
        count: PEs that it spreads over.
        dimension: of the accelerator's array.
    """

    rank: str
    count: int
    dimension: str


Node = Keep | Temporal | Spatial


@dataclass(frozen=True, slots=True)
class Mapping:
    """How operators lie on a spatial accelerator.

    Attributes:
        nodes: from the outermost to the innermost.
        operator: the leaf inside them; "" if there are several.
        children: mappings inside the nodes, run one after the other in every iteration; empty
            if there is a leaf.

    Raises:
        MappingError: if it has both a leaf and children or neither, or a count below 1.
    """

    nodes: tuple[Node, ...]
    operator: str = ""
    children: tuple[Mapping, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.operator) == bool(self.children):
            raise MappingError("a mapping ends in one operator or in several mappings")
        for node in self.nodes:
            if not isinstance(node, Keep) and node.count < 1:
                raise MappingError(f"loop over {node.rank} of {node.count} iterations: at least 1")

    def paths(self) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """Every operator with all nodes around it, outermost first."""
        if self.operator:
            yield self.operator, self.nodes
        for child in self.children:
            for operator, nodes in child.paths():
                yield operator, self.nodes + nodes

    def factor(self, rank: str) -> int:
        """Product of the counts of a rank over the nodes of this level; 1 if it has no loop."""
        return math.prod(
            node.count for node in self.nodes if not isinstance(node, Keep) and node.rank == rank
        )
