"""What differs between a run of a kernel's Verilog and its reference: values, and their edges."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dovetail.hls import HlsBuild

Turns = tuple[Sequence[int], Sequence[int]]
"""The turn that takes each vector, and the one that gives each result."""


def judge(
    made: HlsBuild,
    triggers: Sequence[int],
    expected: Sequence[int],
    seen: Mapping[str, Any],
    turns: Turns | None = None,
) -> tuple[str, ...]:
    """What differs between a run and what it should have been, in words.

    Args:
        made: the build that ran.
        triggers: which vector completes each result.
        expected: bit pattern of each result.
        seen: of `simulate`.
        turns: of a kernel that works on some vectors for several turns: the turn that takes each
            vector, and the one that gives each result.
    """
    faults = _value_faults(made, expected, seen)
    if turns is not None:
        return (*faults, *_turn_faults(made, turns, seen))
    return (*faults, *_pace_faults(made, triggers, seen))


def measured(
    triggers: Sequence[int], seen: Mapping[str, Any], turns: Turns | None = None
) -> tuple[int | None, int | None]:
    """Latency and interval while nothing stalled, the smallest of each; see `judge`."""
    accepted, results = seen["accepted"][: seen["free"]], seen["results"]
    if turns is not None:
        latencies = [results[0][0] - accepted[0] - turns[1][0]] if results and accepted else []
    else:
        pairs = zip(triggers, results, strict=False)
        latencies = [end - accepted[i] for i, (end, _) in pairs if i < len(accepted)]
    # Registers in front of a slow state fill at once.
    steady = accepted[min(latencies, default=0) :]
    intervals = [after - before for before, after in itertools.pairwise(steady)]
    return min(latencies, default=None), min(intervals, default=None)


def _value_faults(
    made: HlsBuild, expected: Sequence[int], seen: Mapping[str, Any]
) -> Iterator[str]:
    accepted, results = seen["accepted"], seen["results"]
    if len(results) != len(expected) or len(accepted) != seen["sent"]:
        yield (
            f"{len(accepted)} of {seen['sent']} vectors accepted, "
            f"{len(results)} of {len(expected)} results"
        )
    texts = [format(value, f"0{made.out_bits}b") for value in expected]
    pairs = zip(results, texts, strict=False)
    wrong = [(i, got, text) for i, ((_, got), text) in enumerate(pairs) if got != text]
    if wrong:
        i, got, text = wrong[0]
        yield f"{len(wrong)} results differ; result {i} is {got}, not {text}"
    if seen["unstable"]:
        yield f"{seen['unstable']} times a result changed while it waited"


def _pace_faults(made: HlsBuild, triggers: Sequence[int], seen: Mapping[str, Any]) -> Iterator[str]:
    """Latency and interval while nothing stalls."""
    accepted, results, free = seen["accepted"], seen["results"], seen["free"]
    latencies = {
        end - accepted[trigger]
        for trigger, (end, _) in zip(triggers, results, strict=False)
        if trigger < min(free, len(accepted))
    }
    if not latencies:
        yield "no result came while nothing stalled, so that no latency is known"
    interval, latency = made.initiation_interval, made.latency_cycles
    if interval > 1:
        # Registers in front of the state take words at once and let them wait there.
        latencies, accepted = {min(latencies, default=latency)}, accepted[latency:]
        free -= latency
    if latencies - {latency}:
        yield f"latencies {sorted(latencies)}, reported {latency}"
    intervals = {after - before for before, after in itertools.pairwise(accepted[: max(free, 0)])}
    if intervals - {interval}:
        yield f"intervals {sorted(intervals)}, reported {interval}"


def _turn_faults(made: HlsBuild, turns: Turns, seen: Mapping[str, Any]) -> Iterator[str]:
    """The edge of each word and of each result while nothing stalls.

    The register at the input takes a word in the turn of the word before it.
    """
    accepted, results = seen["accepted"][: seen["free"]], seen["results"]
    if not accepted:
        yield "no vector was accepted while nothing stalled"
        return
    start, last = accepted[0], accepted[-1]
    taken = [start, *(start + 1 + turn for turn in turns[0])]
    given = [start + made.latency_cycles + turn for turn in turns[1]]
    edges = [edge for edge, _ in results]
    for what, found, wanted in (("vector", accepted, taken), ("result", edges, given)):
        pairs = [(i, *pair) for i, pair in enumerate(zip(found, wanted, strict=False))]
        late = [pair for pair in pairs if pair[2] <= last and pair[1] != pair[2]]
        if late:
            i, is_at, should = late[0]
            yield f"{len(late)} {what}s off; {what} {i} at edge {is_at}, not {should}"
    if not given or given[0] > last:
        yield "no result came while nothing stalled, so that no latency is known"
