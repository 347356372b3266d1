"""Mixed precision of networks: their layers, how much bits perturb them, and real accuracy."""
