"""What FLAT keeps on chip: its published mappings, and a search over all of its kind.

References:
    Kao et al., FLAT, ASPLOS 2023; FuseMax's artifact for the mappings and the traffic model.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import chain, combinations

from dovetail.arch.attention import AttentionArray
from dovetail.errors import MappingError
from dovetail.sim.attention.estimate import flat_bytes
from dovetail.sim.attention.work import OPERANDS, AttentionWork, FlatMapping

FILE = "flat_published.csv"


def choose_flat(a: AttentionArray, work: AttentionWork) -> FlatMapping:
    """The published mapping where there is one for this array and shape, else the search's."""
    return published(a, work) or search_flat(a, work)


def published(a: AttentionArray, work: AttentionWork) -> FlatMapping | None:
    """What FLAT's own mapper found for an encoder, if FuseMax's artifact tells."""
    alike = work.queries == work.keys and work.query_width == work.value_width
    if not alike or (a.dim, a.buffer_kib, a.operand_bits) != (256, 32_768, 16):
        return None
    return _table().get((work.query_width, work.keys))


@cache
def _table() -> dict[tuple[int, int], FlatMapping]:
    text = (resources.files("dovetail.mappers.attention") / FILE).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        (int(row["width"]), int(row["length"])): FlatMapping(
            frozenset(name for name in OPERANDS if row[name.lower()] == "on"),
            row["scores"] == "on",
            row["stationary"],
            row["granularity"],
            int(row["rows"]),
            float(row["spilled"]),
        )
        for row in csv.DictReader(lines)
    }


def search_flat(a: AttentionArray, work: AttentionWork) -> FlatMapping:
    """The mapping of least off-chip traffic; of equal ones that which takes least of the buffer.

    Raises:
        MappingError: if the tiles that stream by do not fit the buffer.
    """
    best, merit = None, (float("inf"),) * 2
    for mapping, need in _candidates(a, work):
        found = (sum(flat_bytes(a, work, mapping).values()), need)
        if found < merit:
            best, merit = mapping, found
    if best is None:
        raise MappingError(
            f"global buffer of {a.buffer_kib} KiB: no mapping of FLAT fits for {a.dim} PEs a side "
            f"and widths {work.query_width} and {work.value_width}: raise buffer_kib or lower dim"
        )
    return best


def _candidates(a: AttentionArray, work: AttentionWork) -> Iterator[tuple[FlatMapping, float]]:
    """Mappings and the bytes of buffer that they want; more than there are is spilled."""
    kept = chain.from_iterable(combinations(OPERANDS, n) for n in range(len(OPERANDS) + 1))
    for on_chip in [frozenset(names) for names in kept]:
        for granularity, rows in _granules(a, work):
            for scores in (True, False):
                # Stationary keys and values are passed by all rows at once: these must be there.
                for stationary in ("output", "weight")[: 1 + ({"Q", "AV"} <= on_chip)]:
                    mapping = FlatMapping(on_chip, scores, stationary, granularity, rows)
                    need = footprint(a, work, mapping)
                    spilled = max(0.0, 1 - a.buffer_bytes / need)
                    # Scores may be spilled in part, but not the tiles that stream past them.
                    beside = need - scores * _rows(work, mapping) * work.keys * a.word_bytes
                    partly = scores and stationary == "output" and beside <= a.buffer_bytes
                    if not spilled or partly:
                        yield (
                            FlatMapping(on_chip, scores, stationary, granularity, rows, spilled),
                            need,
                        )


def _granules(a: AttentionArray, work: AttentionWork) -> Iterator[tuple[str, int]]:
    yield "head", min(a.dim, work.queries)
    rows = a.dim
    while rows < work.queries:
        yield "row", rows
        rows *= 2
    yield "row", work.queries


def footprint(a: AttentionArray, work: AttentionWork, mapping: FlatMapping) -> float:
    """Bytes of buffer: scores once, all else double-buffered, whole or a tile of `dim` rows.

    The published share of spilled scores is 1 - buffer / footprint in every row of the table.
    """
    rows = _rows(work, mapping)
    e, f = work.query_width, work.value_width
    width = {"Q": e, "K": e, "V": f, "AV": f}
    length = {"Q": rows, "K": work.keys, "V": work.keys, "AV": rows}
    words = rows * work.keys * mapping.scores_on_chip
    for name in OPERANDS:
        held = length[name] if name in mapping.on_chip else min(a.dim, length[name])
        words += 2 * width[name] * held
    return words * a.word_bytes


def _rows(work: AttentionWork, mapping: FlatMapping) -> int:
    """Queries whose scores are there at once."""
    return work.queries if mapping.granularity == "head" else mapping.rows
