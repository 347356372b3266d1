"""Operators of TFLite and the reading of its files."""
