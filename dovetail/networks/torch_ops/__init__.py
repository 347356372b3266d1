"""What each operator of an exported torch program means."""
