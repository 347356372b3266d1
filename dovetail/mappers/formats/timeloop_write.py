"""One operator's mapping as Timeloop reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Keep, Node, Spatial, Temporal
from dovetail.ir.mapping import Mapping as Tree
from dovetail.mappers.spatial.nest_view import placed


def to_timeloop(mapping: Tree, accelerator: SpatialArray) -> str:
    """One operator's mapping as a YAML file of Timeloop's.

    Raises:
        MappingError: if operators are fused, or a memory cuts its operands at several places,
            which Timeloop's form cannot say.
    """
    if mapping.children:
        raise MappingError("Timeloop maps one operator at a time: these are fused")
    levels, kept = _split(placed(mapping.nodes, accelerator), accelerator)
    ranks = sorted({n.rank for n in mapping.nodes if not isinstance(n, Keep)})
    directives: list[dict[str, Any]] = []
    for store in accelerator.stores:
        keeps = kept.get(store.name, [])
        directives.append({
            "target": store.name, "type": "datatype",
            "keep": [f"{o.capitalize()}s" for o in OPERANDS if o in keeps],
            "bypass": [f"{o.capitalize()}s" for o in OPERANDS if o not in keeps],
        })  # fmt: skip
        nodes = levels.get(store.name, [])
        spatial = [n for n in nodes if isinstance(n, Spatial)]
        directives += _directives(store.name, spatial, accelerator, ranks)
        temporal = [(n.rank, n.count) for n in reversed(nodes) if isinstance(n, Temporal)]
        directives.append({"target": store.name, "type": "temporal", **_loops(temporal, ranks)})
    text: str = yaml.safe_dump({"mapping": directives}, sort_keys=False, width=100)
    return text


def _split(
    nodes: Sequence[Node], accelerator: SpatialArray
) -> tuple[dict[str, list[Node]], dict[str, list[str]]]:
    """Loops by the memory right above them, and what each memory keeps."""
    order = [store.name for store in accelerator.stores]
    levels: dict[str, list[Node]] = {}
    kept: dict[str, list[str]] = {}
    current = ""
    for node in nodes:
        if not isinstance(node, Keep):
            levels.setdefault(current, []).append(node)
            continue
        cut_again = node.memory in kept and levels.get(node.memory)
        if cut_again or (current and order.index(node.memory) > order.index(current)):
            raise MappingError(
                f"memory '{node.memory}' cuts its operands at several places: Timeloop's form "
                "has one place per memory"
            )
        kept.setdefault(node.memory, []).extend(node.tensors)
        current = node.memory
    return levels, kept


def _directives(
    target: str, spatial: Sequence[Spatial], accelerator: SpatialArray, ranks: Sequence[str]
) -> list[dict[str, Any]]:
    if not spatial:
        return []
    used = [n for n, _ in accelerator.dimensions if any(s.dimension == n for s in spatial)]
    along = [[(s.rank, s.count) for s in spatial if s.dimension == name] for name in used]
    loops = [loop for part in along for loop in part]
    if len(used) > 2 or len({rank for rank, _ in loops}) < len(loops):
        raise MappingError(
            "Timeloop's form has two dimensions per memory and a rank on one of them"
        )
    split = len(along[0])
    return [{"target": target, "type": "spatial", **_loops(loops, ranks), "split": split}]


def _loops(loops: Sequence[tuple[str, int]], ranks: Sequence[str]) -> dict[str, Any]:
    """Factors and permutation, innermost first, of loops over different ranks."""
    counts = dict(loops)
    if len(counts) < len(loops):
        raise MappingError("Timeloop's form has one loop per rank and memory: these have several")
    order = [*counts, *(rank for rank in ranks if rank not in counts)]
    return {
        "factors": [f"{rank}={counts.get(rank, 1)}" for rank in order],
        "permutation": order,
    }
