"""Gates that do what the simulator and the interpreter say, for tests of what compares them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dovetail.sim.rtl import RtlRun, SegmentTrace
from dovetail.sim.trace_rtl import simulated_spans

DONE = 1


def gates_like(timing, memory=None, late=0):
    """A run as simulated; the last segment's last store ends `late` cycles later.

    Args:
        timing: of the executable, traced.
        memory: after the run.
        late: cycles.
    """
    spans = simulated_spans(timing)
    segments = [
        SegmentTrace(
            part.start,
            part.run,
            tuple(tuple(first for first, _ in queue) for queue in part.queues),
            tuple(tuple(last for _, last in queue) for queue in part.queues),
        )
        for part in spans
    ]
    last = segments[-1]
    ends = (*last.ends[:2], (*last.ends[2][:-1], last.ends[2][-1] + late))
    segments[-1] = replace(last, ends=ends)
    after = np.zeros(0, np.uint8) if memory is None else memory
    return RtlRun(spans[-1].end + late + DONE, tuple(segments), after, "")
