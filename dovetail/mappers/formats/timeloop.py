"""Mappings of Timeloop, versions 0.2 to 0.4 of its YAML, as ours.

A Timeloop mapping is a list of directives for targets (memories): `temporal` and `spatial` ones
with `factors`, a `permutation` from the innermost loop to the outermost and, for spatial ones, the
`split` after which ranks lie along Y rather than X; and `datatype` (or `bypass`) ones with what a
memory keeps. All tensors that a memory keeps are cut at one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Keep, Node, Spatial, Temporal
from dovetail.ir.mapping import Mapping as Tree
from dovetail.ir.operator import Einsum
from dovetail.ir.strict_yaml import shown
from dovetail.mappers.formats.nest import rank_of, require_rank, rest, whole

RANKS = {"M": "K"}
"""Our names of ranks that Timeloop's newer problems call otherwise."""

DATA_SPACES = {
    "weight": "weight", "filter": "weight", "filters": "weight", "input": "input",
    "ifmap": "input", "output": "output", "ofmap": "output",
}  # fmt: skip
"""Roles by singular, lower-case names of data spaces."""

TYPES = {
    "temporal": "temporal", "spatial": "spatial", "datatype": "datatype", "bypass": "datatype",
    "bypassing": "datatype", "dataspace": "datatype",
}  # fmt: skip

KNOWN = {"target", "type", "factors", "permutation", "split", "keep", "bypass", "name"}

MAX_DIRECTIVES = 500

Levels = Mapping[str, Sequence[str]]
"""Names of our memories by Timeloop's name of a level."""


@dataclass
class _Level:
    """What the directives say of one target; loops from the innermost to the outermost."""

    temporal: list[tuple[str, int]] = field(default_factory=list)
    spatial: list[list[tuple[str, int]]] = field(default_factory=lambda: [[], []])
    bypassed: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)


def is_timeloop(document: object) -> bool:
    """Whether a YAML document is a mapping of Timeloop's."""
    if isinstance(document, dict):
        document = document.get("mapping")
    return isinstance(document, list) and any(
        isinstance(entry, dict) and "target" in entry for entry in document
    )


def read_timeloop(
    document: object, einsum: Einsum, accelerator: SpatialArray, *, levels: Levels | None = None,
    source: str = "Timeloop mapping",
) -> Tree:  # fmt: skip
    """A mapping of Timeloop's as ours.

    Args:
        document: values of the YAML file: a list of directives, or a table with one as `mapping`.
        einsum: the operator.
        accelerator: the architecture as ours.
        levels: our memories by target; targets that are left out are memories of the same name.
        source: name of the file, for errors.

    Raises:
        MappingError: naming the directive and what is wrong with it.
    """
    entries = _entries(document, source)
    stores = _stores_of(entries, accelerator, levels, source)
    table: dict[str, _Level] = {target: _Level() for target in stores}
    kinds = [_kind(entry, f"{source}: mapping[{i}]") for i, entry in enumerate(entries)]
    for i, (entry, kind) in enumerate(zip(entries, kinds, strict=True)):
        place = f"{source}: mapping[{i}]"
        level = table[_target(entry, place)]
        if kind in level.seen:
            raise MappingError(f"{place}: a second {kind} directive for {shown(entry['target'])}")
        level.seen.add(kind)
        if kind == "datatype":
            level.bypassed = _bypassed(entry, place)
        else:
            _add_loops(level, kind, entry, einsum, place)
    _fill_rests(table, einsum, source)
    return Tree(
        tuple(_nodes(table, stores, einsum, accelerator, source)), operator=einsum.output.tensor
    )


def _entries(document: object, source: str) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        document = document.get("mapping")
    if not isinstance(document, list) or not document:
        raise MappingError(f"{source}: must hold a list of directives, each with a 'target'")
    if len(document) > MAX_DIRECTIVES:
        raise MappingError(f"{source}: {len(document)} directives: at most {MAX_DIRECTIVES}")
    for i, entry in enumerate(document):
        place = f"{source}: mapping[{i}]"
        if not isinstance(entry, dict):
            raise MappingError(f"{place}: {shown(entry)}: must hold 'target' and 'type'")
        for key in entry:
            if key not in KNOWN:
                raise MappingError(
                    f"{place}: unknown key {shown(key)}; known: {', '.join(sorted(KNOWN))}"
                )
    return document


