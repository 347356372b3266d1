"""The first layers of a network patch by patch, in little memory."""
