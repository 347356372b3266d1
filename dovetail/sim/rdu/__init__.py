"""What sections of an RDU cost: stages that run at once, tile after tile."""
