"""What Arm's Ethos-U costs: cycles and accesses of operators, memories, weight transfers."""
