"""What `attention_scores` and `attention_values` are held to: whole sequences, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap
from dovetail.verify.hls_checks import StreamCheck, Values, packed

TAKEN, KEPT, SIZES = range(3)
"""Kinds of words: queries or weights, keys or values, and what begins a sequence."""

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


Count = Callable[[Values, Sequence], int]


def sequences(values: Values, rng: Generator, count: int, words: Count) -> list[Sequence]:
    """Fewer tokens than slots, one, and as many; then any; many vectors begin with the longest.

    The longest meets no stall, so that it shows how long it takes; as many words follow it.

    Args:
        values: parameters of the kernel.
        rng: of the sizes.
        count: words that they have at least.
        words: (parameters, sequence) -> words of one.
    """
    most, row, slots = values["words"], values["row"], values["parallel"]
    found = [Sequence(1, 2, 1), Sequence(min(slots, most // 2), 2, 2), Sequence(1, 2, 2)]
    if count >= 1000:
        longest = Sequence(most // row, row, max(row // 3, 1))
        some = Sequence(min(20, longest.tokens), row, 1)  # most words for their cycles
        more = words(values, longest) // words(values, some) + 1
        found = [longest, *[some] * more, *found]
    while sum(words(values, sequence) for sequence in found) < count:
        head = int(rng.integers(1, min(3, row // 2) + 1))
        blocks = head * int(rng.integers(2 if head == 1 else 1, min(row, 8) // head + 1))
        top = min(3 * slots, most // blocks)
        found.append(Sequence(int(rng.integers(1, top + 1)), blocks, head))
    return found


def draw(values: Values, rng: Generator, count: int, taken: int, words: Count) -> IntArray:
    """(count or more, elements + 1): elements or the bytes of the sizes, and a kind.

    Args:
        values: parameters of the kernel.
        rng: of sizes and elements.
        count: words at least.
        taken: elements of a word of the kind `TAKEN`.
        words: (parameters, sequence) -> words of a sequence.
    """
    bits, elements = values["bits"], max(values["block"], taken)
    top = 1 << (bits - 1)
    parts = []
    for index, sequence in enumerate(sequences(values, rng, count, words)):
        table = rng.integers(-top, top, (words(values, sequence), elements + 1))
        if index % 3 == 1:
            table[:] = rng.choice([-top, top - 1], table.shape)
        sizes = sequence.tokens | sequence.blocks << 16 | sequence.head << 32
        table[0, :elements] = [sizes >> (bits * i) & ((1 << bits) - 1) for i in range(elements)]
        table[:, elements] = TAKEN
        table[1 : 1 + sequence.tokens * sequence.blocks, elements] = KEPT
        table[0, elements] = SIZES
        parts.append(table)
    return np.concatenate(parts)


def _scores_words(values: Values, sequence: Sequence) -> int:
    return 1 + 2 * sequence.tokens * sequence.blocks


def _vectors(values: Values, rng: Generator, count: int) -> IntArray:
    return draw(values, rng, count, values["block"], _scores_words)


def as_words(values: Values, vectors: IntArray) -> list[int]:
    """What the channel in carries."""
    data = packed(vectors[:, :-1], values["bits"])
    return [word << 2 | kind for word, kind in zip(data, vectors[:, -1].tolist(), strict=True)]


def read_sizes(values: Values, vectors: IntArray) -> Iterator[tuple[int, Sequence]]:
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
    for begin, size in read_sizes(values, vectors):
        shape = (2, size.tokens, size.blocks // size.head, -1)
        keys, queries = vectors[begin + 1 : begin + _scores_words(values, size), :-1].reshape(shape)
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
    for _, size in read_sizes(values, vectors):
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
    as_words,
    _reference,
    turns=_turns,
)
