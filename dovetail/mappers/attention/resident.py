"""How many query tiles stay on chip while the keys pass by."""

from __future__ import annotations

from dovetail.arch.attention import AttentionArray
from dovetail.errors import MappingError
from dovetail.sim.attention.estimate import tiles_behind
from dovetail.sim.attention.work import AttentionWork, Resident, tiles


def choose_resident(a: AttentionArray, work: AttentionWork) -> Resident:
    """The most query tiles, dividing their number, that fit beside a tile of keys and of values.

    Where they are too few for the sums of one to drain before it meets the next keys, groups take
    turns, if they fit. A query takes its E words, F of the running numerator, and a maximum and
    denominator; with the binding `cascade` the scores of a tile and their exponentials, too.

    Raises:
        MappingError: if not even one fits.
    """
    e, f = work.query_width, work.value_width
    query_words = e + f + 2 + 2 * a.dim * (a.binding == "cascade")
    free = a.buffer_bytes - a.word_bytes * a.dim * (e + f)
    room = int(free // (a.word_bytes * a.dim * query_words))
    if room < 1:
        least = a.word_bytes * a.dim * (e + f + query_words)
        raise MappingError(
            f"global buffer of {a.buffer_kib} KiB: a tile of {a.dim} queries, keys and values of "
            f"widths {e} and {f} takes {least / 1024:,.0f} KiB: raise buffer_kib or lower dim"
        )
    every = tiles(work.queries, a.dim)
    query_tiles = next(n for n in range(min(room, every), 0, -1) if every % n == 0)
    wanted = -(-(tiles_behind(a, work) + 1) // query_tiles)
    fits = [n for n in range(1, room // query_tiles + 1) if work.groups % n == 0]
    return Resident(query_tiles, next((n for n in fits if n >= wanted), fits[-1]))
