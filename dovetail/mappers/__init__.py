"""One laid onto the other: tiling, graph scheduling, lowering to a Program."""
