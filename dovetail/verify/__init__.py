"""Verification: random programs through the simulator, the interpreter and the gates."""
