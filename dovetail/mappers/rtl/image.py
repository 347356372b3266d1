"""The memory image: segments one after the other, constants, and room for tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir.encoding import ENTRY_BYTES, HEADER, encode, pack
from dovetail.ir.executable import Bytes, Executable, Region, Segment
from dovetail.ir.program import Program
from dovetail.mappers.rtl.layout import aligned, machine_of
from dovetail.networks.quantized import QuantizedNetwork

START = 64
"""Address of the first segment; 0 ends a chain of segments."""
ADDRESSES = 2**32

Places = dict[str, Region]


@dataclass(frozen=True)
class Part:
    """What a layer brings into the image.

    Attributes:
        program: its Program, given where the tensors and its constants lie.
        parameters: (words, cols) parameter lanes.
        data: constants, packed.
    """

    program: Callable[[Places, int], Program]
    parameters: NDArray[np.uint64]
    data: Bytes


def assemble(
    network: QuantizedNetwork,
    design: SystolicArray,
    parts: Sequence[Part],
    place: Callable[[int], tuple[Region, ...]],
) -> Executable:
    """Lays out all parts.

    Args:
        network: gives the names.
        design: that the parts are for.
        parts: one per layer, in order.
        place: regions of all tensors from an address on.

    Raises:
        MappingError: if memory or a field of an instruction is too small.
    """
    # Sizes do not depend on addresses: a first pass with all tensors at 0 measures them.
    origin = {region.name: region for region in place(0)}
    sizes = [len(_content(part.program(origin, 0), part.parameters, 0)) for part in parts]
    starts = [START]
    for size in (*sizes, *(len(part.data) for part in parts)):
        starts.append(aligned(starts[-1] + size))
    regions = place(starts[-1])
    size = max(aligned(region.address + region.size) for region in regions)
    if size > ADDRESSES:
        raise MappingError(f"network '{network.name}' needs {size} B of memory: at most 4 GiB")
    image = np.zeros(starts[-1], dtype=np.uint8)
    places = {region.name: region for region in regions}
    segments = []
    for i, part in enumerate(parts):
        at, constants = starts[i], starts[len(parts) + i]
        program = part.program(places, constants)
        content = _content(program, part.parameters, starts[i + 1] if i + 1 < len(parts) else 0)
        image[at : at + len(content)] = content
        image[constants : constants + len(part.data)] = part.data
        segments.append(Segment(program, at, len(content), _entries(program), part.parameters))
    return Executable(
        network.name, machine_of(design), image.tobytes(), START, tuple(segments), regions,
        network.input, network.output, size,
    )  # fmt: skip


def _entries(program: Program) -> tuple[int, int, int]:
    load, execute, store = (len(stream) // ENTRY_BYTES for stream in encode(program))
    return load, execute, store


def _content(program: Program, parameters: NDArray[np.uint64], following: int) -> Bytes:
    """Header, entries and parameters of a segment."""
    streams = encode(program)
    counts = (len(stream) // ENTRY_BYTES for stream in streams)
    names = [name for name, _ in HEADER]
    values = dict(zip(names, (*counts, len(parameters), following), strict=True))
    header = pack(HEADER, values, f"segment of '{program.operator}'")
    entries = b"".join((header.to_bytes(ENTRY_BYTES, "little"), *streams))
    lanes = np.ascontiguousarray(parameters).astype("<u8").reshape(-1).view(np.uint8)
    return np.concatenate([np.frombuffer(entries, dtype=np.uint8), lanes])
