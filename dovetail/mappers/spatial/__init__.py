"""Mappers of spatial arrays: optimal, by integer programming, genetic and random."""
