"""Edge-MoE's engine: skewed attention, one matrix unit for all layers, expert queues.

Attention runs `parallel` queries at once against one block of a key per cycle, which goes to all of
them. Query j of a group starts when the key index is j, so that no two are fetched at a time, and
goes on in the group after it until it has met every key.

References:
    R. Sarkar et al., "Edge-MoE: memory-efficient multi-task vision transformer architecture with
    task-level sparsity via mixture-of-experts", ICCAD 2023, and its published HLS code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dovetail.errors import AcceleratorError
from dovetail.ir.space import IntArray

BLOCK = 8
"""Activations per 256-bit block; one block is read or written per port and cycle."""


@dataclass(frozen=True, slots=True)
class Transformer:
    """A vision transformer whose odd layers choose experts; the defaults are M3ViT-tiny's.

    Attributes:
        tokens: patches and the class token.
        width: features of a token.
        layers: half of them with one MLP, half with experts.
        hidden: features inside the MLP.
        experts: of a layer.
        chosen: experts that each token visits.
        expert_hidden: features inside an expert.
    """

    tokens: int = 129
    width: int = 192
    layers: int = 12
    hidden: int = 768
    experts: int = 16
    chosen: int = 2
    expert_hidden: int = 384


@dataclass(frozen=True, slots=True)
class Attention:
    """What one pass (Q K or A V) of the attention engine did, from its simulation.

    Attributes:
        cycles: until the last query has met the last key.
        reads: blocks read in each key row's cycles, (rows,).
        key_reads: rows of keys (or values) read.
        query_reads: rows of queries read.
        met: times that query q met key k, (tokens, tokens).
        finished: queries that finished in each row, (rows,).
    """

    cycles: int
    reads: IntArray = field(repr=False)
    key_reads: int
    query_reads: int
    met: IntArray = field(repr=False)
    finished: IntArray = field(repr=False)


def attention_cycles(tokens: int, width: int, parallel: int) -> int:
    """Cycles of Q K, and of A V alike, in closed form."""
    return key_rows(tokens, parallel) * _blocks(width)


def key_rows(tokens: int, parallel: int, keys: int | None = None) -> int:
    """Rows of keys, or of values, that one pass reads.

    Args:
        tokens: queries.
        parallel: queries at once.
        keys: that each query meets; as many as queries by default.
    """
    groups, rest = divmod(tokens + parallel - 1, parallel)
    return groups * (tokens if keys is None else keys) + rest


def simulate_attention(tokens: int, width: int, parallel: int, *, skewed: bool = True) -> Attention:
    """Runs the schedule key row by key row; a row takes one cycle per block of features.

    Args:
        tokens: queries, and keys.
        width: features.
        parallel: queries at once.
        skewed: whether queries of a group start one key after the other, or all at the first.

    Raises:
        AcceleratorError: if `parallel` is not within 1 to `tokens` - 1.
    """
    if not 1 <= parallel < tokens:
        raise AcceleratorError(f"{parallel} parallel queries: must be within 1 to {tokens - 1}")
    met = np.zeros((tokens, tokens), dtype=np.int64)
    left = np.zeros(parallel, dtype=np.int64)
    query = np.full(parallel, -1, dtype=np.int64)
    reads, finished, begun, done, key = [], [], 0, 0, 0
    while done < tokens:
        starts = [key] if skewed and key < parallel else []
        starts = list(range(parallel)) if not skewed and key == 0 else starts
        starts = [slot for slot in starts if begun + slot - starts[0] < tokens]
        for slot in starts:
            assert left[slot] == 0, "a query is still at work there"
            query[slot], left[slot], begun = begun, tokens, begun + 1
        busy = left > 0
        met[query[busy], key] += 1
        left[busy] -= 1
        finished.append(int((busy & (left == 0)).sum()))
        done += finished[-1]
        reads.append(1 + len(starts))
        key = (key + 1) % tokens
    rows = np.array(reads, dtype=np.int64)
    return Attention(
        len(rows) * _blocks(width), rows, len(rows), begun, met, np.array(finished, dtype=np.int64)
    )


def linear_cycles(rows: int, inputs: int, outputs: int, unit: tuple[int, int] = (16, 16)) -> int:
    """Cycles of a matrix unit that takes so many inputs x outputs per cycle."""
    return rows * -(-inputs // unit[0]) * -(-outputs // unit[1])


def load_cycles(inputs: int, outputs: int, per_beat: int = 16) -> int:
    """Beats that the weights of a matrix take, the inputs of each output in beats of their own."""
    return outputs * -(-inputs // per_beat)


def moe_cycles(model: Transformer, queues: Sequence[int]) -> int:
    """Cycles of the experts' layer, one expert after the other, empty queues left out.

    Two weight buffers alternate: a matrix loads while the one before it works.

    Args:
        model: shapes.
        queues: tokens that wait for each expert.

    Raises:
        AcceleratorError: if the queues do not hold what the tokens choose.
    """
    if len(queues) != model.experts or sum(queues) != model.tokens * model.chosen:
        raise AcceleratorError(
            f"{len(queues)} queues of {sum(queues)} tokens: must be {model.experts} queues of "
            f"{model.tokens * model.chosen}"
        )
    shapes = ((model.width, model.expert_hidden), (model.expert_hidden, model.width))
    waiting = [length for length in queues if length]
    work = [linear_cycles(length, *shape) for length in waiting for shape in shapes]
    loads = [load_cycles(*shape) for _ in waiting for shape in shapes]
    hidden = [max(now, load) for now, load in zip(work[:-1], loads[1:], strict=True)]
    return loads[0] + sum(hidden) + work[-1]


def compute_cycles(model: Transformer, parallel: int = 4) -> dict[str, int]:
    """Cycles of one image by part, as if weights were there: a lower bound.

    Args:
        model: shapes.
        parallel: queries at once.
    """
    n, d = model.tokens, model.width
    attention = attention_cycles(n, d, parallel)
    plain = model.layers - model.layers // 2
    expert = linear_cycles(n * model.chosen, d, model.expert_hidden)
    expert += linear_cycles(n * model.chosen, model.expert_hidden, d)
    return {
        "projections": model.layers * 4 * linear_cycles(n, d, d),
        "query x key": model.layers * attention,
        "attention x value": model.layers * attention,
        "mlp": plain * (linear_cycles(n, d, model.hidden) + linear_cycles(n, model.hidden, d)),
        "experts": (model.layers - plain) * expert,
    }


def macs(model: Transformer) -> int:
    """Multiply-accumulates of one image in these parts."""
    n, d = model.tokens, model.width
    plain = model.layers - model.layers // 2
    attention = 4 * n * d * d + 2 * n * n * d
    return (
        model.layers * attention
        + plain * 2 * n * d * model.hidden
        + (model.layers - plain) * 2 * n * model.chosen * d * model.expert_hidden
    )


def _blocks(width: int) -> int:
    return -(-width // BLOCK)
