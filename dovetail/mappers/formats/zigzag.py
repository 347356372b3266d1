"""Mappings of ZigZag: its text form, and the order of loops in its YAML.

The text form gives every operand's loops per memory, from the inside out:
`{O: [[(C, 2)], [(K, 4)]], W: [[(C, 2), (K, 4)], []], I: [[], [(C, 2), (K, 4)]]}` with the spatial
part `{D1: {K: 32}}`. The YAML form gives `spatial_mapping` and `temporal_ordering`, and leaves to
the tool which memory holds which loops; ours fills memories from the inside out, for every memory
with the choice that moves the fewest bits into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir import strict_yaml
from dovetail.ir.mapping import OPERANDS, Keep, Node, Spatial, Temporal
from dovetail.ir.mapping import Mapping as Tree
from dovetail.ir.operator import Einsum
from dovetail.ir.strict_yaml import shown
from dovetail.mappers.formats.nest import dimension_at, rank_of, require_rank, rest, whole
from dovetail.mappers.formats.zigzag_allocation import Loop, allocate

RANKS = {"FX": "S", "FY": "R", "OX": "Q", "OY": "P", "K": "K", "C": "C", "B": "N", "G": "G"}
"""Our names of ranks by ZigZag's."""

ROLES = {"I": "input", "W": "weight", "O": "output"}

MAX_LOOPS = 500


def is_zigzag(document: object) -> bool:
    """Whether a YAML document is a mapping of ZigZag's."""
    entries = document if isinstance(document, list) else [document]
    return any(
        isinstance(entry, dict) and ("temporal_mapping" in entry or "temporal_ordering" in entry)
        for entry in entries
    )


def pairs_as_lists(text: str) -> str:
    """`(K, 2)` as `[K, 2]`, which YAML has."""
    return re.sub(r"\(([^()]*)\)", r"[\1]", text)


def read_zigzag(temporal: str, spatial: str, einsum: Einsum, accelerator: SpatialArray) -> Tree:
    """A mapping in ZigZag's text form as ours.

    Args:
        temporal: `{O: [[(C, 2), ...], ...], W: ..., I: ...}`, one list per memory of an operand,
            from the inside out.
        spatial: `{D1: {K: 32}, D2: {C: 32}}`, or with lists `{"D1": ["K, 32"]}`.
        einsum: the operator.
        accelerator: the architecture as ours, dimensions in ZigZag's order.

    Raises:
        MappingError: saying what is wrong with it.
    """
    document = {
        "temporal_mapping": _values(temporal, "temporal mapping"),
        "spatial_mapping": _values(spatial, "spatial mapping"),
    }
    return read_document(document, einsum, accelerator, "ZigZag mapping", "")


def _values(text: str, source: str) -> Any:
    return strict_yaml.parse(pairs_as_lists(text), source, MappingError)


def read_document(
    document: object, einsum: Einsum, accelerator: SpatialArray, source: str, operator: str
) -> Tree:
    """A mapping from the values of a YAML file of ZigZag's.

    Args:
        document: a table, or a list of tables with `name`; of these the operator's or `default`.
        einsum: the operator.
        accelerator: the architecture as ours.
        source: name of the file, for errors.
        operator: its name, to find its table.

    Raises:
        MappingError: naming the place and what is wrong there.
    """
    entry = _entry(document, source, operator)
    spatial = _spatial(entry.get("spatial_mapping") or {}, einsum, accelerator, source)
    if "temporal_mapping" in entry:
        loops, cuts = _text_form(entry["temporal_mapping"], einsum, accelerator, source)
    else:
        loops = _ordering(entry["temporal_ordering"], einsum, spatial, source)
        cuts = allocate(einsum, accelerator, spatial, loops)
    nodes = (*_nodes(loops, cuts, accelerator), *spatial)
    return Tree(nodes, operator=einsum.output.tensor)


def _entry(document: object, source: str, operator: str) -> Mapping[str, Any]:
    if isinstance(document, dict):
        return document
    entries = [e for e in document if isinstance(e, dict)] if isinstance(document, list) else []
    named = {str(entry.get("name")): entry for entry in entries}
    entry = named.get(operator) or named.get("default") or (entries[0] if len(entries) == 1 else {})
    if not ("temporal_mapping" in entry or "temporal_ordering" in entry):
        raise MappingError(
            f"{source}: no temporal_mapping or temporal_ordering for '{operator}': add an entry "
            "of that name, or 'default'"
        )
    return entry


def _spatial(
    given: object, einsum: Einsum, accelerator: SpatialArray, source: str
) -> tuple[Spatial, ...]:
    place = f"{source}: spatial_mapping"
    if not isinstance(given, dict):
        raise MappingError(f"{place}: {shown(given)}: must be {{D1: {{K: 32}}, ...}}")
    nodes = []
    for position, (name, loops) in enumerate(given.items()):
        dimension = dimension_at(accelerator, name, position, place)
        pairs = list(loops.items()) if isinstance(loops, dict) else loops or []
        if not isinstance(pairs, list):
            raise MappingError(f"{place}.{name}: {shown(loops)}: must be {{K: 32}} or ['K, 32']")
        for pair in pairs:
            rank, count = _loop(pair, einsum, f"{place}.{name}")
            if count > 1:
                nodes.append(Spatial(rank, count, dimension))
    return tuple(nodes)


