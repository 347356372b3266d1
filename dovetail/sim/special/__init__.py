"""Bit-exact references of the special functions in `dovetail.hls`: integers in, integers out."""
