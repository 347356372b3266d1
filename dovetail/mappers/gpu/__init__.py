"""How matrix products are tiled on a GPU."""
