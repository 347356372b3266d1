"""What it costs: estimate, cycle and values readings of a mapped network."""
