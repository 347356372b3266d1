"""Accelerator families as parameter sets, technology, presets."""
