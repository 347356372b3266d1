"""Closed forms of attention's time, traffic and energy on the attention family.

References:
    Nayak et al., FuseMax, MICRO 2024 (arXiv 2406.10491), and the models of its artifact.
"""

from __future__ import annotations

from dovetail.arch.attention import AttentionArray
from dovetail.sim.attention.bindings import ON_ARRAY, PER_SCORE, PHASES
from dovetail.sim.attention.costs import Cost, Words, bounded
from dovetail.sim.attention.work import (
    AttentionMapping,
    AttentionWork,
    FlatMapping,
    Resident,
    cycles_of,
    energy_of,
    operations,
    tiles,
)

SOFTMAX = ("GM", "SN", "SD", "A")
"""Einsums of the 3-pass cascade between its products."""


def attention_cost(
    a: AttentionArray, work: AttentionWork, mapping: AttentionMapping
) -> tuple[Cost, ...]:
    """Kernels of attention: one, or of an unfused design scores, softmax and weighted values.

    Args:
        a: the design.
        work: what is computed.
        mapping: what stays on chip, as `dovetail.mappers.attention` chooses it.
    """
    if isinstance(mapping, FlatMapping):
        return (_flat(a, work, mapping),)
    if isinstance(mapping, Resident):
        return (_cascade(a, work, mapping),)
    return _unfused(a, work)


