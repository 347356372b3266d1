"""The event-driven heart of the cycle simulator: three queues, tokens, one DRAM channel.

Instructions are processed in the order of their start times, so cost grows with instructions, not
cycles. Loops are never unrolled: when an iteration leaves the machine in the state that the one
before left, shifted in time, all further ones do the same, and the loop is fast-forwarded exactly.
"""

from __future__ import annotations

import numpy as np

from dovetail.ir.space import IntArray
from dovetail.sim.kernel import kernel

LOAD_QUEUE, EXECUTE_QUEUE, STORE_QUEUE = range(3)
QUEUES = 3
INSTRUCTION, LOOP_BEGIN, LOOP_END, HALT = range(4)
TOKENS = 4
RING = 8
MAX_DEPTH = 8
FAR = 2**62


@kernel
def _snapshot(
    now: int, loop: int, pc: IntArray, free: IntArray, read: IntArray, channel: int,
    left: IntArray, depth: IntArray, stack: IntArray, held: IntArray, head: IntArray,
    ring: IntArray, load_first: bool, out: IntArray,
) -> None:  # fmt: skip
    """State relative to `now` and to the execute queue's iteration of `loop`.

    Times before `now` are all alike, but for the order of what waits for the channel already.
    """
    base = left[EXECUTE_QUEUE, loop]
    at = 0
    for queue in range(QUEUES):
        out[at] = pc[queue]
        out[at + 1] = max(0, free[queue] - now)
        out[at + 2] = max(0, read[queue] - now)
        out[at + 3] = depth[queue]
        at += 4
        for level in range(MAX_DEPTH):
            value = 0
            if level < depth[queue]:
                name = stack[queue, level]
                value = left[queue, name] - (base if name == loop else 0)
            out[at] = value
            at += 1
    out[at] = max(0, channel - now)
    out[at + 1] = load_first
    at += 2
    for token in range(TOKENS):
        out[at] = held[token]
        at += 1
        for i in range(RING):
            value = 0
            if i < held[token]:
                value = max(0, ring[token, (head[token] + i) % RING] - now)
            out[at] = value
            at += 1


SNAPSHOT = QUEUES * (4 + MAX_DEPTH) + 2 + TOKENS * (1 + RING)


@kernel
def _request(free: int, waits: int, held: IntArray, head: IntArray, ring: IntArray) -> int:
    """When an instruction could start, were the channel free; FAR if it lacks a token."""
    begin = free
    for token in range(TOKENS):
        if waits >> token & 1:
            if held[token] == 0:
                return FAR
            begin = max(begin, ring[token, head[token]])
    return begin


