"""Spatial arrays as nested values of a file, and as flat scalars by dotted name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail.arch.laws import NAME, UNLIMITED, checked, legal, number, short
from dovetail.arch.systolic import shorten
from dovetail.errors import AcceleratorError

if TYPE_CHECKING:
    from dovetail.arch.spatial import SpatialArray, Store

Law = Mapping[str, Any]

SIZE: Law = number(1, 1, 65536, "PEs", "", whole=True).metadata
KIB: Law = number(1.0, 2**-13, 2**40, "KiB", "", words=UNLIMITED).metadata
RANKS: Law = {"kind": "names", "choices": ()}
KEYS = {"dimensions": "array", "stores": "memories"}
"""What files call a field, where it is not its name."""

MAX_MEMORIES = 32
MAX_DIMENSIONS = 8


def described(prefix: str, field: dataclasses.Field[Any]) -> tuple[str, str, str, str]:
    """(name, default, legal values, meaning) of a parameter."""
    law = field.metadata
    missing = field.default is dataclasses.MISSING
    default = "" if missing else str(_scalar(field.default, law))
    if field.name.endswith("_pj"):
        default = "by technology"
    return prefix + field.name, default, short(law), law["doc"]


def nested(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values as a file nests them: `array`, `unrolls` and a list of `memories`.

    Raises:
        AcceleratorError: if a dotted name leads nowhere, or there are no memories.
    """
    tree: dict[str, Any] = {k: v for k, v in values.items() if "." not in k and k != "family"}
    if isinstance(tree.get("memories"), str):
        tree["memories"] = [{"name": name} for name in tree["memories"].split()]
    memories = tree.get("memories")
    if not isinstance(memories, list) or not 1 <= len(memories) <= MAX_MEMORIES:
        raise AcceleratorError(
            f"{source}: memories = {shorten(memories)}: must be a list of 1 to {MAX_MEMORIES} "
            "memories, from the innermost to the outermost"
        )
    for key, value in values.items():
        if "." in key:
            _place(tree, key, value, source)
    return tree


def replaced(array: SpatialArray, values: Mapping[str, object], source: str) -> dict[str, Any]:
    """Nested values of an array with some replaced by dotted name.

    Raises:
        AcceleratorError: if a name leads nowhere.
    """
    tree = _tree(array)
    for key in values:
        if key.endswith(".capacity_kib") and key.replace("_kib", "_bytes") in values:
            raise AcceleratorError(f"{source}: {key} and capacity_bytes: give one of them")
    known = {f"array.{n}" for n, _ in array.dimensions} | {
        f"unrolls.{n}" for n, _ in array.dimensions
    }
    for key, value in values.items():
        if key.partition(".")[0] in ("array", "unrolls") and "." in key and key not in known:
            raise AcceleratorError(
                f"{source}: unknown key {shorten(key)}; legal keys: {', '.join(sorted(known))}"
            )
        if "." in key:
            _place(tree, key, value, source)
        elif key in ("array", "unrolls", "memories"):
            raise AcceleratorError(
                f"{source}: {key} = {shorten(value)}: name one parameter of it, e.g. "
                f"{_example(array, key)}"
            )
        else:
            tree[key] = value
            if key == "mac_pj":
                tree["derived"] = ()
    return tree


def _example(array: SpatialArray, key: str) -> str:
    dimension = array.dimensions[0][0]
    return {
        "array": f"array.{dimension}=8",
        "unrolls": f"unrolls.{dimension}='K C'",
        "memories": f"memories.{array.stores[0].name}.capacity_kib=64",
    }[key]


def _place(tree: dict[str, Any], key: str, value: object, source: str) -> None:
    """Puts a value where its dotted name says."""
    head, _, rest = key.partition(".")
    if head in ("array", "unrolls") and "." not in rest:
        table = tree.setdefault(head, {})
        if isinstance(table, dict):
            table[rest] = value
            return
    name, dot, parameter = rest.rpartition(".")
    if head == "memories" and dot:
        named = [m for m in tree["memories"] if isinstance(m, dict) and m.get("name") == name]
        if not named:
            known = ", ".join(str(m.get("name")) for m in tree["memories"] if isinstance(m, dict))
            raise AcceleratorError(f"{source}: {shorten(key)}: unknown memory; it has {known}")
        memory = named[0]
        for other in {"capacity_kib": ["capacity_bytes"], "capacity_bytes": ["capacity_kib"]}.get(
            parameter, []
        ):
            memory.pop(other, None)
        memory[parameter] = value
        return
    raise AcceleratorError(
        f"{source}: unknown key {shorten(key)}; dotted keys are array.DIM, unrolls.DIM and "
        "memories.NAME.PARAMETER"
    )


def _tree(array: SpatialArray) -> dict[str, Any]:
    """Nested values without the energies that the technology gives."""
    tree: dict[str, Any] = {
        "array": dict(array.dimensions),
        "unrolls": dict(array.unrolls),
        "memories": [_branch(store, ("name",)) for store in array.stores],
    }
    return tree | _branch(array, ("dimensions", "unrolls", "stores"), keep=("name",))


