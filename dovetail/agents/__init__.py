"""Who searches: one file per agent, one ask/tell contract."""
