"""Synthesizable SystemVerilog twins of the accelerator templates, as package data."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_ORDER = (
    "dovetail_isa_pkg",
    "dovetail_delay",
    "dovetail_pe",
    "dovetail_systolic_array",
    "dovetail_ram",
    "dovetail_double_buffer",
    "dovetail_fifo",
    "dovetail_burst",
    "dovetail_words",
    "dovetail_tokens",
    "dovetail_channel",
    "dovetail_sequencer",
    "dovetail_fetch",
    "dovetail_load",
    "dovetail_walk",
    "dovetail_window",
    "dovetail_serializer",
    "dovetail_vector_unit",
    "dovetail_accumulate",
    "dovetail_execute",
    "dovetail_requantize",
    "dovetail_store",
    "dovetail_accelerator",
)
"""The package first, then every module after those that it instantiates."""


def sources() -> list[Path]:
    """All SystemVerilog files of the accelerator, in the order in which tools may read them."""
    return [_FOLDER / f"{name}.sv" for name in _ORDER]