def _loop(pair: object, einsum: Einsum, place: str) -> Loop:
    """Rank and count; ("", 1) for a loop of one iteration over a rank the operator lacks."""
    if isinstance(pair, str):
        name, _, text = pair.partition(",")
        pair = (name.strip(), _number(text.strip()))
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise MappingError(f"{place}: {shown(pair)}: must be a rank and a count, as (K, 32)")
    name, count = pair[0], whole(pair[1], place)
    rank = rank_of(name, einsum, RANKS, place)
    require_rank(rank, name, count, place)
    return rank or "", count


def _number(text: str) -> object:
    try:
        return int(text) if len(text) < 20 else text
    except ValueError:
        return text


def _text_form(
    given: object, einsum: Einsum, accelerator: SpatialArray, source: str
) -> tuple[list[Loop], list[list[int]]]:
    """Loops from the inside out, and per operand how many lie inside of each memory's tile."""
    place = f"{source}: temporal_mapping"
    if not isinstance(given, dict) or set(given) != set(ROLES):
        raise MappingError(f"{place}: {shown(given)}: must have O, W and I")
    orders: dict[str, list[Loop]] = {}
    cuts: dict[str, list[int]] = {}
    for key, role in ROLES.items():
        stores = accelerator.hierarchy(role)
        lists = given[key]
        if not isinstance(lists, list) or len(lists) != len(stores):
            raise MappingError(
                f"{place}.{key}: must be {len(stores)} lists of loops, for "
                f"{', '.join(store.name for store in stores)}"
            )
        orders[role], cuts[role] = _levels(lists, einsum, f"{place}.{key}")
    loops = orders["output"]
    for role, order in orders.items():
        if order != loops:
            raise MappingError(
                f"{place}: the loops of {role} are not those of output, in their order: "
                "all operands share one loop nest"
            )
    return loops, [cuts[role] for role in OPERANDS]


def _levels(lists: Sequence[object], einsum: Einsum, place: str) -> tuple[list[Loop], list[int]]:
    loops: list[Loop] = []
    cuts = []
    for level in lists:
        if not isinstance(level, list):
            raise MappingError(f"{place}: {shown(level)}: must be a list of loops")
        read = (_loop(pair, einsum, place) for pair in level)
        loops += [loop for loop in read if loop[1] > 1]
        cuts.append(len(loops))
    if len(loops) > MAX_LOOPS:
        raise MappingError(f"{place}: {len(loops)} loops: at most {MAX_LOOPS} are read")
    return loops, cuts[:-1]


def _ordering(given: object, einsum: Einsum, spatial: Sequence[Spatial], source: str) -> list[Loop]:
    place = f"{source}: temporal_ordering"
    if not isinstance(given, list) or len(given) > MAX_LOOPS:
        raise MappingError(f"{place}: {shown(given)}: must be a list of loops, innermost first")
    pairs = [
        [part.strip() for part in pair.split(",")] if isinstance(pair, str) else pair
        for pair in given
    ]
    pairs = [[p[0], _number(p[1])] if isinstance(p, list) and len(p) == 2 and isinstance(p[1], str)
             else p for p in pairs]  # fmt: skip
    loops: list[Loop] = []
    rests = [p for p in pairs if isinstance(p, list) and len(p) == 2 and p[1] == "*"]
    fixed = [_loop(p, einsum, place) for p in pairs if p not in rests]
    spread = [(node.rank, node.count) for node in spatial]
    for pair in pairs:
        if pair not in rests:
            loops.append(fixed.pop(0))
            continue
        rank = rank_of(pair[0], einsum, RANKS, place) or ""
        others = [c for r, c in (*loops, *fixed, *spread) if r == rank]
        loops.append((rank, rest(einsum.extent(rank), others)))
    for rank, extent in einsum.ranks:  # what the order leaves open runs outermost
        counts = [c for r, c in (*loops, *spread) if r == rank]
        loops.append((rank, rest(extent, counts)))
    return [loop for loop in loops if loop[1] > 1]


def _nodes(
    loops: Sequence[Loop], cuts: Sequence[Sequence[int]], accelerator: SpatialArray
) -> Iterator[Node]:
    """Loops and Keeps from the outside in; at one place outer memories come first."""
    at: dict[int, dict[str, list[str]]] = {}
    top: dict[str, list[str]] = {}
    for role, places in zip(OPERANDS, cuts, strict=True):
        *inner, outermost = accelerator.hierarchy(role)
        top.setdefault(outermost.name, []).append(role)
        for store, cut in zip(inner, places, strict=True):
            at.setdefault(cut, {}).setdefault(store.name, []).append(role)
    for name, roles in top.items():
        yield Keep(name, tuple(roles))
    order = [store.name for store in reversed(accelerator.stores)]
    for position in range(len(loops), -1, -1):
        kept = at.get(position, {})
        for name in sorted(kept, key=order.index):
            yield Keep(name, tuple(kept[name]))
        if position:
            yield Temporal(*loops[position - 1])
