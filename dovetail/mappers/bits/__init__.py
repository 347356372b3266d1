"""Mixed precision: how many bits each layer's weights and inputs have."""