def _target(entry: Mapping[str, Any], place: str) -> str:
    target = entry.get("target")
    if not isinstance(target, str) or not target:
        raise MappingError(f"{place}.target: {shown(target)}: must name a memory")
    return re.sub(r"\[[\d.]*\]$", "", target)  # `PE[0..15]` has its count from the architecture


def _kind(entry: Mapping[str, Any], place: str) -> str:
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise MappingError(
            f"{place}.type: {shown(kind)}: must be one of {', '.join(sorted(TYPES))}"
        )
    return TYPES[kind]


def _stores_of(
    entries: Sequence[Mapping[str, Any]], accelerator: SpatialArray, levels: Levels | None,
    source: str,
) -> dict[str, tuple[Store, ...]]:  # fmt: skip
    """Our memories by target, targets from the innermost to the outermost."""
    targets = list(
        dict.fromkeys(_target(e, f"{source}: mapping[{i}]") for i, e in enumerate(entries))
    )
    own = {store.name: store for store in accelerator.stores}
    lower = {name.lower(): name for name in own}
    given = levels or {}
    for target in given:
        if target not in targets:
            raise MappingError(f"{source}: no target {shown(target)}; it has {', '.join(targets)}")
    chosen: dict[str, tuple[Store, ...]] = {}
    for target in targets:
        names = given.get(target, (lower.get(target.lower(), target),))
        for name in names:
            if name not in own:
                raise MappingError(
                    f"{source}: target '{target}': '{name}' is no memory of '{accelerator.name}', "
                    f"which has {', '.join(own)}: say which it is (--level {target}=MEMORY)"
                )
        chosen[target] = tuple(own[name] for name in names)
    order = list(own)
    return dict(sorted(chosen.items(), key=lambda item: order.index(item[1][0].name)))


def _bypassed(entry: Mapping[str, Any], place: str) -> set[str]:
    def roles(key: str) -> set[str]:
        names = entry.get(key) or []
        if not isinstance(names, list):
            raise MappingError(f"{place}.{key}: {shown(names)}: must be a list of data spaces")
        return {_role(name, f"{place}.{key}") for name in names}

    keep, bypass = roles("keep"), roles("bypass")
    if both := keep & bypass:
        raise MappingError(f"{place}: keeps and bypasses {', '.join(sorted(both))}")
    # Timeloop keeps what neither list names.
    return bypass


def _role(name: object, place: str) -> str:
    role = DATA_SPACES.get(str(name).lower().removesuffix("s")) or DATA_SPACES.get(
        str(name).lower()
    )
    if role is None:
        raise MappingError(
            f"{place}: unknown data space {shown(name)}; known: Weights, Inputs, Outputs"
        )
    return role


def _add_loops(
    level: _Level, kind: str, entry: Mapping[str, Any], einsum: Einsum, place: str
) -> None:
    factors = _factors(entry.get("factors", []), f"{place}.factors")
    order = _permutation(entry.get("permutation", []), f"{place}.permutation")
    names = [*order, *(name for name in factors if name not in order)]
    split = entry.get("split", len(names))
    if not isinstance(split, int) or isinstance(split, bool) or split < 0:
        raise MappingError(f"{place}.split: {shown(split)}: must be a whole number of at least 0")
    for position, name in enumerate(names):
        rank = rank_of(name, einsum, _renamed(einsum), f"{place}.factors")
        count = factors.get(name, 1)
        require_rank(rank, name, count, place)
        if rank is None or count == 1:
            continue
        if kind == "temporal":
            level.temporal.append((rank, count))
        else:
            level.spatial[int(position >= split)].append((rank, count))


def _renamed(einsum: Einsum) -> dict[str, str]:
    own = dict(einsum.ranks)
    theirs = {name: ours for name, ours in RANKS.items() if name not in own}
    return {name: name for name in "RSPQCKN" if name not in own} | theirs


