"""Files of mappings: Dovetail's own, and those of Timeloop and ZigZag."""

from __future__ import annotations

from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir import strict_yaml
from dovetail.ir.files import write_text
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.mappers.formats.own import KEY, VERSION, read, to_text
from dovetail.mappers.formats.timeloop import Levels, is_timeloop, read_timeloop
from dovetail.mappers.formats.zigzag import is_zigzag, pairs_as_lists, read_document

MAX_FILE_BYTES = 4 << 20
"""A thousand operators take about one MiB."""


def read_mappings(
    path: str | Path,
    operators: Table[str, Einsum] | None = None,
    accelerator: SpatialArray | None = None,
    levels: Levels | None = None,
) -> dict[str, Mapping]:
    """Mappings by the operators that they lay out.

    A file of Dovetail's names its operators. A file of Timeloop or ZigZag holds one mapping
    without an operator: it is read as that of the only one in `operators`.

    Args:
        path: of the file.
        operators: Einsums by name; needed for files of others.
        accelerator: whose memories a file of others talks of; needed for these.

        levels: our memories by target of a Timeloop file; targets that are left out are memories
            of the same name.

    Returns:
        One entry per operator; operators that are fused share one tree.

    Raises:
        MappingError: naming file, place, value and law if the file is wrong.
    """
    source = str(path)
    text = strict_yaml.read_text(Path(path), MAX_FILE_BYTES, MappingError, "mapping file")
    document = _document(text, source)
    if isinstance(document, dict) and KEY in document:
        return read(document, source)
    name, einsum, accelerator = _only(source, operators, accelerator)
    if is_zigzag(document):
        found = read_document(document, einsum, accelerator, source, name)
    elif is_timeloop(document):
        found = read_timeloop(document, einsum, accelerator, levels=levels, source=source)
    else:
        raise MappingError(
            f"{source}: no mapping file: must hold '{KEY}: {VERSION}', or be a mapping of "
            "Timeloop (a list of targets) or ZigZag (spatial_mapping and temporal_mapping)"
        )
    return {name: Mapping(found.nodes, operator=name)}


def made_for(path: str | Path) -> str:
    """Name of the accelerator that a file of Dovetail's says it was made for; "" if it does not.

    Raises:
        MappingError: if the file cannot be read.
    """
    text = strict_yaml.read_text(Path(path), MAX_FILE_BYTES, MappingError, "mapping file")
    document = _document(text, str(path))
    name = document.get("accelerator") if isinstance(document, dict) else None
    return name if isinstance(name, str) and KEY in document else ""


def write_mappings(path: str | Path, mappings: Table[str, Mapping], accelerator: str = "") -> None:
    """Writes a file of Dovetail's; `read_mappings` returns the same.

    Args:
        path: of the file.
        mappings: by operator.
        accelerator: name of what they were made for, for readers.

    Raises:
        OutputError: if it cannot be written.
    """
    write_text(path, to_text(mappings, accelerator))


def _document(text: str, source: str) -> Any:
    # ZigZag writes loops as (K, 2): pairs, but no YAML.
    if "temporal_mapping" in text:
        text = pairs_as_lists(text)
    return strict_yaml.parse(text, source, MappingError)


def _only(
    source: str, operators: Table[str, Einsum] | None, accelerator: SpatialArray | None
) -> tuple[str, Einsum, SpatialArray]:
    if operators is None or accelerator is None:
        raise MappingError(
            f"{source}: holds no '{KEY}: {VERSION}', so it is not Dovetail's own: "
            "`dovetail map --check` reads mappings of Timeloop and ZigZag, `-o` converts them"
        )
    if len(operators) != 1:
        raise MappingError(
            f"{source}: a mapping of another tool names no operator: say which of the "
            f"{len(operators)} it is for (--operator NAME)"
        )
    ((name, einsum),) = operators.items()
    return name, einsum, accelerator