def _cascade(a: AttentionArray, work: AttentionWork, mapping: Resident) -> Cost:
    key_tiles, query_tiles = tiles(work.keys, a.dim), tiles(work.queries, a.dim)
    rows = work.groups * query_tiles
    per_tile, final = tile_cycles(a, work)
    count = rows * key_tiles
    if a.binding == "cascade":
        array = count * sum(per_tile[name] for name in ON_ARRAY["cascade"])
        vector = count * sum(
            cycles * (a.dim if name in PER_SCORE else 1)
            for name, cycles in per_tile.items()
            if name not in ON_ARRAY["cascade"]
        )
        pipeline, drain = float(max(array, vector + rows * final)), 0
    else:
        array = count * sum(per_tile[name] for name in ON_ARRAY[a.binding])
        vector = count * sum(per_tile[n] for n in per_tile if n not in ON_ARRAY[a.binding])
        pipeline, drain = _phases(a, per_tile, count, rows * final)
    words = work.words
    passes = -(-query_tiles // mapping.query_tiles)
    moved = {
        "input": a.word_bytes * (words["Q"] + work.score_reads * work.scores),
        "weight": a.word_bytes * passes * (words["K"] + words["V"]),
        "output": a.word_bytes * words["AV"],
    }
    energy = _cascade_energy(a, work, key_tiles)
    # Running values are read and written for every tile; on FLAT's PEs scores and weights are, too.
    reads, writes = _streamed(a, work), work.groups * work.queries * key_tiles * (final + 2)
    scores = work.scores * (a.binding == "cascade")
    buffer = (reads + writes + 4 * scores, writes + 2 * scores)
    return bounded(a, array, vector + rows * final, pipeline, drain, moved, energy, buffer)


def tile_cycles(a: AttentionArray, work: AttentionWork) -> tuple[dict[str, int], int]:
    """Cycles of each Einsum of the 1-pass cascade for one tile, and of `AV` for one query tile.

    The tile has a score per 2D PE; where 1D PEs take them, they need `dim` times as long.
    """
    found = {
        name: cycles_of(count, a, unit=a.exp_unit and name not in ON_ARRAY[a.binding])
        for name, count in operations("attention_1pass", work).items()
    }
    return found, found.pop("AV")


def tiles_behind(a: AttentionArray, work: AttentionWork) -> int:
    """Tiles that pass while the sums of a tile drain from the array; 0 if nothing hides that."""
    if a.binding != "fusemax":
        return 0
    per_tile, _ = tile_cycles(a, work)
    busy = sum(count for name, count in per_tile.items() if name not in ON_ARRAY[a.binding])
    return tiles(a.dim, busy)


def _phases(
    a: AttentionArray, per_tile: dict[str, int], count: int, final: int
) -> tuple[float, int]:
    """Cycles of `count` tiles, and those of them in which the array drains."""
    total = drain = 0
    for phase in PHASES[a.binding]:
        array = count * sum(per_tile[name] for name in phase.array)
        vector = count * sum(per_tile[name] for name in phase.vector if name != "AV")
        total += max(array, vector + final * ("AV" in phase.vector))
        drain += count * a.dim * per_tile["LM"] * phase.drains
    return float(total + drain), drain


def _cascade_energy(a: AttentionArray, work: AttentionWork, key_tiles: int) -> dict[str, float]:
    points = {"score": work.scores, "row": work.groups * work.queries * key_tiles}
    points["query"] = work.groups * work.queries
    inner = outer = registers = 0.0
    for name, count in operations("attention_1pass", work).items():
        kind = "score" if name in PER_SCORE else "query" if name == "AV" else "row"
        if name in ON_ARRAY[a.binding]:
            inner += points[kind] * energy_of(count, a)
            macs = count["mac"] + count["exp"] * a.exp_macs
            registers += points[kind] * macs * a.rf_pj
        else:
            outer += points[kind] * energy_of(count, a, unit=a.exp_unit)
    buffers = work.scores * a.score_pj if a.binding == "cascade" else 0.0
    return {"mac": inner, "vector": outer, "registers": registers, "buffer": buffers}


def _flat(a: AttentionArray, work: AttentionWork, mapping: FlatMapping) -> Cost:
    array, vector = _products(a, work), _softmax_cycles(a, work)
    moved = flat_bytes(a, work, mapping)
    pipeline = float(max(array, vector))
    buffer = (_streamed(a, work) + 5 * work.scores, 3 * work.scores)
    return bounded(a, array, vector, pipeline, 0, moved, _softmax_energy(a, work), buffer)


def _streamed(a: AttentionArray, work: AttentionWork) -> int:
    """Words of queries, keys and values that the buffer hands to the array, tile by tile."""
    queries = work.groups * work.queries * tiles(work.keys, a.dim)
    keys = work.groups * work.keys * tiles(work.queries, a.dim)
    return queries * work.query_width + keys * (work.query_width + work.value_width)


def flat_bytes(a: AttentionArray, work: AttentionWork, mapping: FlatMapping) -> dict[str, float]:
    """Off-chip traffic of FLAT.

    What stays on chip is read once (by every row block, for keys and values) but for the part
    that is spilled, which is read as often as the array asks for it. Spilled scores move seven
    times, scores that are kept off chip four times.
    """
    words, spilled = work.words, mapping.spilled
    blocks = work.queries / mapping.rows
    asked = {
        "Q": work.keys / a.dim, "K": work.queries / a.dim, "V": work.queries / a.dim,
    }  # fmt: skip
    once = {"Q": 1.0, "K": blocks, "V": blocks}
    reads = {}
    for name in ("Q", "K", "V"):
        if mapping.stationary == "weight":
            reads[name] = once[name]
        elif name in mapping.on_chip:
            reads[name] = once[name] * (1 - spilled) + spilled * asked[name]
        else:
            reads[name] = max(1.0, asked[name])
    scores = work.scores * (spilled if mapping.scores_on_chip else 1.0)
    read, written = (4, 3) if mapping.scores_on_chip else (2, 2)
    extra = work.score_reads * work.scores
    return {
        "input": a.word_bytes * (words["Q"] * reads["Q"] + read * scores + extra),
        "weight": a.word_bytes * (words["K"] * reads["K"] + words["V"] * reads["V"]),
        "output": a.word_bytes * (words["AV"] + written * scores),
    }


def _unfused(a: AttentionArray, work: AttentionWork) -> tuple[Cost, ...]:
    words, scores = work.words, work.scores
    array = {name: _products(a, work, name) for name in ("QK", "AV")}
    energy = _softmax_energy(a, work)
    extra = work.score_reads * scores
    parts = work.query_width / (work.query_width + work.value_width)

    streamed = _streamed(a, work)

    def kernel(
        array: int, vector: float, moved: list[int], energy: dict[str, float], buffer: Words
    ) -> Cost:
        operands = ("input", "weight", "output")
        traffic = {n: a.word_bytes * count for n, count in zip(operands, moved, strict=True)}
        busy = float(max(array, vector))
        return bounded(a, array, vector, busy, 0, traffic, energy, buffer)

    def products(share: float) -> dict[str, float]:
        return {name: share * energy[name] for name in ("mac", "registers")}

    softmax = {name: energy[name] for name in ("vector", "buffer")}
    return (
        kernel(
            array["QK"], 0, [words["Q"], words["K"], scores], products(parts),
            (parts * streamed, scores),
        ),
        kernel(
            0, _softmax_cycles(a, work), [scores + extra, 0, scores], softmax,
            (4 * scores, 2 * scores),
        ),
        kernel(
            array["AV"], 0, [scores, words["V"], words["AV"]], products(1 - parts),
            ((1 - parts) * streamed + scores, 0),
        ),
    )  # fmt: skip


def _products(a: AttentionArray, work: AttentionWork, *names: str) -> int:
    """Cycles of the products on the 2D array."""
    count = operations("attention_3pass", work)
    per_tile = sum(count[name]["mac"] for name in names or ("QK", "AV"))
    return work.groups * tiles(work.keys, a.dim) * tiles(work.queries, a.dim) * per_tile


def _softmax_cycles(a: AttentionArray, work: AttentionWork) -> int:
    """Cycles of the softmax on 1D PEs: one for each Einsum and score if exponentials have a unit.

    Then the subtraction before an exponential is part of its pipeline.
    """
    edge = [operations("attention_3pass", work)[name] for name in SOFTMAX]
    per_score = len(edge) if a.exp_unit else sum(cycles_of(count, a) for count in edge)
    return (per_score + work.score_ops) * work.groups * work.keys * tiles(work.queries, a.dim)


def _softmax_energy(a: AttentionArray, work: AttentionWork) -> dict[str, float]:
    count = operations("attention_3pass", work)
    edge = [count[name] for name in SOFTMAX]
    vector = sum(energy_of(one, a, unit=a.exp_unit) for one in edge) + work.score_ops * a.add_pj
    return {
        "mac": work.macs * a.mac_pj,
        "vector": work.scores * vector,
        "registers": work.macs * a.rf_pj,
        "buffer": work.scores * a.score_pj,
    }
