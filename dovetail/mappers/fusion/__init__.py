"""Groups of operators that run tile by tile on a spatial array."""
