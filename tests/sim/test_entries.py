"""The cycle simulator reads the bytes that the gates fetch, and sees what the Program says."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch.table import Design, design_row
from dovetail.flow import map_network
from dovetail.mappers.rtl.lower import lower
from dovetail.networks.registry import load_network
from dovetail.sim import rtl_timing
from dovetail.sim.code import compile_chain
from dovetail.sim.cycle import cost_on, run_chain
from dovetail.sim.entries import read_executable
from dovetail.verify.networks import MICRO

DESIGNS = (
    MICRO,
    MICRO.replace({"dataflow": "os", "fold_overlap": "none", "rows": 16, "dram_gb_per_s": 0.7}),
    MICRO.replace({f"{operand}_sram_kib": 8 for operand in ("input", "weight", "output")}),
)


def by_program(executable, row):
    """The same chain from the Programs' instructions."""

    def overhead(number, _):
        body = executable.segments[number].size - rtl_timing.ENTRY_BYTES
        share = rtl_timing.channel_share(row[Design.BANDWIDTH])
        return rtl_timing.segment_overhead(body, share, int(row[Design.LATENCY]))

    programs = [segment.program for segment in executable.segments]
    return compile_chain(programs, cost_on(row), overhead, rtl_timing.FETCH)


@pytest.mark.parametrize("design", DESIGNS, ids=["ws", "os", "small"])
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"])
def test_entries_say_what_instructions_say(name, design):
    mapped = map_network(load_network(name), design)
    executable, row = lower(mapped.layers.network, design, mapped.tilings), design_row(design)
    read, made = read_executable(executable, row), by_program(executable, row)
    assert read.names == made.names
    for ours, theirs in (
        (read.code_at, made.code_at),
        (read.start, made.start),
        (np.delete(read.code, 1, axis=0), np.delete(made.code, 1, axis=0)),
        (read.loops, made.loops),
        (read.overhead, made.overhead),
    ):
        assert np.array_equal(ours, theirs)
    marks = read.code[0] != 0  # loops keep their numbers; instructions are told apart by place
    assert np.array_equal(read.code[1, marks], made.code[1, marks])
    ours, theirs = run_chain(read), run_chain(made)
    assert np.array_equal(ours.cycles, theirs.cycles)
    traced, other = run_chain(read, trace=True), run_chain(made, trace=True)
    assert np.array_equal(traced.cycles, ours.cycles)
    assert np.array_equal(traced.trace[:, 1:], other.trace[:, 1:])


def test_every_instruction_runs_as_often_as_its_loops_say():
    mapped = map_network(load_network("ds_cnn"), MICRO)
    executable = lower(mapped.layers.network, MICRO, mapped.tilings)
    timing = run_chain(read_executable(executable, design_row(MICRO)))
    unrolled = sum(1 for segment in executable.segments for _ in segment.program.unrolled())
    assert int(timing.runs.sum()) == unrolled