@kernel
def run_queues(
    start: IntArray, kind: IntArray, argument: IntArray, duration: IntArray, waits: IntArray,
    signals: IntArray, moves: IntArray, credits: IntArray, loops: int, fetch: int,
    runs: IntArray, trace: IntArray,
) -> tuple[int, int, int]:  # fmt: skip
    """Runs compiled queues to their end.

    Args:
        start: (3,) first entry of each queue in the code arrays.
        kind: (code,) INSTRUCTION, LOOP_BEGIN, LOOP_END or HALT.
        argument: (code,) instruction number; or loop number.
        duration: (code,) cycles of an instruction; or iterations at LOOP_BEGIN; or the entry of
            the matching LOOP_BEGIN at LOOP_END.
        waits: (code,) bit mask of tokens.
        signals: (code,) bit mask of tokens.
        moves: (code,) 1 if an instruction needs the channel.
        credits: (4,) tokens at the start.
        loops: number of loops.
        fetch: cycles in which a queue reads one entry, instruction or mark. Each reads ahead to
            its next instruction once the one before has started.
        runs: (instructions,) written: how often each was executed.
        trace: (events, 4) written: instruction, queue, start, end; no fast-forward if it has rows.

    Returns:
        End cycle, traced events, and 1 if the program deadlocked or hoards tokens.
    """
    pc = start.copy()
    free = np.zeros(QUEUES, dtype=np.int64)
    read = np.full(QUEUES, fetch, dtype=np.int64)
    depth = np.zeros(QUEUES, dtype=np.int64)
    stack = np.zeros((QUEUES, MAX_DEPTH), dtype=np.int64)
    left = np.zeros((QUEUES, loops + 1), dtype=np.int64)
    inside = np.zeros((QUEUES, loops + 1), dtype=np.int64)
    held = credits.copy()
    head = np.zeros(TOKENS, dtype=np.int64)
    ring = np.zeros((TOKENS, RING), dtype=np.int64)
    seen = np.zeros((loops + 1, SNAPSHOT), dtype=np.int64)
    seen_at = np.full(loops + 1, -1, dtype=np.int64)
    seen_runs = np.zeros((loops + 1, runs.shape[0]), dtype=np.int64)
    state = np.zeros(SNAPSHOT, dtype=np.int64)
    channel = 0
    latest = 0
    events = 0
    while True:
        # Advance every queue over loop marks to its next instruction.
        for queue in range(QUEUES):
            while True:
                at = pc[queue]
                if kind[at] == LOOP_BEGIN or kind[at] == LOOP_END:
                    read[queue] += fetch
                if kind[at] == LOOP_BEGIN:
                    loop = argument[at]
                    stack[queue, depth[queue]] = loop
                    depth[queue] += 1
                    left[queue, loop] = duration[at] - 1
                    inside[queue, loop] = 1
                    if queue == EXECUTE_QUEUE:
                        seen_at[loop] = -1
                    pc[queue] = at + 1
                elif kind[at] == LOOP_END:
                    loop = argument[at]
                    if left[queue, loop] == 0:
                        depth[queue] -= 1
                        inside[queue, loop] = 0
                        pc[queue] = at + 1
                        continue
                    left[queue, loop] -= 1
                    pc[queue] = duration[at] + 1
                    if queue == EXECUTE_QUEUE and trace.shape[0] == 0:
                        now = latest  # nothing starts before it any more
                        load_asked = _request(
                            max(free[LOAD_QUEUE], read[LOAD_QUEUE]), waits[pc[LOAD_QUEUE]],
                            held, head, ring,
                        )  # fmt: skip
                        store_asked = _request(
                            max(free[STORE_QUEUE], read[STORE_QUEUE]), waits[pc[STORE_QUEUE]],
                            held, head, ring,
                        )  # fmt: skip
                        _snapshot(
                            now, loop, pc, free, read, channel, left, depth, stack, held, head,
                            ring, load_asked < store_asked, state,
                        )  # fmt: skip
                        same = seen_at[loop] >= 0
                        if same:
                            for i in range(SNAPSHOT):
                                if state[i] != seen[loop, i]:
                                    same = False
                                    break
                        if same:
                            ahead = FAR
                            for other in range(QUEUES):
                                if inside[other, loop] == 1:
                                    ahead = min(ahead, left[other, loop])
                            skip = ahead - 1
                            if skip > 0:
                                shift = skip * (now - seen_at[loop])
                                for other in range(QUEUES):
                                    free[other] += shift
                                    read[other] += shift
                                    if inside[other, loop] == 1:
                                        left[other, loop] -= skip
                                channel += shift
                                for token in range(TOKENS):
                                    for i in range(RING):
                                        ring[token, i] += shift
                                for i in range(runs.shape[0]):
                                    runs[i] += skip * (runs[i] - seen_runs[loop, i])
                                now += shift
                                latest = now
                        seen[loop] = state
                        seen_at[loop] = now
                        seen_runs[loop] = runs
                else:
                    break
        # The instruction that starts first. The channel serves who asked first, and a store before
        # a load that asks at the same time.
        chosen = -1
        earliest = FAR
        asked = FAR
        for queue in (STORE_QUEUE, LOAD_QUEUE, EXECUTE_QUEUE):
            at = pc[queue]
            if kind[at] == HALT:
                continue
            request = _request(max(free[queue], read[queue]), waits[at], held, head, ring)
            if request == FAR:
                continue
            begin = request
            if moves[at]:
                begin = max(begin, channel)
            if begin < earliest or (begin == earliest and request < asked):
                earliest = begin
                asked = request
                chosen = queue
        if chosen < 0:
            break
        latest = earliest
        at = pc[chosen]
        end = earliest + duration[at]
        for token in range(TOKENS):
            if waits[at] >> token & 1:
                head[token] = (head[token] + 1) % RING
                held[token] -= 1
            if signals[at] >> token & 1:
                if held[token] == RING:
                    return latest, events, 1
                ring[token, (head[token] + held[token]) % RING] = end
                held[token] += 1
        free[chosen] = end
        read[chosen] = earliest + fetch
        if moves[at]:
            channel = end
        runs[argument[at]] += 1
        if events < trace.shape[0]:
            trace[events, 0] = argument[at]
            trace[events, 1] = chosen
            trace[events, 2] = earliest
            trace[events, 3] = end
            events += 1
        pc[chosen] += 1
    stuck = 0
    for queue in range(QUEUES):
        if kind[pc[queue]] != HALT:
            stuck = 1
    return max(free.max(), read.max(), channel), events, stuck


@kernel
def run_chain(
    code_at: IntArray, start: IntArray, code: IntArray, credits: IntArray, loops: IntArray,
    runs_at: IntArray, overhead: IntArray, fetch: int, runs: IntArray, trace: IntArray,
    cycles: IntArray, events: IntArray,
) -> int:  # fmt: skip
    """Runs segments one after the other.

    Args:
        code_at: (segments + 1,) first column of each segment's code.
        start: (segments, 3) first entry of each queue, counted from there.
        code: (6, columns) kind, argument, duration, waits, signals, moves as in `run_queues`.
        credits: (4,) tokens at the start of each segment.
        loops: (segments,) number of loops.
        runs_at: (segments + 1,) first of each segment's instructions.
        overhead: (segments,) cycles before and after the queues run.
        fetch: see `run_queues`.
        runs: (instructions,) written, see `run_queues`.
        trace: (events, 4) written, likewise.
        cycles: (segments,) written: of each segment's queues.
        events: (segments,) written: rows of `trace` up to its end.

    Returns:
        The segment that deadlocked; -1 if none did.
    """
    traced = 0
    for i in range(code_at.shape[0] - 1):
        first, last = code_at[i], code_at[i + 1]
        end, count, stuck = run_queues(
            start[i], code[0, first:last], code[1, first:last], code[2, first:last],
            code[3, first:last], code[4, first:last], code[5, first:last], credits, loops[i],
            fetch, runs[runs_at[i] : runs_at[i + 1]], trace[traced:],
        )  # fmt: skip
        if stuck:
            return i
        traced += count
        cycles[i] = overhead[i] + end
        events[i] = traced
    return -1