_FACTOR = re.compile(r"([A-Za-z_]+)\s*(?:=\s*)?(-?\d+)")


def _factors(given: object, place: str) -> dict[str, int]:
    """Factors by rank; 0 stands for what the others leave."""
    if isinstance(given, dict):
        given = [f"{name}={count}" for name, count in given.items()]
    texts = given.split() if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise MappingError(f"{place}: {shown(given)}: must be 'C4 K2' or [C=4, K=2]")
    factors: dict[str, int] = {}
    for text in texts:
        match = _FACTOR.fullmatch(str(text).strip().removesuffix(","))
        if match is None:
            raise MappingError(
                f"{place}: {shown(text)}: must be a rank and a whole number, as C4 or C=4"
                + ("; imperfect factors are not read" if "," in str(text) else "")
            )
        name, count = match[1], int(match[2]) if len(match[2]) < 20 else -1
        if name in factors:
            raise MappingError(f"{place}: rank {name} stands twice")
        factors[name] = count if count == 0 else whole(count, f"{place}: {name}")
    return factors


def _permutation(given: object, place: str) -> list[str]:
    if isinstance(given, str):
        names = [n.strip() for n in given.split(",")] if "," in given else list(given.strip())
        names = [name for name in names if name.strip()]
    elif isinstance(given, list) and all(isinstance(name, str) for name in given):
        names = list(given)
    else:
        raise MappingError(f"{place}: {shown(given)}: must be 'RSCKPQN' or [R, S, C, ...]")
    for name in names:
        if names.count(name) > 1:
            raise MappingError(f"{place}: rank {name} stands twice")
    return names


def _loop_lists(table: Mapping[str, _Level]) -> Iterator[list[tuple[str, int]]]:
    for level in table.values():
        yield level.temporal
        yield from level.spatial


def _fill_rests(table: Mapping[str, _Level], einsum: Einsum, source: str) -> None:
    """Gives factors of 0 what the others leave of the extent."""
    counts: dict[str, list[int]] = {}
    for loops in _loop_lists(table):
        for rank, count in loops:
            counts.setdefault(rank, []).append(count)
    for loops in _loop_lists(table):
        for i, (rank, count) in enumerate(loops):
            if count == 0:
                others = [c for c in counts[rank] if c]
                if len(others) < len(counts[rank]) - 1:
                    raise MappingError(
                        f"{source}: rank {rank} has several factors of 0: one is legal"
                    )
                loops[i] = rank, rest(einsum.extent(rank), others)


def _nodes(
    table: Mapping[str, _Level], stores: Mapping[str, Sequence[Store]], einsum: Einsum,
    accelerator: SpatialArray, source: str,
) -> Iterator[Node]:  # fmt: skip
    targets = list(stores)
    named = {store.name for group in stores.values() for store in group}
    for store in accelerator.stores:
        if store.name not in named:
            raise MappingError(f"{source}: no directive for memory '{store.name}'")
    for i in reversed(range(len(targets))):
        level = table[targets[i]]
        for store in stores[targets[i]]:
            kept = tuple(o for o in OPERANDS if o in store.operands and o not in level.bypassed)
            if kept:
                yield Keep(store.name, kept)
        for rank, count in reversed(level.temporal):
            yield Temporal(rank, count)
        if any(level.spatial):
            below = stores[targets[i - 1]] if i else ()
            yield from _spread(level, targets[i], stores[targets[i]], below, accelerator, source)


def _spread(
    level: _Level, target: str, stores: Sequence[Store], below: Sequence[Store],
    accelerator: SpatialArray, source: str,
) -> Iterator[Node]:  # fmt: skip
    """Spatial loops along the dimensions between a memory and the next one."""
    between = [
        name
        for name, _ in accelerator.dimensions
        if all(name in s.serves for s in stores) and not any(name in s.serves for s in below)
    ]
    if not between:
        raise MappingError(
            f"{source}: spatial directive at '{target}': '{accelerator.name}' has no dimension "
            "below that memory"
        )
    for loops, dimension in zip(level.spatial, (between[0], between[-1]), strict=True):
        for rank, count in loops:
            yield Spatial(rank, count, dimension)
