"""Mappers of systolic arrays: tilings by cost, and their lowering to Programs."""
