"""Dovetail's mapping file: YAML, one line a node, from the outermost to the innermost.

    dovetail-mapping: 1
    accelerator: eyeriss_v1
    mappings:
    - operator: conv1
      nest:
      - {keep: [input, weight, output], in: dram}
      - {for: K, count: 4}
      - {keep: [input], in: glb}
      - {for: C, count: 3}
      - {spread: P, count: 14, along: x}

Fused operators have `children` in place of `operator`: a list of such entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Table
from typing import Any

import yaml

from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.strict_yaml import shown

KEY = "dovetail-mapping"
VERSION = 1

MAX_NODES = 1000
"""Nodes around one operator; real mappings have some dozens."""

MAX_COUNT = 2**50
"""Iterations of one loop: the bound of an operator's work."""

SHAPES = {
    "keep": ("keep", "in"),
    "for": ("for", "count"),
    "spread": ("spread", "count", "along"),
}
"""Keys of a node, by the key that says which node it is."""


def to_text(mappings: Table[str, Mapping], accelerator: str = "") -> str:
    """The file of mappings by operator; fused operators stand in it once."""
    lines = [f"{KEY}: {VERSION}"]
    if accelerator:
        lines.append(f"accelerator: {_flow(accelerator)}")
    lines.append("mappings:" if mappings else "mappings: []")
    trees = list(dict.fromkeys(mappings.values()))
    for tree in trees:
        lines += _entry(tree, "")
    return "\n".join(lines) + "\n"


def _entry(mapping: Mapping, indent: str) -> list[str]:
    lines = [f"{indent}  nest:" if mapping.nodes else f"{indent}  nest: []"]
    lines += [f"{indent}  - {_flow(fields_of(node))}" for node in mapping.nodes]
    if mapping.operator:
        return [f"{indent}- operator: {_flow(mapping.operator)}", *lines]
    lines.append(f"{indent}  children:")
    for child in mapping.children:
        lines += _entry(child, f"{indent}  ")
    return [f"{indent}- {lines[0].strip()}", *lines[1:]]


def fields_of(node: Node) -> dict[str, object]:
    """Keys and values of a node, as the file has them."""
    if isinstance(node, Keep):
        return {"keep": list(node.tensors), "in": node.memory}
    if isinstance(node, Temporal):
        return {"for": node.rank, "count": node.count}
    return {"spread": node.rank, "count": node.count, "along": node.dimension}


def _flow(value: object) -> str:
    """A value on one line, quoted where YAML needs it."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**31 - 1)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def read(document: Table[str, Any], source: str) -> dict[str, Mapping]:
    """Mappings by operator; the inverse of `to_text`.

    Args:
        document: values of the YAML file.
        source: its name, for errors.

    Raises:
        MappingError: naming file, place, value and law if it is wrong.
    """
    if document[KEY] != VERSION or isinstance(document[KEY], bool):
        raise MappingError(
            f"{source}: {KEY}: {shown(document[KEY])}: this Dovetail reads version {VERSION}"
        )
    _check_keys(document, (KEY, "accelerator", "mappings"), source, required=(KEY, "mappings"))
    found: dict[str, Mapping] = {}
    for i, entry in enumerate(_list(document["mappings"], f"{source}: mappings")):
        place = f"{source}: mappings[{i}]"
        mapping = _mapping(entry, place)
        for operator, _ in mapping.paths():
            if operator in found:
                raise MappingError(f"{place}: operator {shown(operator)} is mapped twice")
            found[operator] = mapping
    return found


def _mapping(entry: object, place: str) -> Mapping:
    if not isinstance(entry, dict):
        raise MappingError(f"{place}: {shown(entry)}: must hold 'operator' and 'nest'")
    _check_keys(entry, ("operator", "nest", "children"), place, required=("nest",))
    nest = _list(entry["nest"], f"{place}.nest")
    if len(nest) > MAX_NODES:
        raise MappingError(f"{place}.nest: {len(nest)} nodes: at most {MAX_NODES} are read")
    nodes = tuple(_node(node, f"{place}.nest[{i}]") for i, node in enumerate(nest))
    if ("operator" in entry) == ("children" in entry):
        raise MappingError(f"{place}: must hold either 'operator' or 'children'")
    if "operator" in entry:
        return Mapping(nodes, operator=_name(entry["operator"], f"{place}.operator"))
    children = _list(entry["children"], f"{place}.children")
    if not children:
        raise MappingError(f"{place}.children: is empty: must hold the operators inside")
    return Mapping(
        nodes,
        children=tuple(_mapping(c, f"{place}.children[{i}]") for i, c in enumerate(children)),
    )


def _node(node: object, place: str) -> Node:
    kinds = [kind for kind in SHAPES if isinstance(node, dict) and kind in node]
    if not isinstance(node, dict) or len(kinds) != 1:
        raise MappingError(
            f"{place}: {shown(node)}: must be {{keep: [...], in: MEMORY}}, {{for: RANK, count: N}} "
            "or {spread: RANK, count: N, along: DIMENSION}"
        )
    (kind,) = kinds
    _check_keys(node, SHAPES[kind], place, required=SHAPES[kind])
    if kind == "keep":
        tensors = _list(node["keep"], f"{place}.keep")
        names = tuple(_name(tensor, f"{place}.keep") for tensor in tensors)
        if not names or len(set(names)) != len(names):
            raise MappingError(f"{place}.keep: {shown(tensors)}: must name tensors, each once")
        return Keep(_name(node["in"], f"{place}.in"), names)
    rank = _name(node[kind], f"{place}.{kind}")
    count = _count(node["count"], f"{place}.count")
    if kind == "for":
        return Temporal(rank, count)
    return Spatial(rank, count, _name(node["along"], f"{place}.along"))


def _check_keys(
    table: Table[Any, Any], known: Iterable[str], place: str, *, required: Iterable[str]
) -> None:
    for key in table:
        if key not in known:
            raise MappingError(f"{place}: unknown key {shown(key)}; known: {', '.join(known)}")
    for key in required:
        if key not in table:
            raise MappingError(f"{place}: '{key}' is missing")


def _list(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise MappingError(f"{place}: {shown(value)}: must be a list")
    return value


def _name(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise MappingError(f"{place}: {shown(value)}: must be a name (quote numbers and dates)")
    return value


def _count(value: object, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_COUNT:
        raise MappingError(f"{place}: {shown(value)}: must be a whole number from 1 to 2^50")
    return value
