"""The design problem: gymnasium environments and what they optimise."""
