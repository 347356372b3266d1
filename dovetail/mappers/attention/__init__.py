"""How attention lies on the attention family: what stays on chip, and which operators it is."""
