"""Synthesizable SystemVerilog twins of the accelerator templates, as package data."""

from pathlib import Path


def sources() -> list[Path]:
    """All SystemVerilog files, each module after those that it instantiates."""
    modules = ("dovetail_delay", "dovetail_pe", "dovetail_systolic_array")
    return [Path(__file__).resolve().parent / f"{module}.sv" for module in modules]
