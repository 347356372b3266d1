"""How networks are laid onto an Ethos-U: blocks, buffers of weights, places of feature maps."""
