"""What the kernel `attention_values` is held to, beside what it shares with `attention_scores`."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap
from dovetail.verify.hls_attention import Sequence, as_words, draw, meetings, read_sizes
from dovetail.verify.hls_checks import StreamCheck, Values, packed


def _count(values: Values, size: Sequence) -> int:
    steps = sum(1 for _ in meetings(size.tokens, values["parallel"]))
    return 1 + size.tokens * size.blocks + steps * (size.blocks // size.head)


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    return draw(values, rng, count, values["parallel"], _count)


def _reference(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    triggers: list[int] = []
    words: list[int] = []
    block = values["block"]
    for begin, size in read_sizes(values, vectors):
        heads = size.blocks // size.head
        first = begin + 1 + size.tokens * size.blocks
        kept = vectors[begin + 1 : first, :block].reshape(size.tokens, heads, -1)
        weights = np.zeros((size.tokens, size.tokens, heads), dtype=np.int64)
        last = np.zeros(size.tokens, dtype=np.int64)
        for step, (key, met) in enumerate(meetings(size.tokens, values["parallel"])):
            at = first + step * heads
            for slot, query in met.items():
                weights[query, key] = vectors[at : at + heads, slot]
                last[query] = at + heads - 1
        rows = wrap(np.einsum("qkh,khi->qhi", weights, kept), values["acc"])
        words += packed(rows.reshape(-1, block), values["acc"])
        triggers += np.repeat(last, size.blocks).tolist()
    return triggers, words


def _turns(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    """A cycle per word of values, then one per block of each key."""
    taken: list[int] = []
    given: list[int] = []
    turn = 0
    for _, size in read_sizes(values, vectors):
        start = turn + 1 + size.tokens * size.blocks
        taken += range(turn, start)
        turn = start
        met_before: set[int] = set()
        for _, met in (*meetings(size.tokens, values["parallel"]), (0, {})):
            # Who has left has met all keys in the key before this one.
            if met_before - set(met.values()):
                given += range(turn - size.blocks, turn)
            met_before = set(met.values())
            if met:
                taken += range(turn, turn + size.blocks, size.head)
                turn += size.blocks
    return taken, given


ATTENTION_VALUES = StreamCheck(
    (
        {},
        {"parallel": 3, "block": 6, "acc": 18, "row": 6, "words": 60},
        {"parallel": 9, "row": 4, "words": 60},
        {"parallel": 1, "row": 4, "words": 20},
    ),
    _vectors,
    as_words,
    _reference,
    turns=_turns,
)
