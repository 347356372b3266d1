"""Cycles of Gemmini, the systolic accelerator: a physical model of its loads, computes and stores.

Gemmini runs a convolution tile by tile. For every tile its loop unroller loads all inputs and
weights from memory into the scratchpad, streams them through the weight-stationary array into the
accumulator, and stores the outputs; two tiles are in flight. The model counts what each tile
really does (requests of the DMA, lines that miss the shared cache, rows through the array) and
adds it up with a dozen parameters, each a cost in cycles that has a cause in the hardware.

`experiments/gemmini_rtl.py` fits and checks it against cycles measured on the RTL.

References:
    H. Genc et al., "Gemmini: Enabling Systematic Deep-Learning Architecture Evaluation via
    Full-Stack Integration", DAC 2021.
"""

from __future__ import annotations

from dovetail.sim.gemmini.layer import Layer, TiledMapping, read_levels
from dovetail.sim.gemmini.machine import PARAMETERS, Machine, Parameter, Parameters
from dovetail.sim.gemmini.timing import Breakdown, Work, breakdown, cycles

__all__ = [
    "PARAMETERS",
    "Breakdown",
    "Layer",
    "Machine",
    "Parameter",
    "Parameters",
    "TiledMapping",
    "Work",
    "breakdown",
    "cycles",
    "read_levels",
]
