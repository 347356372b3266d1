"""Mapping onto RDUs: stages, their sharding over sockets, sections, units, and places."""
