"""Dovetail: neural networks and the accelerators that run them, designed together."""

__version__ = "0.1.0"
