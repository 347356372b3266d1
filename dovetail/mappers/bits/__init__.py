"""Mixed precision on accelerators: what bits cost, and which to choose."""
