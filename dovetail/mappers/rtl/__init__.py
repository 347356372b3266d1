"""From networks to what the RTL machine runs: integers, layouts, steps and the memory image."""