def _branch(
    item: Store | SpatialArray, left_out: tuple[str, ...], keep: tuple[str, ...] = ()
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": item.name}
    for field in dataclasses.fields(item):
        if field.name in (*left_out, *keep, *item.derived, "derived"):
            continue
        found[field.name] = _scalar(getattr(item, field.name), field.metadata)
    return found


def _scalar(value: Any, law: Law) -> int | float | str:
    """A value as a file writes it."""
    for word, stands_for in law.get("words", {}).items():
        if value is stands_for or (stands_for is not None and value == stands_for):
            return str(word)
    return " ".join(value) if isinstance(value, tuple) else value


def flat(array: SpatialArray) -> dict[str, int | float | str]:
    """Scalars by dotted name; `memories` lists the memories from the innermost."""
    table: dict[str, int | float | str] = {"family": array.family, "name": array.name}
    table |= {f"array.{name}": size for name, size in array.dimensions}
    table |= {f"unrolls.{name}": " ".join(ranks) for name, ranks in array.unrolls}
    for field in dataclasses.fields(array):
        if field.name not in ("name", "dimensions", "unrolls", "stores"):
            table[field.name] = _scalar(getattr(array, field.name), field.metadata)
    table["memories"] = " ".join(store.name for store in array.stores)
    for store in array.stores:
        for field in dataclasses.fields(store):
            if field.name != "name":
                value = _scalar(getattr(store, field.name), field.metadata)
                table[f"memories.{store.name}.{field.name}"] = value
    return table


def parsed(values: Mapping[str, Any], source: str, laws: Mapping[str, Law]) -> dict[str, Any]:
    """Arguments of an array, its memories left out, from nested values.

    Raises:
        AcceleratorError: naming source, path, value and what is legal.
    """
    known = [KEYS.get(name, name) for name in laws]
    _refuse_unknown(values, known, source)
    found: dict[str, Any] = {
        "name": "spatial",
        "dimensions": _dimensions(values.get("array"), source),
        "unrolls": _unrolls(values.get("unrolls", {}), source),
    }
    for key, value in values.items():
        if key not in ("array", "unrolls", "memories"):
            found[key] = _given(f"{source}: {key}", laws[key], value)
    return found


def parsed_memory(values: object, where: str, laws: Mapping[str, Law]) -> dict[str, Any]:
    """Arguments of a store from the values of one memory; raises as `parsed` does."""
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise AcceleratorError(
            f"{where} = {shorten(values)}: must hold 'key: value' lines, one per parameter"
        )
    known = [*laws, "capacity_kib"]
    _refuse_unknown(values, known, where)
    for key in ("name", "operands"):
        if key not in values:
            raise AcceleratorError(f"{where}: needs '{key}'; legal keys: {', '.join(known)}")
    if "capacity_kib" in values and "capacity_bytes" in values:
        raise AcceleratorError(f"{where}: capacity_bytes and capacity_kib: give one of them")
    path = f"{where}."
    found = {
        key: _given(f"{path}{key}", KIB if key == "capacity_kib" else laws[key], value)
        for key, value in values.items()
    }
    if not NAME.fullmatch(found["name"]):
        raise AcceleratorError(
            f"{path}name = {shorten(found['name'])}: must be letters, digits and underscores"
        )
    if "capacity_kib" in found:
        found["capacity_bytes"] = found.pop("capacity_kib") * 1024
    derived = [
        name
        for name in ("read_pj", "write_pj")
        if name not in found or name in found.get("derived", ())
    ]
    return {**found, "derived": tuple(derived)}


def _refuse_unknown(values: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise AcceleratorError(
                f"{where}: unknown key {shorten(key)}; legal keys: {', '.join(known)}"
            )


def _given(where: str, law: Law, value: object) -> Any:
    if value is None:  # an empty value in a file
        raise AcceleratorError(f"{where} = None: must be {legal(law)}")
    return checked(where, law, value)


def _dimensions(values: object, source: str) -> tuple[tuple[str, int], ...]:
    table = _table(values, f"{source}: array", "PEs by dimension, e.g. {x: 14, y: 12}")
    if not 1 <= len(table) <= MAX_DIMENSIONS:
        raise AcceleratorError(
            f"{source}: array has {len(table)} dimensions: must have 1 to {MAX_DIMENSIONS}"
        )
    return tuple((n, _given(f"{source}: array.{n}", SIZE, size)) for n, size in table.items())


def _unrolls(values: object, source: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = _table(values, f"{source}: unrolls", "ranks by dimension, e.g. {x: [K], y: [C]}")
    return tuple((n, _given(f"{source}: unrolls.{n}", RANKS, ranks)) for n, ranks in table.items())


def _table(values: object, where: str, form: str) -> Mapping[str, Any]:
    named = isinstance(values, Mapping) and all(
        isinstance(key, str) and NAME.fullmatch(key) for key in values
    )
    if not named:
        raise AcceleratorError(f"{where} = {shorten(values)}: must be {form}")
    return values  # type: ignore[return-value]  # just checked
