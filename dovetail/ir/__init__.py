"""What the rooms pass on to each other: values that check themselves and do nothing else."""
