"""What the kernel `attention_scores` is held to: whole sequences, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap
from dovetail.verify.hls_checks import StreamCheck, Values, packed

QUERIES, KEYS, SIZES = range(3)
"""Kinds of words."""

TOKENS = 129
"""Of the sequence of Edge-MoE's M3ViT, with 24 blocks of 8 in 3 heads by default."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Sizes of a sequence.

    Attributes:
        tokens: rows of keys and of queries.
        blocks: of a row.
        head: blocks of a head.
    """

    tokens: int
    blocks: int
    head: int

    @property
    def words(self) -> int:
        """One with the sizes, then keys and queries."""
        return 1 + 2 * self.tokens * self.blocks


def sequences(values: Values, rng: Generator, count: int) -> list[Sequence]:
    """Fewer tokens than slots, one, and as many; then any; many vectors begin with the longest.

    The longest meets no stall, so that it shows how long it takes; as many words follow it.
    """
    most, row, slots = values["words"], values["row"], values["parallel"]
    found = [Sequence(1, 2, 1), Sequence(min(slots, most // 2), 2, 2), Sequence(1, 2, 2)]
    if count >= 1000:
        longest = Sequence(most // row, row, max(row // 3, 1))
        some = Sequence(min(20, longest.tokens), row, longest.head)
        found = [longest, *[some] * (longest.words // some.words + 1), *found]
    while sum(sequence.words for sequence in found) < count:
        head = int(rng.integers(1, min(3, row // 2) + 1))
        blocks = head * int(rng.integers(2 if head == 1 else 1, min(row, 8) // head + 1))
        top = min(3 * slots, most // blocks)
        found.append(Sequence(int(rng.integers(1, top + 1)), blocks, head))
    return found


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    """(count or more, block + 1): elements or the bytes of the sizes, and a kind."""
    block, bits = values["block"], values["bits"]
    top = 1 << (bits - 1)
    parts = []
    for index, sequence in enumerate(sequences(values, rng, count)):
        half = sequence.tokens * sequence.blocks
        table = rng.integers(-top, top, (sequence.words, block + 1))
        if index % 3 == 1:
            table[:] = rng.choice([-top, top - 1], table.shape)
        sizes = sequence.tokens | sequence.blocks << 16 | sequence.head << 32
        table[0, :block] = [sizes >> (bits * i) & ((1 << bits) - 1) for i in range(block)]
        table[:, block] = [SIZES, *[KEYS] * half, *[QUERIES] * half]
        parts.append(table)
    return np.concatenate(parts)


def _words(values: Values, vectors: IntArray) -> list[int]:
    data = packed(vectors[:, :-1], values["bits"])
    return [word << 2 | kind for word, kind in zip(data, vectors[:, -1].tolist(), strict=True)]


def _read(values: Values, vectors: IntArray) -> Iterator[tuple[int, Sequence]]:
    """Place of each sequence's first word, and its sizes."""
    for begin in np.flatnonzero(vectors[:, -1] == SIZES).tolist():
        sizes = packed(vectors[begin : begin + 1, :-1], values["bits"])[0]
        yield begin, Sequence(sizes & 0xFFFF, sizes >> 16 & 0xFFFF, sizes >> 32 & 0xFFFF)


def meetings(tokens: int, parallel: int) -> Iterator[tuple[int, dict[int, int]]]:
    """Each key that is read, in order, and which query meets it in each slot that has one.

    Args:
        tokens: queries, and keys.
        parallel: slots.
    """
    groups, rest = divmod(tokens + parallel - 1, parallel)
    for read in range(groups * tokens + rest):
        group, key = divmod(read, tokens)
        newest = ((group - (key < slot)) * parallel + slot for slot in range(parallel))
        yield key, {slot: q for slot, q in enumerate(newest) if 0 <= q < tokens}


def _reference(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    triggers: list[int] = []
    words: list[int] = []
    parallel, acc = values["parallel"], values["acc"]
    for begin, size in _read(values, vectors):
        shape = (2, size.tokens, size.blocks // size.head, -1)
        keys, queries = vectors[begin + 1 : begin + size.words, :-1].reshape(shape)
        scores = wrap(np.einsum("qhi,khi->qkh", queries, keys), acc)
        rows = []
        for key, met in meetings(size.tokens, parallel):
            row = np.zeros((scores.shape[2], parallel), dtype=np.int64)
            for slot, query in met.items():
                row[:, slot] = scores[query, key]
            which = sum(1 << slot for slot in met) << (acc * parallel)
            rows += [which | word for word in packed(row, acc)]
            last = begin + (size.tokens + max(met.values()) + 1) * size.blocks
            triggers += [last] * len(row)
        words += rows
    return triggers, words


def _turns(values: Values, vectors: IntArray) -> tuple[list[int], list[int]]:
    """A cycle per word, and per block of each key that meets no new query."""
    taken: list[int] = []
    given: list[int] = []
    turn = 0
    for _, size in _read(values, vectors):
        start = turn + 1 + size.tokens * size.blocks
        taken += range(turn, start)
        begun = 0
        turn = start
        for _, met in meetings(size.tokens, values["parallel"]):
            if max(met.values()) == begun:
                taken += range(turn, turn + size.blocks)
                begun += 1
            given += range(turn + size.head - 1, turn + size.blocks, size.head)
            turn += size.blocks
    return taken, given


ATTENTION_SCORES = StreamCheck(
    (
        {},
        {"parallel": 3, "block": 6, "acc": 18, "row": 6, "words": 60},
        {"parallel": 1, "row": 4, "words": 20},
    ),
    _vectors,
    _words,
    _reference,
    turns=_turns,
)
